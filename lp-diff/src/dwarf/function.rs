//! Functions by place, and what is inlined in them there.
//!
//! The compiler writes a function that it inlined as a tree: which function, from which line it was called, which code
//! stands for it. At a place of the code the functions open in that tree are what a stack trace would show. The
//! tempting wrong way is to take the line table's file for the function: a header's line says nothing of who called.

use super::DebugInfo;
use super::line::SourcePlace;
use super::scope::{Kind, Scopes};
use crate::object::SectionId;
use std::collections::BTreeMap;

/// A function that is open at a place of the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its name in the source.
    pub function: String,
    /// Where it is declared.
    pub declared: Option<SourcePlace>,
    /// Where it was called from, if it is inlined here.
    pub call: Option<SourcePlace>,
}

/// The functions of an object by place: (start, end, node) in each section, by start.
#[derive(Debug)]
pub(super) struct Functions(BTreeMap<SectionId, Vec<(u64, u64, u32)>>);

impl Functions {
    pub(super) fn read<'o>(debug: &DebugInfo<'o>, scopes: &Scopes<'o>) -> Self {
        let mut functions: BTreeMap<SectionId, Vec<(u64, u64, u32)>> = BTreeMap::new();
        for (id, node) in (0u32..).zip(&scopes.nodes) {
            if node.kind != Kind::Function {
                continue;
            }
            for (section, start, end) in scopes.ranges(debug, id) {
                functions.entry(section).or_default().push((start, end, id));
            }
        }
        functions.values_mut().for_each(|list| list.sort_unstable());
        Self(functions)
    }

    fn at(&self, section: SectionId, offset: u64) -> Option<u32> {
        let list = self.0.get(&section)?;
        let after = list.partition_point(|(start, ..)| *start <= offset);
        let (_, end, node) = *list[..after].last()?;
        (offset < end).then_some(node)
    }
}

impl DebugInfo<'_> {
    /// The functions open at an offset of a section: first the innermost inlined one, last the one that the code
    /// belongs to. Empty where the debug information knows no function.
    pub fn frames(&self, section: SectionId, offset: u64) -> Vec<Frame> {
        let scopes = self.scopes();
        let Some(function) = self.functions().at(section, offset) else {
            return Vec::new();
        };
        let frame = |node: u32| {
            let origin = scopes.origin(node);
            Some(Frame {
                function: scopes.name(self, origin)?,
                declared: scopes.declared(self, origin),
                call: scopes.call(self, node),
            })
        };
        let mut frames: Vec<Frame> = frame(function).into_iter().collect();
        let mut next = function + 1;
        let mut end = scopes.nodes[function as usize].end;
        while next < end {
            let node = &scopes.nodes[next as usize];
            let ranges = scopes.ranges(self, next);
            let is_here = ranges
                .iter()
                .any(|(here, from, to)| *here == section && (*from..*to).contains(&offset));
            if is_here {
                // Nothing outside it can be open, too.
                end = node.end;
                frames.extend((node.kind == Kind::Inlined).then(|| frame(next)).flatten());
            }
            // What nests in something that is elsewhere is elsewhere; a block without places says nothing.
            next = if is_here || ranges.is_empty() {
                next + 1
            } else {
                node.end
            };
        }
        frames.reverse();
        frames
    }

    /// Where the function that holds an offset of a section is declared, inlined ones aside.
    pub fn function_at(&self, section: SectionId, offset: u64) -> Option<Frame> {
        self.frames(section, offset).pop()
    }
}
