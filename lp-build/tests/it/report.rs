//! Reports for people and machines, and exit codes through the command itself.

use lp_build::report::{RefusalReport, Report, Verdict, json, text};
use std::process::Command;

fn refused() -> Report {
    let refusal = RefusalReport {
        code: "changed-header".into(),
        place: "a.h".into(),
        message: "no headers".into(),
        source: None,
    };
    Report {
        verdict: Verdict::Refused,
        kernel: "6.1.0".into(),
        refusals: vec![refusal],
        ..Report::default()
    }
}

#[test]
fn a_refusal_names_place_reason_and_code() {
    let said = text::render(&refused());
    assert_eq!(
        said,
        "refused, for 1 reason:\n  a.h: no headers [changed-header]\nno module was written; \
         docs/patch-author-guide.md says more of each [code]\n"
    );
}

#[test]
fn json_has_verdict_and_refusals() {
    let value: serde_json::Value = serde_json::from_str(&json::render(&refused())).expect("JSON");
    assert_eq!(value["verdict"], "refused");
    assert_eq!(value["refusals"][0]["code"], "changed-header");
    assert!(value["output"].is_null() && value["steps"].is_array());
}

fn lp_build(words: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_lp-build"))
        .args(words)
        .output()
        .expect("lp-build runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn wrong_words_are_an_error_and_still_json() {
    let (code, out, said) = lp_build(&["kernel", "--nonsense"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(said.contains("--nonsense"));
    let (code, out, _) = lp_build(&["kernel", "--nonsense", "--report", "json"]);
    let value: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, value["verdict"].as_str()), (Some(1), Some("error")));
}

#[test]
fn a_missing_tree_is_an_error_with_json_on_stdout() {
    let words = [
        "kernel",
        "--orig",
        "/no/tree",
        "--patched",
        "/no/other",
        "--kernel",
        "6.1.0",
        "-o",
        "x.ko",
        "--report",
        "json",
    ];
    let (code, out, said) = lp_build(&words);
    let value: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(code, Some(1));
    assert!(
        said.contains("/no/tree")
            && value["error"]
                .as_str()
                .is_some_and(|error| error.contains("/no/tree"))
    );
}

#[test]
fn help_has_examples_and_exit_codes() {
    let (code, out, _) = lp_build(&["kernel", "--help"]);
    assert_eq!(code, Some(0));
    assert!(
        out.contains("--patched linux-6.1-fixed") && out.contains("3 nothing changed"),
        "{out}"
    );
}

#[test]
fn a_full_disk_is_said_first() {
    let full = std::io::Error::from_raw_os_error(28);
    let error = anyhow::Error::new(full).context("cannot write x");
    let text = lp_build::report::error_text(&error);
    assert!(
        text.starts_with("No space left on device: ") && text.contains("cannot write x"),
        "{text}"
    );
    assert_eq!(
        lp_build::report::error_text(&anyhow::anyhow!("other")),
        "other"
    );
}

#[test]
fn a_report_that_cannot_be_written_is_an_error_and_no_panic() {
    let full = || {
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("a device")
    };
    let status = Command::new(env!("CARGO_BIN_EXE_lp-build"))
        .args(["kernel", "--nonsense", "--report", "json"])
        .stdout(full())
        .stderr(full())
        .status()
        .expect("lp-build runs");
    assert_eq!(status.code(), Some(1));
}
