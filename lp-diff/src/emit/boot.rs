//! Loads of variables in the place of constants that the kernel writes as it boots, see [`crate::special::boot`].

use super::Emitter;
use object::build::elf::Relocation;
use object::elf;

impl Emitter<'_, '_> {
    pub(super) fn write_loads(&mut self) {
        let selection = self.source.selection;
        for (id, load) in &selection.loads {
            let Some(spot) = self.spots.get(id).copied() else {
                continue;
            };
            let symbol = self.outer(load.variable.clone(), false);
            let start = spot.offset + load.start;
            let pool = &mut self.pools[spot.pool];
            let room = start as usize..start as usize + load.bytes.len();
            if let Some(bytes) = pool.data.get_mut(room) {
                bytes.copy_from_slice(&load.bytes);
            }
            pool.relocs.push(Relocation {
                r_offset: start + u64::from(load.field),
                symbol: Some(symbol),
                r_type: elf::RelocationType(self.source.arch.data_kind()),
                r_addend: -load.value - i64::from(load.bias),
            });
        }
    }
}
