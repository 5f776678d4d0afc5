//! Objects come from anywhere: whatever their bytes, the differ answers with an error or a report and never panics.

use lp_diff::{Config, EntrySizes, Exports, SymbolTable, diff};
use lp_klp::name::ObjName;
use std::process::Command;

/// Numbers that look random and are the same each time (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below.max(1) as u64) as usize
    }
}

fn object() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/cases/shared-text-section/case.c"
    );
    let output = folder.path().join("case.o");
    let mut gcc = Command::new("gcc");
    gcc.args([
        "-c",
        "-O2",
        "-pg",
        "-mfentry",
        "-mrecord-mcount",
        "-fno-pie",
        "-ffunction-sections",
        "-fdata-sections",
    ])
    .arg(source)
    .arg("-o")
    .arg(&output);
    assert!(gcc.status().expect("gcc runs").success());
    std::fs::read(output).expect("the object")
}

fn try_all(orig: &[u8], patched: &[u8]) {
    let symbols = SymbolTable::from_elf(orig).unwrap_or_default();
    let _ = EntrySizes::from_elf(orig);
    let config = Config {
        object: ObjName::vmlinux(),
        entry_sizes: EntrySizes::default(),
        unit: "x".into(),
        places: Default::default(),
        overridden: Default::default(),
        allow_layout_change: Default::default(),
    };
    let _ = diff(orig, patched, &symbols, &Exports::default(), &config);
}

#[test]
fn truncated_objects_are_errors() {
    let object = object();
    for len in (0..object.len()).step_by(7) {
        try_all(&object[..len], &object);
        try_all(&object, &object[..len]);
    }
}

#[test]
fn mutated_objects_never_panic() {
    let object = object();
    let mut numbers = Numbers(1);
    for _ in 0..20_000 {
        let mut mutated = object.clone();
        for _ in 0..1 + numbers.next(8) {
            let at = numbers.next(mutated.len());
            let value = [0, 1, 0x7f, 0x80, 0xff, numbers.next(256) as u8][numbers.next(6)];
            mutated[at] = value;
        }
        try_all(&object, &mutated);
        try_all(&mutated, &object);
    }
}

#[test]
fn random_bytes_are_errors() {
    let mut numbers = Numbers(2);
    for len in 0..512 {
        let bytes: Vec<u8> = (0..len).map(|_| numbers.next(256) as u8).collect();
        try_all(&bytes, &bytes);
    }
}
