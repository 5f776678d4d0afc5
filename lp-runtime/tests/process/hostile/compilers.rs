//! Programs of other compilers and other C libraries, and code that other compilers make.

use super::{NEXT, fix, load, there_and_back};
use crate::program::{Folder, Program, run};
use std::path::PathBuf;
use std::process::Command;

/// The server of these tests, made by another compiler.
fn server_by(compiler: &str, folder: &Folder, source: &str, args: &[&str]) -> PathBuf {
    // gcc writes the source and sees that it is good.
    folder.server("prog", source, &[]);
    let mut command = Command::new(compiler);
    command
        .args(["-w", "-Wl,--build-id", "-o"])
        .arg(folder.path("other"));
    command.arg(folder.path("prog.c")).args(args);
    run(&mut command);
    folder.path("other")
}

fn works(compiler: &str, args: &[&str]) {
    let folder = Folder::new();
    let source = NEXT.replace("noipa", "noinline");
    let path = server_by(compiler, &folder, &source, args);
    let mut program = Program::start(&path);
    let pid = program.pid();
    there_and_back(&mut program, pid, &fix(&folder, &path));
}

#[test]
fn programs_of_clang_are_patched() {
    works("clang-14", &["-O2"]);
    works("clang-19", &["-O2"]);
    works("clang-19", &["-O1", "-fcf-protection", "-static-pie"]);
}

#[test]
fn programs_that_were_optimised_when_they_were_linked_are_patched() {
    works(
        "gcc",
        &[
            "-O2",
            "-flto",
            "-fno-ipa-icf",
            "-fno-ipa-cp",
            "-fno-ipa-ra",
            "-fno-inline",
        ],
    );
}

#[test]
fn programs_of_every_shape_are_patched() {
    for args in [
        ["-Os", "-fcf-protection=none"],
        ["-O3", "-fcf-protection=full"],
        ["-O2", "-no-pie"],
        ["-O2", "-static"],
        ["-O0", "-fno-omit-frame-pointer"],
    ] {
        works("gcc", &args);
    }
}

/// A function without room for a jump, and one behind it that is alive.
#[test]
fn the_neighbour_of_a_small_function_is_not_harmed() {
    let folder = Folder::new();
    let source = r#"
        #include <stdio.h>
        #include <stdlib.h>
        int one(int), behind(int);
        asm(".text; .globl one, behind; .type one, @function; .type behind, @function;"
            "one: .cfi_startproc; lea 1(%rdi), %eax; ret; .cfi_endproc; .size one, . - one;"
            "behind: .cfi_startproc; lea 2(%rdi), %eax; ret; .cfi_endproc; .size behind, . - behind");
        void answer(const char *q, char *r) { sprintf(r, "%d %d", one(atoi(q)), behind(atoi(q))); }
    "#;
    let path = folder.server("prog", source, &[]);
    let mut program = Program::start(&path);
    assert_eq!(program.ask("1"), "2 3");
    let refusal = load(program.pid(), &fix(&folder, &path)).expect_err("it has four bytes");
    assert!(refusal.to_string().contains("4 bytes"), "{refusal}");
    assert_eq!(program.ask("2"), "3 4");
}

/// musl has no unwind information, so what called `main` is not known, and with it the whole stack.
#[test]
fn programs_of_musl_are_refused_with_the_reason() {
    for args in [["-O2", "-pie"], ["-O2", "-static"]] {
        let folder = Folder::new();
        let path = server_by("musl-gcc", &folder, NEXT, &args);
        let mut program = Program::start(&path);
        let refusal = load(program.pid(), &fix(&folder, &path)).expect_err("it is refused");
        assert!(refusal.is_refusal(), "{refusal}");
        assert!(
            refusal.to_string().contains("unwind information"),
            "{refusal}"
        );
        assert_eq!(program.ask("1"), "2");
    }
}
