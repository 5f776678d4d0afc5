//! Reads a unit into the table: which entries are kept, and what of their attributes.

use super::{Entry, NONE, is_qualifier, reference};
use crate::dwarf::{DebugInfo, Reader};
use gimli::{AttributeValue, DwAt, DwTag, Operation, UnitOffset, constants as dw};

/// The entries of a unit that are kept, in its order.
pub(super) fn entries<'o>(
    info: &DebugInfo<'o>,
    unit: &gimli::Unit<Reader<'o>>,
) -> gimli::Result<Vec<Entry<'o>>> {
    let mut table = Table {
        info,
        unit,
        entries: Vec::new(),
        open: Vec::new(),
    };
    table.read()?;
    Ok(table.entries)
}

/// The table while it is read.
struct Table<'t, 'o> {
    info: &'t DebugInfo<'o>,
    unit: &'t gimli::Unit<Reader<'o>>,
    entries: Vec<Entry<'o>>,
    /// For each level of the tree: the entry that is open there, if it is kept.
    open: Vec<Option<u32>>,
}

impl<'o> Table<'_, 'o> {
    fn read(&mut self) -> gimli::Result<()> {
        let mut raw = self.unit.entries_raw(None)?;
        while !raw.is_empty() {
            let offset =
                u32::try_from(raw.next_offset().0).map_err(|_| gimli::Error::UnsupportedOffset)?;
            let depth = raw.next_depth().max(0) as usize;
            let Some(abbrev) = raw.read_abbreviation()? else {
                self.close(depth.saturating_sub(1));
                continue;
            };
            self.close(depth);
            if !self.is_kept(abbrev.tag(), depth) {
                raw.skip_attributes(abbrev.attributes())?;
                self.open.push(None);
                continue;
            }
            let mut draft = Draft::new(abbrev.tag(), offset, self.scope());
            for spec in abbrev.attributes() {
                if is_read(spec.name()) {
                    let attr = raw.read_attribute_inline(*spec)?;
                    draft.set(self, attr.name(), attr.value());
                } else {
                    raw.skip_attributes(std::slice::from_ref(spec))?;
                }
            }
            let mut entry = draft.finish();
            if entry.tag == dw::DW_TAG_variable && depth > 1 {
                // Of a function's variables the static ones count.
                if entry.place.is_none() {
                    self.open.push(None);
                    continue;
                }
                self.borrow_type(&mut entry);
            }
            self.open.push(Some(self.entries.len() as u32));
            self.entries.push(entry);
        }
        self.close(0);
        Ok(())
    }

    /// A copy of a static local has its type where the function is declared, which is not kept.
    fn borrow_type(&self, entry: &mut Entry<'o>) {
        let Ok(origin) = self.unit.entry(UnitOffset(entry.origin as usize)) else {
            return;
        };
        if entry.target == NONE
            && let Some(value) = origin.attr_value(dw::DW_AT_type)
        {
            entry.target = reference(self.unit, &value).unwrap_or(NONE);
        }
    }

    /// Ends the entries that are open at this level of the tree and below.
    fn close(&mut self, depth: usize) {
        let end = self.entries.len() as u32;
        while self.open.len() > depth {
            if let Some(Some(index)) = self.open.pop() {
                self.entries[index as usize].end = end;
            }
        }
    }

    /// The function that is open, as its index + 1.
    fn scope(&self) -> u32 {
        let function = self
            .open
            .iter()
            .flatten()
            .copied()
            .find(|index| self.entries[*index as usize].tag == dw::DW_TAG_subprogram);
        function.map_or(NONE, |index| index + 1)
    }

    fn is_kept(&self, tag: DwTag, depth: usize) -> bool {
        match tag {
            dw::DW_TAG_structure_type
            | dw::DW_TAG_union_type
            | dw::DW_TAG_enumeration_type
            | dw::DW_TAG_enumerator
            | dw::DW_TAG_member
            | dw::DW_TAG_typedef
            | dw::DW_TAG_pointer_type
            | dw::DW_TAG_array_type
            | dw::DW_TAG_subrange_type
            | dw::DW_TAG_base_type
            | dw::DW_TAG_subroutine_type
            | dw::DW_TAG_unspecified_type => true,
            dw::DW_TAG_variable => true,
            dw::DW_TAG_subprogram => depth == 1,
            // Parameters of a body's blocks are those of inlined functions.
            dw::DW_TAG_formal_parameter | dw::DW_TAG_unspecified_parameters => {
                self.open.last().is_some_and(Option::is_some)
            }
            tag => is_qualifier(tag),
        }
    }

    fn text(&self, value: AttributeValue<Reader<'o>>) -> &'o str {
        let text = self.info.dwarf().attr_string(self.unit, value);
        let bytes = text.map_or(&[][..], |text| text.inner().slice());
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

fn is_read(name: DwAt) -> bool {
    matches!(
        name,
        dw::DW_AT_name
            | dw::DW_AT_byte_size
            | dw::DW_AT_bit_size
            | dw::DW_AT_bit_offset
            | dw::DW_AT_data_bit_offset
            | dw::DW_AT_data_member_location
            | dw::DW_AT_const_value
            | dw::DW_AT_upper_bound
            | dw::DW_AT_count
            | dw::DW_AT_type
            | dw::DW_AT_abstract_origin
            | dw::DW_AT_specification
            | dw::DW_AT_location
            | dw::DW_AT_low_pc
            | dw::DW_AT_ranges
            | dw::DW_AT_decl_file
            | dw::DW_AT_decl_line
            | dw::DW_AT_declaration
            | dw::DW_AT_external
    )
}

/// An entry while its attributes are read, in whatever order they come.
struct Draft<'o> {
    entry: Entry<'o>,
    location: Option<u64>,
    data_bit_offset: Option<u64>,
    /// DWARF 2 and 3: bits from the most significant end of the storage unit.
    big_endian_offset: Option<u64>,
}

impl<'o> Draft<'o> {
    fn new(tag: DwTag, offset: u32, scope: u32) -> Self {
        let entry = Entry {
            tag,
            name: "",
            size: None,
            place: None,
            bits: None,
            line: (0, 0),
            declaration: false,
            external: false,
            offset,
            target: NONE,
            origin: NONE,
            end: 0,
            scope,
        };
        Self {
            entry,
            location: None,
            data_bit_offset: None,
            big_endian_offset: None,
        }
    }

    fn set(&mut self, table: &Table<'_, 'o>, name: DwAt, value: AttributeValue<Reader<'o>>) {
        let entry = &mut self.entry;
        let small = |value: &AttributeValue<Reader<'o>>| {
            value
                .udata_value()
                .and_then(|value| u32::try_from(value).ok())
        };
        match name {
            dw::DW_AT_name => entry.name = table.text(value),
            dw::DW_AT_byte_size => entry.size = value.udata_value(),
            // Negative ones are kept as their two's complement.
            dw::DW_AT_const_value => {
                entry.size = value
                    .sdata_value()
                    .map(|value| value as u64)
                    .or(value.udata_value());
            }
            dw::DW_AT_count => entry.size = value.udata_value(),
            dw::DW_AT_upper_bound => {
                // gcc writes the bound of `[0]` as -1, in the width of a long.
                entry.size = value
                    .udata_value()
                    .or(value.sdata_value().map(|bound| bound as u64))
                    .map(|bound| bound.wrapping_add(1));
            }
            dw::DW_AT_bit_size => entry.bits = small(&value),
            dw::DW_AT_bit_offset => self.big_endian_offset = value.udata_value(),
            dw::DW_AT_data_bit_offset => self.data_bit_offset = value.udata_value(),
            dw::DW_AT_data_member_location => self.location = member_location(&value, table.unit),
            dw::DW_AT_type => entry.target = reference(table.unit, &value).unwrap_or(NONE),
            dw::DW_AT_abstract_origin | dw::DW_AT_specification => {
                entry.origin = reference(table.unit, &value).unwrap_or(NONE);
            }
            dw::DW_AT_location if entry.tag == dw::DW_TAG_variable => {
                entry.place = fixed_address(table, &value);
            }
            dw::DW_AT_low_pc => {
                let address = table.info.dwarf().attr_address(table.unit, value);
                entry.place = address.ok().flatten().or(entry.place);
            }
            // The first range is the function, the others are its cold parts.
            dw::DW_AT_ranges if entry.tag == dw::DW_TAG_subprogram => {
                entry.place = first_range(table, value).or(entry.place);
            }
            dw::DW_AT_decl_file => {
                if let AttributeValue::FileIndex(file) = value {
                    entry.line.0 = u32::try_from(file).unwrap_or(0);
                }
            }
            dw::DW_AT_decl_line => entry.line.1 = small(&value).unwrap_or(0),
            dw::DW_AT_declaration => entry.declaration = is_set(&value),
            dw::DW_AT_external => entry.external = is_set(&value),
            _ => {}
        }
    }

    fn finish(self) -> Entry<'o> {
        let mut entry = self.entry;
        if entry.tag == dw::DW_TAG_member {
            let start = self.location.unwrap_or(0).saturating_mul(8);
            let storage = entry.size.unwrap_or(4).saturating_mul(8);
            let bits = u64::from(entry.bits.unwrap_or(0));
            let inside = match (self.data_bit_offset, self.big_endian_offset) {
                (Some(offset), _) => offset,
                (None, Some(offset)) => storage.wrapping_sub(offset).wrapping_sub(bits),
                (None, None) => 0,
            };
            entry.place = Some(start.wrapping_add(inside));
        }
        entry
    }
}

fn is_set(value: &AttributeValue<Reader<'_>>) -> bool {
    matches!(value, AttributeValue::Flag(true))
}

/// A constant, or in DWARF 2 and 3 an expression that adds one.
fn member_location(
    value: &AttributeValue<Reader<'_>>,
    unit: &gimli::Unit<Reader<'_>>,
) -> Option<u64> {
    let AttributeValue::Exprloc(expression) = value else {
        return value.udata_value();
    };
    match expression
        .clone()
        .operations(unit.encoding())
        .next()
        .ok()??
    {
        Operation::PlusConstant { value } => Some(value),
        _ => None,
    }
}

fn fixed_address(table: &Table<'_, '_>, value: &AttributeValue<Reader<'_>>) -> Option<u64> {
    let AttributeValue::Exprloc(expression) = value else {
        return None;
    };
    let mut operations = expression.clone().operations(table.unit.encoding());
    match operations.next().ok()?? {
        Operation::Address { address } => Some(address),
        Operation::AddressIndex { index } => table.info.dwarf().address(table.unit, index).ok(),
        _ => None,
    }
}

fn first_range<'o>(table: &Table<'_, 'o>, value: AttributeValue<Reader<'o>>) -> Option<u64> {
    let dwarf = table.info.dwarf();
    let mut ranges = dwarf.attr_ranges(table.unit, value).ok()??;
    ranges.next().ok()?.map(|range| range.begin)
}
