//! What a changed file means, by its path.

use lp_build::kernel::arch;
use lp_build::kernel::changed::kinds::{Kind, RefusedKind, kind, kind_in_module};
use lp_build::kernel::kbuild::key;
use lp_build::tree::{Change, ChangeKind};

fn of(path: &str, kind_of_change: ChangeKind) -> Kind {
    kind(
        &Change {
            path: path.to_owned(),
            kind: kind_of_change,
        },
        arch::ALL[0],
    )
}

#[test]
fn c_files_are_compiled() {
    for path in [
        "fs/proc/meminfo.c",
        "arch/x86/kernel/setup.c",
        "drivers/net/dummy.c",
        "kernel/sched/rt.c",
    ] {
        assert_eq!(of(path, ChangeKind::Changed), Kind::Source, "{path}");
    }
}

#[test]
fn what_includes_a_header_is_compiled() {
    for path in [
        "include/linux/mm.h",
        "fs/ext4/ext4.h",
        "arch/x86/include/asm/io.h",
    ] {
        for change in [ChangeKind::Added, ChangeKind::Removed, ChangeKind::Changed] {
            assert_eq!(of(path, change), Kind::Header, "{path}");
        }
    }
}

#[test]
fn what_changes_the_kernel_otherwise_is_refused() {
    use RefusedKind::*;
    for (path, expected) in [
        ("Makefile", Makefile),
        ("arch/x86/Makefile_32.cpu", Makefile),
        ("Kbuild", Makefile),
        ("arch/x86/entry/entry_64.S", Assembler),
        ("arch/x86/kernel/vmlinux.lds.S", LinkerScript),
        ("arch/x86/kernel/x.lds", LinkerScript),
        ("drivers/of/unittest-data/x.dts", DeviceTree),
        ("rust/kernel/lib.rs", Rust),
        ("scripts/mod/modpost.c", BuildTool),
        ("tools/objtool/check.c", BuildTool),
        ("tools/include/linux/types.h", BuildTool),
        ("kernel/bounds.c", BuildTool),
        ("certs/extract-cert.c", BuildTool),
        ("arch/x86/lib/x86-opcode-map.txt", BuildTool),
        ("tools/arch/x86/lib/x86-opcode-map.txt", BuildTool),
        ("scripts/syscall.txt", BuildTool),
        ("arch/x86/notes.txt", Unknown),
        (
            "security/selinux/include/initial_sid_to_string.h",
            BuildTool,
        ),
        ("arch/x86/kernel/asm-offsets_64.c", BuildTool),
        ("arch/x86/boot/main.c", OtherImage),
        ("arch/x86/entry/vdso/vgetcpu.c", OtherImage),
        ("arch/x86/entry/syscalls/syscall_64.tbl", Unknown),
        ("crypto/rsapubkey.asn1", Unknown),
        ("lib/new_kind_of_file", Unknown),
    ] {
        assert_eq!(
            of(path, ChangeKind::Changed),
            Kind::Refused(expected),
            "{path}"
        );
    }
}

#[test]
fn the_build_is_asked_what_a_makefile_changes() {
    for path in [
        "fs/Makefile",
        "drivers/net/Kbuild",
        "virt/kvm/Makefile.kvm",
        "arch/x86/kvm/Makefile",
    ] {
        assert_eq!(of(path, ChangeKind::Changed), Kind::Makefile, "{path}");
    }
}

#[test]
fn a_kconfig_file_is_tried() {
    for path in [
        "mm/Kconfig",
        "arch/Kconfig",
        "mm/Kconfig.debug",
        "samples/Kconfig",
        "Documentation/Kconfig",
    ] {
        assert_eq!(of(path, ChangeKind::Changed), Kind::Kconfig, "{path}");
    }
}

#[test]
fn a_module_of_its_own_has_no_folders_that_mean_something() {
    let of = |path: &str| {
        kind_in_module(&Change {
            path: path.to_owned(),
            kind: ChangeKind::Changed,
        })
    };
    assert_eq!(of("tools/main.c"), Kind::Source);
    assert_eq!(of("samples/inc/x.h"), Kind::Header);
    assert_eq!(of("Makefile"), Kind::Makefile);
    assert_eq!(of("fast.S"), Kind::Refused(RefusedKind::Assembler));
    assert_eq!(of("firmware.bin"), Kind::Refused(RefusedKind::Unknown));
    for path in ["README.md", "Kconfig", ".gitignore", "x.o", "x.c~"] {
        assert!(matches!(of(path), Kind::Outside(_)), "{path}");
    }
}

#[test]
fn a_source_of_one_tree_is_a_source() {
    for kind in [ChangeKind::Added, ChangeKind::Removed] {
        assert_eq!(of("fs/new.c", kind), Kind::Source);
    }
}

#[test]
fn what_is_outside_the_kernel_is_left_out() {
    for path in [
        "Documentation/admin-guide/x.rst",
        "Documentation/conf.py",
        "MAINTAINERS",
        "fs/ext4/README.md",
        ".gitignore",
        "fs/.gitignore",
        "tools/testing/selftests/x.c",
        "tools/perf/util/x.h",
        "samples/livepatch/livepatch-sample.c",
        "debian/patches/x.patch",
        "arch/arm64/kernel/entry.S",
        "arch/arm/Kconfig",
        "fs/x.c.orig",
        "fs/x.c~",
    ] {
        assert!(
            matches!(of(path, ChangeKind::Changed), Kind::Outside(_)),
            "{path}: {:?}",
            of(path, ChangeKind::Changed)
        );
    }
}

#[test]
fn every_refusal_says_what_to_do() {
    use RefusedKind::*;
    for kind in [
        Makefile,
        Assembler,
        LinkerScript,
        DeviceTree,
        Rust,
        BuildTool,
        OtherImage,
        Unknown,
    ] {
        let why = kind.why();
        assert!(
            why.contains("leave it")
                || why.contains("leave the")
                || why.contains("put ")
                || why.contains("Fix "),
            "{why}"
        );
        assert!(
            kind.code()
                .chars()
                .all(|c| c.is_ascii_lowercase() || c == '-')
        );
    }
}

#[test]
fn what_preparation_reads_is_refused() {
    for path in [
        "Makefile",
        "fs/Kconfig",
        "samples/Kconfig",
        "arch/arm/Kconfig",
        "arch/x86/lib/x86-opcode-map.txt",
        "arch/x86/entry/syscalls/syscall_64.tbl",
        "arch/x86/.gitignore",
        "arch/x86/kernel/asm-offsets.c",
        "certs/extract-cert.c",
        "include/notes.txt",
        "kernel/bounds.c",
        "kernel/time/timeconst.bc",
        "scripts/dtc/dtc.c",
        "scripts/coccinelle/x.cocci",
        "scripts/syscall.tbl",
        "scripts/x.c.orig",
        "security/selinux/include/classmap.h",
        "security/selinux/include/initial_sid_to_string.h",
        "tools/arch/x86/lib/x86-opcode-map.txt",
        "tools/include/x.c",
        "tools/objtool/check.c",
    ] {
        let read = key::is_read(path, arch::ALL[0]);
        let apart = matches!(
            of(path, ChangeKind::Changed),
            Kind::Refused(_) | Kind::Kconfig
        );
        assert_eq!(read, apart, "{path}");
    }
}
