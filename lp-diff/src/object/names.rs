//! Names in a string table, each found again where it is asked for.

use super::{Header, ParseError, Span, out_of_bounds};
use object::read::elf::SectionTable;
use object::{Endianness, SectionIndex};
use std::ffi::CStr;

/// A name that was checked when the object was read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Name<'d> {
    /// From its first byte on; it ends with the first NUL.
    rest: &'d str,
}

impl<'d> Name<'d> {
    /// The one that begins at an offset of a string table.
    pub(super) fn at(strings: &'d str, offset: u32) -> Self {
        Self {
            rest: strings.get(offset as usize..).unwrap_or_default(),
        }
    }

    #[inline]
    pub(super) fn text(self) -> &'d str {
        let text = CStr::from_bytes_until_nul(self.rest.as_bytes());
        let len = text.map_or(0, CStr::count_bytes);
        self.rest.get(..len).unwrap_or_default()
    }
}

/// Where a string table is; nowhere for section 0.
pub(super) fn strings(
    table: &SectionTable<'_, Header>,
    index: SectionIndex,
    (endian, data): (Endianness, &[u8]),
) -> Result<Span, ParseError> {
    let span = match index.0 {
        0 => Span::default(),
        _ => Span::of(table.section(index)?, (endian, data))?,
    };
    span.text(data).map(|_| span)
}

/// Checks names. Many may share their end in the string table, but not so many that a small file could ask for any
/// amount of work.
pub(super) struct Names {
    /// Bytes that may still be read.
    left: usize,
}

impl Names {
    pub(super) fn of(data: &[u8]) -> Self {
        Self {
            left: data.len().saturating_mul(16),
        }
    }

    pub(super) fn check<'d>(
        &mut self,
        bytes: &'d [u8],
        what: impl Fn() -> String,
    ) -> Result<&'d str, ParseError> {
        self.left = self
            .left
            .checked_sub(bytes.len())
            .ok_or_else(|| out_of_bounds("its names overlap".to_owned()))?;
        std::str::from_utf8(bytes).map_err(|_| ParseError::Name(what()))
    }
}
