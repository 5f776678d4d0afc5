//! A folder where small programs become kernels, modules and objects.

use lp_build::fidelity::{Fidelity, Target, Verdict};
use lp_verify::kernel::kallsyms::Kallsym;
use lp_verify::kernel::symtab;
use object::{Object, ObjectSymbol};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const FLAGS: [&str; 8] = [
    "-O2",
    "-fno-pic",
    "-fno-pie",
    "-mcmodel=kernel",
    "-fcf-protection=none",
    "-fno-asynchronous-unwind-tables",
    "-fno-ipa-icf",
    "-c",
];

/// A folder with sources, objects and a binary.
pub(crate) struct Lab(TempDir);

impl Lab {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Compiles a text as `NAME.c`, as kernels are built.
    pub(crate) fn compile(&self, name: &str, text: &str) -> PathBuf {
        self.gcc(name, text, &format!("{name}.o"), &[])
    }

    /// Compiles a text as `NAME.c`, as we build it.
    pub(crate) fn orig(&self, name: &str, text: &str) -> Vec<u8> {
        let object = self.gcc(
            name,
            text,
            "orig.o",
            &["-ffunction-sections", "-fdata-sections"],
        );
        std::fs::read(object).unwrap()
    }

    pub(crate) fn gcc(&self, name: &str, text: &str, object: &str, more: &[&str]) -> PathBuf {
        let source = self.path(&format!("{name}.c"));
        std::fs::write(&source, text).unwrap();
        let object = self.path(object);
        run(Command::new("gcc")
            .args(FLAGS)
            .args(more)
            .arg("-o")
            .arg(&object)
            .arg(source));
        object
    }

    /// Links objects as vmlinux is linked.
    pub(crate) fn vmlinux(&self, objects: &[&Path]) -> Target {
        Target::vmlinux(self.link(objects)).unwrap()
    }

    /// The same with the symbols that a kernel has of itself: without sizes and source files.
    pub(crate) fn without_sizes(&self, objects: &[&Path]) -> Target {
        let linked = self.link(objects);
        let data = std::fs::read(&linked).unwrap();
        let file = object::File::parse(data.as_slice()).unwrap();
        let named = |symbol: &object::Symbol<'_, '_>| {
            symbol.is_definition() && symbol.kind() != object::SymbolKind::File
        };
        let mut symbols: Vec<Kallsym> = file
            .symbols()
            .filter(named)
            .map(|symbol| Kallsym {
                address: symbol.address(),
                kind: match (symbol.is_weak(), symbol.is_global()) {
                    (true, _) => b'W',
                    (false, true) => b'T',
                    (false, false) => b't',
                },
                name: symbol.name().unwrap().to_owned(),
            })
            .collect();
        symbols.sort_by_key(|symbol| symbol.address);
        run(Command::new("objcopy").arg("-S").arg(&linked));
        let stripped = std::fs::read(&linked).unwrap();
        std::fs::write(&linked, symtab::add(stripped, &symbols).unwrap()).unwrap();
        Target::vmlinux(linked).unwrap()
    }

    pub(crate) fn link(&self, objects: &[&Path]) -> PathBuf {
        let out = self.path("vmlinux");
        let mut ld = Command::new("ld");
        ld.args([
            "-e",
            "0",
            "-Ttext=0xffffffff81000000",
            "-z",
            "max-page-size=4096",
            "--no-warnings",
            "-o",
        ]);
        run(ld.arg(&out).args(objects));
        out
    }

    /// Links objects as a module is linked and packed: without FILE symbols.
    pub(crate) fn module(&self, objects: &[&Path]) -> Target {
        let out = self.path("module.ko");
        run(Command::new("ld")
            .args(["-r", "-o"])
            .arg(&out)
            .args(objects));
        run(Command::new("strip").arg("--strip-debug").arg(&out));
        Target::module(out).unwrap()
    }
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

pub(crate) fn verdict<'a>(fidelity: &'a Fidelity, name: &str) -> &'a Verdict {
    &fidelity
        .functions
        .iter()
        .find(|function| function.name == name)
        .unwrap()
        .verdict
}
