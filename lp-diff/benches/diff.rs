//! The phases of a diff, with the time and the memory that each takes: `cargo bench -p lp-diff`.
//!
//! The pairs are synthetic; with `LP_BENCH_PAIRS` naming a folder of `NAME.ORIG.o` beside `NAME.PATCHED.o`, real ones too.
//! What a user waits for, the whole process, is what `cargo xtask bench diff` measures, which runs this besides.

mod synthetic;

use divan::{AllocProfiler, Bencher, black_box};
use lp_diff::object::Object;
use lp_diff::reference::View;
use lp_diff::{Config, EntrySizes, Exports, Outcome, SymbolTable};
use lp_klp::name::ObjName;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Says how many bytes were allocated at most at a time.
#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

const FUNCTIONS: [usize; 2] = [4_000, 64_000];

fn main() {
    divan::main();
}

#[divan::bench(args = FUNCTIONS, sample_count = 5)]
fn symbols(bencher: Bencher<'_, '_>, functions: usize) {
    let orig = assemble(functions, None);
    bencher.bench_local(|| SymbolTable::from_elf(black_box(&orig[..])));
}

#[divan::bench(args = FUNCTIONS, sample_count = 5)]
fn parse(bencher: Bencher<'_, '_>, functions: usize) {
    let orig = assemble(functions, None);
    bencher.bench_local(|| Object::parse(black_box(&orig)).is_ok());
}

#[divan::bench(args = FUNCTIONS, sample_count = 5)]
fn view(bencher: Bencher<'_, '_>, functions: usize) {
    let orig = assemble(functions, None);
    let arch = lp_diff::arch::of(62).expect("x86-64 is known");
    let object = || Object::parse(&orig).expect("an object");
    let view = bencher.with_inputs(object);
    view.bench_local_values(|object| View::new(object, arch));
}

#[divan::bench(args = FUNCTIONS, sample_count = 5)]
fn diff(bencher: Bencher<'_, '_>, functions: usize) {
    let pair = (
        assemble(functions, None),
        assemble(functions, Some(functions / 2)),
    );
    bencher.bench_local(|| whole(black_box(&pair)));
}

#[divan::bench(args = real(), sample_count = 5)]
fn real_pair(bencher: Bencher<'_, '_>, name: &str) {
    let read = |side: &str| {
        let path = folder().map(|folder| folder.join(format!("{name}.{side}.o")));
        fs::read(path.expect("a folder")).expect("an object")
    };
    let pair = (read("ORIG"), read("PATCHED"));
    bencher.bench_local(|| whole(black_box(&pair)));
}

/// All that is done with two objects in memory.
fn whole((orig, patched): &(Vec<u8>, Vec<u8>)) -> Outcome {
    let symbols = SymbolTable::from_elf(&orig[..]).expect("its symbols");
    let config = Config {
        flavour: Default::default(),
        object: ObjName::vmlinux(),
        entry_sizes: EntrySizes::from_elf(&orig[..]),
        unit: "bench".into(),
        places: Default::default(),
        overridden: Default::default(),
        allow_layout_change: Default::default(),
    };
    let exports = Exports::default();
    lp_diff::diff(orig, patched, &symbols, &exports, &config).expect("two objects")
}

fn assemble(functions: usize, changed: Option<usize>) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let (source, object) = (folder.path().join("o.s"), folder.path().join("o.o"));
    fs::write(&source, synthetic::text(functions, changed)).expect("the source");
    let status = Command::new("as")
        .arg(source)
        .arg("-o")
        .arg(&object)
        .status();
    assert!(status.expect("as runs").success());
    fs::read(object).expect("the object")
}

fn folder() -> Option<PathBuf> {
    std::env::var_os("LP_BENCH_PAIRS").map(PathBuf::from)
}

/// The names of the real pairs.
fn real() -> Vec<String> {
    let entries = folder().and_then(|folder| fs::read_dir(folder).ok());
    let files = entries.into_iter().flatten().filter_map(Result::ok);
    let name = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.strip_suffix(".ORIG.o")?;
        let other = format!("{name}.PATCHED.o");
        let both = path.parent().unwrap_or(Path::new("")).join(other).exists();
        both.then(|| name.to_owned())
    };
    let mut names: Vec<String> = files.filter_map(|file| name(file.path())).collect();
    names.sort();
    names
}
