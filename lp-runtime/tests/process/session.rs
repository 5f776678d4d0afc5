//! Patches loaded into running programs and taken out again, as a user of the library does it.

use crate::patch::{make, manifest, object_of};
use crate::program::{Folder, Program, run};
use lp_klp::manifest::{Callbacks, Manifest};
use lp_klp::state::KlpState;
use lp_runtime::process::kept::control::Contents;
use lp_runtime::process::kept::journal::{Step, Steps};
use lp_runtime::process::prepare::patch_file::PatchFile;
use lp_runtime::process::read::maps::Maps;
use lp_runtime::process::{Options, Process, ProcessError};
use object::{Object, ObjectSection};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Two functions, called so that no caller knows what is inside.
const PROGRAM: &str = r#"
    #include <stdio.h>
    #include <string.h>
    #include <unistd.h>
    #include <pthread.h>
    static int asked;
    volatile int stay, inside;
    __attribute__((noipa)) int one(int x) { return x + 1; }
    __attribute__((noipa)) int two(int x) { return x + 2; }
    __attribute__((noipa)) int sleeper(int x) { inside = 1; while (stay) usleep(1000); inside = 0; return x; }
    static void *sleeps(void *x) { sleeper(1); return x; }
    static void *calls(void *x) { volatile long n = 0; while (!stay) n += one(1) == 1; return x; }
    void answer(const char *q, char *r)
    {
        pthread_t t;
        asked++;
        if (!strcmp(q, "sleep")) { stay = 1; pthread_create(&t, 0, sleeps, 0); while (!inside) usleep(100); }
        if (!strcmp(q, "wake")) { stay = 0; while (inside) usleep(100); }
        if (!strcmp(q, "threads")) { for (int i = 0; i < 6; i++) pthread_create(&t, 0, calls, 0); }
        sprintf(r, "%d %d", one(asked), two(asked));
    }
"#;

struct World {
    folder: Folder,
    path: PathBuf,
    program: Program,
    process: Process,
}

impl World {
    fn start() -> Self {
        let folder = Folder::new();
        let path = folder.server("prog", PROGRAM, &["-pthread"]);
        let program = Program::start(&path);
        let process = Process::attach(program.pid()).expect("it is ours");
        Self {
            folder,
            path,
            program,
            process,
        }
    }

    fn patch(&self, manifest: &Manifest, source: &str) -> PatchFile {
        let bytes = make(&self.folder, source, &[], manifest);
        PatchFile::parse(&bytes).expect("a patch")
    }

    /// A patch named so that replaces these functions.
    fn simple(&self, name: &str, functions: &[&str], source: &str) -> PatchFile {
        self.patch(&describe(name, &self.path, functions), source)
    }

    fn load(&self, patch: &PatchFile) -> Result<(), ProcessError> {
        self.process.load(patch, soon()).map(drop)
    }

    fn unload(&self, name: &str) -> Result<(), ProcessError> {
        self.process.unload(name, soon()).map(drop)
    }

    fn contents(&self) -> Contents {
        self.process.contents().expect("a control area")
    }

    fn installed(&self) -> Vec<(String, bool)> {
        let patches = self.contents().patches.into_iter();
        patches.map(|it| (it.name, it.enabled)).collect()
    }

    fn mappings(&self) -> usize {
        Maps::read(self.program.pid())
            .expect("its maps")
            .iter()
            .count()
    }
}

fn describe(name: &str, path: &Path, functions: &[&str]) -> Manifest {
    let mut manifest = manifest(name);
    manifest.objects.push(object_of(path, functions));
    manifest
}

/// A test does not wait long for a thread that will not move.
fn soon() -> Options<'static> {
    Options {
        timeout: Duration::from_millis(200),
        ..Options::default()
    }
}

const ONE: &str = "int one(int x) { return x + 100; }";

#[test]
fn a_patch_goes_in_and_out() {
    let mut world = World::start();
    assert_eq!(world.program.ask(""), "2 3");
    world
        .load(&world.simple("fix", &["one"], ONE))
        .expect("it goes in");
    assert_eq!(world.program.ask(""), "102 4");
    assert_eq!(world.installed(), [("fix".into(), true)]);
    let mappings = world.mappings();
    world.unload("fix").expect("it goes out");
    assert_eq!(world.program.ask(""), "4 5");
    assert_eq!(world.installed(), []);
    world
        .load(&world.simple("fix", &["one"], ONE))
        .expect("it goes in again");
    assert_eq!(world.mappings(), mappings);
    assert_eq!(world.program.ask(""), "104 6");
}

#[test]
fn patches_lie_over_each_other_or_replace_each_other() {
    let mut world = World::start();
    let mut low = describe("low", &world.path, &["one", "two"]);
    low.replace = false;
    let source = "int one(int x) { return 1000 + x; } int two(int x) { return 2000 + x; }";
    world.load(&world.patch(&low, source)).expect("low");
    let mut high = describe("high", &world.path, &["one"]);
    high.replace = false;
    world.load(&world.patch(&high, ONE)).expect("high");
    assert_eq!(world.program.ask(""), "101 2001");
    world.unload("low").expect("the lower one goes first");
    assert_eq!(world.program.ask(""), "102 4");
    world
        .load(&world.patch(&low, source))
        .expect("low again, on top");
    assert_eq!(world.program.ask(""), "1003 2003");
    let all = world.simple("all", &["two"], "int two(int x) { return -x; }");
    world.load(&all).expect("it replaces both");
    assert_eq!(
        world.program.ask(""),
        "5 -4",
        "what it does not have is the original"
    );
    let expected = [("high", false), ("low", false), ("all", true)];
    assert_eq!(
        world.installed(),
        expected.map(|(name, on)| (name.to_owned(), on))
    );
    for name in ["all", "high", "low"] {
        world.unload(name).expect("it goes");
    }
    assert_eq!(world.program.ask(""), "6 7");
}

#[test]
fn a_thread_inside_keeps_all_as_it_was() {
    let mut world = World::start();
    let patch = || {
        world.simple(
            "fix",
            &["sleeper", "one"],
            &format!("{ONE} int sleeper(int x) {{ return 9; }}"),
        )
    };
    let patch = patch();
    world.program.ask("sleep");
    let mappings = world.mappings();
    let error = world.load(&patch).expect_err("a thread is inside");
    let text = error.to_string();
    assert!(matches!(error, ProcessError::Busy { .. }), "{text}");
    assert!(text.contains("sleeper"), "{text}");
    assert_eq!(world.program.ask(""), "3 4");
    assert_eq!(world.installed(), []);
    assert_eq!(
        world.mappings(),
        mappings + 1,
        "only the control area is new"
    );
    world.program.ask("wake");
    world.load(&patch).expect("nobody is inside");
    assert_eq!(world.program.ask(""), "104 6");
}

/// Of a patch's function, too, the compiler moves away what is rarely run: a thread there is in the function.
#[test]
fn a_thread_in_a_fragment_of_a_patchs_function_is_in_the_function() {
    let mut world = World::start();
    let mut low = describe("low", &world.path, &["sleeper"]);
    low.replace = false;
    let source = r#"
        extern volatile int klp$prog$stay$0, klp$prog$inside$0;
        __attribute__((cold)) int usleep(unsigned);
        int sleeper(int x)
        {
            if (klp$prog$stay$0) {
                klp$prog$inside$0 = 1;
                while (klp$prog$stay$0) usleep(1000);
                klp$prog$inside$0 = 0;
            }
            return x;
        }"#;
    let low = world.patch(&low, source);
    let cold = low
        .symbols
        .iter()
        .any(|it| it.name == "sleeper.cold" && it.size > 0);
    assert!(cold, "gcc made no fragment");
    world.load(&low).expect("low");
    world.program.ask("sleep");
    let mut high = describe("high", &world.path, &["sleeper"]);
    high.replace = false;
    let high = world.patch(&high, "int sleeper(int x) { return x + 9; }");
    let error = world.load(&high).expect_err("a thread is inside");
    assert!(matches!(error, ProcessError::Busy { .. }), "{error}");
    world.program.ask("wake");
    world.load(&high).expect("nobody is inside");
}

#[test]
fn what_is_wrong_is_said_before_anything_is_touched() {
    let mut world = World::start();
    let mappings = world.mappings();
    let mut other = describe("fix", &world.path, &["one"]);
    other.objects[0].build_id = "00".repeat(20);
    let error = world
        .load(&world.patch(&other, ONE))
        .expect_err("another build");
    assert!(error.to_string().contains("build"), "{error}");
    let mut other = describe("fix", &world.path, &["one"]);
    other.objects[0].functions[0].old_hash = "00".repeat(32);
    let error = world
        .load(&world.patch(&other, ONE))
        .expect_err("other code");
    assert!(error.is_refusal(), "{error}");
    assert!(world.unload("fix").is_err());
    assert_eq!(world.mappings(), mappings);
    assert_eq!(world.program.ask(""), "2 3");
    let fix = world.simple("fix", &["one"], ONE);
    world.load(&fix).expect("it goes in");
    let error = world.load(&fix).expect_err("it is there");
    assert!(error.to_string().contains("already"), "{error}");
}

fn with_state(mut manifest: Manifest, version: u32, callbacks: &[&str]) -> Manifest {
    manifest.states.push(KlpState {
        id: 7,
        version,
        name: String::new(),
    });
    let has = |name: &str| callbacks.contains(&name).then(|| name.to_owned());
    manifest.objects[0].callbacks = Callbacks {
        pre_patch: has("pre_patch"),
        post_patch: has("post_patch"),
        pre_unpatch: has("pre_unpatch"),
        post_unpatch: has("post_unpatch"),
    };
    manifest
}

const STATES: &str = r#"
    struct lp_state { unsigned long id; unsigned version; unsigned flags; void *data; };
    extern struct lp_state __lp_states[];
    static struct lp_state *state(unsigned flag)
    {
        for (struct lp_state *s = __lp_states; s->flags != 0xffffffff; s++)
            if (s->id == 7 && (s->flags & flag)) return s;
        return 0;
    }
    static long count;
"#;

#[test]
fn a_states_data_is_handed_over() {
    let mut world = World::start();
    let first = with_state(describe("first", &world.path, &["one"]), 1, &["post_patch"]);
    let source = format!(
        "{STATES} void post_patch(void) {{ state(1)->data = (void *)40; }} int one(int x) {{ return x; }}"
    );
    world
        .load(&world.patch(&first, &source))
        .expect("the first");
    assert_eq!(world.contents().patches[0].data, [(7, 40)].into());
    let second = with_state(describe("second", &world.path, &["one"]), 2, &["pre_patch"]);
    let source = format!(
        "{STATES} int pre_patch(void) {{ count = (long)state(2)->data + state(2)->version; state(1)->data = (void *)count; return 0; }}
         int one(int x) {{ return ++count; }}"
    );
    world
        .load(&world.patch(&second, &source))
        .expect("the second");
    assert_eq!(world.program.ask(""), "42 3");
    let old = with_state(describe("old", &world.path, &["one"]), 1, &[]);
    let error = world
        .load(&world.patch(&old, ONE))
        .expect_err("an older version");
    assert!(
        matches!(error, ProcessError::Incompatible { .. }),
        "{error}"
    );
    assert_eq!(world.program.ask(""), "43 4");
}

#[test]
fn a_callback_may_say_no() {
    let mut world = World::start();
    let manifest = with_state(describe("fix", &world.path, &["one"]), 1, &["pre_patch"]);
    let source = format!("int pre_patch(void) {{ return -19; }} {ONE}");
    let error = world
        .load(&world.patch(&manifest, &source))
        .expect_err("it says no");
    assert!(matches!(error, ProcessError::Veto { .. }), "{error}");
    assert_eq!(world.program.ask(""), "2 3");
    assert_eq!(world.installed(), []);
    assert!(world.contents().journal.is_none());
}

#[test]
fn many_threads_see_old_or_new_and_live() {
    let mut world = World::start();
    world.program.ask("threads");
    let fix = world.simple("fix", &["one"], ONE);
    for _ in 0..10 {
        let patient = || Options {
            timeout: Duration::from_secs(60),
            ..Options::default()
        };
        world.process.load(&fix, patient()).expect("it goes in");
        world.process.unload("fix", patient()).expect("it goes out");
    }
    assert_eq!(world.program.ask(""), "3 4");
}

/// Ends the loader, as far as the process can see, after so many steps.
fn dies_after(count: usize) -> impl FnMut(Step) + Send {
    let mut left = count;
    move |_| {
        if left == 0 {
            std::panic::resume_unwind(Box::new("killed"));
        }
        left -= 1;
    }
}

#[test]
fn a_loader_killed_anywhere_leaves_a_process_that_the_next_one_can_use() {
    let mut world = World::start();
    let fix = world.simple(
        "fix",
        &["one", "two"],
        &format!("{ONE} int two(int x) {{ return 7; }}"),
    );
    world.load(&fix).expect("it goes in");
    world.unload("fix").expect("and out");
    let mappings = world.mappings();
    let mut killed = 0;
    for count in 0.. {
        let mut hook = dies_after(count);
        let load = std::panic::AssertUnwindSafe(|| {
            let options = Options {
                steps: Steps::told_to(&mut hook),
                ..soon()
            };
            world.process.load(&fix, options).map(drop)
        });
        let died = std::panic::catch_unwind(load).is_err();
        killed += usize::from(died);
        let answer = world.program.ask("");
        assert!(!answer.is_empty());
        let installed = !world.installed().is_empty();
        if installed {
            world
                .unload("fix")
                .expect("what was finished can be undone");
        } else {
            world.load(&fix).expect("the next one takes over");
            world.unload("fix").expect("and out");
        }
        assert_eq!(world.mappings(), mappings, "after step {count}");
        if !died {
            break;
        }
    }
    assert!(killed > 5, "{killed}");
}

#[test]
fn an_unloader_killed_anywhere_has_not_begun_or_is_finished_by_the_next_one() {
    let mut world = World::start();
    let fix = world.simple("fix", &["one"], ONE);
    world.load(&fix).expect("it goes in");
    world.unload("fix").expect("and out");
    let mappings = world.mappings();
    // The new code adds a hundred.
    let is_patched = |answer: String| answer.split(' ').any(|it| it.len() == 3);
    for count in 0.. {
        world.load(&fix).expect("it goes in");
        let mut done = Vec::new();
        let mut dies = dies_after(count);
        let mut hook = |step| {
            done.push(step);
            dies(step);
        };
        let unload = std::panic::AssertUnwindSafe(|| {
            let options = Options {
                steps: Steps::told_to(&mut hook),
                ..soon()
            };
            world.process.unload("fix", options).map(drop)
        });
        let died = std::panic::catch_unwind(unload).is_err();
        // That the text will be changed is said before the threads are stopped, and changes nothing.
        let gone = done.contains(&Step::TextChanged);
        assert_ne!(is_patched(world.program.ask("")), gone, "after {done:?}");
        assert_eq!(world.unload("fix").is_err(), gone, "after {done:?}");
        assert!(!is_patched(world.program.ask("")), "after {done:?}");
        assert_eq!(world.mappings(), mappings, "after {done:?}");
        if !died {
            assert!(done.len() > 5, "{done:?}");
            break;
        }
    }
}

/// The symbol and string table of a file.
fn tables(path: &Path) -> (Vec<u8>, Vec<u8>) {
    let bytes = std::fs::read(path).expect("it can be read");
    let file = object::File::parse(&*bytes).expect("it is an ELF file");
    let table = |name: &str| {
        let section = file.section_by_name(name).expect("it is not stripped");
        section.data().expect("its bytes").to_vec()
    };
    (table(".symtab"), table(".strtab"))
}

#[test]
fn a_stripped_program_is_patched_by_the_symbols_that_the_patch_brings() {
    let folder = Folder::new();
    let path = folder.server("prog", PROGRAM, &["-pthread"]);
    let (about, tables) = (describe("fix", &path, &["one"]), tables(&path));
    run(std::process::Command::new("strip").arg(&path));
    let mut program = Program::start(&path);
    let process = Process::attach(program.pid()).expect("it is ours");
    let mut patch = PatchFile::parse(&make(&folder, ONE, &[], &about)).expect("a patch");
    let refused = process.load(&patch, soon()).map(drop).unwrap_err();
    assert!(refused.to_string().contains("stripped"), "{refused}");
    let object = about.objects[0].name.clone();
    // A damaged table is told, and does not count as none.
    patch.lent.insert(object.clone(), (vec![1; 25], Vec::new()));
    let refused = process.load(&patch, soon()).map(drop).unwrap_err();
    assert!(refused.to_string().contains("symbol table"), "{refused}");
    patch.lent.insert(object, tables);
    process.load(&patch, soon()).map(drop).expect("it goes in");
    assert_eq!(program.ask(""), "101 3");
    process
        .unload("fix", soon())
        .map(drop)
        .expect("it goes out");
    assert_eq!(program.ask(""), "3 4");
}
