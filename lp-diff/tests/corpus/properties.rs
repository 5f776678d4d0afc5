//! What holds for every case, whatever its report.

use crate::built::{self, Built};
use crate::compiler::{self, Compiler};
use crate::parallel;
use lp_diff::{Report, Verdict};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

fn each(check: impl Fn(&Built) + Sync) {
    parallel::map(built::all(), check);
}

#[test]
fn an_object_equals_itself() {
    each(|built| {
        for object in [&built.orig, &built.patched] {
            let report = built.diff_of(object, object).report;
            assert_eq!(
                report.verdict,
                Verdict::Same,
                "{}: {report:?}",
                built.name()
            );
        }
    });
}

#[test]
fn same_input_gives_the_same_bytes() {
    each(|built| {
        let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let alone = one_thread
            .expect("a thread")
            .install(|| built.diff_of(&built.orig, &built.patched));
        let among_many = built.diff();
        assert_eq!(alone.object, among_many.object, "{}", built.name());
        assert_eq!(alone.report, among_many.report, "{}", built.name());
    });
}

/// Nothing may go wrong on the way back, where everything new is gone and the old is new.
#[test]
fn the_way_back_is_a_report_too() {
    each(|built| {
        let back = built.diff_of(&built.patched, &built.orig);
        let written = back.report.verdict == Verdict::Written;
        assert_eq!(back.object.is_some(), written, "{}", built.name());
    });
}

#[test]
fn debug_information_decides_nothing_but_where_a_case_says_so() {
    each(|built| {
        if built.compiler != Compiler::Gcc {
            return;
        }
        let (orig, patched) = (stripped(&built.orig), stripped(&built.patched));
        let (with, without) = (
            summary(&built.diff().report),
            summary(&built.diff_of(&orig, &patched).report),
        );
        let decides = built.case.directives.debug_decides;
        assert_eq!(
            with != without,
            decides,
            "{}: {with:?} with, {without:?} without",
            built.name()
        );
    });
}

/// The object without its debug information.
fn stripped(object: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("stripped.o");
    fs::write(&file, object).expect("a file");
    let mut objcopy = Command::new("objcopy");
    compiler::run(
        objcopy
            .args(["--strip-debug", "--keep-file-symbols"])
            .arg(&file),
    )
    .expect("objcopy");
    fs::read(file).expect("the object")
}

fn summary(report: &Report) -> (Verdict, BTreeSet<String>) {
    let names = report.functions.iter().map(|one| one.name.clone());
    (report.verdict, names.collect())
}
