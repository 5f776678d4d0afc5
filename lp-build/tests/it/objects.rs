//! When a kept object is taken instead of compiling.

use crate::{folder, write};
use lp_build::kernel::compile::Compiled;
use lp_build::kernel::compile::objects::{Objects, Side, evict};
use lp_build::kernel::kbuild::commands::CompileCommand;
use std::path::Path;
use std::time::{Duration, SystemTime};

fn command(flag: &str) -> CompileCommand {
    let words = [
        "gcc",
        flag,
        "-I/tree/include",
        "-c",
        "-o",
        "a.o",
        "/tree/a.c",
    ];
    CompileCommand {
        source: "a.c".to_owned(),
        target: "a.o".to_owned(),
        depfile: ".a.o.d".to_owned(),
        tree: "/tree".to_owned(),
        steps: vec![words.map(str::to_owned).to_vec()],
        owners: Vec::new(),
    }
}

fn side(tree: &Path) -> Side<'_> {
    Side { tree, names: "one" }
}

fn compiled(tree: &Path) -> Compiled {
    Compiled {
        object: b"object".to_vec(),
        read: ["a.c", "a.h"].map(|file| tree.join(file)).into(),
    }
}

const OWN: &str = "/own";

#[test]
fn an_object_is_taken_for_the_same_command_and_the_same_content() {
    let files = [("a.c", "x"), ("a.h", "y")];
    let (tree, other, kept) = (folder(&files), folder(&files), folder(&[]));
    let open = || Objects::new(kept.path().to_owned(), "key", "header");
    let late = SystemTime::now() + Duration::from_secs(1);
    let has = |objects: &Objects, flag: &str, tree: &Path| {
        objects
            .get(&command(flag), side(tree))
            .map(|kept| (kept.object, kept.read))
    };
    let first = open();
    assert_eq!(has(&first, "-O2", tree.path()), None);
    first.put(
        &command("-O2"),
        side(tree.path()),
        Path::new(OWN),
        &compiled(tree.path()),
        late,
    );
    // Another tree of the same content is as good, and is what was read then.
    let expected = compiled(other.path());
    assert_eq!(
        has(&open(), "-O2", other.path()),
        Some((expected.object, expected.read))
    );
    assert_eq!(has(&open(), "-O1", other.path()), None);
    let named = Side {
        tree: tree.path(),
        names: "another",
    };
    assert!(open().get(&command("-O2"), named).is_none());
    let other_folder = Objects::new(kept.path().to_owned(), "other key", "header");
    assert_eq!(has(&other_folder, "-O2", tree.path()), None);
    write(tree.path(), "a.h", "z");
    assert_eq!(has(&open(), "-O2", tree.path()), None);
    evict(kept.path(), 1 << 20);
    assert!(has(&open(), "-O2", other.path()).is_some());
    evict(kept.path(), 0);
    assert_eq!(has(&open(), "-O2", other.path()), None);
}

#[test]
fn a_source_that_was_written_while_it_was_compiled_is_not_trusted() {
    let (tree, kept) = (folder(&[("a.c", "x"), ("a.h", "y")]), folder(&[]));
    let objects = Objects::new(kept.path().to_owned(), "key", "header");
    let early = SystemTime::now() - Duration::from_secs(1);
    objects.put(
        &command("-O2"),
        side(tree.path()),
        Path::new(OWN),
        &compiled(tree.path()),
        early,
    );
    assert!(objects.get(&command("-O2"), side(tree.path())).is_none());
}

#[test]
fn what_was_read_is_known_without_an_object() {
    let (tree, kept) = (folder(&[("a.c", "x"), ("a.h", "y")]), folder(&[]));
    let open = || Objects::new(kept.path().to_owned(), "key", "header");
    let late = SystemTime::now() + Duration::from_secs(1);
    let read = compiled(tree.path()).read;
    let side = side(tree.path());
    open().put_reads(&command("-O2"), side, Path::new(OWN), &read, late);
    assert!(open().get(&command("-O2"), side).is_none());
    assert_eq!(open().reads(&command("-O2"), side), Some(read.clone()));
    open().put(
        &command("-O2"),
        side,
        Path::new(OWN),
        &compiled(tree.path()),
        late,
    );
    assert!(open().get(&command("-O2"), side).is_some());
    write(tree.path(), "a.h", "z");
    assert_eq!(open().reads(&command("-O2"), side), None);
}
