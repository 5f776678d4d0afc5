//! C files that others include.

use crate::folder;
use lp_build::kernel::includers::{Scope, includers};
use lp_build::tree::walk::list;

fn find(files: &[(&str, &str)], source: &str, scope: Scope) -> Vec<String> {
    let tree = folder(files);
    let listing = list(tree.path()).expect("a list");
    includers(tree.path(), &listing, "x86", source, scope)
}

#[test]
fn beside_it_above_it_and_through_the_search_path() {
    let files = [
        ("kernel/sched/rt.c", ""),
        ("kernel/sched/build.c", "# include \"rt.c\"\n"),
        ("kernel/other/rt.c", ""),
        ("kernel/other/build.c", "#include \"rt.c\"\n"),
        ("lib/x.c", "#include \"../kernel/sched/rt.c\"\n"),
        ("lib/y.c", "#include <kernel/sched/rt.c>\n"),
        ("lib/z.h", "#include \"../kernel/sched/rt.c\"\n"),
        ("tools/t.c", "#include \"../kernel/sched/rt.c\"\n"),
        ("arch/arm/a.c", "#include \"../../kernel/sched/rt.c\"\n"),
        ("arch/x86/a.c", "#include \"../../kernel/sched/rt.c\"\n"),
    ];
    assert_eq!(
        find(&files, "kernel/sched/rt.c", Scope::Kernel),
        [
            "arch/x86/a.c",
            "kernel/sched/build.c",
            "lib/x.c",
            "lib/y.c",
            "lib/z.h"
        ]
    );
    assert_eq!(
        find(&files, "kernel/sched/rt.c", Scope::Folder),
        ["kernel/sched/build.c"]
    );
}

#[test]
fn a_name_in_a_comment_is_no_include() {
    let files = [
        ("fs/a.c", ""),
        ("fs/b.c", "/* see \"a.c\" */\n#include \"ba.c\"\n"),
    ];
    assert!(find(&files, "fs/a.c", Scope::Kernel).is_empty());
}
