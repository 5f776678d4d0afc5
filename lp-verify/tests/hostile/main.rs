//! Modules, kernels' files and inventories come from anywhere: whatever their bytes, they are read or are errors.
//!
//! The fuzzer (`cargo xtask fuzz`) tries the same [`targets`] with the same mutations for as long as it is let; what it
//! finds is kept in `found/` and tried here. ELF files are damaged as lp-diff's tests do it.

#[path = "../../../lp-diff/tests/hostile/mutate.rs"]
mod mutate;
#[path = "../../../lp-diff/tests/hostile/numbers.rs"]
mod numbers;
mod seed;
mod targets;

use lp_verify::reader::Module;
use numbers::Numbers;
use std::path::Path;

const KERNEL: &str = include_str!("kernel.s");
const INVENTORY: &str = include_str!("inventory.jsonl");

fn sound() -> Module {
    Module::parse(Path::new("seed.ko"), &seed::assemble(seed::MODULE), None)
        .expect("the seed is a livepatch")
}

#[test]
fn the_seeds_are_read_to_the_end() {
    let module = sound();
    assert!(module.manifest.is_some() && module.imports.versions.is_some());
    assert_eq!(module.tables.objects.as_ref().map(Vec::len), Ok(2));
    let fleet = lp_verify::fleet::judge(&module, INVENTORY.as_bytes(), None).expect("it is read");
    assert_eq!((fleet.machines, fleet.broken), (2, 1));
}

#[test]
fn damaged_files_never_panic() {
    let mut numbers = Numbers(4);
    for (source, target) in [
        (seed::MODULE, targets::module as fn(&[u8])),
        (KERNEL, targets::kernel),
    ] {
        let sound = seed::assemble(source);
        for len in (0..sound.len()).step_by(11) {
            target(&sound[..len]);
        }
        for _ in 0..4_000 {
            let mut damaged = sound.clone();
            let times = 1 + numbers.next(8);
            let len = mutate::mutate(&mut damaged, times, &mut numbers);
            damaged.truncate(len);
            // As a linked file too: its addresses are then counted otherwise.
            if let Some(kind) = damaged.get_mut(16).filter(|_| numbers.next(4) == 0) {
                *kind = 2;
            }
            target(&damaged);
        }
    }
}

#[test]
fn damaged_inventories_are_counted_lines() {
    let module = sound();
    let mut numbers = Numbers(5);
    for _ in 0..2_000 {
        let mut damaged = INVENTORY.as_bytes().to_vec();
        for _ in 0..1 + numbers.next(6) {
            let at = numbers.next(damaged.len());
            match numbers.next(3) {
                0 => damaged.truncate(at),
                1 => drop(damaged.drain(at..(at + numbers.next(40)).min(damaged.len()))),
                _ if damaged.is_empty() => {}
                _ => damaged[at] = b"{}[],:\"\\\n0\xff"[numbers.next(11)],
            }
        }
        targets::inventory(&damaged, &module);
    }
}

#[test]
fn random_bytes_are_errors() {
    let mut numbers = Numbers(6);
    for len in 0..512 {
        let bytes: Vec<u8> = (0..len).map(|_| numbers.next(256) as u8).collect();
        targets::module(&bytes);
        targets::kernel(&bytes);
    }
}

/// What the fuzzer found once: files named `TARGET-WHAT`.
#[test]
fn found_once_never_again() {
    let module = sound();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/found");
    // Git keeps no empty folder.
    let Ok(found) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in found {
        let path = entry.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("a file");
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match name.split_once('-').map(|(target, _)| target) {
            Some("module") => targets::module(&bytes),
            Some("kernel") => targets::kernel(&bytes),
            Some("inventory") => targets::inventory(&bytes, &module),
            _ => panic!("{name}: no target is called that"),
        }
    }
}
