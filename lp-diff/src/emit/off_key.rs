//! A static key of the patch's own that is off for good, in the place of one that the kernel cannot find as it loads the
//! patch, see [`crate::special::keep`].

use super::pool::Pool;
use super::{Emitter, Spot};
use crate::reference::Ref;
use crate::special::Entry;
use crate::special::keep::key_bits;
use object::build::elf::Relocation;
use object::elf;

/// `struct static_key` (include/linux/jump_label.h): a count, and a pointer that the kernel sets to the entries.
const SIZE: u64 = 16;
const ALIGN: u64 = 8;
const SECTION: &str = ".data.lp_off_key";

impl Emitter<'_, '_> {
    pub(super) fn lay_out_off_key(&mut self) {
        if self.source.selection.off.is_empty() {
            return;
        }
        let pool = self.pools.len();
        self.pools.push(Pool {
            name: SECTION.to_owned(),
            kind: elf::SHT_PROGBITS.0,
            flags: elf::SHF_ALLOC.0 | elf::SHF_WRITE.0,
            link: None,
            align: ALIGN,
            entsize: 0,
            size: 0,
            data: Vec::new(),
            relocs: Vec::new(),
        });
        let offset = self.append(pool, &[], SIZE, ALIGN);
        self.off_key = Some(Spot { pool, offset });
    }

    /// Whether an entry is to have that key.
    pub(super) fn is_off(&self, entry: &Entry) -> bool {
        let off = &self.source.selection.off;
        off.contains(&(entry.section, entry.start))
    }

    /// Has the entry that begins at `start` refer to that key in the place of its own.
    pub(super) fn relocate_to_off_key(&mut self, own: &Ref, spot: Spot, start: u64) {
        let Some(key) = self.off_key else {
            return;
        };
        let addend = key.offset as i64 + key_bits(&own.target);
        self.pools[spot.pool].relocs.push(Relocation {
            r_offset: spot.offset + (own.offset - start),
            symbol: Some(self.section_symbols[key.pool]),
            r_type: elf::RelocationType(own.kind),
            r_addend: addend - i64::from(own.bias),
        });
    }
}
