//! Relocated parts: the same bytes as the linker's, at the same addresses; what does not fit is an error.

use crate::patch::{make, manifest};
use crate::program::{Folder, run};
use lp_klp::manifest::{Callbacks, Function, Manifest, Object};
use lp_klp::name::{ObjName, Sympos};
use lp_runtime::process::kept::area::Area;
use lp_runtime::process::prepare::layout::{LayoutError, Part, lay_out};
use lp_runtime::process::prepare::patch_file::{PatchFile, SymbolId};
use lp_runtime::process::prepare::relocate::{
    PlacedArea, Reason, RelocateError, relocate, sections_of, unwind_of,
};
use lp_runtime::process::prepare::relocation::Kind;
use lp_runtime::process::prepare::resolve::{TlsVariable, Value};
use object::read::{Object as _, ObjectSection as _};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

fn function(name: &str) -> Function {
    Function {
        name: name.into(),
        sympos: Sympos::UNIQUE,
        new_name: String::new(),
        old_size: 8,
        old_hash: String::new(),
    }
}

/// A manifest of objects and their functions.
fn patching(objects: &[(&str, &str)]) -> Manifest {
    let mut manifest = manifest("fix");
    manifest.objects = objects
        .iter()
        .map(|(file, name)| Object {
            name: ObjName::of_file(file).expect("a name"),
            file: (*file).into(),
            build_id: "00".into(),
            functions: vec![function(name)],
            callbacks: Callbacks::default(),
        })
        .collect();
    manifest
}

fn values(patch: &PatchFile, of: &[(&str, Value)]) -> BTreeMap<SymbolId, Value> {
    let named = |name: &str| {
        of.iter()
            .find(|(it, _)| *it == name)
            .map(|(_, value)| value.clone())
    };
    let symbols = patch.symbols.iter().enumerate();
    symbols
        .filter_map(|(index, symbol)| Some((SymbolId(index), named(&symbol.name)?)))
        .collect()
}

fn parsed(source: &str, args: &[&str], objects: &[(&str, &str)]) -> (PatchFile, Vec<Part>) {
    let bytes = make(&Folder::new(), source, args, &patching(objects));
    let patch = PatchFile::parse(&bytes).expect("it is good");
    let present = vec![true; objects.len()];
    let parts = lay_out(&patch, &present).expect("it can be laid out");
    (patch, parts)
}

fn relocated(
    source: &str,
    args: &[&str],
    base: u64,
    of: &[(&str, Value)],
) -> Result<(PatchFile, Part, Vec<PlacedArea>), Vec<RelocateError>> {
    let (patch, mut parts) = parsed(source, args, &[("prog", "value")]);
    let part = parts.remove(0);
    let sections = sections_of(&part, base);
    let areas = relocate(&patch, &part, base, &values(&patch, of), &sections)?;
    Ok((patch, part, areas))
}

fn bytes_at(areas: &[PlacedArea], address: u64, size: usize) -> &[u8] {
    let holds = |area: &&PlacedArea| {
        (area.address..area.address + area.bytes.len() as u64).contains(&address)
    };
    let area = areas.iter().find(holds).expect("the address is in an area");
    let start = (address - area.address) as usize;
    &area.bytes[start..start + size]
}

/// The linker's work on the same object, with each section where we put it and the outside symbols where they are.
fn compare_with_ld(source: &str, args: &[&str], base: u64, outside: &[(&str, u64)]) {
    let of: Vec<_> = outside
        .iter()
        .map(|(name, at)| (*name, Value::Address(*at)))
        .collect();
    let (patch, part, areas) = relocated(source, args, base, &of).expect("all of it fits");
    let sections = sections_of(&part, base);
    let folder = Folder::new();
    let shape = ["-c", "-O2", "-ffunction-sections", "-fdata-sections"];
    let object = folder.compile("patch.o", source, &[&shape, args].concat());
    // Symbols of another object: the linker treats plain numbers in a way of its own.
    let mut script = String::from("SECTIONS {\n");
    // What only the linker makes stands before.
    let own = base - 0x10000;
    let _ = writeln!(
        script,
        ".linkers {own:#x} : {{ *(.dynamic) *(.dynsym) *(.dynstr) *(.hash) *(.gnu.hash) *(.rela*) *(.got*) *(.interp) }}"
    );
    let mut assembly = String::new();
    for (index, (name, at)) in outside.iter().enumerate() {
        let _ = writeln!(
            assembly,
            ".section .outside{index},\"aw\"\n.globl {name}\n{name}: .quad 0"
        );
        let _ = writeln!(script, ".outside{index} {at:#x} : {{ *(.outside{index}) }}");
    }
    std::fs::write(folder.path("outside.s"), assembly).expect("it is ours");
    let outside_object = folder.path("outside.o");
    run(Command::new("as")
        .arg("-o")
        .args([&outside_object, &folder.path("outside.s")]));
    for (id, at) in &sections {
        let name = &patch.section(*id).name;
        let _ = writeln!(script, "{name} {at:#x} : {{ KEEP(*patch.o({name})) }}");
    }
    let unwind = unwind_of(&part, base).map(|(at, _)| at);
    if let Some(at) = unwind {
        let _ = writeln!(
            script,
            ".eh_frame {at:#x} : {{ KEEP(*patch.o(.eh_frame)) }}"
        );
    }
    script.push_str("/DISCARD/ : { *(.comment) *(.note*) *(*outside.o) }\n}\n");
    std::fs::write(folder.path("script"), script).expect("it is ours");
    let linked = folder.path("linked");
    // For a fixed address the linker writes addresses into instructions that ours keeps relative; for any address it leaves
    // the 64-bit ones to the dynamic linker.
    let any_address = base >> 31 != 0;
    let mut ld = Command::new("ld");
    ld.args(["-z", "noexecstack", "-z", "norelro", "-e", "0", "-o"]);
    ld.arg(&linked).arg("-T").arg(folder.path("script"));
    ld.args(any_address.then_some("-pie"));
    run(ld.args([&object, &outside_object]));
    let linked = std::fs::read(linked).expect("ld wrote it");
    let linked = object::File::parse(&*linked).expect("it is an ELF file");
    let mut compared = 0;
    for section in linked
        .sections()
        .filter(|it| it.address() >= base && it.size() > 0)
    {
        let name = section.name().expect("a name");
        let theirs = section.data().expect("it is in the file");
        if name.starts_with(".outside") || theirs.is_empty() {
            continue;
        }
        let mut ours = bytes_at(&areas, section.address(), theirs.len()).to_vec();
        for relocation in patch
            .relocations
            .iter()
            .filter(|it| it.kind == Kind::Abs64 && any_address)
        {
            let at = sections[&relocation.section].checked_sub(section.address());
            if let Some(at) = at
                .map(|it| (it + relocation.offset) as usize)
                .filter(|it| *it < ours.len())
            {
                ours[at..at + 8].copy_from_slice(&theirs[at..at + 8]);
            }
        }
        if name == ".eh_frame" {
            // The linker cuts the padding of the last entry off.
            let last = last_record(theirs);
            ours[last..last + 4].copy_from_slice(&theirs[last..last + 4]);
        }
        assert_eq!(ours, theirs, "{name} differs");
        compared += theirs.len();
    }
    assert!(compared > 64, "only {compared} bytes were compared");
}

fn last_record(table: &[u8]) -> usize {
    let mut last = 0;
    let mut next = 0;
    while let Some(length) = table.get(next..next + 4) {
        last = next;
        next += 4 + u32::from_le_bytes(length.try_into().expect("four")) as usize;
    }
    last
}

const SOURCE: &str = "
    extern int counter, far[]; extern int helper(int); extern void (*hook)(int);
    static int calls; int more = 7; static int table[4] = { 1, 2, 3, 4 };
    static const char *const names[] = { \"one\", \"two\" };
    int *pointers[] = { &counter, &calls, &table[2], 0 };
    __attribute__((noinline)) static int local(int x) { calls += x; return table[x & 3] + far[1]; }
    int tail(int x) { return helper(x + 1); }
    int value(int x) {
        switch (x) {
        case 0: return counter; case 1: return local(x); case 2: return helper(x) + 3; case 3: return more++;
        case 4: return names[x & 1][0]; case 5: return pointers[calls & 3][0]; case 6: return (long)&counter;
        default: hook(x); return x; } }
    int other(int x) { return value(x) + 5; } void *address(void) { return helper; }";

#[test]
fn the_bytes_are_the_linkers() {
    let near = [
        ("counter", 0x7f12_1000_0000),
        ("far", 0x7f12_2000_0000),
        ("helper", 0x7f12_0100_0000),
        ("hook", 0x7f12_1100_0000),
    ];
    for args in [
        ["-fPIC", "-fplt"],
        ["-fPIE", "-fplt"],
        ["-fPIC", "-fno-plt"],
        ["-fPIC", "-fcf-protection=full"],
    ] {
        compare_with_ld(SOURCE, &args, 0x7f12_0000_0000, &near);
    }
    let low = [
        ("counter", 0x1_0000),
        ("far", 0x60_0000),
        ("helper", 0x40_1000),
        ("hook", 0x60_1000),
    ];
    compare_with_ld(SOURCE, &["-fno-pic"], 0x1000_0000, &low);
    compare_with_ld(SOURCE, &["-fno-pic", "-mcmodel=medium"], 0x1000_0000, &low);
}

#[test]
fn a_call_out_of_reach_goes_by_a_veneer_and_an_address_by_a_slot() {
    let far = 0x5555_0000_1230;
    let source = "int helper(int); extern int counter; int value(int x) { return helper(x) + helper(2) + counter; }
        int jump(int x) { return helper(x); }";
    let of = [
        ("helper", Value::Address(far)),
        ("counter", Value::Address(0x5556_0000_0000)),
    ];
    let base = 0x7f12_0000_0000;
    let (_, part, areas) = relocated(source, &["-fPIC"], base, &of).expect("it fits");
    let veneer = part.veneers.values().next().expect("there is one") + base;
    let expected = [&[0xff, 0x25, 0, 0, 0, 0], &far.to_le_bytes()[..]].concat();
    assert_eq!(bytes_at(&areas, veneer, 14), expected);
    let slot = part.slots.values().next().expect("there is one");
    let data = areas
        .iter()
        .find(|it| it.area == Area::ReadOnly)
        .expect("it has slots");
    assert_eq!(
        bytes_at(&areas, data.address + slot, 8),
        0x5556_0000_0000u64.to_le_bytes()
    );
    assert_eq!(part.veneers.len(), 1);
}

#[test]
fn what_does_not_fit_is_an_error_that_names_it() {
    let source = "extern int counter __attribute__((visibility(\"hidden\"))); int value(int x) { return counter + x; }";
    let of = [("counter", Value::Address(0x5555_0000_0000))];
    let errors = relocated(source, &["-fPIC"], 0x7f12_0000_0000, &of).expect_err("it is too far");
    assert!(
        matches!(
            errors[..],
            [RelocateError {
                reason: Reason::Overflow(_),
                ..
            }]
        ),
        "{errors:?}"
    );
    assert!(errors[0].to_string().contains("'counter'"));
    let late = [(
        "counter",
        Value::Late(ObjName::of_file("libx.so").expect("a name")),
    )];
    let errors =
        relocated(source, &["-fPIC"], 0x7f12_0000_0000, &late).expect_err("it is not there");
    assert!(matches!(errors[0].reason, Reason::Late(_)));
    let errors =
        relocated(source, &["-fno-pic"], 0x7f12_0000_0000, &of).expect_err("no such address");
    assert_eq!(errors.len(), 1);
}

#[test]
fn variables_of_threads_are_reached_in_each_way() {
    let source = "extern __thread int var; int value(int x) { return var + x; }";
    let tls = |module, block| {
        let object = "prog".into();
        [
            (
                "var",
                Value::Tls(TlsVariable {
                    object,
                    module,
                    block,
                    offset: 0x14,
                }),
            ),
            ("__tls_get_addr", Value::Address(0x7f12_0800_0000)),
        ]
    };
    let base = 0x7f12_0000_0000;
    // Local exec: mov %fs:-0x4c, %eax or the like has the distance in it.
    let (patch, part, areas) =
        relocated(source, &["-fno-pic"], base, &tls(None, Some(-0x60))).expect("it fits");
    let place = |patch: &PatchFile, part: &Part| {
        let relocation = patch
            .relocations
            .iter()
            .find(|it| it.kind.is_tls())
            .copied()
            .expect("one");
        sections_of(part, base)[&relocation.section] + relocation.offset
    };
    if part.slots.is_empty() {
        assert_eq!(
            bytes_at(&areas, place(&patch, &part), 4),
            (-0x4ci32).to_le_bytes()
        );
    }
    let ways = [
        ("local-exec", None),
        ("initial-exec", Some(vec![-0x4ci64 as u64])),
        ("global-dynamic", Some(vec![3, 0x14])),
    ];
    for (model, expected) in ways {
        let model = format!("-ftls-model={model}");
        let source = source.replace(
            "extern",
            if model.contains("local") {
                "extern __attribute__((visibility(\"hidden\")))"
            } else {
                "extern"
            },
        );
        let pic = if model.contains("local") {
            "-fno-pic"
        } else {
            "-fPIC"
        };
        let (patch, part, areas) =
            relocated(&source, &[pic, &model], base, &tls(Some(3), Some(-0x60))).expect("it fits");
        let place = place(&patch, &part);
        let written = i32::from_le_bytes(bytes_at(&areas, place, 4).try_into().expect("four"));
        let Some(words) = expected else {
            assert_eq!(written, -0x4c);
            continue;
        };
        let slot = place
            .wrapping_add(4)
            .wrapping_add(i64::from(written) as u64);
        let expected: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(bytes_at(&areas, slot, expected.len()), expected, "{model}");
    }
    let errors = relocated(source, &["-fPIC"], base, &tls(None, Some(0))).expect_err("no module");
    assert!(
        matches!(errors[0].reason, Reason::NoModule(_)),
        "{errors:?}"
    );
    let errors = relocated(
        source,
        &["-fPIC", "-ftls-model=initial-exec"],
        base,
        &tls(Some(1), None),
    );
    assert!(matches!(
        errors.expect_err("no block")[0].reason,
        Reason::NoBlock(_)
    ));
    let wrong = [
        ("var", Value::Address(8)),
        ("__tls_get_addr", Value::Address(base)),
    ];
    let errors = relocated(source, &["-fPIC"], base, &wrong).expect_err("it is no thread's");
    assert_eq!(errors[0].reason, Reason::Mismatch);
}

#[test]
fn each_object_has_its_part_with_its_own_unwind_table() {
    let source = "extern int klp$prog$a$0 __attribute__((visibility(\"hidden\"))), klp$libx_so$b$0 __attribute__((visibility(\"hidden\")));
        static int mine; static int both[100]; int *both_at(void);
        int in_prog(int x) { mine += x; return klp$prog$a$0 + x; }
        int in_lib(int x) { return klp$libx_so$b$0 - x + in_prog(x); }";
    let (_, parts) = parsed(
        source,
        &["-fPIC"],
        &[("prog", "in_prog"), ("libx.so", "in_lib")],
    );
    let names = |part: &Part| -> Vec<String> {
        let pieces = part.pieces.iter().filter(|it| it.section.size > 0);
        pieces.map(|it| it.section.name.clone()).collect()
    };
    assert_eq!(
        names(&parts[0]),
        [".text.in_prog", ".bss.mine", ".eh_frame"]
    );
    assert_eq!(names(&parts[1]), [".text.in_lib", ".eh_frame"]);
    let unwind = |part: &Part| {
        part.pieces
            .iter()
            .find(|it| it.id.is_none())
            .map(|it| it.relocations.len())
    };
    assert_eq!((unwind(&parts[0]), unwind(&parts[1])), (Some(1), Some(1)));

    let shared = source
        .replace("- x +", "- mine +")
        .replace("return klp$libx", "mine++; return klp$libx");
    let manifest = patching(&[("prog", "in_prog"), ("libx.so", "in_lib")]);
    let bytes = make(&Folder::new(), &shared, &["-fPIC"], &manifest);
    let patch = PatchFile::parse(&bytes).expect("it is good");
    let refused = lay_out(&patch, &[true, true]);
    assert!(
        matches!(refused, Err(LayoutError::Shared(_))),
        "{refused:?}"
    );
}

/// Each byte of a patch changed in two ways: an error somewhere on the way, or other bytes, never a panic.
#[test]
fn a_damaged_patch_is_laid_out_and_relocated_or_refused() {
    let source = "extern int counter; static int mine[4]; int helper(int);
        int value(int x) { mine[x & 3] += counter; return helper(x); }";
    let bytes = make(
        &Folder::new(),
        source,
        &["-fPIC"],
        &patching(&[("prog", "value")]),
    );
    let mut damaged = bytes.clone();
    let mut survived = 0;
    for at in 0..bytes.len() {
        for value in [0xff, bytes[at] ^ 0x08] {
            damaged[at] = value;
            let Ok(patch) = PatchFile::parse(&damaged) else {
                continue;
            };
            let Ok(parts) = lay_out(&patch, &[true]) else {
                continue;
            };
            let values =
                (0..patch.symbols.len()).map(|index| (SymbolId(index), Value::Address(0x7000)));
            let values = values.collect();
            for part in &parts {
                let sections = sections_of(part, 0x10_0000);
                survived +=
                    usize::from(relocate(&patch, part, 0x10_0000, &values, &sections).is_ok());
            }
        }
        damaged[at] = bytes[at];
    }
    assert!(survived > 1000, "only {survived} came so far");
}
