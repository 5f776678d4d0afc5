//! Which files differ between two trees.

use crate::{folder, message, write};
use lp_build::tree::diffstat::diffstat;
use lp_build::tree::walk::{compare, list};
use lp_build::tree::{self, Change, ChangeKind};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

fn differences(orig: &Path, patched: &Path) -> Vec<Change> {
    let (ours, theirs) = (list(orig).expect("a list"), list(patched).expect("a list"));
    compare((orig, &ours), (patched, &theirs)).expect("a comparison")
}

fn paths(changes: &[Change]) -> Vec<(&str, ChangeKind)> {
    changes
        .iter()
        .map(|change| (change.path.as_str(), change.kind))
        .collect()
}

#[test]
fn content_decides_and_the_order_is_that_of_the_paths() {
    let orig = folder(&[
        ("b/same.c", "1"),
        ("b/size.c", "1"),
        ("a.c", "x"),
        ("gone.c", ""),
        (".git/HEAD", "1"),
    ]);
    let patched = folder(&[
        ("b/same.c", "1"),
        ("b/size.c", "12"),
        ("a.c", "y"),
        ("new/n.c", ""),
        (".git/HEAD", "2"),
    ]);
    assert_eq!(
        paths(&differences(orig.path(), patched.path())),
        [
            ("a.c", ChangeKind::Changed),
            ("b/size.c", ChangeKind::Changed),
            ("gone.c", ChangeKind::Removed),
            ("new/n.c", ChangeKind::Added),
        ]
    );
}

#[test]
fn files_longer_than_one_piece_are_compared_to_their_end() {
    let long = "x".repeat(200_000);
    let orig = folder(&[("long.c", &long)]);
    let patched = folder(&[("long.c", &(long[1..].to_owned() + "y"))]);
    assert_eq!(differences(orig.path(), patched.path()).len(), 1);
    write(patched.path(), "long.c", &long);
    assert_eq!(differences(orig.path(), patched.path()), []);
}

#[test]
fn links_are_compared_by_their_targets() {
    let (orig, patched) = (folder(&[("a.c", "")]), folder(&[("a.c", "")]));
    symlink("a.c", orig.path().join("link")).expect("a link");
    symlink("nowhere", patched.path().join("link")).expect("a link");
    assert_eq!(
        paths(&differences(orig.path(), patched.path())),
        [("link", ChangeKind::Changed)]
    );
}

#[test]
fn a_file_that_stands_in_both_trees_is_not_read() {
    let (orig, patched) = (folder(&[("a.c", "same")]), folder(&[]));
    fs::hard_link(orig.path().join("a.c"), patched.path().join("a.c")).expect("a hard link");
    assert_eq!(differences(orig.path(), patched.path()), []);
}

#[test]
fn diff_stat_counts_lines() {
    let (orig, patched) = (
        folder(&[("a.c", "1\n2\n3\n")]),
        folder(&[("a.c", "1\ntwo\n3\n4\n"), ("b.c", "1\n")]),
    );
    let stat = diffstat(
        orig.path(),
        patched.path(),
        &differences(orig.path(), patched.path()),
    );
    assert_eq!(
        stat.to_string(),
        " a.c |    3 ++-\n b.c |    1 +\n 2 files changed, 3 lines added, 1 removed"
    );
}

#[test]
fn a_tree_is_one_with_a_version() {
    let makefile = "# SPDX\nVERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 187\nEXTRAVERSION =\n";
    let kernel = folder(&[("Makefile", makefile)]);
    let opened = tree::open(kernel.path(), "--orig").expect("a tree");
    assert_eq!(opened.version.to_string(), "6.1.187");

    let other = folder(&[("Makefile", "all:\n")]);
    assert!(message(tree::open(other.path(), "--orig")).contains("not a kernel tree"));
    let missing = message(tree::open(&other.path().join("none"), "--patched"));
    assert!(
        missing.starts_with("--patched ") && missing.contains("no such source tree"),
        "{missing}"
    );
}

#[test]
fn a_path_that_make_would_split_is_refused() {
    let parent = folder(&[(
        "with space/Makefile",
        "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 1\n",
    )]);
    assert!(message(tree::open(&parent.path().join("with space"), "--orig")).contains("spaces"));
}

#[test]
fn links_that_leave_the_trees_are_followed() {
    let work = folder(&[
        ("a/tree/x.c", ""),
        ("b/tree/x.c", ""),
        ("a/out.c", "1"),
        ("b/out.c", "2"),
        ("a/more/y.c", "1"),
        ("b/more/y.c", "2"),
    ]);
    let trees = [work.path().join("a/tree"), work.path().join("b/tree")];
    for tree in &trees {
        symlink("../out.c", tree.join("link.c")).expect("a link");
        symlink("x.c", tree.join("inside.c")).expect("a link");
        symlink("nowhere", tree.join("dangling")).expect("a link");
        symlink(work.path(), tree.join("one-place")).expect("a link");
    }
    assert_eq!(
        paths(&differences(&trees[0], &trees[1])),
        [("link.c", ChangeKind::Changed)]
    );
    write(work.path(), "b/out.c", "1");
    assert_eq!(differences(&trees[0], &trees[1]), []);
    for tree in &trees {
        symlink("../more", tree.join("folder")).expect("a link");
    }
    let (ours, theirs) = (
        list(&trees[0]).expect("a list"),
        list(&trees[1]).expect("a list"),
    );
    let said = message(compare((&trees[0], &ours), (&trees[1], &theirs)));
    assert!(said.contains("folder leads to"), "{said}");
}

#[test]
fn a_path_is_resolved_as_far_as_it_exists() {
    let work = folder(&[("real/x", "")]);
    symlink("real", work.path().join("link")).expect("a link");
    let real = fs::canonicalize(work.path()).expect("a path").join("real");
    assert_eq!(
        tree::resolved(&work.path().join("link/new/deep")).expect("a path"),
        real.join("new/deep")
    );
}
