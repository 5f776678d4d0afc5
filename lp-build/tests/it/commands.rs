//! Reading compile commands from what `make -n V=1` prints. The lines are recorded from Linux 6.1, with fewer flags.

use crate::message;
use lp_build::kernel::changed::followed::of_printed;
use lp_build::kernel::kbuild::commands::{CompileCommand, Printed, outside};

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
    Printed::read(&text)
        .command(TREE, "fs/proc/meminfo.c")
        .expect("a command")
        .expect("the file's line")
}

fn owners(flags: &str) -> Vec<String> {
    let owners = read(flags, OBJTOOL).owners;
    owners.iter().map(ToString::to_string).collect()
}

#[test]
fn the_owners_are_what_the_flags_say() {
    assert_eq!(
        owners(r#"-DLIVEPATCH_LINKED -DKBUILD_MODFILE='"fs/proc/proc"' -DKBUILD_MODNAME='"proc"'"#),
        ["vmlinux"]
    );
    assert_eq!(
        owners(r#"-DMODULE -DKBUILD_MODNAME='"nf_tables"'"#),
        ["nf_tables"]
    );
    let both = r#"-DLIVEPATCH_MODULE=one-a -DLIVEPATCH_MODULE=two -DMODULE -DKBUILD_MODNAME='"one_a:two"'"#;
    assert_eq!(owners(both), ["one_a", "two"]);
    // In a module and in the kernel: it is compiled for the module.
    assert_eq!(
        owners(
            r#"-DMODULE -DLIVEPATCH_LINKED -DLIVEPATCH_MODULE=one -DKBUILD_MODNAME='"core:one"'"#
        ),
        ["one", "vmlinux"]
    );
    // A file of a folder that is switched off: the build would compile it, but links it nowhere.
    assert!(owners(r#"-DKBUILD_MODFILE='"fs/aops"' -DKBUILD_MODNAME='"aops"'"#).is_empty());
}

/// The build names no module in an assembler file's flags.
#[test]
fn an_assembler_file_of_a_module_has_a_command() {
    let text = printed("-DMODULE -D__ASSEMBLY__", "").replace("meminfo.c", "meminfo.S");
    let command = Printed::read(&text).command(TREE, "fs/proc/meminfo.S");
    let command = command.expect("a command").expect("the file's line");
    assert_eq!(command.source, "fs/proc/meminfo.S");
}

#[test]
fn what_a_folder_links_from_another_is_known_by_its_source() {
    let far = printed(
        r#"-DLIVEPATCH_MODULE=kvm -DMODULE -DKBUILD_MODNAME='"kvm"'"#,
        OBJTOOL,
    )
    .replace("fs/proc/.meminfo", "arch/x86/kvm/../../../fs/proc/.meminfo")
    .replace("fs/proc/meminfo", "arch/x86/kvm/../../../fs/proc/meminfo");
    let found = outside(&format!("{}{far}", printed("", OBJTOOL)), TREE).expect("commands");
    let [command] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(command.source, "fs/proc/meminfo.c");
    assert_eq!(command.target, "arch/x86/kvm/../../../fs/proc/meminfo.o");
    let steps = command.steps_for("/new", "/out/m.o", "/out/m.d");
    // The name in `__FILE__` stays what it is in the kernel.
    let last = steps[0].last().expect("words");
    assert_eq!(last, "/new/arch/x86/kvm/../../../fs/proc/meminfo.c");
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
        Printed::read(&printed("", ""))
            .command(TREE, "fs/proc/stat.c")
            .expect("no error"),
        None
    );
    assert_eq!(
        Printed::read("")
            .command(TREE, "fs/proc/stat.c")
            .expect("no error"),
        None
    );
}

#[test]
fn what_is_no_plain_compile_command_is_an_error() {
    let wrong = |text: String| message(Printed::read(&text).command(TREE, "fs/proc/meminfo.c"));
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
        let command = Printed::read(&text)
            .command(TREE, "fs/proc/meminfo.c")
            .expect("a command")
            .expect("the file's line");
        assert!(command.steps.concat().contains(&"-DOWN".to_owned()));
    }
}

#[test]
fn an_object_of_a_module_elsewhere_has_an_absolute_path() {
    let text = printed("-DMODULE -DLIVEPATCH_MODULE=m", OBJTOOL)
        .replace(" fs/proc/meminfo.o", " /m/meminfo.o")
        .replace("fs/proc/.meminfo.o.d", "/m/.meminfo.o.d")
        .replace("/src/linux/fs/proc/meminfo.c", "/m/meminfo.c");
    let found = parse_in(&text, "/m");
    assert_eq!(
        (found.source.as_str(), found.target.as_str()),
        ("meminfo.c", "/m/meminfo.o")
    );
    let steps = found.steps_for("/new", "/out/m.o", "/out/m.d");
    assert_eq!(steps[0].last().map(String::as_str), Some("/new/meminfo.c"));
}

/// The one object that the build of a module in the folder `tree` makes.
fn parse_in(text: &str, tree: &str) -> CompileCommand {
    let followed = of_printed("Makefile", ("", tree), (text, tree)).expect("answers");
    followed.added.into_iter().next().expect("an object")
}
