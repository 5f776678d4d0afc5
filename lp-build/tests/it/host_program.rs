//! What a program of the build reads, in a tree of a few files.

use crate::folder;
use lp_build::kernel::kbuild::makefile::Makefiles;
use lp_build::kernel::units::host_program::reads;
use lp_build::tree::walk::list;

const FILES: [(&str, &str); 8] = [
    (
        "lib/mk.c",
        "#include <string.h>\n#include \"beside.h\"\n#include <asm/insn.h>\n#include \"mk-tables.h\"\n",
    ),
    ("lib/beside.h", "#include <linux/far.h>\n"),
    ("include/linux/string.h", ""),
    ("include/linux/far.h", ""),
    ("tools/include/linux/far.h", "#include \"farther.h\"\n"),
    ("tools/include/linux/farther.h", ""),
    ("tools/arch/x86/include/asm/insn.h", ""),
    ("arch/x86/include/asm/insn.h", ""),
];

fn read(makefile: &str) -> Option<Vec<String>> {
    let files: Vec<_> = FILES
        .into_iter()
        .chain([("lib/Makefile", makefile)])
        .collect();
    let tree = folder(&files);
    let listing = list(tree.path()).expect("a listing");
    let makefiles = Makefiles::read(tree.path(), &listing, "x86");
    let found = reads("lib/mk.c", &makefiles, tree.path(), &listing)?;
    Some(found.into_iter().collect())
}

#[test]
fn a_name_is_looked_for_in_the_programs_own_folders() {
    let plain = read("hostprogs := mk\n");
    assert_eq!(plain.as_deref(), Some(&["lib/beside.h".to_owned()][..]));
    let tools = "HOSTCFLAGS_mk.o := -Wall -I$(srctree)/tools/include -I $(srctree)/tools/arch/x86/include/\n";
    let tools = read(tools).expect("a search path");
    let expected = [
        "lib/beside.h",
        "tools/arch/x86/include/asm/insn.h",
        "tools/include/linux/far.h",
        "tools/include/linux/farther.h",
    ];
    assert_eq!(tools, expected);
    let kernel = read("HOST_EXTRACFLAGS += -isystem$(srctree)/include/linux\n");
    let kernel = kernel.expect("a search path");
    assert_eq!(kernel, ["include/linux/string.h", "lib/beside.h"]);
}

#[test]
fn a_package_has_no_folders_in_the_tree() {
    let flags = "$(shell $(HOSTPKG_CONFIG) --cflags x 2> /dev/null || echo $(other)) -I$(srctree)/tools/include";
    let found = read(&format!("HOSTCFLAGS_mk.o = {flags}\n")).expect("a search path");
    let expected = [
        "lib/beside.h",
        "tools/include/linux/far.h",
        "tools/include/linux/farther.h",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_computed_search_path_is_not_known() {
    assert_eq!(
        read("HOSTCFLAGS_mk.o = $(shell cat $(obj)/mk-flags)\n"),
        None
    );
    assert_eq!(
        read("HOST_EXTRACFLAGS += -I$(srctree)/arch/$(SUBARCH)/include\n"),
        None
    );
    assert_eq!(
        read("HOST_EXTRACFLAGS += -include $(srctree)/include/linux/far.h\n"),
        None
    );
}
