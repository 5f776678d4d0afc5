//! What two answers of the build come to. The lines are recorded from Linux 6.1, with fewer flags.

use lp_build::kernel::changed::followed::{Followed, of_printed};
use lp_build::kernel::changed::kconfig::refusal;
use lp_build::kernel::running::config::parse;

/// The build's line for an object of the tree `root`.
fn compiled(root: &str, name: &str, flags: &str) -> String {
    let command = format!(
        "gcc-12 -Wp,-MMD,fs/.{name}.o.d -I{root}/include {flags} -c -o fs/{name}.o {root}/fs/{name}.c"
    );
    format!(
        "{command}; scripts/basic/fixdep fs/.{name}.o.d fs/{name}.o '{command}' > fs/.{name}.o.cmd\n"
    )
}

/// The build's line for anything else.
fn made(root: &str, target: &str, how: &str) -> String {
    format!("{how} {root}/x; printf '%s\\n' 'cmd_{target} := {how} {root}/x' > fs/.x.cmd\n")
}

const IN: &str = "-DLIVEPATCH_LINKED";

fn compare(orig: &[String], patched: &[String]) -> Followed {
    let (orig, patched) = (orig.concat(), patched.concat());
    of_printed("fs/Makefile", (&orig, "/orig"), (&patched, "/new")).expect("answers")
}

#[test]
fn the_same_in_another_tree_is_no_difference() {
    let all = |root| {
        [
            compiled(root, "a", IN),
            made(root, "fs/x.h", "gen"),
            made(root, "fs/built-in.a", "ar"),
        ]
    };
    let found = compare(&all("/orig"), &all("/new"));
    assert!(found.added.is_empty() && found.removed.is_empty() && found.changed.is_empty());
    assert!(found.refusals.is_empty(), "{:?}", found.refusals);
}

#[test]
fn objects_come_go_and_get_other_flags() {
    let orig = [compiled("/orig", "a", IN), compiled("/orig", "gone", IN)];
    let flags = format!("{IN} -DMORE");
    let patched = [
        compiled("/new", "a", &flags),
        compiled("/new", "more", IN),
        made("/new", "fs/built-in.a", "ar more.o"),
    ];
    let found = compare(&orig, &patched);
    let [added] = found.added.as_slice() else {
        panic!("{found:?}")
    };
    let [removed] = found.removed.as_slice() else {
        panic!("{found:?}")
    };
    let [(before, after)] = found.changed.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(
        (added.source.as_str(), removed.source.as_str()),
        ("fs/more.c", "fs/gone.c")
    );
    assert_eq!(
        (before.source.as_str(), after.tree.as_str()),
        ("fs/a.c", "/new")
    );
    assert!(found.refusals.is_empty(), "{:?}", found.refusals);
}

#[test]
fn what_moves_or_is_made_in_another_way_is_refused() {
    let module = "-DMODULE -DLIVEPATCH_MODULE=m -DKBUILD_MODNAME='\"m\"'";
    let moved = compare(
        &[compiled("/orig", "a", IN)],
        &[compiled("/new", "a", module).replace("'\"m\"'", "m")],
    );
    assert!(
        moved.refusals[0]
            .message
            .contains("linked into m instead of vmlinux"),
        "{moved:?}"
    );
    let other = compare(
        &[made("/orig", "fs/x.h", "gen")],
        &[made("/new", "fs/x.h", "gen --new")],
    );
    assert!(
        other.refusals[0]
            .message
            .contains("makes fs/x.h in another way"),
        "{other:?}"
    );
}

#[test]
fn a_configuration_that_stays_is_no_refusal() {
    let ours = parse("CONFIG_A=y\nCONFIG_B=\"x\"\n");
    let kconfig = ["fs/Kconfig".to_owned()];
    let off = parse("CONFIG_A=y\nCONFIG_B=\"x\"\n# CONFIG_NEW is not set\n");
    assert!(refusal(&kconfig, &ours, &off).is_none());
    let on = parse("CONFIG_A=y\nCONFIG_B=\"x\"\nCONFIG_NEW=m\n");
    let refusal = refusal(&kconfig, &ours, &on).expect("a refusal");
    assert_eq!(refusal.code, "changed-kconfig");
    assert!(
        refusal
            .message
            .contains("CONFIG_NEW is m instead of not set"),
        "{refusal:?}"
    );
}
