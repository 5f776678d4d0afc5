//! Packed files of a kernel are unpacked into the cache, by their content.

use crate::folder;
use lp_build::kernel::running::unpacked::Unpacked;
use std::fs;
use std::path::Path;
use std::process::Command;

fn run(folder: &Path, program: &str, args: &[&str]) {
    let mut command = Command::new(program);
    let status = command.args(args).current_dir(folder).status();
    assert!(status.expect("it runs").success(), "{program}");
}

#[test]
fn a_packed_module_is_unpacked_once_for_its_content() {
    let work = folder(&[("a.s", ".globl one\none: ret\n"), ("b.s", "ret\n")]);
    let path = work.path();
    run(path, "gcc", &["-c", "-o", "plain.ko", "a.s"]);
    run(path, "gcc", &["-c", "-o", "other.ko", "b.s"]);
    fs::copy(path.join("plain.ko"), path.join("m.ko")).expect("a copy");
    run(path, "gzip", &["-k", "m.ko"]);

    let unpacked = Unpacked::of(&path.join("cache"));
    let read = |name: &str| unpacked.readable(&path.join(name)).expect("readable");
    assert_eq!(read("plain.ko"), path.join("plain.ko"), "as it is");
    let first = read("m.ko.gz");
    let content = |path: &Path| fs::read(path).expect("a file");
    assert_eq!(content(&first), content(&path.join("plain.ko")));
    assert_eq!(read("m.ko.gz"), first);

    fs::copy(path.join("other.ko"), path.join("m.ko")).expect("a copy");
    run(path, "gzip", &["-kf", "m.ko"]);
    let second = read("m.ko.gz");
    assert_ne!(second, first, "another file of the same name");
    assert_eq!(content(&second), content(&path.join("other.ko")));
}

#[test]
fn what_is_no_kernel_is_an_error_that_names_it() {
    let work = folder(&[("vmlinuz", "not a kernel at all")]);
    let unpacked = Unpacked::of(&work.path().join("cache"));
    let error = unpacked.readable(&work.path().join("vmlinuz"));
    let error = format!("{:#}", error.expect_err("no kernel"));
    assert!(
        error.contains("vmlinuz") && error.contains("bzImage"),
        "{error}"
    );
}
