//! A patched tree made of links: what climbs by `..` still finds the patched file.

use crate::folder;
use lp_build::kernel::kbuild::commands::CompileCommand;
use lp_build::kernel::kbuild::detour::{climbed, open};
use lp_build::kernel::reach::include_graph::IncludeGraph;
use lp_build::tree::patch::apply;
use lp_build::tree::walk::list;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const FIX: &str = "--- a/d/x.h\n+++ b/d/x.h\n@@ -1 +1 @@\n-#define X 1\n+#define X 2\n";

fn command(words: &[&str]) -> CompileCommand {
    let steps = words.iter().map(|word| (*word).to_owned()).collect();
    CompileCommand {
        source: "d/e/f/a.c".to_owned(),
        target: "d/e/f/a.o".to_owned(),
        depfile: ".a.o.d".to_owned(),
        tree: "/tree".to_owned(),
        steps: vec![steps],
        owners: Vec::new(),
    }
}

#[test]
fn a_path_climbs_from_each_folder_before_dots() {
    let path = climbed("a/b", "../c/./d/../../x.h");
    assert_eq!(path.from, ["a/b", "a/c/d", "a/c"]);
    assert_eq!(path.end, "a/x.h");
    assert_eq!(
        climbed("", "../x.h").end,
        "x.h",
        "above the tree is the tree"
    );
}

/// What the preprocessor makes of `d/e/f/a.c` in the patched tree, with a search path inside it.
fn seen(include: &str, search: &str) -> String {
    let orig = folder(&[
        ("d/x.h", "#define X 1\n"),
        ("d/e/f/a.c", &format!("#include {include}\nint x = X;\n")),
        ("d/g/y.h", ""),
    ]);
    let work = folder(&[("fix.patch", FIX)]);
    let dest = work.path().join("patched");
    apply(orig.path(), &[work.path().join("fix.patch")], &dest).expect("it applies");
    let listing = list(orig.path()).expect("a list");
    let graph = IncludeGraph::of_kernel(orig.path(), &listing, "x86", None, None);
    let climbs = graph.climbing(&["d/x.h".to_owned()]);
    let own = command(&["gcc", &format!("-I/tree/{search}")]);
    open((orig.path(), &dest), [&own].into_iter(), &climbs).expect("folders");
    let gcc = Command::new("gcc-12")
        .args(["-E", "-P", "-I"])
        .arg(dest.join(search))
        .arg(dest.join("d/e/f/a.c"))
        .output()
        .expect("gcc runs");
    String::from_utf8(gcc.stdout).expect("text")
}

#[test]
fn the_patched_header_is_found_from_a_folder_beside_none_of_its_own() {
    assert_eq!(seen("\"../../x.h\"", "d").trim(), "int x = 2;");
    assert_eq!(seen("<../x.h>", "d/g").trim(), "int x = 2;");
    assert_eq!(seen("<x.h>", "d/g/..").trim(), "int x = 2;");
    assert_eq!(seen("<e/../x.h>", "d").trim(), "int x = 2;");
}

#[test]
fn folders_from_which_nothing_climbs_stay_links() {
    let orig = folder(&[
        ("d/x.h", "#define X 1\n"),
        ("d/e/a.c", "#include \"../y.h\"\n"),
        ("f/b.c", ""),
    ]);
    let work = folder(&[("fix.patch", FIX)]);
    let dest: PathBuf = work.path().join("patched");
    apply(orig.path(), &[work.path().join("fix.patch")], &dest).expect("it applies");
    let listing = list(orig.path()).expect("a list");
    let graph = IncludeGraph::of_kernel(orig.path(), &listing, "x86", None, None);
    let climbs = graph.climbing(&["d/x.h".to_owned()]);
    open((orig.path(), &dest), std::iter::empty(), &climbs).expect("folders");
    let link =
        |path: &str| fs::symlink_metadata(dest.join(path)).is_ok_and(|meta| meta.is_symlink());
    assert!(link("d/e") && link("f"));
    assert!(Path::new(&dest).join("d").is_dir() && !link("d"));
}
