//! What a reference means, in words and as a key that is equal in both objects where the meaning is.
//!
//! The words are for people and may be cut short; the key decides what is marked as changed.

use super::Ink;
use crate::arch::Arch;
use crate::bundle::{BundleId, Kind};
use crate::compare::{Comparison, Status};
use crate::correlate::Twins;
use crate::name::canonical;
use crate::reference::{Ref, Target, View};
use crate::special::Entries;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Characters of a string that are shown.
const STRING_CHARS: usize = 60;
/// Bytes of a constant that are shown.
const CONSTANT_BYTES: usize = 16;

/// One of the two objects.
#[derive(Clone, Copy)]
pub(super) struct Side<'s, 'd> {
    /// The object.
    pub(super) view: &'s View<'d>,
    /// Its special entries.
    pub(super) entries: &'s Entries,
    /// The other object, for what is called otherwise there.
    pub(super) other: &'s View<'d>,
    /// Which is whose twin.
    pub(super) twins: &'s Twins,
    /// What differs.
    pub(super) comparison: &'s Comparison,
    /// Instruction knowledge.
    pub(super) arch: &'s dyn Arch,
    /// Whether it is the patched one.
    pub(super) is_patched: bool,
    /// Its contents met so far.
    pub(super) contents: &'s Contents,
}

/// A number for the bytes of each bundle, taken once: much code may refer to one large table.
#[derive(Debug, Default)]
pub(super) struct Contents(RefCell<HashMap<BundleId, u64>>);

impl Contents {
    fn of(&self, view: &View<'_>, id: BundleId) -> u64 {
        let number = || {
            let mut hasher = DefaultHasher::new();
            view.bytes_of(id).hash(&mut hasher);
            hasher.finish()
        };
        *self.0.borrow_mut().entry(id).or_insert_with(number)
    }
}

/// A reference in words.
#[derive(Debug, Clone)]
pub(super) struct Named {
    /// How it is shown.
    pub(super) ink: Ink,
    /// The words.
    pub(super) text: String,
    /// Equal for equal meanings in both objects.
    pub(super) key: String,
    /// What a reader should know besides.
    pub(super) note: Option<String>,
}

impl Side<'_, '_> {
    /// What a reference refers to.
    pub(super) fn name(&self, reference: &Ref) -> Named {
        match reference.target {
            Target::Bundle { id, offset } => self.name_bundle(id, offset),
            Target::Section { id, offset } => {
                let name = self.view.object.section(id).name();
                symbol(name, offset, format!("section {name}{offset:+}"))
            }
            Target::Symbol { id, offset } => {
                let name = self.view.object.symbol(id).name();
                symbol(name, offset, format!("symbol {name}{offset:+}"))
            }
        }
    }

    fn name_bundle(&self, id: BundleId, offset: i64) -> Named {
        match self.view.bundles.get(id).kind {
            Kind::String => self.name_string(id, offset),
            Kind::Anonymous | Kind::Fragment => self.name_content(id, offset),
            Kind::PerUse => self.name_per_use(id, offset),
            Kind::Function | Kind::Data => self.name_thing(id, offset),
        }
    }

    fn name_thing(&self, id: BundleId, offset: i64) -> Named {
        let name = self.view.name(id);
        let from_symbol = offset.wrapping_sub(self.entry(id) as i64);
        let twin = self.twin(id);
        let patched = if self.is_patched { Some(id) } else { twin };
        let copied = patched.is_some_and(|id| *self.comparison.status(id) == Status::New);
        let shared = patched.filter(|_| twin.is_some() && !copied);
        let key = match shared {
            Some(BundleId(id)) => format!("shared {id}{offset:+}"),
            None => format!("only {} {}{offset:+}", self.is_patched, id.0),
        };
        let before = twin.map(|twin| self.other.name(twin));
        let note = match before {
            _ if !self.is_patched => None,
            None => Some("new".to_owned()),
            Some(_) if copied => Some("a new copy".to_owned()),
            Some(before) if before != name => Some(format!("{before} in the original")),
            Some(_) => None,
        };
        Named {
            note,
            ..symbol(name, from_symbol, key)
        }
    }

    /// Of a string only the content counts.
    fn name_string(&self, id: BundleId, offset: i64) -> Named {
        let bytes = self.view.bytes_of(id);
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|offset| bytes.get(offset..))
            .unwrap_or_default();
        let rest = rest.strip_suffix(b"\0").unwrap_or(rest);
        let text = String::from_utf8_lossy(&rest[..rest.len().min(4 * STRING_CHARS)]);
        Named {
            ink: Ink::String,
            text: quoted(&text),
            key: format!("string {offset:+} {:x}", self.contents.of(self.view, id)),
            note: None,
        }
    }

    /// A constant or code without a name: its bytes, and where it refers to something, how often.
    fn name_content(&self, id: BundleId, offset: i64) -> Named {
        let bytes = self.view.bytes_of(id);
        let refs = self.view.refs_of(id);
        let section = canonical(self.view.section_name(id), self.view.object.compiler);
        let is_plain = refs.is_empty() && bytes.len() <= CONSTANT_BYTES;
        let words = if is_plain && offset == 0 {
            let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{section}[{}]", digits.join(" "))
        } else {
            with_offset(&section, offset)
        };
        Named {
            ink: Ink::Symbol,
            text: words,
            key: format!(
                "content {} {offset:+} {:?} {:x}",
                refs.len(),
                self.view.bundles.get(id).kind,
                self.contents.of(self.view, id)
            ),
            note: None,
        }
    }

    /// Data that a macro or the compiler makes for each use: nothing but name and content matters.
    fn name_per_use(&self, id: BundleId, offset: i64) -> Named {
        let name = canonical(self.view.name(id), self.view.object.compiler);
        let content = match self.view.section_name(id) {
            // A line number is among the bytes.
            "__dyndbg" | "__verbose" => 0,
            _ => self.contents.of(self.view, id),
        };
        symbol(
            &name,
            offset,
            format!("per use {name}{offset:+} {content:x}"),
        )
    }

    fn twin(&self, id: BundleId) -> Option<BundleId> {
        if self.is_patched {
            self.twins.orig(id)
        } else {
            self.twins.patched(id)
        }
    }

    /// Bytes from the start of a bundle to its symbol: what stands before is padding.
    pub(super) fn entry(&self, id: BundleId) -> u64 {
        let bundle = self.view.bundles.get(id);
        bundle
            .owner
            .map_or(0, |owner| self.view.object.symbol(owner).value)
            .saturating_sub(bundle.start)
    }
}

fn symbol(name: &str, offset: i64, key: String) -> Named {
    Named {
        ink: Ink::Symbol,
        text: with_offset(name, offset),
        key,
        note: None,
    }
}

fn with_offset(name: &str, offset: i64) -> String {
    match offset {
        0 => name.to_owned(),
        1.. => format!("{name}+{offset:#x}"),
        _ => format!("{name}-{:#x}", offset.unsigned_abs()),
    }
}

fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(STRING_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}
