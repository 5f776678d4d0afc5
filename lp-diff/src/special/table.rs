//! The table of special sections: those that say something about code elsewhere, entry by entry.
//!
//! Every rule about one of them is a row here. The kernel side of each is in its header
//! (`asm/alternative.h`, `asm/bug.h`, `linux/jump_label.h`, ..); sizes that a kernel can change are looked up by the
//! name of the struct, see [`crate::entry_size`].

use crate::object::Section;

/// How large an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntrySize {
    /// The same in every kernel.
    Bytes(u64),
    /// `sizeof(struct ..)` of the target kernel.
    Struct(&'static str),
}

/// One special section.
#[derive(Debug)]
pub struct SpecialSection {
    /// Its name.
    pub name: &'static str,
    /// Size of an entry.
    pub entry: EntrySize,
    /// A section whose n-th entry goes with the n-th entry here, and the size of those.
    pub parallel: Option<(&'static str, EntrySize)>,
    /// Bytes of an entry that tell a source line, so that they change when code above does.
    pub line: Option<(u64, u64)>,
    /// Whether an entry says something that the code does not say itself, so that it must be compared. Tables that a
    /// tool derives from the instructions (unwinding, return sites) differ only if those do.
    pub compared: bool,
    /// Whether an entry's last relocation refers to a key, which the kernel reads when a module is loaded.
    pub key: bool,
    /// The least number of relocations that an entry has, in every version of it.
    pub min_relocs: usize,
}

const fn sites(name: &'static str) -> SpecialSection {
    SpecialSection {
        name,
        entry: EntrySize::Bytes(4),
        parallel: None,
        line: None,
        compared: false,
        key: false,
        min_relocs: 1,
    }
}

const fn of_struct(name: &'static str, entry: &'static str) -> SpecialSection {
    SpecialSection {
        name,
        entry: EntrySize::Struct(entry),
        parallel: None,
        line: None,
        compared: true,
        key: false,
        min_relocs: 1,
    }
}

const fn pointers(name: &'static str) -> SpecialSection {
    SpecialSection {
        name,
        entry: EntrySize::Bytes(8),
        parallel: None,
        line: None,
        compared: false,
        key: false,
        min_relocs: 1,
    }
}

/// All of them, in the order in which they are written.
pub static TABLE: [SpecialSection; 16] = [
    of_struct(".altinstructions", "alt_instr"),
    // With CONFIG_DEBUG_BUGVERBOSE: 4 bytes address, 4 file, then the 16-bit line (include/asm-generic/bug.h).
    SpecialSection {
        line: Some((8, 10)),
        ..of_struct("__bug_table", "bug_entry")
    },
    SpecialSection {
        min_relocs: 2,
        ..of_struct("__ex_table", "exception_table_entry")
    },
    SpecialSection {
        key: true,
        min_relocs: 3,
        ..of_struct("__jump_table", "jump_entry")
    },
    SpecialSection {
        key: true,
        min_relocs: 2,
        ..of_struct(".static_call_sites", "static_call_site")
    },
    of_struct(".parainstructions", "paravirt_patch_site"),
    sites(".smp_locks"),
    sites(".retpoline_sites"),
    sites(".return_sites"),
    sites(".call_sites"),
    sites(".ibt_endbr_seal"),
    sites(".cfi_sites"),
    sites(".kcfi_traps"),
    SpecialSection {
        parallel: Some((".orc_unwind", EntrySize::Struct("orc_entry"))),
        ..sites(".orc_unwind_ip")
    },
    pointers("__mcount_loc"),
    pointers("__patchable_function_entries"),
];

/// What a section is to the differ.
#[derive(Debug, Clone, Copy)]
pub enum Class {
    /// Not part of a patch: debug information, notes, what other tools read and drop.
    Ignored,
    /// A table about code elsewhere.
    Special(&'static SpecialSection),
    /// The second half of a table in two sections.
    Parallel,
    /// Code and data.
    Body,
}

/// Sections that are allocated but mean nothing in a patch.
const IGNORED: [&str; 11] = [
    ".modinfo",
    ".eh_frame",
    ".sframe",
    ".printk_index",
    ".orc_header",
    ".export_symbol",
    "__ksymtab_strings",
    "__versions",
    ".static_call_tramp_key",
    ".gnu.linkonce.this_module",
    ".llvm_addrsig",
];
const IGNORED_PREFIXES: [&str; 7] = [
    // What the author says, see `crate::author`.
    ".livepatch.",
    ".discard",
    ".note",
    ".llvm.",
    ".init.klp_",
    ".debug",
    ".gnu.version",
];

/// Classifies a section by its flags and name.
pub fn classify(section: &Section<'_>) -> Class {
    let name = section.name;
    if !section.is_alloc()
        || IGNORED.contains(&name)
        || IGNORED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
    {
        return Class::Ignored;
    }
    for special in &TABLE {
        if name == special.name {
            return Class::Special(special);
        }
        if special
            .parallel
            .is_some_and(|(parallel, _)| parallel == name)
        {
            return Class::Parallel;
        }
    }
    Class::Body
}

/// Where a section's content lives while the kernel runs, as far as that makes its use different.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Home {
    /// Freed after start.
    Init,
    /// One copy for each processor, reached through the processor's own base.
    PerCpu,
    /// Read-only once the kernel has started.
    ReadOnlyAfterInit,
    /// Anywhere else.
    Plain,
}

/// The home of a section, by its name.
pub fn home(name: &str) -> Home {
    if is_init(name) {
        Home::Init
    } else if name.starts_with(PER_CPU) {
        Home::PerCpu
    } else if name.starts_with(".data..ro_after_init") {
        Home::ReadOnlyAfterInit
    } else {
        Home::Plain
    }
}

/// The one section in which a module's per-cpu data is found (`find_pcpusec`, `kernel/module/main.c`); those of the
/// kernel image have more dots and words after it.
pub const PER_CPU: &str = ".data..percpu";

/// Whether the kernel frees the section once it has booted, or a module once it is loaded.
pub fn is_init(name: &str) -> bool {
    let dotted = |prefix: &str| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    dotted(".init")
        || dotted(".exit")
        || dotted(".head")
        || name.starts_with(".initcall")
        || name.ends_with("initcall.init")
}

/// Position of a row in the table.
pub fn position(special: &SpecialSection) -> usize {
    TABLE
        .iter()
        .position(|row| row.name == special.name)
        .unwrap_or(TABLE.len())
}
