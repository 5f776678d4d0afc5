//! Compressed sections (`SHF_COMPRESSED`): what they unpack to.
//!
//! A kernel with `CONFIG_DEBUG_INFO_COMPRESSED_*` has compressed debug sections in its objects, whose relocations count
//! from the start of the unpacked bytes. The tempting wrong way is to unpack as the object is parsed: most diffs never
//! read a debug section.

use crate::object::{Section, SectionId};
use object::elf::{self, CompressionHeader64};
use object::read::{CompressedData, CompressionFormat};
use object::{Endianness, pod};
use std::sync::OnceLock;

/// The largest section that is unpacked, in bytes: a header can promise anything.
const LIMIT: u64 = 512 << 20;

/// The compressed sections of an object, each unpacked when first asked for.
#[derive(Debug, Default)]
pub(crate) struct Packed(Vec<(SectionId, OnceLock<Option<Vec<u8>>>)>);

impl Packed {
    /// Notes which sections are compressed.
    pub(crate) fn of<'d>(sections: impl Iterator<Item = (SectionId, Section<'d>)>) -> Self {
        let packed = sections.filter(|(_, section)| section.is_compressed());
        Self(packed.map(|(id, _)| (id, OnceLock::new())).collect())
    }

    /// What a section unpacks to; `None` where it is damaged, too large, or not compressed.
    pub(crate) fn unpack(
        &self,
        id: SectionId,
        section: Section<'_>,
        endian: Endianness,
    ) -> Option<&[u8]> {
        let at = self.0.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        let unpack = || Some(compressed(section, endian)?.decompress().ok()?.into_owned());
        self.0[at].1.get_or_init(unpack).as_deref()
    }
}

/// The size in bytes that a section has once unpacked; `None` where nothing can be unpacked.
pub(crate) fn unpacked_size(section: Section<'_>, endian: Endianness) -> Option<u64> {
    Some(compressed(section, endian)?.uncompressed_size)
}

fn compressed<'d>(section: Section<'d>, endian: Endianness) -> Option<CompressedData<'d>> {
    if !section.is_compressed() {
        return None;
    }
    let (header, data) = pod::from_bytes::<CompressionHeader64<Endianness>>(section.data).ok()?;
    let format = match header.ch_type.get(endian) {
        elf::ELFCOMPRESS_ZLIB => CompressionFormat::Zlib,
        elf::ELFCOMPRESS_ZSTD => CompressionFormat::Zstandard,
        _ => return None,
    };
    let found = CompressedData {
        format,
        data,
        uncompressed_size: header.ch_size.get(endian),
    };
    (found.uncompressed_size <= LIMIT && is_plausible(&found)).then_some(found)
}

/// Whether a section can unpack to what it promises: room for that much is made before the first byte is unpacked.
/// Debug information packs to a half or a tenth.
pub(crate) fn is_plausible(packed: &CompressedData<'_>) -> bool {
    const MOST: u64 = 256;
    packed.uncompressed_size <= MOST * (packed.data.len() as u64 + 1)
}
