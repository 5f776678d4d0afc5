//! Objects come from anywhere: whatever their bytes, the differ answers with an error or a report and never panics.
//!
//! The fuzzer (`cargo xtask fuzz`) tries the same [`targets`] with the same [`mutate`] for as long as it is let; what
//! it finds is kept in `found/` and tried here.

mod mutate;
mod numbers;
mod targets;

use numbers::Numbers;
use std::path::Path;
use std::process::Command;

/// Both versions of a case of the corpus.
fn objects(case: &str) -> (Vec<u8>, Vec<u8>) {
    objects_with(case, "-g0")
}

fn objects_with(case: &str, debug: &str) -> (Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a folder");
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(case)
        .join("case.c");
    let compile = |version: &str| {
        let output = folder.path().join("case.o");
        let mut gcc = Command::new("gcc");
        gcc.args([
            "-c",
            "-O2",
            "-pg",
            "-mfentry",
            "-mrecord-mcount",
            "-fno-pie",
        ])
        .args(["-ffunction-sections", "-fdata-sections", debug, version])
        .arg(&source)
        .arg("-o")
        .arg(&output);
        assert!(gcc.status().expect("gcc runs").success(), "{case}");
        std::fs::read(output).expect("the object")
    };
    (compile("-DORIG"), compile("-DPATCHED"))
}

#[test]
fn truncated_objects_are_errors() {
    let (object, _) = objects("shared-text-section");
    for len in (0..object.len()).step_by(7) {
        targets::pair(&object[..len], &object);
        targets::pair(&object, &object[..len]);
    }
}

#[test]
fn mutated_objects_never_panic() {
    let mut numbers = Numbers(1);
    for case in [
        "shared-text-section",
        "jump-table-key",
        "cold-part",
        "zero-len-alt",
    ] {
        let (orig, patched) = objects(case);
        for round in 0..2_000 {
            let mut mutated = [orig.clone(), patched.clone()];
            for object in &mut mutated[numbers.next(2)..] {
                let times = 1 + numbers.next(8);
                let len = mutate::mutate(object, times, &mut numbers);
                object.truncate(len);
            }
            targets::object(&mutated[0]);
            targets::pair(&mutated[0], &mutated[1]);
            targets::pair(&mutated[1], &mutated[0]);
            // A page takes longer to make than all else.
            if round % 20 == 0 {
                targets::show(&mutated[0], &mutated[1]);
            }
        }
    }
}

#[test]
fn damaged_debug_information_is_read_without_harm() {
    let (object, _) = objects_with("sl-swapped-inline", "-g");
    let ranges = debug_ranges(&object);
    assert!(!ranges.is_empty(), "gcc wrote debug information");
    let mut numbers = Numbers(3);
    for _ in 0..1_000 {
        let mut mutated = object.clone();
        for _ in 0..1 + numbers.next(4) {
            let (start, len) = ranges[numbers.next(ranges.len())];
            let value = [0, 1, 0x7f, 0x80, 0xff, numbers.next(256) as u8][numbers.next(6)];
            mutated[start + numbers.next(len)] = value;
        }
        targets::object(&mutated);
    }
}

/// Where the file has debug sections and their relocations: offsets and lengths.
fn debug_ranges(object: &[u8]) -> Vec<(usize, usize)> {
    use object::{Object as _, ObjectSection as _};
    let file = object::File::parse(object).expect("gcc's object");
    file.sections()
        .filter(|section| section.name().is_ok_and(|name| name.contains(".debug_")))
        .filter_map(|section| section.file_range())
        .filter(|(_, len)| *len > 0)
        .map(|(start, len)| (start as usize, len as usize))
        .collect()
}

#[test]
fn random_bytes_are_errors() {
    let mut numbers = Numbers(2);
    for len in 0..512 {
        let bytes: Vec<u8> = (0..len).map(|_| numbers.next(256) as u8).collect();
        targets::object(&bytes);
        targets::pair(&bytes, &bytes);
    }
}

/// What the fuzzer found once: files named `TARGET-WHAT`.
#[test]
fn found_once_never_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/found");
    for entry in std::fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("a file");
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match name.split_once('-').map(|(target, _)| target) {
            Some("object") => targets::object(&bytes),
            Some("diff") => {
                let (orig, patched) = targets::split(&bytes);
                targets::pair(orig, patched);
            }
            Some("show") => {
                let (orig, patched) = targets::split(&bytes);
                targets::show(orig, patched);
            }
            _ => panic!("{name}: no target is called that"),
        }
    }
}
