//! What a configuration can build, by the Makefiles alone: on the side of too much.

use crate::folder;
use lp_build::kernel::changed::generated::headers_named;
use lp_build::kernel::kbuild::makefile::Makefiles;
use lp_build::kernel::running::config::parse;
use lp_build::kernel::units::built::Built;
use lp_build::tree::walk::list;

const TREE: [(&str, &str); 5] = [
    (
        "fs/Makefile",
        "obj-y := plain.o\nobj-$(CONFIG_ON) += on.o\nobj-$(CONFIG_OFF) += off.o sub/\nobj-$(CONFIG_A)$(CONFIG_B) += two.o\n",
    ),
    ("fs/sub/Makefile", "obj-y += inside.o\n"),
    (
        "net/Makefile",
        "obj-$(CONFIG_OFF) += w.o\nw-y := a.o\nobj-m += v.o\nv-objs := b.o $(v-y)\nv-$(CONFIG_OFF) += c.o\nv-y += d.o\n",
    ),
    (
        "drivers/gpu/Makefile",
        "obj-y += gpu.o\nFILES = $(addprefix $(X)/dc/, e.o f.o)\ngpu-y += $(FILES)\n",
    ),
    (
        "arch/x86/kvm/Makefile",
        "KVM := ../../../virt/kvm\nkvm-y += $(KVM)/main.o x86.o\nobj-$(CONFIG_ON) += kvm.o\n",
    ),
];

#[test]
fn what_hangs_on_an_option_that_is_not_set_cannot_be_built() {
    let tree = folder(&TREE);
    let listing = list(tree.path()).expect("a listing");
    let makefiles = Makefiles::read(tree.path(), &listing, "x86");
    let config = parse("CONFIG_ON=y\n");
    let built = Built::new(&makefiles, &config);
    for (source, expected) in [
        ("fs/plain.c", true),
        ("fs/on.c", true),
        ("fs/off.c", false),
        ("fs/two.c", true),
        ("fs/sub/inside.c", false),
        ("fs/unlisted.c", false),
        ("net/a.c", false),
        ("net/b.c", true),
        ("net/c.c", false),
        ("net/d.c", true),
        ("drivers/gpu/dc/e.c", true),
        ("drivers/gpu/dc/f.c", true),
        ("virt/kvm/main.c", true),
        ("virt/main.c", false),
        ("arch/x86/kvm/x86.S", true),
    ] {
        assert_eq!(built.may_be(source), expected, "{source}");
    }
}

#[test]
fn headers_that_become_other_files_are_named_by_the_makefile() {
    let named = headers_named(
        "arch/x86/kernel/cpu/Makefile",
        "cpufeature = $(src)/../../include/asm/cpufeatures.h\n$(obj)/x.h: $(srctree)/include/a.h FORCE\n\
         generic-y += b.h\nccflags-y += -include $(src)/c.h\n# d.h\n",
    );
    assert!(named.contains("arch/x86/include/asm/cpufeatures.h") && named.contains("include/a.h"));
    for other in ["b.h", "c.h", "d.h"] {
        assert!(
            !named
                .iter()
                .any(|path| path.ends_with(&format!("/{other}"))),
            "{other}"
        );
    }
}
