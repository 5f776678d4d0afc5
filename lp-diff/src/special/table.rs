//! The table of special sections: those that say something about code elsewhere, entry by entry.
//!
//! Every rule about one of them is a row here. The kernel side of each is in its header
//! (`asm/alternative.h`, `asm/bug.h`, `linux/jump_label.h`, ..); sizes that a kernel can change are looked up by the
//! name of the struct, see [`crate::entry_size`].

use crate::object::Section;
use Field::{Any, Code, Function};

/// How large an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntrySize {
    /// The same in every kernel.
    Bytes(u64),
    /// `sizeof(struct ..)` of the target kernel.
    Struct(&'static str),
    /// As long as its one relocation leaves it: all that the section has, shared out evenly.
    Even,
}

/// What the last relocation of an entry refers to, where the kernel follows it as a patch is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A `struct static_key`.
    JumpLabel,
    /// A `struct static_call_key`.
    StaticCall,
}

/// What a relocation of an entry refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// A place in code of the same object.
    Code,
    /// A function, of this object or another.
    Function,
    /// Anything.
    Any,
}

/// One special section.
#[derive(Debug)]
pub struct SpecialSection {
    /// Its name; one that ends in `_` is what the names of several begin with.
    pub name: &'static str,
    /// Size of an entry.
    pub entry: EntrySize,
    /// A section whose n-th entry goes with the n-th entry here, and the size of those.
    pub parallel: Option<(&'static str, EntrySize)>,
    /// Whether an entry tells a source file and, in the two bytes behind, a line, which changes when code above does.
    pub line: bool,
    /// Whether an entry says something that the code does not say itself, so that it must be compared. Tables that a
    /// tool derives from the instructions (unwinding, return sites) differ only if those do.
    pub compared: bool,
    /// The kind of key that an entry refers to last.
    pub key: Option<Key>,
    /// Whether the kernel goes through it as it boots, and never for a module: what it patches stays unpatched in one.
    pub at_boot: bool,
    /// Whether that is the address in an instruction that can load it from its variable, see [`super::boot`].
    pub loads: bool,
    /// Whether objtool is told something by it, and nobody after that.
    pub for_objtool: bool,
    /// The relocations that an entry has in all versions of it together.
    pub fields: &'static [Field],
    /// How many of them it has in every version.
    pub least: usize,
}

const fn sites(name: &'static str) -> SpecialSection {
    SpecialSection {
        name,
        entry: EntrySize::Bytes(4),
        parallel: None,
        line: false,
        compared: false,
        key: None,
        at_boot: false,
        loads: false,
        for_objtool: false,
        fields: &[Field::Code],
        least: 1,
    }
}

const fn of_struct(
    name: &'static str,
    entry: &'static str,
    fields: &'static [Field],
    least: usize,
) -> SpecialSection {
    SpecialSection {
        entry: EntrySize::Struct(entry),
        compared: true,
        fields,
        least,
        ..sites(name)
    }
}

const fn pointers(name: &'static str) -> SpecialSection {
    SpecialSection {
        entry: EntrySize::Bytes(8),
        ..sites(name)
    }
}

/// A list of instructions that the kernel patches with a value that it computes as it boots
/// (`asm/runtime-const.h`, since Linux 6.11).
const fn boot_constants(name: &'static str, loads: bool) -> SpecialSection {
    SpecialSection {
        compared: true,
        at_boot: true,
        loads,
        ..sites(name)
    }
}

/// What a source tells objtool about an instruction: that code goes on behind a trap (`linux/objtool.h`), that an indirect
/// call is safe, and more. Where it goes over the linked kernel alone (CONFIG_X86_KERNEL_IBT, since Linux 5.18), an
/// object is still without unwind tables, and the module's build makes those of a patch from these.
const fn told(name: &'static str) -> SpecialSection {
    SpecialSection {
        entry: EntrySize::Even,
        for_objtool: true,
        ..sites(name)
    }
}

/// All of them, in the order in which they are written.
pub static TABLE: [SpecialSection; 32] = [
    of_struct(".altinstructions", "alt_instr", &[Code, Any], 1),
    // Address, since Linux 6.19 format, with CONFIG_DEBUG_BUGVERBOSE file and line, flags (asm-generic/bug.h).
    SpecialSection {
        line: true,
        ..of_struct("__bug_table", "bug_entry", &[Code, Any, Any], 1)
    },
    // Instruction and fixup, from Linux 4.6 to 5.15 also a handler.
    of_struct(
        "__ex_table",
        "exception_table_entry",
        &[Code, Code, Function],
        2,
    ),
    SpecialSection {
        key: Some(Key::JumpLabel),
        ..of_struct("__jump_table", "jump_entry", &[Code, Code, Any], 3)
    },
    SpecialSection {
        key: Some(Key::StaticCall),
        ..of_struct(".static_call_sites", "static_call_site", &[Code, Any], 2)
    },
    of_struct(".parainstructions", "paravirt_patch_site", &[Code], 1),
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
    boot_constants("runtime_ptr_", true),
    boot_constants(".runtime_ptr_", true),
    // Shifts, masks, and whatever else there will be.
    boot_constants("runtime_", false),
    boot_constants(".runtime_", false),
    told(".discard.reachable"),
    told(".discard.unreachable"),
    told(".discard.instr_begin"),
    told(".discard.instr_end"),
    told(".discard.retpoline_safe"),
    told(".discard.noendbr"),
    told(".discard.ibt_endbr_noseal"),
    told(".discard.ignore_alts"),
    told(".discard.intra_function_calls"),
    told(".discard.unwind_hints"),
    told(".discard.func_stack_frame_non_standard"),
    told(".discard.annotate_insn"),
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
const IGNORED: [&str; 14] = [
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
    // Since Linux 6.19 and 7.x: for a check of tracepoints that nobody uses, for klp-build, for what modpost must keep. None is in an image.
    "__tracepoint_check",
    ".klp.symid",
    ".no_trim_symbol",
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
pub fn classify(section: Section<'_>) -> Class {
    let name = section.name();
    if let Some(told) = TABLE.iter().find(|row| row.for_objtool && row.name == name) {
        return Class::Special(told);
    }
    if !section.is_alloc()
        || IGNORED.contains(&name)
        || IGNORED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
    {
        return Class::Ignored;
    }
    for special in &TABLE {
        if name == special.name || (special.name.ends_with('_') && name.starts_with(special.name)) {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Home {
    /// Freed after start.
    Init,
    /// One copy for each processor, reached through the processor's own base.
    PerCpu,
    /// Read-only once the kernel has started.
    ReadOnlyAfterInit,
    /// Anywhere else.
    #[default]
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

/// Whether the section is in memory that is not encrypted for the host (`__bss_decrypted`, `DEFINE_PER_CPU_DECRYPTED`; `mem_encrypt.h`
/// and `percpu-defs.h`), which the kernel sees to as it boots (`arch/x86/mm/mem_encrypt_amd.c`).
pub fn is_decrypted(name: &str) -> bool {
    name.ends_with("..decrypted")
}

/// Whether the kernel frees the section once it, or the module, has started. Exit code of a module stays.
pub fn is_freed(name: &str) -> bool {
    is_init(name) && !name.starts_with(".exit") && !name.starts_with(".head")
}

/// Whether the section lists what the kernel calls or reads as it starts.
pub fn is_start_list(name: &str) -> bool {
    name.starts_with(".initcall") || name.ends_with("initcall.init") || name == ".init.setup"
}

/// Position of a row in the table.
pub fn position(special: &SpecialSection) -> usize {
    TABLE
        .iter()
        .position(|row| row.name == special.name)
        .unwrap_or(TABLE.len())
}
