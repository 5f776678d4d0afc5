//! The program that a case is run in.

use super::link;
use crate::built::Built;
use crate::compiler;
use lp_diff::Report;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use tempfile::TempDir;

/// What all programs have in common.
pub(super) struct World {
    folder: TempDir,
    /// The cases whose calls are compiled.
    tests: Mutex<BTreeSet<String>>,
}

/// A program, ready to run.
pub(super) struct Program {
    folder: TempDir,
}

impl World {
    /// Compiles it.
    pub(super) fn compile() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/run/world.c");
        compile(Path::new(source), &folder.path().join("world.o")).expect("world.c");
        let tests = Mutex::default();
        Self { folder, tests }
    }

    /// The object that makes a case's calls, which does not depend on the compiler that is tried.
    fn test(&self, built: &Built) -> Result<Vec<u8>, String> {
        let at = |end: &str| self.folder.path().join(format!("{}{end}", built.case.name));
        let mut known = self.tests.lock().expect("no panic");
        if known.insert(built.case.name.clone()) {
            fs::write(at(".c"), calls(built)).expect("a file");
            compile(&at(".c"), &at(".o"))?;
        }
        Ok(fs::read(at(".o")).expect("an object"))
    }

    /// Links the program for one case.
    pub(super) fn link(
        &self,
        built: &Built,
        report: &Report,
        output: &[u8],
    ) -> Result<Program, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let test = self.test(built)?;
        fs::write(at("test.o"), &test).expect("a file");
        let joined = link::join(&built.orig, output, report)?;
        fs::write(at("orig.o"), joined.orig).expect("a file");
        fs::write(at("output.o"), joined.output).expect("a file");
        let defined = link::globals(&built.patched);
        let defined = defined.iter().map(String::as_str).chain(["test"]);
        let names: Vec<&str> = defined.collect();
        fs::write(at("source.o"), link::prefix(&built.patched, &names)?).expect("a file");
        fs::write(at("source_test.o"), link::prefix(&test, &names)?).expect("a file");
        fs::write(at("table.s"), joined.table).expect("a file");
        let mut assembler = Command::new("as");
        compiler::run(
            assembler
                .arg("table.s")
                .args(["-o", "table.o"])
                .current_dir(folder.path()),
        )?;
        let mut linker = Command::new("ld");
        linker
            .args([
                "-static",
                "-z",
                "noexecstack",
                "--no-warnings",
                "-o",
                "program",
            ])
            .arg(self.folder.path().join("world.o"))
            .args([
                "test.o",
                "source_test.o",
                "orig.o",
                "output.o",
                "source.o",
                "table.o",
            ])
            .current_dir(folder.path());
        compiler::run(&mut linker)?;
        Ok(Program { folder })
    }
}

impl Program {
    /// What it prints in each of the three turns.
    pub(super) fn run(&self, mode: &str) -> Result<Vec<String>, String> {
        let mut command = Command::new(self.folder.path().join("program"));
        let output = command
            .arg(mode)
            .output()
            .map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let turns: Vec<String> = text.split("---\n").map(str::to_owned).collect();
        match (output.status.success(), turns.len()) {
            (true, 4) => Ok(turns),
            _ => Err(format!("{mode} ends with {}:\n{text}", output.status)),
        }
    }
}

/// The function that makes the calls of the directive and prints what they return.
fn calls(built: &Built) -> String {
    let mut text = String::from("extern void say(const char *);\n");
    text += "extern void report(const char *, int);\n";
    let mut body = String::new();
    for call in &built.case.directives.run {
        let (kind, call) = match call.strip_prefix("void ") {
            Some(call) => ("void", call),
            None => ("int", call.as_str()),
        };
        let name = call.split('(').next().unwrap_or_default();
        let shown = call.replace('"', "'");
        text += &format!("extern {kind} {name}();\n");
        body += &match kind {
            "void" => format!("\tsay(\"{shown}\\n\");\n\t{call};\n"),
            _ => format!("\treport(\"{shown}\", {call});\n"),
        };
    }
    format!("{text}void test(void)\n{{\n{body}}}\n")
}

fn compile(source: &Path, output: &Path) -> Result<(), String> {
    let mut gcc = Command::new("gcc");
    gcc.args([
        "-c",
        "-O1",
        "-fno-pie",
        "-ffreestanding",
        "-fno-stack-protector",
    ]);
    gcc.args(["-fcf-protection=none", "-fno-asynchronous-unwind-tables"]);
    compiler::run(gcc.arg(source).arg("-o").arg(output))
}
