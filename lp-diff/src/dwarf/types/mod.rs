//! The types of one compilation unit, and the variables and functions that use them, as one flat table.
//!
//! The whole unit is read once, in order, and of each entry only what a comparison needs is kept: 64 bytes, children right
//! after their parent. The tempting wrong way is a tree of boxed types: types refer to each other in circles, and a
//! kernel object has hundreds of thousands of entries. Bodies of functions are not kept: what a function uses is read
//! again for the few functions that changed, see [`Types::used_by`].

mod read;
mod spell;

use super::{DebugInfo, Reader};
use gimli::{AttributeValue, DwTag, UnitOffset, constants as dw};
use std::collections::{BTreeSet, HashMap};

/// Index of an entry in the table of its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(u32);

/// One debugging information entry.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'o> {
    /// Its tag.
    pub tag: DwTag,
    /// Its name; empty where it has none.
    pub name: &'o str,
    /// Bytes of a type, elements of an array's dimension, the value of an enumerator.
    pub size: Option<u64>,
    /// Of a member: bits from the start of the aggregate. Of a function or variable: its address.
    pub place: Option<u64>,
    /// Bits of a bit-field.
    pub bits: Option<u32>,
    /// Index of the source file in the unit's line table, and the line.
    pub line: (u32, u32),
    /// Declared here, defined elsewhere.
    pub declaration: bool,
    /// Seen by other units.
    pub external: bool,
    offset: u32,
    target: u32,
    origin: u32,
    end: u32,
    scope: u32,
}

/// What an aggregate is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeName<'o> {
    /// `struct`, `union`, `enum`, or nothing for a typedef of an aggregate without a name.
    pub keyword: &'static str,
    /// The name after it.
    pub name: &'o str,
    /// The function that declares it; empty for the whole unit.
    pub scope: &'o str,
}

/// All that is kept of one unit.
#[derive(Debug)]
pub struct Types<'o> {
    entries: Vec<Entry<'o>>,
    named: HashMap<TypeName<'o>, TypeId>,
    /// Variables of the unit's own scope by name.
    variables: HashMap<&'o str, TypeId>,
    /// Functions by name; the definition if there is one.
    functions: HashMap<&'o str, TypeId>,
    by_address: HashMap<u64, TypeId>,
}

/// No entry: 0 is the unit's header, where none can be.
const NONE: u32 = 0;

impl<'o> Types<'o> {
    /// Reads a unit.
    ///
    /// # Errors
    /// Where its bytes are no DWARF, or it is larger than 4 GB.
    pub fn read(info: &DebugInfo<'o>, unit: &gimli::Unit<Reader<'o>>) -> gimli::Result<Self> {
        Ok(Self::index(read::entries(info, unit)?))
    }

    fn index(entries: Vec<Entry<'o>>) -> Self {
        let mut types = Self {
            entries,
            named: HashMap::new(),
            variables: HashMap::new(),
            functions: HashMap::new(),
            by_address: HashMap::new(),
        };
        for id in (0..types.entries.len() as u32).map(TypeId) {
            let entry = *types.get(id);
            let placed = matches!(entry.tag, dw::DW_TAG_subprogram | dw::DW_TAG_variable);
            if let (true, Some(address)) = (placed, entry.place) {
                types.by_address.insert(address, id);
            }
            if entry.tag == dw::DW_TAG_variable && entry.scope != NONE {
                continue;
            }
            let known = match entry.tag {
                dw::DW_TAG_variable => types.variables.get_mut(entry.name),
                dw::DW_TAG_subprogram => types.functions.get_mut(types.origin_name(id)),
                _ => match types.known_as(Some(id)) {
                    Some(name) => types.named.get_mut(&name),
                    None => continue,
                },
            };
            let better = |old: &Entry<'_>| {
                (old.declaration && !entry.declaration)
                    || (old.place.is_none() && entry.place.is_some())
            };
            match known {
                Some(known) if better(&types.entries[known.0 as usize]) => *known = id,
                Some(_) => {}
                None => types.add(id),
            }
        }
        types
    }

    fn add(&mut self, id: TypeId) {
        let entry = self.get(id);
        let name = entry.name;
        match entry.tag {
            dw::DW_TAG_variable => drop(self.variables.insert(name, id)),
            dw::DW_TAG_subprogram => drop(self.functions.insert(self.origin_name(id), id)),
            _ => {
                if let Some(name) = self.known_as(Some(id)) {
                    self.named.insert(name, id);
                }
            }
        }
    }

    fn origin_name(&self, id: TypeId) -> &'o str {
        let entry = self.get(id);
        match self.find(entry.origin) {
            Some(origin) if entry.name.is_empty() => self.get(origin).name,
            _ => entry.name,
        }
    }

    /// The name of an entry, or of what it is a copy of.
    pub fn name(&self, id: TypeId) -> &'o str {
        self.origin_name(id)
    }

    /// An entry.
    pub fn get(&self, id: TypeId) -> &Entry<'o> {
        &self.entries[id.0 as usize]
    }

    /// All entries.
    pub fn ids(&self) -> impl Iterator<Item = TypeId> + use<> {
        (0..self.entries.len() as u32).map(TypeId)
    }

    /// The entries directly below one.
    pub fn children(&self, id: TypeId) -> impl Iterator<Item = TypeId> {
        let end = self.get(id).end;
        let mut next = id.0 + 1;
        std::iter::from_fn(move || {
            let child = (next < end).then_some(TypeId(next))?;
            next = self.get(child).end.max(next + 1);
            Some(child)
        })
    }

    /// The members of an aggregate, or the enumerators of an enum.
    pub fn members(&self, id: TypeId) -> impl Iterator<Item = TypeId> {
        self.children(id).filter(|child| {
            matches!(
                self.get(*child).tag,
                dw::DW_TAG_member | dw::DW_TAG_enumerator
            )
        })
    }

    /// The type that an entry names: of a variable, a member, what a pointer points to, what a function returns. `None`
    /// is `void`.
    pub fn target(&self, id: TypeId) -> Option<TypeId> {
        let entry = self.get(id);
        if entry.target == NONE {
            return self
                .find(entry.origin)
                .and_then(|origin| self.find(self.get(origin).target));
        }
        self.find(entry.target)
    }

    fn find(&self, offset: u32) -> Option<TypeId> {
        let at = self
            .entries
            .binary_search_by_key(&offset, |entry| entry.offset);
        at.ok().map(|at| TypeId(at as u32))
    }

    /// A type without its qualifiers.
    pub fn unqualified(&self, id: Option<TypeId>) -> Option<TypeId> {
        self.strip(id, is_qualifier)
    }

    /// A type without its qualifiers and typedefs.
    pub fn bare(&self, id: Option<TypeId>) -> Option<TypeId> {
        self.strip(id, |tag| is_qualifier(tag) || tag == dw::DW_TAG_typedef)
    }

    fn strip(&self, mut id: Option<TypeId>, wanted: impl Fn(DwTag) -> bool) -> Option<TypeId> {
        // A circle of typedefs is no C, but bytes can say so.
        for _ in 0..64 {
            match id.filter(|id| wanted(self.get(*id).tag)) {
                Some(inner) => id = self.target(inner),
                None => return id,
            }
        }
        None
    }

    /// The name that the layout of this type is known by, wherever it is used: a tag, or the typedef of an aggregate
    /// without one.
    pub fn known_as(&self, id: Option<TypeId>) -> Option<TypeName<'o>> {
        let entry = self.get(id?);
        let keyword = match entry.tag {
            dw::DW_TAG_typedef => {
                let inner = self.unqualified(self.target(id?))?;
                let inner = self.get(inner);
                let anonymous = keyword(inner.tag).is_some() && inner.name.is_empty();
                anonymous.then_some("")
            }
            tag => keyword(tag),
        };
        let scope = match entry.scope {
            NONE => "",
            scope => self.origin_name(TypeId(scope - 1)),
        };
        (!entry.name.is_empty()).then_some(TypeName {
            keyword: keyword?,
            name: entry.name,
            scope,
        })
    }

    /// The aggregate behind a name, through the typedef if it has no tag of its own.
    pub fn aggregate(&self, id: TypeId) -> Option<TypeId> {
        let bare = self.bare(Some(id))?;
        keyword(self.get(bare).tag).map(|_| bare)
    }

    /// The type of this name.
    pub fn named(&self, name: &TypeName<'_>) -> Option<TypeId> {
        self.named.get(name).copied()
    }

    /// The variable of the unit's own scope of this name.
    pub fn variable(&self, name: &str) -> Option<TypeId> {
        self.variables.get(name).copied()
    }

    /// The function of this name, or what is declared of it.
    pub fn function(&self, name: &str) -> Option<TypeId> {
        self.functions.get(name).copied()
    }

    /// The function or static variable that begins at an address.
    pub fn at(&self, address: u64) -> Option<TypeId> {
        self.by_address.get(&address).copied()
    }

    /// The entry that says most of a function: that of which this is a compiled copy.
    pub fn origin(&self, id: TypeId) -> TypeId {
        self.find(self.get(id).origin).unwrap_or(id)
    }

    /// The size of a type in bytes; `None` where it has none, as a flexible array.
    pub fn size_of(&self, id: Option<TypeId>) -> Option<u64> {
        let mut factor: u64 = 1;
        let mut id = id?;
        for _ in 0..64 {
            let entry = self.get(id);
            match entry.tag {
                _ if entry.size.is_some() => return factor.checked_mul(entry.size?),
                dw::DW_TAG_pointer_type => return factor.checked_mul(8),
                dw::DW_TAG_array_type => {
                    for count in self.dimensions(id) {
                        factor = factor.checked_mul(count?)?;
                    }
                    id = self.target(id)?;
                }
                dw::DW_TAG_typedef => id = self.target(id)?,
                tag if is_qualifier(tag) => id = self.target(id)?,
                _ => return None,
            }
        }
        None
    }

    /// The elements of each dimension of an array; `None` where it has no bound.
    pub fn dimensions(&self, id: TypeId) -> impl Iterator<Item = Option<u64>> {
        self.children(id)
            .map(|child| self.get(child))
            .filter(|entry| entry.tag == dw::DW_TAG_subrange_type)
            .map(|entry| entry.size)
    }

    /// The types that the body of a function names: of parameters and variables, its own and those of what is inlined
    /// into it.
    pub fn used_by(
        &self,
        unit: &gimli::Unit<Reader<'o>>,
        function: TypeId,
    ) -> gimli::Result<Vec<TypeId>> {
        let mut types = Vec::new();
        let mut known = BTreeSet::new();
        let mut waiting = vec![self.get(function).offset];
        while let Some(offset) = waiting.pop() {
            if known.insert(offset) {
                self.read_body(unit, offset, &mut types, &mut waiting)?;
            }
        }
        types.sort_unstable();
        types.dedup();
        Ok(types
            .into_iter()
            .filter_map(|offset| self.find(offset))
            .collect())
    }

    fn read_body(
        &self,
        unit: &gimli::Unit<Reader<'o>>,
        offset: u32,
        types: &mut Vec<u32>,
        origins: &mut Vec<u32>,
    ) -> gimli::Result<()> {
        let mut entries = unit.entries_raw(Some(UnitOffset(offset as usize)))?;
        let depth = entries.next_depth();
        loop {
            if let Some(abbrev) = entries.read_abbreviation()? {
                for spec in abbrev.attributes() {
                    let attr = entries.read_attribute_inline(*spec)?;
                    match attr.name() {
                        dw::DW_AT_type => types.extend(reference(unit, &attr.value())),
                        dw::DW_AT_abstract_origin | dw::DW_AT_specification
                            if abbrev.tag() != dw::DW_TAG_call_site =>
                        {
                            origins.extend(reference(unit, &attr.value()));
                        }
                        _ => {}
                    }
                }
            }
            if entries.next_depth() <= depth || entries.is_empty() {
                return Ok(());
            }
        }
    }
}

fn is_qualifier(tag: DwTag) -> bool {
    matches!(
        tag,
        dw::DW_TAG_const_type
            | dw::DW_TAG_volatile_type
            | dw::DW_TAG_restrict_type
            | dw::DW_TAG_atomic_type
    )
}

fn keyword(tag: DwTag) -> Option<&'static str> {
    match tag {
        dw::DW_TAG_structure_type => Some("struct"),
        dw::DW_TAG_union_type => Some("union"),
        dw::DW_TAG_enumeration_type => Some("enum"),
        _ => None,
    }
}

/// The offset in the unit that an attribute refers to.
fn reference(unit: &gimli::Unit<Reader<'_>>, value: &AttributeValue<Reader<'_>>) -> Option<u32> {
    let offset = match value {
        AttributeValue::UnitRef(offset) => *offset,
        AttributeValue::DebugInfoRef(offset) => offset.to_unit_offset(&unit.header)?,
        _ => return None,
    };
    u32::try_from(offset.0).ok()
}
