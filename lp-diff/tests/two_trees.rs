//! The two objects come from two source trees and are compiled from a third folder, as `make O=` does: what differs in
//! nothing but line numbers is the same whatever folders its files count from.

use lp_diff::{Config, EntrySizes, Exports, SymbolTable, Verdict, diff};
use std::fs;
use std::path::Path;
use std::process::Command;

const HEADER: &str =
    "void report(const char *function, int line);\n#define REPORT() report(__func__, __LINE__)\n";
const SOURCE: &str =
    "#include <linux/report.h>\nint f(int x)\n{\n\tif (x > 3)\n\t\tREPORT();\n\treturn x * 2;\n}\n";

/// Compiles a tree's file from `build`, which is beside the tree and has headers of its own.
fn compile(root: &Path, tree: &str, source: &str) -> Vec<u8> {
    let tree = root.join(tree);
    for folder in ["kernel/sub", "include/linux", "arch/include"] {
        fs::create_dir_all(tree.join(folder)).expect("a folder");
    }
    fs::create_dir_all(root.join("build/include")).expect("a folder");
    fs::write(tree.join("include/linux/report.h"), HEADER).expect("written");
    fs::write(tree.join("arch/include/arch.h"), "typedef int arch_t;\n").expect("written");
    fs::write(
        root.join("build/include/auto.h"),
        "#include <arch.h>\ntypedef arch_t auto_t;\n",
    )
    .expect("written");
    fs::write(tree.join("kernel/sub/a.c"), source).expect("written");
    let mut gcc = Command::new("gcc");
    gcc.args([
        "-c",
        "-O2",
        "-g",
        "-pg",
        "-mfentry",
        "-fno-pie",
        "-mcmodel=kernel",
    ])
    .args([
        "-fcf-protection=none",
        "-ffunction-sections",
        "-fdata-sections",
    ])
    .arg(format!("-I{}", tree.join("include").display()))
    .arg(format!("-I{}", tree.join("arch/include").display()))
    .args(["-include"])
    .arg(root.join("build/include/auto.h"))
    .arg(tree.join("kernel/sub/a.c"))
    .args(["-o", "a.o"])
    .current_dir(root.join("build"));
    assert!(gcc.status().expect("gcc runs").success());
    fs::read(root.join("build/a.o")).expect("the object")
}

fn verdict(patched: &str) -> Verdict {
    let root = tempfile::tempdir().expect("a folder");
    let orig = compile(root.path(), "kernels/source/1.0", SOURCE);
    let patched = compile(root.path(), "cache/runs/run-1/patched", patched);
    let config = Config {
        flavour: Default::default(),
        object: "vmlinux".parse().expect("a name"),
        entry_sizes: EntrySizes::default(),
        unit: "a".into(),
        places: Default::default(),
        overridden: Default::default(),
        allow_layout_change: Default::default(),
    };
    let symbols = SymbolTable::from_elf(&*orig).expect("symbols");
    let outcome = diff(&orig, &patched, &symbols, &Exports::default(), &config);
    outcome.expect("objects that gcc wrote").report.verdict
}

#[test]
fn a_line_further_down_is_no_change() {
    assert_eq!(
        verdict(&SOURCE.replace("int f", "\n\n\nint f")),
        Verdict::Same
    );
}

#[test]
fn another_constant_is_a_change() {
    let moved = SOURCE.replace("int f", "\n\n\nint f");
    assert_eq!(verdict(&moved.replace("x * 2", "x * 3")), Verdict::Written);
}
