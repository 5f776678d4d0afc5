//! The `lp-diff` command: exit codes, and JSON also where something goes wrong.

use std::process::{Command, Output};

#[path = "../../tests/support/commands_page.rs"]
mod commands_page;

#[test]
fn every_option_is_in_the_reference() {
    commands_page::check("lp-diff", env!("CARGO_BIN_EXE_lp-diff"));
}

fn lp_diff(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lp-diff"))
        .args(args)
        .output()
        .expect("lp-diff runs")
}

#[test]
fn wrong_words_are_an_error_not_a_refusal() {
    assert_eq!(lp_diff(&["--bogus"]).status.code(), Some(1));
    assert_eq!(
        lp_diff(&["a.o", "b.o", "-o", "x", "--entry-size", "bug_entry"])
            .status
            .code(),
        Some(1)
    );
}

#[test]
fn a_missing_object_is_an_error_in_json_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.o");
    let output = lp_diff(&[
        "no.o",
        "no.o",
        "-o",
        out.to_str().expect("a path"),
        "--report",
        "json",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["verdict"], "error");
    assert!(
        json["error"]
            .as_str()
            .is_some_and(|error| error.contains("no.o")),
        "{json}"
    );
    assert!(!out.exists());
}

#[test]
fn random_bytes_are_an_error_and_leave_no_output() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| {
        folder
            .path()
            .join(name)
            .to_str()
            .expect("a path")
            .to_owned()
    };
    std::fs::write(path("bad.o"), [0x7f, b'E', b'L', b'F', 9, 9, 9]).expect("a file");
    let output = lp_diff(&[&path("bad.o"), &path("bad.o"), "-o", &path("out.o")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!std::path::Path::new(&path("out.o")).exists());
}

#[test]
fn layout_changes_are_allowed_one_by_one() {
    for name in ["*", "", "a b"] {
        let output = lp_diff(&["a.o", "b.o", "-o", "x", "--allow-layout-change", name]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("not the name of a struct"), "{said}");
    }
}
