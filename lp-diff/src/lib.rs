//! Diffs two relocatable objects, before and after a source change, and takes out what changed as an object of its own.
//!
//! The phases are files; each borrows the earlier ones and adds a table of its own:
//! [`object`] (parse) → [`bundle`] (cut into pieces) → [`reference`] (what each relocation means) → [`correlate`]
//! (twins) → [`compare`] (same, changed, new) → [`include`] (what must come along) → [`reloc`] (how the target's own
//! symbols are reached) → [`emit`] (write). [`author`] reads what the source says to the tool; [`special`] is the table of special sections, [`arch`] what depends on the
//! architecture. What differs for a process is in [`process`].

pub mod arch;
pub mod author;
mod both;
pub mod bundle;
pub mod callable;
pub mod compare;
pub mod correlate;
mod diff;
pub mod dwarf;
pub mod emit;
pub mod ends;
pub mod entry_size;
pub mod explain;
pub mod exports;
pub mod include;
pub mod modinfo;
pub mod moved_name;
pub mod name;
pub mod object;
mod packed;
pub mod process;
pub mod reference;
pub mod refusal;
pub mod reloc;
pub mod report;
pub mod show;
pub mod source_file;
pub mod special;
pub mod stub;
pub mod symbols;
pub mod untraceable;

pub use diff::{Config, DiffError, Outcome, diff, diff_and_show, diff_files};
pub use entry_size::EntrySizes;
pub use exports::Exports;
pub use process::Flavour;
pub use refusal::{Refusal, RefusalCode};
pub use reloc::Places;
pub use report::{Callback, Datum, Function, Report, Status, Verdict};
pub use symbols::SymbolTable;
