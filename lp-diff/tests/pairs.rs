//! `--pairs`: two folders of objects, compared by path; the worst of them is the exit code, their order is fixed.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const SOURCE: &str =
    "int state; int one(int x) { return x + state; } int two(int x) { return x * NUMBER; }";

fn compile(number: u32, output: &Path) {
    fs::create_dir_all(output.parent().expect("a folder")).expect("a folder");
    let source = output.with_extension("c");
    fs::write(&source, SOURCE).expect("a source");
    let mut gcc = Command::new("gcc");
    gcc.args([
        "-c",
        "-O2",
        "-pg",
        "-mfentry",
        "-fno-pie",
        "-ffunction-sections",
    ])
    .arg(format!("-DNUMBER={number}"))
    .arg(&source)
    .arg("-o")
    .arg(output);
    assert!(gcc.status().expect("gcc runs").success());
}

/// `a/changed.o` and `b/changed.o` differ, `same.o` does not.
fn folders(root: &Path) {
    for (tree, number) in [("orig", 3), ("patched", 5)] {
        let tree = root.join(tree);
        compile(number, &tree.join("a/changed.o"));
        compile(number, &tree.join("b/changed.o"));
        compile(7, &tree.join("same.o"));
    }
}

fn pairs(root: &Path, threads: &str, options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lp-diff"))
        .current_dir(root)
        .env("RAYON_NUM_THREADS", threads)
        .args(["--pairs", "orig", "patched"])
        .args(options)
        .output()
        .expect("lp-diff runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn results_come_in_the_order_of_paths_on_any_number_of_threads() {
    let folder = tempfile::tempdir().expect("a folder");
    folders(folder.path());
    let one = pairs(folder.path(), "1", &["-o", "out"]);
    assert_eq!(one.status.code(), Some(0), "{one:?}");
    assert_eq!(
        text(&one),
        "written  a/changed.o: 1 changed, 0 new, 0 refusals\n\
         written  b/changed.o: 1 changed, 0 new, 0 refusals\n\
         same     same.o\n\
         3 pairs: 2 written, 0 refused, 1 without a change, 0 errors\n"
    );
    let object = |name: &str| fs::read(folder.path().join("out").join(name)).expect(name);
    let first = object("a/changed.o");
    assert!(!folder.path().join("out/same.o").exists());
    let four = pairs(folder.path(), "4", &["-o", "out"]);
    assert_eq!(text(&one), text(&four));
    assert_eq!(first, object("a/changed.o"));
    let (a, b) = (b"__lp_new.a.changed.two", b"__lp_new.b.changed.two");
    let has = |bytes: &[u8], name: &[u8]| bytes.windows(name.len()).any(|text| text == name);
    assert!(has(&first, a) && has(&object("b/changed.o"), b));
}

#[test]
fn the_worst_pair_is_the_exit_code_and_no_pair_stops_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    compile(7, &root.join("orig/same.o"));
    compile(7, &root.join("patched/same.o"));
    assert_eq!(pairs(root, "2", &[]).status.code(), Some(3));
    folders(root);
    compile(7, &root.join("patched/new.o"));
    let output = pairs(root, "2", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("refused  new.o: only the patched folder has it"));
    fs::write(root.join("orig/broken.o"), b"\x7fELF").expect("a file");
    fs::write(root.join("patched/broken.o"), b"no object").expect("a file");
    let output = pairs(root, "2", &["--report", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<serde_json::Value> = text(&output)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let verdicts: Vec<_> = lines
        .iter()
        .map(|line| (line["path"].as_str(), line["verdict"].as_str()))
        .collect();
    let expected = [
        ("a/changed.o", "written"),
        ("b/changed.o", "written"),
        ("broken.o", "error"),
        ("new.o", "refused"),
        ("same.o", "same"),
    ];
    assert_eq!(
        verdicts,
        expected.map(|(path, verdict)| (Some(path), Some(verdict)))
    );
}

#[test]
fn a_file_is_no_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("orig"), "").expect("a file");
    let output = pairs(folder.path(), "1", &[]);
    assert_eq!(output.status.code(), Some(1));
}
