//! The tree of what nests in functions: blocks, inlined functions, variables; a skeleton of `.debug_info`.
//!
//! It is built in one walk that passes over types and everything else. What an entry says beyond its place (its name,
//! its line) is read from the entry when asked for. The tempting wrong way is recursion: how deep a tree is, the file
//! decides.

use super::folder::Folders;
use super::line::SourcePlace;
use super::{DebugInfo, Reader};
use crate::object::SectionId;
use gimli::{
    Attribute, AttributeValue, DebugInfoOffset, EntriesRaw, Operation, RangeListsOffset, Unit,
    UnitOffset, constants as dw,
};
use std::sync::OnceLock;

/// Entries that an origin or specification may lead through before it is taken for a circle.
const HOPS: usize = 16;

/// Ranges of one list that are read: many nodes of a damaged file could share a long one.
const RANGES: usize = 4096;

/// What a node of the tree stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `DW_TAG_subprogram`.
    Function,
    /// `DW_TAG_inlined_subroutine`.
    Inlined,
    /// `DW_TAG_lexical_block`.
    Block,
    /// `DW_TAG_variable`.
    Variable,
}

/// Where the code or the datum of a node is, as virtual addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bounds {
    /// Nowhere: an abstract function, a declaration.
    None,
    /// A datum at a fixed address.
    At(u64),
    /// `DW_AT_low_pc` to `DW_AT_high_pc`.
    Code(u64, u64),
    /// `DW_AT_ranges`.
    Ranges(RangeListsOffset<usize>),
}

/// A node of the tree, in the order of `.debug_info`: what nests in it follows up to `end`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    /// What it stands for.
    pub(super) kind: Kind,
    /// The unit it is in, by number.
    unit: u32,
    /// Its entry in the unit.
    entry: UnitOffset<usize>,
    /// The node that it nests in.
    pub(super) parent: Option<u32>,
    /// The node after the last one that nests in it.
    pub(super) end: u32,
    bounds: Bounds,
}

/// An entry of `.debug_info`: unit number and place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryId(u32, usize);

/// The tree of all units.
#[derive(Debug, Default)]
pub(super) struct Scopes<'o> {
    units: Vec<Unit<Reader<'o>>>,
    /// By unit; read when a file is first named.
    folders: Vec<OnceLock<Folders>>,
    pub(super) nodes: Vec<Node>,
}

impl<'o> Scopes<'o> {
    /// Walks all units. A damaged unit counts as far as it can be read.
    pub(super) fn read(debug: &DebugInfo<'o>) -> Self {
        let mut scopes = Self::default();
        let mut headers = debug.dwarf().units();
        while let Ok(Some(header)) = headers.next() {
            if let Ok(unit) = debug.dwarf().unit(header) {
                let mut open = Vec::new();
                // What was read before the damage is kept.
                let _ = scopes.walk(debug, &unit, &mut open);
                for (_, node) in open {
                    scopes.nodes[node as usize].end = scopes.nodes.len() as u32;
                }
                scopes.units.push(unit);
                scopes.folders.push(OnceLock::new());
            }
        }
        scopes
    }

    /// `open` are the nodes that are not closed yet, with their depths.
    fn walk(
        &mut self,
        debug: &DebugInfo<'o>,
        unit: &Unit<Reader<'o>>,
        open: &mut Vec<(isize, u32)>,
    ) -> gimli::Result<()> {
        let mut entries = unit.entries_raw(None)?;
        while !entries.is_empty() {
            let (depth, entry) = (entries.next_depth(), entries.next_offset());
            let Some(abbreviation) = entries.read_abbreviation()? else {
                continue;
            };
            while let Some((_, node)) = open.pop_if(|(above, _)| *above >= depth) {
                self.nodes[node as usize].end = self.nodes.len() as u32;
            }
            let Some(kind) = kind(abbreviation.tag()) else {
                entries.skip_attributes(abbreviation.attributes())?;
                continue;
            };
            let bounds = bounds(debug, unit, &mut entries, abbreviation.attributes())?;
            let parent = open.last().map(|(_, node)| *node);
            if kind == Kind::Variable && parent.is_none() && bounds == Bounds::None {
                continue;
            }
            let id = self.nodes.len() as u32;
            self.nodes.push(Node {
                kind,
                unit: self.units.len() as u32,
                entry,
                parent,
                end: id + 1,
                bounds,
            });
            open.push((depth, id));
        }
        Ok(())
    }

    /// The node of an entry, if it is one.
    pub(super) fn node(&self, id: EntryId) -> Option<u32> {
        let key = |node: &Node| (node.unit, node.entry.0);
        let at = self.nodes.binary_search_by_key(&(id.0, id.1), key).ok()?;
        Some(at as u32)
    }

    /// What a node's code covers, as places of one section each.
    pub(super) fn ranges(&self, debug: &DebugInfo<'o>, node: u32) -> Vec<(SectionId, u64, u64)> {
        let node = &self.nodes[node as usize];
        let mut found = Vec::new();
        let mut add = |start: u64, end: u64| {
            if let (Some((section, start)), Some((same, end))) =
                (debug.place(start), debug.place(end))
                && section == same
                && start < end
            {
                found.push((section, start, end));
            }
        };
        match node.bounds {
            Bounds::Code(start, end) => add(start, end),
            Bounds::Ranges(offset) => {
                let unit = &self.units[node.unit as usize];
                if let Ok(mut ranges) = debug.dwarf().ranges(unit, offset) {
                    let read = std::iter::from_fn(|| ranges.next().ok().flatten());
                    read.take(RANGES)
                        .for_each(|range| add(range.begin, range.end));
                }
            }
            Bounds::None | Bounds::At(_) => {}
        }
        found
    }

    /// Where a variable is, if that is fixed.
    pub(super) fn address(&self, node: u32) -> Option<u64> {
        match self.nodes[node as usize].bounds {
            Bounds::At(address) => Some(address),
            _ => None,
        }
    }

    /// The entry that a node is an instance of in the end: of a function that is inlined in many places, the one that
    /// says what it is.
    pub(super) fn origin(&self, node: u32) -> EntryId {
        let node = &self.nodes[node as usize];
        self.chain(EntryId(node.unit, node.entry.0))
            .last()
            .unwrap_or(EntryId(node.unit, node.entry.0))
    }

    /// An entry's name, its own or its origin's.
    pub(super) fn name(&self, debug: &DebugInfo<'o>, id: EntryId) -> Option<String> {
        let (_, unit, value) = self.attribute(id, dw::DW_AT_name)?;
        let text = debug.dwarf().attr_string(unit, value).ok()?;
        Some(String::from_utf8_lossy(text.inner().slice()).into_owned())
    }

    /// The name of an entry's type: `*` for each pointer and `[]` for each array that leads to what has a name.
    pub(super) fn type_name(&self, debug: &DebugInfo<'o>, id: EntryId) -> String {
        let mut text = String::new();
        let mut next = self.type_of(id);
        for _ in 0..HOPS {
            let Some(id) = next else { break };
            let entry = self.units.get(id.0 as usize);
            let entry = entry.and_then(|unit| unit.entry(UnitOffset(id.1)).ok());
            match entry.map(|entry| entry.tag()) {
                Some(dw::DW_TAG_pointer_type) => text.push('*'),
                Some(dw::DW_TAG_array_type) => text.push_str("[]"),
                _ => {}
            }
            if let Some(name) = self.name(debug, id) {
                text.push_str(&name);
                break;
            }
            next = self.type_of(id);
        }
        text
    }

    fn type_of(&self, id: EntryId) -> Option<EntryId> {
        let (at, _, value) = self.attribute(id, dw::DW_AT_type)?;
        self.refer(at, value)
    }

    /// Where an entry, or its origin, is declared.
    pub(super) fn declared(&self, debug: &DebugInfo<'o>, id: EntryId) -> Option<SourcePlace> {
        self.source(debug, id, dw::DW_AT_decl_file, dw::DW_AT_decl_line)
    }

    /// Where the call is that an inlined function stands for.
    pub(super) fn call(&self, debug: &DebugInfo<'o>, node: u32) -> Option<SourcePlace> {
        let node = &self.nodes[node as usize];
        let id = EntryId(node.unit, node.entry.0);
        self.source(debug, id, dw::DW_AT_call_file, dw::DW_AT_call_line)
    }

    fn source(
        &self,
        debug: &DebugInfo<'o>,
        id: EntryId,
        file: dw::DwAt,
        line: dw::DwAt,
    ) -> Option<SourcePlace> {
        let (at, unit, file) = self.attribute(id, file)?;
        let file = match file {
            AttributeValue::FileIndex(index) => index,
            other => other.udata_value()?,
        };
        let (.., line) = self.attribute(id, line)?;
        let header = unit.line_program.as_ref()?.header();
        let dwarf = debug.dwarf();
        let folders = self.folders.get(at as usize)?;
        let folders = folders.get_or_init(|| Folders::of(dwarf, header));
        let (_, file) = folders.file(dwarf, header, file)?;
        Some(SourcePlace {
            file,
            line: u32::try_from(line.udata_value()?).ok()?,
        })
    }

    /// The first value of an attribute on the way from an entry to its origin, with the unit that says it.
    fn attribute(
        &self,
        id: EntryId,
        name: dw::DwAt,
    ) -> Option<(u32, &Unit<Reader<'o>>, AttributeValue<Reader<'o>>)> {
        self.chain(id).find_map(|id| {
            let unit = self.units.get(id.0 as usize)?;
            let value = unit.entry(UnitOffset(id.1)).ok()?.attr_value(name)?;
            Some((id.0, unit, value))
        })
    }

    /// An entry, what it is an instance or the definition of, and so on.
    fn chain(&self, id: EntryId) -> impl Iterator<Item = EntryId> {
        std::iter::successors(Some(id), |id| self.next_in_chain(*id)).take(HOPS)
    }

    fn next_in_chain(&self, id: EntryId) -> Option<EntryId> {
        let unit = self.units.get(id.0 as usize)?;
        let entry = unit.entry(UnitOffset(id.1)).ok()?;
        let value = entry
            .attr_value(dw::DW_AT_abstract_origin)
            .or_else(|| entry.attr_value(dw::DW_AT_specification))?;
        self.refer(id.0, value)
    }

    /// The entry that an attribute of a unit refers to.
    fn refer(&self, unit: u32, value: AttributeValue<Reader<'o>>) -> Option<EntryId> {
        match value {
            AttributeValue::UnitRef(offset) => Some(EntryId(unit, offset.0)),
            AttributeValue::DebugInfoRef(offset) => self.find(offset),
            _ => None,
        }
    }

    fn find(&self, offset: DebugInfoOffset<usize>) -> Option<EntryId> {
        let start = |unit: &Unit<_>| unit.header.debug_info_offset().map_or(0, |start| start.0);
        let after = self.units.partition_point(|unit| start(unit) <= offset.0);
        let unit = after.checked_sub(1)?;
        Some(EntryId(unit as u32, offset.0 - start(&self.units[unit])))
    }
}

fn kind(tag: dw::DwTag) -> Option<Kind> {
    match tag {
        dw::DW_TAG_subprogram => Some(Kind::Function),
        dw::DW_TAG_inlined_subroutine => Some(Kind::Inlined),
        dw::DW_TAG_lexical_block => Some(Kind::Block),
        dw::DW_TAG_variable => Some(Kind::Variable),
        _ => None,
    }
}

/// Reads an entry's attributes for where it is.
fn bounds<'o>(
    debug: &DebugInfo<'o>,
    unit: &Unit<Reader<'o>>,
    entries: &mut EntriesRaw<'_, Reader<'o>>,
    specs: &[gimli::AttributeSpecification],
) -> gimli::Result<Bounds> {
    let (mut low, mut high, mut bounds) = (None, None, Bounds::None);
    for spec in specs {
        let attribute: Attribute<_> = entries.read_attribute(*spec)?;
        let value = attribute.value();
        match attribute.name() {
            dw::DW_AT_low_pc => low = debug.dwarf().attr_address(unit, value)?,
            dw::DW_AT_high_pc => high = Some(value),
            dw::DW_AT_ranges => {
                let ranges = debug.dwarf().attr_ranges_offset(unit, value)?;
                bounds = ranges.map_or(bounds, Bounds::Ranges);
            }
            dw::DW_AT_location => {
                bounds = fixed(debug, unit, value).map_or(bounds, Bounds::At);
            }
            _ => {}
        }
    }
    if let (Some(low), Some(high)) = (low, high) {
        let end = match high.udata_value() {
            Some(size) => low.checked_add(size),
            None => debug.dwarf().attr_address(unit, high)?,
        };
        bounds = end.map_or(bounds, |end| Bounds::Code(low, end));
    }
    Ok(bounds)
}

/// The address of a location that is nothing but an address.
fn fixed<'o>(
    debug: &DebugInfo<'o>,
    unit: &Unit<Reader<'o>>,
    location: AttributeValue<Reader<'o>>,
) -> Option<u64> {
    let AttributeValue::Exprloc(expression) = location else {
        return None;
    };
    let mut operations = expression.operations(unit.encoding());
    let address = match operations.next().ok()?? {
        Operation::Address { address } => Some(address),
        Operation::AddressIndex { index } => debug.dwarf().address(unit, index).ok(),
        _ => None,
    };
    operations.next().ok()?.is_none().then_some(address)?
}
