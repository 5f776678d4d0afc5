//! Patch files: what is read of a good one, and that each bad one is refused for what is wrong with it.

use crate::patch::{make, manifest, of_object};
use crate::program::Folder;
use lp_klp::manifest::{Callbacks, Function, Manifest, Object, TargetKind};
use lp_klp::name::{ObjName, Sympos};
use lp_runtime::process::kept::area::Area;
use lp_runtime::process::prepare::patch_file::{Meaning, PatchError, PatchFile};
use lp_runtime::process::prepare::relocation::Kind;

const SOURCE: &str = "
    extern int klp$prog$counter$0;
    int puts(const char *);
    static int calls;
    int value(int x) { calls++; puts(\"new\"); return klp$prog$counter$0 + x; }";

fn of_value() -> Manifest {
    let mut manifest = manifest("fix");
    manifest.objects.push(Object {
        name: ObjName::of_file("prog").expect("a name"),
        file: "prog".into(),
        build_id: "00".into(),
        functions: vec![Function {
            name: "value".into(),
            sympos: Sympos::UNIQUE,
            new_name: String::new(),
            old_size: 8,
            old_hash: String::new(),
        }],
        callbacks: Callbacks::default(),
    });
    manifest
}

/// Why a patch of this source is refused.
fn refusal(source: &str, args: &[&str], manifest: &Manifest) -> String {
    let patch = make(&Folder::new(), source, args, manifest);
    let refused = PatchFile::parse(&patch).expect_err("it must be refused");
    refused.to_string()
}

#[test]
fn a_good_one_is_read() {
    let bytes = make(&Folder::new(), SOURCE, &["-fPIC"], &of_value());
    let patch = PatchFile::parse(&bytes).expect("it is good");
    assert_eq!(patch.manifest, of_value());
    let text = patch.section_named(".text.value").expect("it is loaded");
    assert_eq!(patch.section(text).area, Area::Text);
    let of = |name: &str| patch.section_named(name).map(|it| patch.section(it).area);
    assert_eq!(of(".bss.calls"), Some(Area::Data));
    assert_eq!(of(".eh_frame"), Some(Area::ReadOnly));
    assert_eq!(of(".note.livepatch"), None);
    let value = patch.function("value").expect("it is there");
    assert!(matches!(value.meaning, Meaning::Inside { section, offset: 0 } if section == text));
    let counter = patch.relocations.iter().find(|relocation| {
        let meaning = &patch.symbol(relocation.symbol).meaning;
        matches!(meaning, Meaning::Klp(name) if name.symbol == "counter")
    });
    let counter = counter.expect("it is referred to");
    assert_eq!((counter.section, counter.kind), (text, Kind::RexGotPcRelX));
}

#[test]
fn what_the_loader_cannot_do_is_refused() {
    let value = "int value(int x) { return x; }";
    let cases = [
        (
            "int n; __attribute__((constructor)) void value(void) { n++; }",
            "constructors",
        ),
        (
            "__thread int t = 1; int value(void) { return t; }",
            "shadow variable",
        ),
        (
            "asm(\".section .both,\\\"awx\\\"; .long 0\"); int value(void) { return 0; }",
            "writable and executable",
        ),
        (
            "asm(\".section .data.x,\\\"aw\\\"; .2byte value\"); int value(void) { return 0; }",
            "not known",
        ),
        ("int other(void) { return 0; }", "'value'"),
        ("int value = 3;", "'value'"),
        (
            "asm(\".section .data.x,\\\"aw\\\"; .balign 8192; .long 1\"); int value(void) { return 0; }",
            "alignment",
        ),
    ];
    for (source, reason) in cases {
        let said = refusal(source, &[], &of_value());
        assert!(said.contains(reason), "{source}: {said}");
    }
    let mut kernel = of_value();
    kernel.target.kind = TargetKind::Kernel;
    assert!(refusal(value, &[], &kernel).contains("for the kernel"));
    let mut other = of_value();
    other.target.arch = "aarch64".into();
    assert!(refusal(value, &[], &other).contains("aarch64"));
    let mut newer = of_value();
    newer.format += 1;
    assert!(refusal(value, &[], &newer).contains("use a newer one"));
}

#[test]
fn what_is_no_patch_is_refused() {
    let folder = Folder::new();
    let program = folder.server("prog", "void answer(const char *q, char *r) {}", &[]);
    let program = std::fs::read(program).expect("it is there");
    assert!(matches!(
        PatchFile::parse(&program),
        Err(PatchError::NotRelocatable(3))
    ));
    for text in [b"".as_slice(), b"\x7fELF", &[0; 4096]] {
        assert!(matches!(PatchFile::parse(text), Err(PatchError::Elf(_))));
    }
    let object = folder.compile("plain.o", SOURCE, &["-c"]);
    let object = std::fs::read(object).expect("it is there");
    assert!(matches!(
        PatchFile::parse(&object),
        Err(PatchError::Note(_))
    ));
    let mut arm = of_object(&object, &of_value());
    arm[18] = 183;
    let said = PatchFile::parse(&arm)
        .expect_err("another machine")
        .to_string();
    assert!(said.contains("machine 183"), "{said}");
}

/// Each byte of the file changed in two ways, and the file cut off at each place: an answer, whatever it is.
#[test]
fn a_damaged_one_is_an_error_or_another_patch_never_a_panic() {
    let bytes = make(&Folder::new(), SOURCE, &["-fPIC"], &of_value());
    for cut in (0..bytes.len()).step_by(3) {
        assert!(PatchFile::parse(&bytes[..cut]).is_err(), "cut off at {cut}");
    }
    let mut damaged = bytes.clone();
    for at in 0..bytes.len() {
        for value in [0xff, bytes[at] ^ 0x10] {
            damaged[at] = value;
            let _ = PatchFile::parse(&damaged);
        }
        damaged[at] = bytes[at];
    }
}
