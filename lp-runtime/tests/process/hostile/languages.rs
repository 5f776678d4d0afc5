//! C++: exceptions that would be thrown through patched code.

use super::load;
use crate::patch::{make, manifest, object_of};
use crate::program::{Folder, Program, run};
use lp_runtime::process::prepare::patch_file::PatchFile;
use std::process::Command;

/// `middle` is C; `answer` in C++ calls it with a function that throws, and catches.
const CPP: &str = r#"
    #include <cstdio>
    #include <cstdlib>
    #include <stdexcept>
    extern "C" int one(int (*inner)(int), int x);
    extern "C" int thrower(int x) { if (x > 10) throw std::runtime_error("large"); return x; }
    extern "C" void answer(const char *q, char *r)
    {
        try { sprintf(r, "%d", one(thrower, atoi(q))); }
        catch (std::exception &e) { sprintf(r, "caught %s", e.what()); }
    }
"#;

/// The C between them.
const C: &str = "int one(int (*inner)(int), int x) { return inner(x) + 1; }\n";

#[test]
fn what_exceptions_come_through_is_not_patched() {
    let folder = Folder::new();
    // Its header has what calls `answer`.
    folder.server("shape", "void answer(const char *q, char *r) {}", &["-c"]);
    let main = std::fs::read_to_string(folder.path("shape.c")).expect("it is there");
    let main = main.replace("void answer(const char *q, char *r) {}", "");
    std::fs::write(folder.path("main.c"), main).expect("it is written");
    std::fs::write(folder.path("mid.c"), C).expect("it is written");
    std::fs::write(folder.path("top.cpp"), CPP).expect("it is written");
    let compile = |command: &[&str]| {
        run(Command::new(command[0])
            .args(&command[1..])
            .current_dir(folder.path("")));
    };
    compile(&["gcc", "-O2", "-w", "-fexceptions", "-c", "main.c", "mid.c"]);
    compile(&["g++", "-O2", "-o", "prog", "top.cpp", "main.o", "mid.o"]);
    let path = folder.path("prog");
    let mut program = Program::start(&path);
    assert_eq!(program.ask("3"), "4");
    assert_eq!(program.ask("30"), "caught large");
    let mut manifest = manifest("fix");
    manifest.objects.push(object_of(&path, &["one"]));
    let source = "int one(int (*inner)(int), int x) { return inner(x) + 100; }";
    let patch = make(&folder, source, &["-fexceptions"], &manifest);
    let patch = PatchFile::parse(&patch).expect("a patch");
    let pid = program.pid();
    let refusal = load(pid, &patch).expect_err("what is thrown would not come through");
    assert!(refusal.to_string().contains("exceptions"), "{refusal}");
    assert_eq!(program.ask("30"), "caught large");
    assert_eq!(program.ask("3"), "4");
}
