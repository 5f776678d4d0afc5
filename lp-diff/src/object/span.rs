//! Where something is in a file, in half the bytes that ELF needs to say it: no object has 4 GiB.

use super::{ParseError, out_of_bounds};
use object::Endianness;
use object::elf::SectionHeader64;
use object::pod::{self, Pod};
use object::read::elf::SectionHeader;

/// A range of a file's bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) offset: u32,
    pub(super) len: u32,
}

impl Span {
    /// The bytes of a section, which must be there; none for SHT_NOBITS.
    pub(super) fn of(
        header: &SectionHeader64<Endianness>,
        (endian, data): (Endianness, &[u8]),
    ) -> Result<Self, ParseError> {
        // It says whether they are there.
        header.data(endian, data)?;
        let (offset, len) = header.file_range(endian).unwrap_or_default();
        match (u32::try_from(offset), u32::try_from(len)) {
            (Ok(offset), Ok(len)) => Ok(Self { offset, len }),
            _ => Err(out_of_bounds("it has more than 4 GiB".to_owned())),
        }
    }

    pub(super) fn end(self) -> usize {
        self.offset as usize + self.len as usize
    }

    /// The bytes; none where the file is shorter.
    #[inline]
    pub(super) fn bytes(self, data: &[u8]) -> &[u8] {
        data.get(self.offset as usize..self.end())
            .unwrap_or_default()
    }

    /// The same as a list of entries; `None` where that many bytes are no such list.
    #[inline]
    pub(super) fn array<T: Pod>(self, data: &[u8]) -> Option<&[T]> {
        let bytes = self.bytes(data);
        let count = bytes.len() / size_of::<T>();
        let (list, rest) = pod::slice_from_bytes(bytes, count).ok()?;
        rest.is_empty().then_some(list)
    }

    /// The same as a string table.
    pub(super) fn text(self, data: &[u8]) -> Result<&str, ParseError> {
        let damaged = |_| ParseError::Name(format!("the string table at {:#x}", self.offset));
        std::str::from_utf8(self.bytes(data)).map_err(damaged)
    }
}
