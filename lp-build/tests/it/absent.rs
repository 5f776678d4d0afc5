//! Which files without an object are switched off, and which are used in a way that is not known.

use crate::folder;
use lp_build::kernel::kbuild::makefile::Makefiles;
use lp_build::kernel::running::config::parse;
use lp_build::kernel::units::absent::{Fate, fate};
use lp_build::tree::walk::list;

const TREE: [(&str, &str); 13] = [
    (
        "Kbuild",
        "obj-y += fs/ net/ drivers/ lib/ mm/ virt/\nobj-$(CONFIG_GONE) += gone/\n",
    ),
    ("fs/Makefile", "obj-$(CONFIG_UFS)\t+= ufs/\n"),
    (
        "fs/ufs/Makefile",
        "obj-$(CONFIG_UFS) += ufs.o\n# z.o\n\nufs-objs := a.o \\\n\tcyl.o\n",
    ),
    (
        "net/Makefile",
        "obj-$(CONFIG_W) += w.o\nw-y := sub/deep.o\nw-$(CONFIG_WEXT) += wext.o $(w-more) $(way-y)\nw-more = more.o\nway-$(CONFIG_WAY) += way.o\nw-y += $(addprefix sub/, \\\n\tone.o $(addsuffix .o, two three) \\\n\t)\n",
    ),
    ("net/stray-Makefile", "obj-y += not.o\n"),
    (
        "mm/Makefile",
        "obj-$(CONFIG_A)$(CONFIG_B) += two/\nlost-y := lost.o\n",
    ),
    (
        "lib/Makefile",
        "hostprogs := gen\nhostprogs\t+= many\nmany-objs := part.o\n",
    ),
    (
        "virt/kvm/Makefile.kvm",
        "KVM ?= ../../../virt/kvm\nkvm-y := $(KVM)/kvm_main.o\n",
    ),
    (
        "drivers/Makefile",
        "obj-y += usb/\nobj-$(CONFIG_OFF) += off/core/\n",
    ),
    (
        "drivers/usb/Makefile",
        "obj-y += usb.o\nusb-y += ../misc/pdevs.o\n",
    ),
    ("drivers/misc/Makefile", "obj-$(CONFIG_HUB) += pdevs.o\n"),
    (
        "drivers/off/core/Makefile",
        "P := ../other\nobj-y += off.o\noff-y := $(P)/o.o\n",
    ),
    ("arch/arm/Makefile", "obj-y += ../../virt/arm.o\n"),
];

fn of(source: &str) -> String {
    let tree = folder(&TREE);
    let listing = list(tree.path()).expect("a listing");
    let makefiles = Makefiles::read(tree.path(), &listing, "x86");
    match fate(source, &makefiles, &parse("CONFIG_W=m\n")) {
        Fate::Absent => "absent".to_owned(),
        Fate::Refused(code, message) => format!("{code}: {message}"),
    }
}

#[test]
fn what_make_knows_or_cannot_reach_is_absent() {
    for source in [
        "fs/ufs/cyl.c",
        "fs/ufs/other.c",
        "net/wext.c",
        "net/more.c",
        "net/way.c",
        "net/sub/deep.c",
        "net/sub/one.c",
        "net/sub/two.c",
        "net/sub/three.c",
        "gone/x.c",
        "gone/deep/x.c",
        "drivers/off/core/x.c",
        "drivers/off/other/o.c",
        "drivers/misc/pdevs.c",
    ] {
        assert_eq!(of(source), "absent", "{source}");
    }
}

#[test]
fn what_no_list_explains_is_not() {
    for (source, expected) in [
        ("virt/kvm/kvm_main.c", "unknown-owner: no Makefile"),
        (
            "lib/gen.c",
            "changed-build-tool: it is part of the program gen,",
        ),
        (
            "lib/part.c",
            "changed-build-tool: it is part of the program many,",
        ),
        ("mm/two/x.c", "unknown-owner: no Makefile"),
        ("mm/lost.c", "unknown-owner: no Makefile"),
        ("net/not.c", "unknown-owner: no Makefile"),
        ("virt/arm.c", "unknown-owner: no Makefile"),
    ] {
        assert!(of(source).starts_with(expected), "{source}: {}", of(source));
    }
}
