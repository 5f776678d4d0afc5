//! `.eh_frame`: which of its entries (FDEs) are about what, so that each function that goes into a patch takes its own
//! along. Without one nobody could unwind a stack with patched code on it, and the patch could never be removed.
//!
//! The layout is that of the LSB (Linux Standard Base Core, "DWARF Extensions"): records of a length, a distance to
//! their common part (CIE) or 0 if they are one, and the rest. The first relocation of an FDE is its function, a second
//! one its table of landing pads, which needs the C++ runtime to know the patch. The tempting wrong way is to keep the
//! section whole: it refers to every function of the file.

use crate::bundle::BundleId;
use crate::object::SectionId;
use crate::reference::{Target, View};
use std::collections::BTreeMap;

/// One record of the section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Its section.
    pub section: SectionId,
    /// Offset of its length field.
    pub start: u64,
    /// Bytes, the length field included.
    pub len: u64,
}

/// An entry about code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fde {
    /// Where it is.
    pub record: Record,
    /// Its common part.
    pub cie: Record,
    /// Whether it has a table of landing pads or names a personality routine.
    pub lands: bool,
}

/// The entries of an object by what they are about.
#[derive(Debug, Default)]
pub struct Unwinding {
    fdes: BTreeMap<BundleId, Vec<Fde>>,
}

impl Unwinding {
    /// Reads the section; what cannot be read is as if it were not there, so that its functions are without entries.
    pub fn read(view: &View<'_>) -> Self {
        let mut unwinding = Self::default();
        for (id, section) in view.object.sections() {
            if section.name() != ".eh_frame" {
                continue;
            }
            let mut cies: BTreeMap<u64, Record> = BTreeMap::new();
            let mut at = 0;
            while let Some((record, back)) = read_record(section.data, id, at) {
                at = record.start + record.len;
                let refs = view.refs_in(id, record.start, at);
                if back == 0 {
                    cies.insert(record.start, record);
                    continue;
                }
                let cie = (record.start + 4).checked_sub(back.into());
                let Some(cie) = cie.and_then(|start| cies.get(&start)).copied() else {
                    continue;
                };
                let named = view.refs_in(id, cie.start, cie.start + cie.len);
                if let Some(Target::Bundle { id: about, .. }) =
                    refs.clone().next().map(|one| one.target)
                {
                    unwinding.fdes.entry(about).or_default().push(Fde {
                        record,
                        cie,
                        lands: refs.len() > 1 || !named.is_empty(),
                    });
                }
            }
        }
        unwinding
    }

    /// The entries about a bundle.
    pub fn of(&self, bundle: BundleId) -> &[Fde] {
        self.fdes.get(&bundle).map_or(&[], Vec::as_slice)
    }
}

/// The record at an offset and the distance that it gives; none at the end, or where the section is not what it should be.
fn read_record(data: &[u8], section: SectionId, start: u64) -> Option<(Record, u32)> {
    let word = |at: u64| {
        let at = usize::try_from(at).ok()?;
        let bytes = data.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let length = word(start)?;
    // Zero ends the list, all ones begin the 64-bit form, which no compiler writes here.
    if length < 4 || length == u32::MAX {
        return None;
    }
    let len = u64::from(length) + 4;
    let end = start.checked_add(len)?;
    (end <= data.len() as u64).then_some((
        Record {
            section,
            start,
            len,
        },
        word(start + 4)?,
    ))
}
