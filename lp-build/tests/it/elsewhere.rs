//! Which folders are asked for a source that another folder's Makefile may link.

use crate::folder;
use lp_build::kernel::kbuild::makefile::Makefiles;
use lp_build::kernel::running::config::parse;
use lp_build::kernel::units::elsewhere::{Elsewhere, above};
use lp_build::tree::walk::list;

const TREE: [(&str, &str); 9] = [
    (
        "arch/x86/kvm/Makefile",
        "include $(srctree)/virt/kvm/Makefile.kvm\nkvm-y += x86.o mmu/mmu.o\n",
    ),
    (
        "arch/arm/kvm/Makefile",
        "include $(srctree)/virt/kvm/Makefile.kvm\n",
    ),
    (
        "virt/kvm/Makefile.kvm",
        "KVM ?= ../../../virt/kvm\nkvm-y := $(KVM)/kvm_main.o\n",
    ),
    (
        "drivers/Makefile",
        "obj-$(CONFIG_ON) += usb/ far/\nobj-$(CONFIG_OFF) += off/\n",
    ),
    ("drivers/usb/Makefile", "usb-y += ../misc/pdevs.o usb.o\n"),
    (
        "drivers/far/Makefile",
        "far-y := $(addprefix ../near/, one.o two.o) $(WHERE)/three.o\n",
    ),
    ("drivers/off/Makefile", "off-y := ../misc/pdevs.o\n"),
    ("drivers/misc/Makefile", "obj-y += pdevs.o deep/x.o\n"),
    ("drivers/gpu/Makefile", "obj-y += amd/\n"),
];

fn with<T>(read: impl FnOnce(&Makefiles) -> T) -> T {
    let tree = folder(&TREE);
    let listing = list(tree.path()).expect("a listing");
    read(&Makefiles::read(tree.path(), &listing, "x86"))
}

fn folders(source: &str) -> Vec<String> {
    with(|makefiles| {
        let config = parse("CONFIG_ON=y\n");
        let elsewhere = Elsewhere::new(makefiles, &config);
        elsewhere
            .folders(source)
            .into_iter()
            .map(str::to_owned)
            .collect()
    })
}

#[test]
fn a_makefile_that_others_include_counts_in_their_folders() {
    assert_eq!(folders("virt/kvm/kvm_main.c"), ["arch/x86/kvm"]);
    assert!(folders("lib/kvm_main.c").is_empty());
}

#[test]
fn a_path_that_leaves_its_folder_is_followed_unless_the_folder_is_off() {
    assert_eq!(folders("drivers/misc/pdevs.c"), ["drivers/usb"]);
    assert!(folders("drivers/usb/usb.c").is_empty());
    assert!(folders("drivers/misc/deep/x.c").is_empty());
}

#[test]
fn what_make_computes_is_asked_for() {
    assert_eq!(folders("drivers/near/two.c"), ["drivers/far"]);
    assert_eq!(folders("lib/three.c"), ["drivers/far"]);
}

#[test]
fn the_folders_above_are_asked_up_to_the_second() {
    let asked = with(|makefiles| above("drivers/gpu/amd/dc/x.c", makefiles).join(" "));
    assert_eq!(asked, "drivers/gpu");
}
