//! Plans: what goes where in a process, and every reason why it cannot.

use super::images::images_of;
use crate::patch::{make, manifest, object_of};
use crate::program::{Folder, Program};
use lp_klp::entry::NoSite;
use lp_klp::manifest::{Manifest, Object};
use lp_klp::name::ObjName;
use lp_klp::target::Callback;
use lp_runtime::process::kept::area::Area;
use lp_runtime::process::prepare::entry::{EntryRefusal, Sites};
use lp_runtime::process::prepare::patch_file::PatchFile;
use lp_runtime::process::prepare::plan::{Inputs, Plan, PlannedArea, Refusal, Warning};
use lp_runtime::process::read::images::Images;
use lp_runtime::process::read::maps::Maps;
use lp_runtime::process::read::memory::ProcessMemory;
use std::collections::BTreeMap;

/// A program that was read.
pub(super) struct Seen {
    images: Images,
    maps: Maps,
    memory: ProcessMemory,
    pub(super) sites: Sites,
    reserved: BTreeMap<String, u64>,
}

impl Seen {
    pub(super) fn of(program: &Program) -> Self {
        Self {
            images: images_of(program),
            maps: Maps::read(program.pid()).expect("they can be read"),
            memory: ProcessMemory::open(program.pid()).expect("it is ours"),
            sites: Sites::new(),
            reserved: BTreeMap::new(),
        }
    }

    fn inputs<'a>(&'a self, patch: &'a PatchFile) -> Inputs<'a, ProcessMemory> {
        let Self {
            images,
            maps,
            memory,
            sites,
            reserved,
        } = self;
        Inputs {
            patch,
            images,
            maps,
            memory,
            sites,
            reserved,
        }
    }

    pub(super) fn plan(&self, patch: &PatchFile) -> Result<Plan, Vec<Refusal>> {
        Plan::new(self.inputs(patch))
    }
}

pub(super) fn patch(
    folder: &Folder,
    source: &str,
    args: &[&str],
    objects: Vec<Object>,
) -> PatchFile {
    let manifest = Manifest {
        objects,
        ..manifest("fix")
    };
    let bytes = make(folder, source, args, &manifest);
    PatchFile::parse(&bytes).expect("it is good")
}

fn address(text: &str) -> u64 {
    u64::from_str_radix(text, 16).expect("an address")
}

fn area_of(plan: &Plan, address: u64) -> &PlannedArea {
    let holds =
        |it: &&PlannedArea| (it.address..it.address + it.bytes.len() as u64).contains(&address);
    plan.areas.iter().find(holds).expect("it is in an area")
}

const PROG: &str = "
    static int counter = 3;
    __attribute__((noinline, noclone)) int step(int by) { counter += by; return counter * 3 + by; }
    void answer(const char *q, char *r)
    { sprintf(r, *q == 's' ? \"%lx\" : *q == 'c' ? \"%lx\" : \"%d\", *q == 's' ? (long)step : *q == 'c' ? (long)&counter : step(1)); }";

const FIX: &str = "
    extern int klp$prog$counter$0 HIDDEN; int puts(const char *);
    static int before;
    int step(int by) { before = klp$prog$counter$0; klp$prog$counter$0 += 2 * by; if (by > 100) puts(\"much\"); return before; }
    int pre(void) { return 0; } void post(void) { before = 0; }";

#[test]
fn a_function_is_planned_in_a_program_of_any_kind() {
    let kinds: [(&[&str], &str); 5] = [
        (&["-pie", "-fpie"], "-fPIC"),
        (&["-no-pie", "-fno-pie"], "-fno-pic"),
        (&["-static", "-fno-pie"], "-fno-pic"),
        (&["-static-pie", "-fpie"], "-fPIE"),
        (&["-pie", "-fpie", "-fcf-protection=full"], "-fPIC"),
    ];
    for (kind, pic) in kinds {
        let folder = Folder::new();
        let path = folder.server("prog", PROG, kind);
        let mut program = Program::start(&path);
        let (step, counter) = (
            address(&program.ask("step")),
            address(&program.ask("counter")),
        );
        let mut object = object_of(&path, &["step"]);
        object.callbacks.pre_patch = Some("pre".into());
        object.callbacks.post_unpatch = Some("post".into());
        let hidden = "-DHIDDEN=__attribute__((visibility(\"hidden\")))";
        let patch = patch(&folder, FIX, &[pic, hidden], vec![object]);
        let plan = Seen::of(&program)
            .plan(&patch)
            .unwrap_or_else(|it| panic!("{kind:?}: {it:?}"));

        let [function] = &plan.functions[..] else {
            panic!("{:?}", plan.functions)
        };
        let endbr = if kind.contains(&"-fcf-protection=full") {
            4
        } else {
            0
        };
        assert_eq!(
            (function.entry.address, function.entry.jump_at),
            (step, step + endbr)
        );
        assert_eq!(function.old[0], step..step + function.entry.size);
        let code = area_of(&plan, function.new.start);
        assert_eq!(code.area, Area::Text);
        assert!(function.new.start.abs_diff(step) < 1 << 31);
        // Somewhere in the new code is the distance to the variable.
        let reaches = (function.new.start..function.new.end - 4).any(|at| {
            let start = (at - code.address) as usize;
            let bytes = code.bytes[start..start + 4].try_into().expect("four");
            let distance = i64::from(i32::from_le_bytes(bytes));
            [0, 4]
                .iter()
                .any(|more| at.wrapping_add(4 + more).wrapping_add(distance as u64) == counter)
        });
        assert!(reaches, "{kind:?}");
        let callbacks: Vec<_> = plan.callbacks.iter().map(|it| it.callback).collect();
        assert_eq!(callbacks, [Callback::PrePatch, Callback::PostUnpatch]);
        assert_eq!(area_of(&plan, plan.callbacks[0].address).area, Area::Text);
        assert_eq!(area_of(&plan, plan.unwind[0].address).area, Area::ReadOnly);
        let maps = Maps::read(program.pid()).expect("they can be read");
        for area in &plan.areas {
            assert!(area.address.is_multiple_of(4096) && area.bytes.len().is_multiple_of(4096));
            let end = area.address + area.bytes.len() as u64;
            assert!(
                maps.iter()
                    .all(|it| it.range.end <= area.address || end <= it.range.start)
            );
        }
        assert!(
            plan.late.is_empty() && plan.warnings.is_empty(),
            "{:?}",
            plan.warnings
        );
    }
}

#[test]
fn program_and_library_each_have_their_part() {
    let folder = Folder::new();
    let library =
        "static volatile int factor = 5; int scale(int x) { return x * factor + factor; }";
    let library = folder.library("libscale.so.1", library, &[]);
    let prog = PROG
        .replace("void answer", "int scale(int); void answer")
        .replace("step(1)", "scale(step(1))");
    let path = folder.server("prog", &prog, &["-l:libscale.so.1"]);
    let program = Program::start(&path);
    let source = format!(
        "{FIX}\n extern int klp$libscale_so_1$factor$0 HIDDEN; int step(int);
        int scale(int x) {{ before++; return step(x) + klp$libscale_so_1$factor$0; }}"
    );
    let hidden = "-DHIDDEN=__attribute__((visibility(\"hidden\")))";
    let objects = vec![object_of(&path, &["step"]), object_of(&library, &["scale"])];
    let manifest = Manifest {
        objects: objects.clone(),
        ..manifest("fix")
    };
    let shared = make(&folder, &source, &["-fPIC", hidden], &manifest);
    let shared = PatchFile::parse(&shared).expect("it is good");
    let refused = Seen::of(&program)
        .plan(&shared)
        .expect_err("both use `before` by 32 bits");
    assert!(matches!(refused[..], [Refusal::Layout(_)]), "{refused:?}");

    let patch = patch(
        &folder,
        &source.replace("before++; ", ""),
        &["-fPIC", hidden],
        objects,
    );
    let plan = Seen::of(&program)
        .plan(&patch)
        .expect("each is near its own");
    for function in &plan.functions {
        assert!(function.new.start.abs_diff(function.entry.address) < 1 << 31);
        assert_eq!(area_of(&plan, function.new.start).object, function.object);
    }
    assert!(
        plan.functions[0]
            .new
            .start
            .abs_diff(plan.functions[1].new.start)
            > 1 << 32
    );
    assert_eq!(plan.unwind.len(), 2);
}

#[test]
fn a_library_that_comes_later_gets_its_part_then() {
    let folder = Folder::new();
    let plugin = folder.library(
        "plugin.so",
        "static volatile int n = 2; int work(int x) { return x + n * 3; }",
        &[],
    );
    let load = "#include <dlfcn.h>
        __attribute__((noinline, noclone)) int step(int by) { return by * 77 + 1; }
        void answer(const char *q, char *r) { sprintf(r, \"%d %d\", dlopen(q, RTLD_NOW) != 0, step(2)); }";
    let path = folder.server("prog", load, &["-ldl"]);
    let mut program = Program::start(&path);
    // What both use is reached by slots, wherever it is.
    let source = "int both = 1; extern int klp$plugin_so$n$0 __attribute__((visibility(\"hidden\")));
        int step(int by) { return by + both++; } int work(int x) { return x + klp$plugin_so$n$0 + both; }";
    let objects = vec![object_of(&path, &["step"]), object_of(&plugin, &["work"])];
    let patch = patch(&folder, source, &["-fPIC"], objects);
    let first = Seen::of(&program)
        .plan(&patch)
        .expect("the program is there");
    let name = ObjName::of_file("plugin.so").expect("a name");
    assert_eq!(first.late, std::slice::from_ref(&name));
    assert_eq!(first.functions.len(), 1);
    let too_early = first.late(Seen::of(&program).inputs(&patch), &name);
    assert!(matches!(
        too_early.expect_err("it is not there")[..],
        [Refusal::NotLoaded { .. }]
    ));

    assert_eq!(program.ask("plugin.so"), "1 155");
    let late = first
        .late(Seen::of(&program).inputs(&patch), &name)
        .expect("it is there now");
    assert_eq!(late.objects, [name]);
    assert_eq!(late.functions.len(), 1);
    assert!(
        late.areas.iter().all(|it| it.area != Area::Data),
        "the data is where it was"
    );

    // So does one that only knows where the parts are.
    let there = first.objects.iter().cloned().collect();
    let resumed = Plan::resume(&patch, &there, first.bases).expect("it is the same patch");
    let again = resumed.late(Seen::of(&program).inputs(&patch), &late.objects[0]);
    assert_eq!(again.expect("it is there"), late);
}

#[test]
fn all_reasons_are_told_at_once() {
    let folder = Folder::new();
    let path = folder.server("prog", PROG, &[]);
    let program = Program::start(&path);
    let mut object = object_of(&path, &["step", "answer"]);
    object.functions[0].old_hash = object.functions[1].old_hash.clone();
    object.functions[1].name = "gone".into();
    object.functions[1].new_name = "step".into();
    let source = "int nowhere(void); extern int klp$prog$missing$0; int step(int by) { return nowhere() + klp$prog$missing$0; }";
    let found = object.build_id.clone();
    object.build_id = "0123".into();
    let patch = patch(&folder, source, &["-fPIC"], vec![object]);
    let refusals = Seen::of(&program)
        .plan(&patch)
        .expect_err("nothing is right");
    let said: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    for part in [
        "'nowhere'",
        "'missing'",
        "'gone'",
        "not the one that the patch was made against",
        &found,
        "0123",
    ] {
        assert!(said.iter().any(|it| it.contains(part)), "{part}: {said:#?}");
    }
    assert_eq!(said.len(), 5, "{said:#?}");
}

/// Why the function `f` of a program cannot be replaced; none where it can.
fn entry_of(source: &str, args: &[&str], name: &str) -> (Option<EntryRefusal>, Vec<Warning>) {
    let folder = Folder::new();
    let path = folder.server("prog", source, args);
    let mut program = Program::start(&path);
    program.ask("x");
    let patch = patch(
        &folder,
        &format!("int {name}(int x) {{ return x; }}"),
        &[],
        vec![object_of(&path, &[name])],
    );
    match Seen::of(&program).plan(&patch) {
        Ok(plan) => (None, plan.warnings),
        Err(mut refusals) => match refusals.remove(0) {
            Refusal::Entry { reason, .. } => (Some(reason), Vec::new()),
            other => panic!("{other}"),
        },
    }
}

const ANSWER: &str = "int f(int x), g(int x); void answer(const char *q, char *r) { sprintf(r, \"%d\", f(1) + g(2)); }\n";

#[test]
fn a_small_function_needs_padding_behind_it() {
    let small = format!(
        "{ANSWER}__attribute__((noinline)) int f(int x) {{ return x; }} __attribute__((noinline)) int g(int x) {{ return x + 1; }}"
    );
    let args = ["-fno-ipa-icf", "-fcf-protection=none"];
    assert!(entry_of(&small, &args, "f").0.is_none());
    let tight = [
        args.as_slice(),
        &["-falign-functions=1", "-fno-toplevel-reorder"],
    ]
    .concat();
    let refused = entry_of(&small, &tight, "f").0;
    assert!(
        matches!(
            refused,
            Some(EntryRefusal::NoSite(NoSite::TooSmall {
                size: 3,
                room: 3,
                needed: 5
            }))
        ),
        "{refused:?}"
    );
}

#[test]
fn nobody_else_may_branch_into_the_jump() {
    let source = format!("{ANSWER}
        asm(\".globl f\\n.type f,@function\\nf: mov %edi,%eax\\n.L: inc %eax\\nadd $3,%eax\\nret\\n.size f,.-f\\n\"
            \".globl g\\n.type g,@function\\ng: mov %edi,%eax\\njmp .L\\n.size g,.-g\");");
    let refused = entry_of(&source, &[], "f").0;
    assert!(
        matches!(
            refused,
            Some(EntryRefusal::NoSite(NoSite::BranchInto { .. }))
        ),
        "{refused:?}"
    );
    assert!(
        entry_of(&source.replace("jmp .L", "nop;nop;nop;ret"), &[], "f")
            .0
            .is_none()
    );
    let inside = source
        .replace("jmp .L", "ret")
        .replace(".L:", ".globl within\\nwithin:");
    let refused = entry_of(&inside, &[], "f").0;
    assert!(
        matches!(refused, Some(EntryRefusal::NoSite(NoSite::SymbolInside(ref name))) if name == "within"),
        "{refused:?}"
    );
}

#[test]
fn other_names_of_the_code_are_told() {
    let source = format!(
        "{ANSWER}int f(int x) {{ return x * 3 + 7; }} int g(int x) __attribute__((alias(\"f\")));"
    );
    let (refused, warnings) = entry_of(&source, &[], "f");
    assert!(refused.is_none());
    let [Warning::Aliases { others, .. }] = &warnings[..] else {
        panic!("{warnings:?}")
    };
    assert_eq!(others, &["g"]);
}

const REWRITES: &str = "#include <sys/mman.h>
    __attribute__((noinline, noclone, aligned(64))) int f(int x) { return x * 77 + 3; }
    __attribute__((noinline)) int g(int x) { return x; }
    void answer(const char *q, char *r) {
        char *at = (char *)f; char *page = (char *)((long)at & -4096);
        mprotect(page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC);
        at[0] = 0xe9; at[1] = at[2] = at[3] = at[4] = 0;
        sprintf(r, \"%lx\", (long)at); }";

#[test]
fn code_that_someone_changed_is_left_alone_unless_it_was_us() {
    let folder = Folder::new();
    let path = folder.server("prog", REWRITES, &[]);
    let mut program = Program::start(&path);
    let patch = patch(
        &folder,
        "int f(int x) { return x; }",
        &[],
        vec![object_of(&path, &["f"])],
    );
    let before = Seen::of(&program)
        .plan(&patch)
        .expect("nothing is wrong yet");
    let at = address(&program.ask("now"));
    let mut seen = Seen::of(&program);
    let refused = seen.plan(&patch).expect_err("the code has changed");
    let [
        Refusal::Entry {
            reason: EntryRefusal::Changed { address },
            ..
        },
    ] = refused[..]
    else {
        panic!("{refused:?}")
    };
    assert!((at..at + 5).contains(&address));
    let entry = &before.functions[0].entry;
    seen.sites.insert(entry.jump_at, entry.original);
    assert_eq!(
        seen.plan(&patch).expect("it was us").functions[0].entry,
        *entry
    );
}

#[test]
fn the_cold_part_of_a_function_is_its_code_too() {
    let source = "__attribute__((cold, noinline)) void rare(int x) { fprintf(stderr, \"%d\", x); }
        __attribute__((noinline, noclone)) int f(int x) { if (__builtin_expect(x == 77, 0)) { rare(x); rare(x + 1); return 3; } return x * 5; }
        void answer(const char *q, char *r) { sprintf(r, \"%d\", f(strlen(q))); }";
    let folder = Folder::new();
    let path = folder.server("prog", source, &[]);
    let mut program = Program::start(&path);
    program.ask("x");
    let patch = patch(
        &folder,
        "int f(int x) { return x; }",
        &[],
        vec![object_of(&path, &["f"])],
    );
    let plan = Seen::of(&program).plan(&patch).expect("nothing is wrong");
    assert_eq!(
        plan.functions[0].old.len(),
        2,
        "{:?}",
        plan.functions[0].old
    );
}
