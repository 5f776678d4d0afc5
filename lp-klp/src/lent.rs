//! Symbols that a process's patch brings along for an object that is stripped: two sections that are not loaded, as the
//! symbol and string table of a build or debug file of that very object have them (its build-id is in the manifest).
//!
//! Who makes the patch has the symbols; the machines that run it need not. The tempting wrong way is a list of the few
//! that the patch refers to: whether a jump fits at an entry is a question about its neighbours.

use crate::name::ObjName;

const SYMTAB: &str = ".lp.symtab.";
const STRTAB: &str = ".lp.strtab.";

/// The names of the sections for an object: `Elf64_Sym` one after the other, and the strings that they name.
pub fn section_names(object: &ObjName) -> (String, String) {
    (format!("{SYMTAB}{object}"), format!("{STRTAB}{object}"))
}
