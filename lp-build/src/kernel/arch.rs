//! What is particular to an architecture's kernel build. Another architecture is another constant here.

use crate::kernel::running::config::Config;

/// One architecture.
#[derive(Debug, PartialEq, Eq)]
pub struct Arch {
    /// The option that its kernels have.
    pub option: &'static str,
    /// Its folder under `arch/`.
    pub folder: &'static str,
    /// Its name as `uname -m` gives it.
    pub uname: &'static str,
    /// Where the sources of other images than the kernel's are: boot code, vDSO, firmware.
    pub other_images: &'static [&'static str],
    /// Files that become generated headers or tools while the build folder is prepared.
    pub prepared: &'static [&'static str],
}

static X86_64: Arch = Arch {
    option: "CONFIG_X86_64",
    folder: "x86",
    uname: "x86_64",
    other_images: &[
        "arch/x86/boot/",
        "arch/x86/entry/vdso/",
        "arch/x86/purgatory/",
        "arch/x86/realmode/",
        "drivers/firmware/efi/libstub/",
        "usr/",
    ],
    prepared: &[
        "kernel/bounds.c",
        "arch/x86/kernel/asm-offsets",
        "arch/x86/lib/x86-opcode-map.txt",
        "arch/x86/tools/",
    ],
};

/// The architectures that can be built for.
pub static ALL: [&Arch; 1] = [&X86_64];

/// The architecture of a configuration.
pub fn of(config: &Config) -> Option<&'static Arch> {
    ALL.into_iter()
        .find(|arch| config.get(arch.option).is_some_and(|value| value == "y"))
}
