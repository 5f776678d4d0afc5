//! How runs share the cache.

use crate::{folder, message, write};
use lp_build::cache::Cache;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const KEY: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn two_runs_at_once_prepare_once() {
    let root = folder(&[]);
    let made = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let cache = Cache::open(root.path()).expect("a cache");
                let make = |folder: &std::path::Path| {
                    made.fetch_add(1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(50));
                    write(folder, "product", "whole");
                    Ok(())
                };
                let prepared = cache.prepared(KEY, make).expect("a prepared folder");
                let product = prepared.folder.join("product");
                assert_eq!(fs::read_to_string(product).expect("its product"), "whole");
            });
        }
    });
    assert_eq!(made.load(Ordering::SeqCst), 1);
}

#[test]
fn a_failed_preparation_leaves_nothing() {
    let root = folder(&[]);
    let cache = Cache::open(root.path()).expect("a cache");
    let failing = cache.prepared(KEY, |folder| {
        write(folder, "half", "made");
        anyhow::bail!("no bison")
    });
    assert_eq!(message(failing), "no bison");
    let left: Vec<_> = fs::read_dir(root.path().join("prepared"))
        .expect("a folder")
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert_eq!(left, [format!("{KEY}.lock").as_str()]);
    let again = cache.prepared(KEY, |_| Ok(()));
    assert!(!again.expect("it can be tried again").was_there);
    let there = cache.prepared(KEY, |_| anyhow::bail!("again"));
    assert!(there.expect("it is there").was_there);
}

#[test]
fn what_a_killed_run_left_is_swept_and_what_a_live_one_has_is_not() {
    let root = folder(&[]);
    let live = Cache::open(root.path())
        .expect("a cache")
        .scratch(None)
        .expect("scratch");
    let in_use = live.folder("objects").expect("a folder");
    write(
        root.path(),
        &format!("prepared/.new-{KEY}-dead/half"),
        "made",
    );
    write(root.path(), "runs/run-dead/object.o", "left");
    write(root.path(), "runs/run-dead.lock", "");

    let cache = Cache::open(root.path()).expect("a cache");
    let scratch = cache.scratch(None).expect("scratch");
    assert!(
        !root
            .path()
            .join(format!("prepared/.new-{KEY}-dead"))
            .exists()
    );
    assert!(
        !root.path().join("runs/run-dead").exists()
            && !root.path().join("runs/run-dead.lock").exists()
    );
    assert!(in_use.is_dir());
    drop((live, scratch));
    assert_eq!(
        fs::read_dir(root.path().join("runs"))
            .expect("a folder")
            .count(),
        0
    );
}

#[test]
fn a_kept_folder_stays_and_must_be_new() {
    let root = folder(&[]);
    let cache = Cache::open(&root.path().join("cache")).expect("a cache");
    let keep = root.path().join("keep");
    drop(cache.scratch(Some(&keep)).expect("scratch"));
    assert!(keep.is_dir());
    assert!(message(cache.scratch(Some(&keep))).contains("does not exist yet"));
}

#[test]
fn what_was_used_longest_ago_goes_first_and_what_is_in_use_stays() {
    let root = folder(&[]);
    let cache = Cache::open(root.path()).expect("a cache");
    let key = |digit: &str| digit.repeat(32);
    let make = |folder: &Path| {
        write(folder, "product", &"x".repeat(1000));
        Ok(())
    };
    let mut used = Vec::new();
    for digit in ["a", "b", "c"] {
        used.push(cache.prepared(&key(digit), make).expect("a folder"));
        thread::sleep(Duration::from_millis(20));
    }
    write(root.path(), &format!("commands/{}/f.json", key("b")), "{}");
    let names: Vec<String> = cache
        .entries()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert_eq!(names, [key("b"), key("c"), key("a")], "the last used first");

    // Only `a` is in use: `c` goes, and then the rest is small enough.
    used.truncate(1);
    let (removed, busy) = cache.shrink(2100);
    assert_eq!(removed.len(), 1);
    assert_eq!(removed[0].name, key("c"));
    assert_eq!(busy, [key("a")]);

    let (removed, busy) = cache.shrink(0);
    assert_eq!(removed.len(), 1);
    assert_eq!(busy, [key("a")]);
    assert!(!root.path().join("commands").join(key("b")).exists());
    drop(used);
    assert_eq!(cache.shrink(0).0.len(), 1);
    assert!(cache.entries().is_empty());
}
