//! The ELF note that carries the manifest: section `.note.livepatch`, owner `livepatch`, type 1.
//!
//! Notes are padded to 4 bytes, in 64-bit files too (the kernel and binutils agree on that for `SHT_NOTE` sections
//! aligned to 4). The bytes come from files and from `/sys/module/NAME/notes/`, so every size in them is a claim
//! that is checked before it is used. Little endian, as are all architectures we target.

use crate::manifest::{Manifest, ManifestError};
use thiserror::Error;

/// The section's name.
pub const NOTE_SECTION: &str = ".note.livepatch";
/// The owner's name in the note, without its final NUL.
pub const NOTE_OWNER: &str = "livepatch";
/// The note's type.
pub const NOTE_TYPE: u32 = 1;
/// The section's alignment.
pub const NOTE_ALIGN: usize = 4;

/// Why a section has no manifest to give.
#[derive(Debug, Error)]
pub enum NoteError {
    /// A header or a size goes beyond the section's end.
    #[error(
        "{NOTE_SECTION}: the note at offset {offset:#x} goes beyond the section's {size} bytes: the file is damaged"
    )]
    Truncated {
        /// Where the note starts.
        offset: usize,
        /// Bytes in the section.
        size: usize,
    },
    /// Notes, but none of ours.
    #[error(
        "{NOTE_SECTION} has no note of owner '{NOTE_OWNER}' and type {NOTE_TYPE}: the module was not built by lp-build"
    )]
    Missing,
    /// Two of ours, and no way to know which one is true.
    #[error("{NOTE_SECTION} has {0} manifests, one was expected")]
    Several(usize),
    /// The manifest itself is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// The section's bytes for a manifest.
pub fn encode(manifest: &Manifest) -> Result<Vec<u8>, ManifestError> {
    Ok(encode_desc(&manifest.to_json()?))
}

/// The manifest in a section's bytes.
pub fn decode(section: &[u8]) -> Result<Manifest, NoteError> {
    Ok(Manifest::from_json(decode_desc(section)?)?)
}

/// The section's bytes for any description. A description of 4 GiB or more does not occur: its size is cut.
pub fn encode_desc(desc: &[u8]) -> Vec<u8> {
    let namesz = NOTE_OWNER.len() + 1;
    let desc = &desc[..desc.len().min(u32::MAX as usize)];
    let mut note = Vec::with_capacity(12 + align(namesz) + align(desc.len()));
    for word in [namesz as u32, desc.len() as u32, NOTE_TYPE] {
        note.extend_from_slice(&word.to_le_bytes());
    }
    note.extend_from_slice(NOTE_OWNER.as_bytes());
    note.resize(12 + align(namesz), 0);
    note.extend_from_slice(desc);
    note.resize(align(note.len()), 0);
    note
}

/// The description of the one note of ours in a section's bytes.
pub fn decode_desc(section: &[u8]) -> Result<&[u8], NoteError> {
    let mut ours = Vec::new();
    let mut offset = 0;
    while offset < section.len() {
        let note = read_note(section, offset).ok_or(NoteError::Truncated {
            offset,
            size: section.len(),
        })?;
        if note.owner == NOTE_OWNER.as_bytes() && note.kind == NOTE_TYPE {
            ours.push(note.desc);
        }
        offset = note.end;
    }
    match ours[..] {
        [] => Err(NoteError::Missing),
        [desc] => Ok(desc),
        _ => Err(NoteError::Several(ours.len())),
    }
}

/// The description of the first note of any owner and type; none if there is none, or one before it is damaged.
pub fn find<'a>(section: &'a [u8], owner: &str, kind: u32) -> Option<&'a [u8]> {
    let mut offset = 0;
    while offset < section.len() {
        let note = read_note(section, offset)?;
        if note.owner == owner.as_bytes() && note.kind == kind {
            return Some(note.desc);
        }
        offset = note.end;
    }
    None
}

struct Note<'a> {
    owner: &'a [u8],
    kind: u32,
    desc: &'a [u8],
    end: usize,
}

fn read_note(section: &[u8], offset: usize) -> Option<Note<'_>> {
    let namesz = read_word(section, offset)? as usize;
    let descsz = read_word(section, offset.checked_add(4)?)? as usize;
    let kind = read_word(section, offset.checked_add(8)?)?;
    let name = offset.checked_add(12)?;
    let owner = section.get(name..name.checked_add(namesz)?)?;
    let desc = name.checked_add(checked_align(namesz)?)?;
    let end = desc.checked_add(descsz)?;
    Some(Note {
        owner: owner.strip_suffix(b"\0").unwrap_or(owner),
        kind,
        desc: section.get(desc..end)?,
        // The last note's padding may be missing from the section: what counts is that its bytes are there.
        end: desc.checked_add(checked_align(descsz)?)?,
    })
}

fn read_word(section: &[u8], offset: usize) -> Option<u32> {
    let bytes = section.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

fn align(size: usize) -> usize {
    size.next_multiple_of(NOTE_ALIGN)
}

fn checked_align(size: usize) -> Option<usize> {
    size.checked_next_multiple_of(NOTE_ALIGN)
}
