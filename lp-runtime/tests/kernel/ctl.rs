//! `lp-ctl` itself: what it prints and how it exits.

use std::process::{Command, Output};

use super::fake::FakeKernel;

#[path = "../../../tests/support/commands_page.rs"]
mod commands_page;

#[test]
fn every_option_is_in_the_reference() {
    commands_page::check("lp-ctl", env!("CARGO_BIN_EXE_lp-ctl"));
}

fn lp_ctl(kernel: &FakeKernel, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lp-ctl"));
    command
        .arg("--root")
        .arg(kernel.root())
        .args(args)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn list_is_a_table_for_people_and_json_for_programs() {
    let kernel = FakeKernel::new();
    assert_eq!(
        text(&lp_ctl(&kernel, &["list"]).stdout),
        "no livepatch is installed\n"
    );
    kernel.patch("fix", true, false);
    let expected = "NAME  STATE        OBJECTS  FUNCTIONS\nfix   enabled            1          1\n";
    assert_eq!(text(&lp_ctl(&kernel, &["list"]).stdout), expected);
    let json = lp_ctl(&kernel, &["list", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["patches"][0]["name"], "fix");
    assert_eq!(
        json["patches"][0]["objects"][0]["functions"][0]["sympos"],
        1
    );
}

#[test]
fn status_names_who_holds_up_a_transition() {
    let kernel = FakeKernel::new();
    kernel.patch("fix", true, true);
    kernel.task(40, 42, "worker", 0);
    let shown = text(&lp_ctl(&kernel, &["status", "fix"]).stdout);
    assert!(
        shown.starts_with("fix: enabling\n  vmlinux\n    cmdline_proc_show,1\n  1 tasks left\n"),
        "{shown}"
    );
    assert!(
        shown.contains("task 42 (worker, process 40)\n    do_nanosleep+0x5f/0x180\n"),
        "{shown}"
    );
}

#[test]
fn a_mistake_exits_with_1_and_says_what_to_do() {
    let kernel = FakeKernel::new();
    for args in [
        ["disable", "fix"],
        ["status", "fix"],
        ["unload", "fix"],
        ["force", "fix"],
        ["load", "no.ko"],
    ] {
        let output = lp_ctl(&kernel, &args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(text(&output.stderr).starts_with("error: "), "{args:?}");
    }
    let unload = {
        kernel.patch("fix", true, false);
        lp_ctl(&kernel, &["unload", "fix"])
    };
    assert_eq!(
        text(&unload.stderr),
        "error: fix: the patch is still enabled\n  help: `lp-ctl disable fix` first\n"
    );
}

#[test]
fn a_transition_that_does_not_end_exits_with_2() {
    let kernel = FakeKernel::new();
    kernel.patch("fix", true, true);
    kernel.task(40, 42, "worker", 1);
    let output = lp_ctl(&kernel, &["disable", "fix", "--timeout", "0.1"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(
        said.contains("still being disabled after ") && said.contains(" s, 1 task left"),
        "{said}"
    );
    assert!(said.contains("task 42 (worker, process 40)"), "{said}");
    let json = lp_ctl(
        &kernel,
        &["disable", "fix", "--timeout", "0.1", "--format", "json"],
    );
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["error"]["tasks"][0]["tid"], 42);
}

#[test]
fn wrong_words_are_an_error_and_never_a_refusal() {
    let kernel = FakeKernel::new();
    let wrong = lp_ctl(&kernel, &["lode"]);
    assert_eq!(wrong.status.code(), Some(1), "{}", text(&wrong.stderr));
    let version = lp_ctl(&kernel, &["--version"]);
    assert_eq!(version.status.code(), Some(0));
    assert!(text(&version.stdout).starts_with("lp-ctl "));
}

#[test]
fn a_full_disk_under_the_output_is_an_error_and_no_panic() {
    let kernel = FakeKernel::new();
    let full = || std::fs::File::options().write(true).open("/dev/full");
    for format in ["text", "json"] {
        let status = Command::new(env!("CARGO_BIN_EXE_lp-ctl"))
            .arg("--root")
            .arg(kernel.root())
            .args(["list", "--format", format])
            .stdout(full().unwrap())
            .stderr(full().unwrap())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(1), "{format}");
    }
}
