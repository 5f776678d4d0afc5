//! Types in the words of C: `struct list_head *[4]`.
//!
//! Not every declaration can be written without a name in its middle; what a report needs is that equal words mean equal
//! types, and that a reader knows which one is meant.

use super::{TypeId, Types};
use gimli::constants as dw;
use std::cell::Cell;

/// How deep pointers, arrays and parameters may nest, and how many words one type may have, before the rest is left out.
const DEPTH: usize = 8;
const WORDS: usize = 256;

impl Types<'_> {
    /// A type as its source says it.
    pub fn spell(&self, id: Option<TypeId>) -> String {
        self.spelled(id, DEPTH, &Words::new(false))
    }

    /// A type as the machine has it, without typedefs and qualifiers: what two of them agree on is called alike.
    pub fn spell_bare(&self, id: Option<TypeId>) -> String {
        self.spelled(id, DEPTH, &Words::new(true))
    }

    fn spelled(&self, id: Option<TypeId>, depth: usize, words: &Words) -> String {
        let id = if words.bare { self.bare(id) } else { id };
        let Some(id) = id else {
            return "void".to_owned();
        };
        let entry = self.get(id);
        let (Some(depth), true) = (depth.checked_sub(1), words.take()) else {
            return "..".to_owned();
        };
        let inner = || self.spelled(self.target(id), depth, words);
        match entry.tag {
            dw::DW_TAG_pointer_type => pointer(inner()),
            dw::DW_TAG_array_type => {
                let mut text = inner();
                for count in self.dimensions(id) {
                    text += &count.map_or("[]".to_owned(), |count| format!("[{count}]"));
                }
                text
            }
            dw::DW_TAG_const_type => format!("const {}", inner()),
            dw::DW_TAG_volatile_type => format!("volatile {}", inner()),
            dw::DW_TAG_restrict_type | dw::DW_TAG_atomic_type => inner(),
            dw::DW_TAG_subroutine_type | dw::DW_TAG_subprogram => {
                format!(
                    "{} ({})",
                    inner(),
                    self.parameters(id, depth, words).join(", ")
                )
            }
            dw::DW_TAG_structure_type => tagged("struct", entry.name),
            dw::DW_TAG_union_type => tagged("union", entry.name),
            dw::DW_TAG_enumeration_type => tagged("enum", entry.name),
            dw::DW_TAG_base_type => number(entry.name).to_owned(),
            _ => entry.name.to_owned(),
        }
    }

    fn parameters(&self, id: TypeId, depth: usize, words: &Words) -> Vec<String> {
        let spell = |child: TypeId| match self.get(child).tag {
            dw::DW_TAG_formal_parameter => Some(self.spelled(self.target(child), depth, words)),
            dw::DW_TAG_unspecified_parameters => Some("...".to_owned()),
            _ => None,
        };
        self.children(id).filter_map(spell).collect()
    }
}

/// How a type is spelt, and how many words are left for it.
struct Words {
    bare: bool,
    left: Cell<usize>,
}

impl Words {
    fn new(bare: bool) -> Self {
        Self {
            bare,
            left: Cell::new(WORDS),
        }
    }

    fn take(&self) -> bool {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }
}

fn pointer(target: String) -> String {
    match target.split_once(" (") {
        Some((returns, parameters)) => format!("{returns} (*)({parameters}"),
        None if target.ends_with('*') => target + "*",
        None => target + " *",
    }
}

/// gcc spells out what clang and people leave out.
fn number(name: &str) -> &str {
    match name {
        "long int" => "long",
        "short int" => "short",
        "long long int" => "long long",
        "long unsigned int" => "unsigned long",
        "short unsigned int" => "unsigned short",
        "long long unsigned int" => "unsigned long long",
        name => name,
    }
}

fn tagged(keyword: &str, name: &str) -> String {
    if name.is_empty() {
        format!("{keyword} {{..}}")
    } else {
        format!("{keyword} {name}")
    }
}
