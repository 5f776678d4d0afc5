//! Applying patches without touching the original.

use crate::{folder, message, write};
use lp_build::tree::ChangeKind;
use lp_build::tree::patch::{apply, touched_files};
use std::fs;
use std::path::PathBuf;

const FIX: &str =
    "--- a/fs/x.c\t2024-01-01\n+++ b/fs/x.c\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n";
const X: &str = "one\ntwo\nthree\n";

#[test]
fn the_original_stays_and_untouched_files_are_links() {
    let orig = folder(&[("fs/x.c", X), ("fs/y.c", "y"), ("mm/z.c", "z")]);
    let work = folder(&[("fix.patch", FIX)]);
    let dest = work.path().join("tree");
    let applied = apply(orig.path(), &[work.path().join("fix.patch")], &dest).expect("it applies");

    let changes: Vec<_> = applied
        .changes
        .iter()
        .map(|change| (change.path.as_str(), change.kind))
        .collect();
    assert_eq!(changes, [("fs/x.c", ChangeKind::Changed)]);
    assert_eq!(
        fs::read_to_string(dest.join("fs/x.c")).expect("the copy"),
        "one\n2\nthree\n"
    );
    assert_eq!(
        fs::read_to_string(orig.path().join("fs/x.c")).expect("the original"),
        X
    );
    assert!(!dest.join("fs/x.c").is_symlink() && !dest.join("fs").is_symlink());
    assert!(dest.join("fs/y.c").is_symlink() && dest.join("mm").is_symlink());
    assert!(applied.warnings.is_empty());
}

#[test]
fn a_patch_that_fails_names_file_and_hunk() {
    let orig = folder(&[("fs/x.c", "one\nzwei\nthree\n")]);
    let work = folder(&[("fix.patch", FIX)]);
    let said = message(apply(
        orig.path(),
        &[work.path().join("fix.patch")],
        &work.path().join("tree"),
    ));
    assert!(
        said.contains("fix.patch does not apply") && said.contains("fs/x.c: Hunk #1 FAILED at 1"),
        "{said}"
    );
}

#[test]
fn a_patch_that_is_already_in_fails() {
    let orig = folder(&[("fs/x.c", "one\n2\nthree\n")]);
    let work = folder(&[("fix.patch", FIX)]);
    let said = message(apply(
        orig.path(),
        &[work.path().join("fix.patch")],
        &work.path().join("tree"),
    ));
    assert!(said.contains("previously applied"), "{said}");
}

#[test]
fn fuzz_is_a_warning() {
    let orig = folder(&[("fs/x.c", "eins\none\ntwo\nthree\nvier\nfive\n")]);
    let fuzzy = "--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1,6 +1,6 @@\n zero\n one\n-two\n+2\n three\n four\n five\n";
    let work = folder(&[("fix.patch", fuzzy)]);
    let applied = apply(
        orig.path(),
        &[work.path().join("fix.patch")],
        &work.path().join("tree"),
    )
    .expect("it applies");
    assert!(
        applied
            .warnings
            .iter()
            .any(|warning| warning.contains("fuzz")),
        "{:?}",
        applied.warnings
    );
}

#[test]
fn patches_build_on_each_other_and_files_come_and_go() {
    let orig = folder(&[("fs/x.c", X), ("fs/old.c", "old\n")]);
    let second = "--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1,3 +1,3 @@\n one\n-2\n+II\n three\n\
                  --- /dev/null\n+++ b/new/n.c\n@@ -0,0 +1 @@\n+new\n\
                  --- a/fs/old.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n";
    let work = folder(&[("1.patch", FIX), ("2.patch", second)]);
    let patches: Vec<PathBuf> = ["1.patch", "2.patch"]
        .iter()
        .map(|name| work.path().join(name))
        .collect();
    let dest = work.path().join("tree");
    let applied = apply(orig.path(), &patches, &dest).expect("they apply");
    let changes: Vec<_> = applied
        .changes
        .iter()
        .map(|change| (change.path.as_str(), change.kind))
        .collect();
    assert_eq!(
        changes,
        [
            ("fs/old.c", ChangeKind::Removed),
            ("fs/x.c", ChangeKind::Changed),
            ("new/n.c", ChangeKind::Added)
        ]
    );
    assert_eq!(
        fs::read_to_string(dest.join("fs/x.c")).expect("the copy"),
        "one\nII\nthree\n"
    );
    assert!(orig.path().join("fs/old.c").is_file());
}

#[test]
fn a_removed_line_that_looks_like_a_header_is_none() {
    let patch = "--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1,2 +1,1 @@\n one\n--- a/fs/not.c\n";
    let files: Vec<String> = touched_files(patch).expect("a patch").into_iter().collect();
    assert_eq!(files, ["fs/x.c"]);
}

#[test]
fn a_patch_cannot_leave_the_tree() {
    let said = message(touched_files(
        "--- a/../../etc/passwd\n+++ b/../../etc/passwd\n",
    ));
    assert!(said.contains("not a file inside a source tree"), "{said}");
    let said = message(touched_files("--- x.c\n+++ x.c\n"));
    assert!(said.contains("-p1"), "{said}");
}

#[test]
fn what_is_no_patch_is_an_error() {
    let orig = folder(&[("fs/x.c", X)]);
    let work = folder(&[]);
    write(work.path(), "no.patch", "hello\n");
    let said = message(apply(
        orig.path(),
        &[work.path().join("no.patch")],
        &work.path().join("tree"),
    ));
    assert!(said.contains("names no file"), "{said}");
}

#[test]
fn a_file_may_be_touched_twice() {
    let orig = folder(&[("fs/x.c", X)]);
    let second = "--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1,3 +1,3 @@\n one\n-2\n+II\n three\n";
    let work = folder(&[("fix.patch", &format!("{FIX}{second}"))]);
    let dest = work.path().join("tree");
    let applied = apply(orig.path(), &[work.path().join("fix.patch")], &dest).expect("it applies");
    assert_eq!(applied.changes.len(), 1);
    assert_eq!(
        fs::read_to_string(dest.join("fs/x.c")).expect("the copy"),
        "one\nII\nthree\n"
    );
}

#[test]
fn an_offset_is_a_note() {
    let orig = folder(&[("fs/x.c", &format!("a\nb\nc\n{X}"))]);
    let moved = "--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n";
    let work = folder(&[("fix.patch", &moved.replace("-1,3 +1,3", "-2,3 +2,3"))]);
    let dest = work.path().join("tree");
    let applied = apply(orig.path(), &[work.path().join("fix.patch")], &dest).expect("it applies");
    assert!(applied.warnings.is_empty(), "{:?}", applied.warnings);
    assert!(
        applied
            .notes
            .iter()
            .any(|note| note.contains("fs/x.c: Hunk #1 succeeded at 4 (offset 2 lines)")),
        "{:?}",
        applied.notes
    );
}

#[test]
fn a_binary_file_is_named() {
    for (text, name) in [
        (
            "Binary files a/logo.bin and b/logo.bin differ\n",
            "b/logo.bin",
        ),
        (
            "diff --git a/fs/t.bin b/fs/t.bin\nGIT binary patch\nliteral 3\n",
            "fs/t.bin",
        ),
    ] {
        let said = message(touched_files(&format!("{FIX}{text}")));
        assert_eq!(
            said,
            format!("changes the binary file {name}, which cannot be patched")
        );
    }
    let inside = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+GIT binary patch\n";
    assert!(touched_files(inside).is_ok());
}
