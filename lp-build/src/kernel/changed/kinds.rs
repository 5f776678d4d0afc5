//! What a changed file means for a patch, from its path alone: compiled, outside the kernel, or refused.
//!
//! The rule is that what is not known to be harmless is refused: a patch must never leave out a part of the fix in
//! silence. The tempting wrong way is to skip what is not a `.c` file.

use crate::kernel::arch::Arch;
use crate::kernel::kbuild::key;
use crate::tree::Change;

/// What to do with a changed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Compile it in both trees.
    Source,
    /// Compile what includes it in both trees.
    Header,
    /// Ask both trees' builds what it changes.
    Makefile,
    /// Configure both trees: the configuration must stay what it is.
    Kconfig,
    /// It is no part of this kernel; the reason.
    Outside(&'static str),
    /// It changes the kernel in a way that cannot be carried; which, why, and what to do.
    Refused(RefusedKind),
}

/// Changed files that stop a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedKind {
    /// A Makefile that takes part in building every file.
    Makefile,
    /// Assembler code.
    Assembler,
    /// A linker script.
    LinkerScript,
    /// A device tree.
    DeviceTree,
    /// Rust code.
    Rust,
    /// A tool that takes part in the build, or a source that the preparation reads.
    BuildTool,
    /// Code that does not run as part of the kernel image.
    OtherImage,
    /// Anything else.
    Unknown,
}

impl RefusedKind {
    /// The refusal's code in reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::Makefile => "changed-makefile",
            Self::Assembler => "changed-assembler",
            Self::LinkerScript => "changed-linker-script",
            Self::DeviceTree => "changed-device-tree",
            Self::Rust => "changed-rust",
            Self::BuildTool => "changed-build-tool",
            Self::OtherImage => "other-image",
            Self::Unknown => "unknown-file",
        }
    }

    /// Why it is refused and what to do.
    pub fn why(self) -> &'static str {
        match self {
            Self::Makefile => {
                "it takes part in building every file, so both trees must have the same: leave it as it was"
            }
            Self::Assembler => {
                "assembler code cannot be patched: it has no function entry that can be redirected. Fix the C code \
                 around it"
            }
            Self::LinkerScript => {
                "the layout of a running kernel cannot change: leave it as it was"
            }
            Self::DeviceTree => "a device tree is read at boot only: leave it as it was",
            Self::Rust => "Rust code cannot be patched yet: leave it as it was",
            Self::BuildTool => {
                "it takes part in building every file, so both trees must have the same: leave it as it was"
            }
            Self::OtherImage => {
                "it is built into an image of its own (boot code, vDSO, firmware), not into the running kernel's \
                 code: leave it as it was, and boot a fixed kernel for it"
            }
            Self::Unknown => {
                "what the build makes of this file is not known, so it cannot be left out: leave it as it was"
            }
        }
    }
}

const DOCUMENTS: [&str; 7] = ["rst", "md", "txt", "rtf", "svg", "dot", "cocci"];
const LEFTOVERS: [&str; 10] = [
    "orig", "rej", "patch", "diff", "swp", "o", "ko", "cmd", "mod", "a",
];
const TOP_DOCUMENTS: [&str; 6] = [
    "COPYING",
    "CREDITS",
    "MAINTAINERS",
    "README",
    "tags",
    "cscope.out",
];
const TOP_OUTSIDE: [&str; 5] = ["Documentation", "LICENSES", "debian", "samples", "tools"];
/// The parts of `tools/` from which objtool is built, which rewrites every object.
const OBJTOOL: [&str; 7] = [
    "arch", "build", "include", "lib", "objtool", "scripts", "Makefile",
];

/// Where a text is read by a program of the build: tables of instructions, lists of system calls.
const READ_BY_TOOLS: [&str; 7] = [
    "arch/",
    "scripts/",
    "tools/arch/",
    "tools/build/",
    "tools/include/",
    "tools/lib/",
    "tools/objtool/",
];

/// Decides what a changed file means for a kernel of the architecture.
pub fn kind(change: &Change, arch: &Arch) -> Kind {
    let path = change.path.as_str();
    if let Some(reason) = outside(path, arch.folder) {
        return Kind::Outside(reason);
    }
    let refused = if path.starts_with("scripts/")
        || path.starts_with("tools/")
        || arch.prepared.iter().any(|known| path.starts_with(known))
    {
        RefusedKind::BuildTool
    } else if arch
        .other_images
        .iter()
        .any(|known| path.starts_with(known))
    {
        RefusedKind::OtherImage
    } else if path.ends_with(".h") {
        if !key::FILES.contains(&path) {
            return Kind::Header;
        }
        RefusedKind::BuildTool
    } else {
        match by_name(path) {
            Kind::Source if key::is_read(path, arch) => RefusedKind::BuildTool,
            Kind::Makefile if is_for_all(path, arch) => RefusedKind::Makefile,
            Kind::Refused(refused) => refused,
            followed => return followed,
        }
    };
    Kind::Refused(refused)
}

/// Decides what a changed file means in the source of a module that is not in the kernel's tree.
pub fn kind_in_module(change: &Change) -> Kind {
    let name = change.path.rsplit('/').next().unwrap_or(&change.path);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    if DOCUMENTS.contains(&extension) || TOP_DOCUMENTS.contains(&name) {
        return Kind::Outside("documentation");
    }
    if is_leftover(name, extension) {
        return Kind::Outside("not a source");
    }
    match by_name(&change.path) {
        _ if extension == "h" => Kind::Header,
        Kind::Kconfig => Kind::Outside("read by a build in the kernel's tree alone"),
        kind => kind,
    }
}

/// Why a file takes no part in building the kernel, if that is so.
pub fn outside(path: &str, arch: &str) -> Option<&'static str> {
    let mut parts = path.split('/');
    let (top, second) = (parts.next().unwrap_or_default(), parts.next());
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    if top == "arch" && second.is_some_and(|second| second != arch && second != "Kconfig") {
        return Some("another architecture");
    }
    let objtool = top == "tools" && second.is_some_and(|second| OBJTOOL.contains(&second));
    // The configuration reads these wherever they are.
    let kconfig = name.starts_with("Kconfig") && !["tools", "debian"].contains(&top);
    if TOP_OUTSIDE.contains(&top) && !objtool && !kconfig {
        return Some("not built into the kernel");
    }
    let read = READ_BY_TOOLS.iter().any(|folder| path.starts_with(folder))
        && !path.starts_with("scripts/coccinelle/");
    if (DOCUMENTS.contains(&extension) && !read)
        || (second.is_none() && TOP_DOCUMENTS.contains(&name))
    {
        return Some("documentation");
    }
    is_leftover(name, extension).then_some("not a source")
}

/// Whether a file is something that an editor or a build left. None whose name begins with a dot takes part in a build.
fn is_leftover(name: &str, extension: &str) -> bool {
    name.starts_with('.') || name.ends_with('~') || LEFTOVERS.contains(&extension)
}

/// Whether a Makefile is the tree's own or the architecture's, which set the flags of all files.
fn is_for_all(path: &str, arch: &Arch) -> bool {
    let top = path.strip_prefix("arch/").unwrap_or(path);
    let top = top
        .strip_prefix(arch.folder)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(top);
    !top.contains('/')
}

/// What a file of this name is.
fn by_name(path: &str) -> Kind {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    if name.starts_with("Kconfig") {
        return Kind::Kconfig;
    }
    if name.starts_with("Makefile") || name.starts_with("Kbuild") || extension == "mk" {
        return Kind::Makefile;
    }
    if name.ends_with(".lds.S") || extension == "lds" {
        return Kind::Refused(RefusedKind::LinkerScript);
    }
    Kind::Refused(match extension {
        "c" => return Kind::Source,
        "S" | "s" => RefusedKind::Assembler,
        "dts" | "dtsi" | "dtso" => RefusedKind::DeviceTree,
        "rs" => RefusedKind::Rust,
        _ => RefusedKind::Unknown,
    })
}
