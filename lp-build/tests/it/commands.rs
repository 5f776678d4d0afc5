//! Reading compile commands from what `make -n V=1` prints. The lines are recorded from Linux 6.1, with fewer flags.

use crate::message;
use lp_build::kernel::commands::{CompileCommand, Owner, parse};

const TREE: &str = "/src/linux";

/// A recorded line with these flags in the middle of the command.
fn printed(flags: &str, after: &str) -> String {
    let command = format!(
        r#"gcc-12 -Wp,-MMD,fs/proc/.meminfo.o.d -nostdinc -I/src/linux/arch/x86/include -I./include -include /src/linux/include/linux/kconfig.h -fmacro-prefix-map=/src/linux/= -O2 {flags} -I /src/linux/fs/proc -I ./fs/proc -c -o fs/proc/meminfo.o /src/linux/fs/proc/meminfo.c{after}"#
    );
    let quoted = command.replace('\'', r"'\''");
    format!(
        "set -e;  exec >/dev/null;   trap 'rm -f fs/proc/meminfo.o' HUP; {command}; scripts/basic/fixdep fs/proc/.meminfo.o.d fs/proc/meminfo.o '{quoted}' > fs/proc/.meminfo.o.cmd; rm -f fs/proc/.meminfo.o.d\n"
    )
}

const OBJTOOL: &str = "   ; ./tools/objtool/objtool --orc --uaccess   fs/proc/meminfo.o";

fn read(flags: &str, after: &str) -> CompileCommand {
    let text = format!("make -f x\n: fixdep scripts\n{}", printed(flags, after));
    parse(&text, TREE, "fs/proc/meminfo.c")
        .expect("a command")
        .expect("the file's line")
}

fn owner(flags: &str) -> Owner {
    read(flags, OBJTOOL).owner
}

#[test]
fn the_owner_is_what_the_flags_say() {
    let of = |name: &str| Owner::Object(name.parse().expect("a name"));
    assert_eq!(
        owner(r#"-DLIVEPATCH_LINKED -DKBUILD_MODFILE='"fs/proc/proc"' -DKBUILD_MODNAME='"proc"'"#),
        of("vmlinux")
    );
    assert_eq!(
        owner(r#"-DMODULE -DKBUILD_MODNAME='"nf_tables"'"#),
        of("nf_tables")
    );
    assert_eq!(
        owner(r#"-DMODULE -DKBUILD_MODNAME='"one:two"'"#),
        Owner::Several("one, two".to_owned())
    );
    // A file of a folder that is switched off: the build would compile it, but links it nowhere.
    assert_eq!(
        owner(r#"-DKBUILD_MODFILE='"fs/aops"' -DKBUILD_MODNAME='"aops"'"#),
        Owner::None
    );
}

#[test]
fn another_tree_and_other_products_take_their_places() {
    let command = read(
        r#"-DLIVEPATCH_LINKED -DNAME='"a b"' -I/a/src/linux/x"#,
        OBJTOOL,
    );
    let steps = command.steps_for("/new", "/out/m.o", "/out/m.d");
    let compile = steps[0].join("|");
    assert_eq!(
        compile,
        "gcc-12|-Wp,-MMD,/out/m.d|-nostdinc|-I/new/arch/x86/include|-I./include|-include|/new/include/linux/kconfig.h|\
         -fmacro-prefix-map=/new/=|-O2|-DNAME=\"a b\"|-I/a/src/linux/x|-I|/new/fs/proc|-I|./fs/proc|-c|-o|/out/m.o|\
         /new/fs/proc/meminfo.c"
    );
    assert_eq!(
        steps[1],
        ["./tools/objtool/objtool", "--orc", "--uaccess", "/out/m.o"]
    );
    assert_eq!(steps.len(), 2);
}

#[test]
fn a_kernel_without_objtool_has_one_step() {
    assert_eq!(read("-DLIVEPATCH_LINKED", "").steps.len(), 1);
}

#[test]
fn a_tree_whose_name_begins_like_ours_is_another() {
    let command = read("-I/src/linux-old/include", "");
    let steps = command.steps_for("/new", "o", "d");
    assert!(steps[0].contains(&"-I/src/linux-old/include".to_owned()));
}

#[test]
fn other_files_lines_are_not_ours() {
    assert_eq!(
        parse(&printed("", ""), TREE, "fs/proc/stat.c").expect("no error"),
        None
    );
    assert_eq!(parse("", TREE, "fs/proc/stat.c").expect("no error"), None);
}

#[test]
fn what_is_no_plain_compile_command_is_an_error() {
    let wrong = |text: String| message(parse(&text, TREE, "fs/proc/meminfo.c"));
    assert!(wrong(printed("", " > log")).contains("not a list of plain programs"));
    assert!(wrong(printed("", " | cat")).contains("not a list of plain programs"));
    assert!(wrong(printed("", "").replace(" -c ", " -S ")).contains("does not compile"));
    assert!(wrong(printed("-DMODULE", "")).contains("KBUILD_MODNAME"));
    assert!(wrong("scripts/basic/fixdep a fs/proc/meminfo.o 'gcc".to_owned()).contains("cut off"));
}

#[test]
fn the_command_of_the_folder_that_owns_the_object_counts() {
    let (stray, own) = (
        printed("-DSTRAY", OBJTOOL),
        printed("-DLIVEPATCH_LINKED -DOWN", OBJTOOL),
    );
    for text in [format!("{stray}{own}"), format!("{own}{stray}")] {
        let command = parse(&text, TREE, "fs/proc/meminfo.c")
            .expect("a command")
            .expect("the file's line");
        assert!(command.steps.concat().contains(&"-DOWN".to_owned()));
    }
}
