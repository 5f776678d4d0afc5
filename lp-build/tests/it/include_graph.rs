//! Who can include whom: rules of names, macros and command lines.

use crate::folder;
use lp_build::kernel::reach::include_graph::IncludeGraph;
use lp_build::tree::walk::list;
use tempfile::TempDir;

fn graph(files: &[(&str, &str)]) -> (TempDir, IncludeGraph) {
    let tree = folder(files);
    let listing = list(tree.path()).expect("a list");
    let graph = IncludeGraph::of_kernel(tree.path(), &listing, "x86", None, None);
    (tree, graph)
}

fn reached(files: &[(&str, &str)], target: &str) -> Vec<String> {
    let (_tree, graph) = graph(files);
    let targets = [target.to_owned()];
    graph
        .reached(&targets)
        .keys()
        .map(|path| (*path).to_owned())
        .collect()
}

#[test]
fn beside_it_above_it_and_through_the_search_path() {
    let files = [
        ("kernel/sched/rt.c", ""),
        ("kernel/sched/build.c", "# include \"rt.c\"\n"),
        ("kernel/other/rt.c", ""),
        ("kernel/other/build.c", "#include \"rt.c\"\n"),
        ("lib/x.c", "#include \"../kernel/sched/rt.c\"\n"),
        ("lib/y.c", "/* its code */ #include <kernel/sched/rt.c>\n"),
        ("lib/z.h", "#include \"../kernel/sched/rt.c\"\n"),
        ("tools/t.c", "#include \"../kernel/sched/rt.c\"\n"),
        ("arch/arm/a.c", "#include \"../../kernel/sched/rt.c\"\n"),
        ("arch/x86/a.c", "#include \"../../kernel/sched/rt.c\"\n"),
    ];
    assert_eq!(
        reached(&files, "kernel/sched/rt.c"),
        [
            "arch/x86/a.c",
            "kernel/sched/build.c",
            "lib/x.c",
            "lib/y.c",
            "lib/z.h"
        ]
    );
    let (tree, _) = graph(&files);
    let listing = list(tree.path()).expect("a list");
    let near = IncludeGraph::of_folder(tree.path(), &listing, "kernel/sched");
    assert!(
        near.includers("kernel/sched/rt.c")
            .contains("kernel/sched/build.c")
    );
    assert_eq!(near.includers("kernel/sched/rt.c").len(), 1);
}

#[test]
fn a_header_reaches_through_headers() {
    let files = [
        ("include/linux/a.h", ""),
        ("include/linux/b.h", "#include <linux/a.h>\n"),
        ("net/own.h", "#include <linux/b.h>\n"),
        ("net/x.c", "#include \"own.h\"\n"),
        ("net/entry.S", "#include <linux/a.h>\n"),
        ("net/y.c", "#include <linux/other.h>\n"),
    ];
    assert_eq!(
        reached(&files, "include/linux/a.h"),
        ["include/linux/b.h", "net/entry.S", "net/own.h", "net/x.c"]
    );
}

#[test]
fn a_quoted_name_means_the_file_beside_it_if_there_is_one() {
    let files = [
        ("fs/internal.h", ""),
        ("fs/a.c", "#include \"internal.h\"\n"),
        ("mm/internal.h", ""),
        ("mm/b.c", "#include \"internal.h\"\n"),
        ("lib/c.c", "#include \"internal.h\"\n"),
    ];
    // Where `lib/c.c` finds it only its flags tell.
    assert_eq!(reached(&files, "fs/internal.h"), ["fs/a.c", "lib/c.c"]);
    assert_eq!(reached(&files, "new/internal.h"), ["lib/c.c"]);
}

#[test]
fn a_header_behind_a_macro_is_included_where_the_macro_is_defined() {
    let files = [
        (
            "drivers/drbd/magic.h",
            "#define MAGIC_FILE <linux/genl.h>\n#include <linux/func.h>\n",
        ),
        ("include/linux/func.h", "#include MAGIC_FILE\n"),
        ("include/linux/genl.h", ""),
        ("include/trace/events/ext.h", "#define TRACE_SYSTEM ext\n"),
        (
            "net/tr.h",
            "#define TRACE_INCLUDE_FILE stages\n#include <trace/define_trace.h>\n",
        ),
        ("net/stages.h", ""),
        ("net/t.c", "#include \"tr.h\"\n"),
    ];
    assert_eq!(
        reached(&files, "include/linux/genl.h"),
        ["drivers/drbd/magic.h"]
    );
    assert_eq!(reached(&files, "net/stages.h"), ["net/t.c", "net/tr.h"]);
    assert!(reached(&files, "include/trace/events/ext.h").is_empty());
}

#[test]
fn a_header_of_the_command_line_reaches_all_below_its_makefile() {
    let files = [
        (
            "scripts/Makefile.lib",
            "c_flags = -include $(srctree)/include/linux/all.h \\\n",
        ),
        (
            "drivers/x/Makefile",
            "ccflags-y += -include $(src)/mine.h\n",
        ),
        ("include/linux/all.h", ""),
        ("drivers/x/mine.h", ""),
        ("drivers/x/a.c", ""),
        ("fs/b.c", ""),
    ];
    let c = |target| -> Vec<String> {
        let reached = reached(&files, target).into_iter();
        reached.filter(|path| path.ends_with(".c")).collect()
    };
    assert_eq!(c("include/linux/all.h"), ["drivers/x/a.c", "fs/b.c"]);
    assert_eq!(c("drivers/x/mine.h"), ["drivers/x/a.c"]);
}

#[test]
fn a_name_in_a_comment_is_no_include() {
    let files = [
        ("fs/a.c", ""),
        ("fs/b.c", "/* see \"a.c\" */\n#include \"ba.c\"\n"),
    ];
    assert!(reached(&files, "fs/a.c").is_empty());
}

#[test]
fn a_file_that_changed_is_read_again_and_not_taken_from_the_cache() {
    let files = [
        ("fs/a.h", ""),
        ("fs/b.c", ""),
        ("fs/c.c", "#include \"a.h\"\n"),
    ];
    let tree = folder(&files);
    let listing = list(tree.path()).expect("a list");
    let cache = tree.path().join("graph.json");
    let read = || IncludeGraph::of_kernel(tree.path(), &listing, "x86", None, Some(&cache));
    let targets = ["fs/a.h".to_owned()];
    assert_eq!(read().reached(&targets).len(), 1);
    crate::write(tree.path(), "fs/b.c", "#include \"a.h\"\n");
    assert_eq!(read().reached(&targets).len(), 2);
    assert_eq!(read().reached(&targets).len(), 2);
}
