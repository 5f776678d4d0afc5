//! The unwind table of the output (`.eh_frame`): the entries about what is kept, each behind its common part.

use super::{Emitter, Spot};
use crate::process::unwind::{Record, Unwinding};
use crate::refusal::{Refusal, RefusalCode};
use std::collections::BTreeMap;

impl Emitter<'_, '_> {
    /// Puts the entries of all functions in; those of a function whose code grew would end too early.
    pub(super) fn lay_out_unwinding(&mut self) {
        if !self.source.flavour.is_process() {
            return;
        }
        let view = self.source.view;
        let unwinding = Unwinding::read(view);
        let mut cies: BTreeMap<Record, Spot> = BTreeMap::new();
        let kept: Vec<_> = self.spots.keys().copied().collect();
        for id in kept {
            let bundle = view.bundles.get(id);
            if !view.object.section(bundle.section).is_exec() {
                continue;
            }
            let fdes = unwinding.of(id);
            let name = view.name(id);
            let refusal = if self.stubs.contains_key(&id) {
                Some((
                    RefusalCode::ShortBranch,
                    "a short branch goes into another function of the same section, and the unwind table cannot tell about the jump that would take its place: take the function out of its section",
                ))
            } else if fdes.iter().any(|fde| fde.lands) {
                Some((
                    RefusalCode::LandingPads,
                    "it has landing pads (C++ exceptions, or __attribute__((cleanup)) with -fexceptions), and the runtime that throws does not know the patch: move what changes into a function without",
                ))
            } else if fdes.is_empty() {
                Some((
                    RefusalCode::NoUnwind,
                    "it has no entry in .eh_frame, so nobody could tell whether the patch is on a stack: compile it with -fasynchronous-unwind-tables, or give assembly its .cfi directives",
                ))
            } else {
                None
            };
            if let Some((code, message)) = refusal {
                self.refusals.push(Refusal::new(code, name, message));
                continue;
            }
            for fde in fdes.iter().copied() {
                let cie = match cies.get(&fde.cie) {
                    Some(spot) => *spot,
                    None => self.append_record(fde.cie),
                };
                cies.insert(fde.cie, cie);
                let spot = self.append_record(fde.record);
                self.point_back(spot, cie);
                self.unwinding.push((fde.record, spot));
            }
        }
    }

    fn append_record(&mut self, record: Record) -> Spot {
        let view = self.source.view;
        let pool = match self.pool_of.get(&(record.section, None)) {
            Some(pool) => *pool,
            None => {
                let pool = self.new_pool(record.section, ".eh_frame".to_owned());
                self.pool_of.insert((record.section, None), pool);
                pool
            }
        };
        let section = view.object.section(record.section);
        let bytes = section.bytes(record.start, record.start + record.len);
        // Compilers pad each record to a word, so that nothing lies between them: four zero bytes would end the list.
        let offset = self.append(pool, bytes, 0, 1);
        Spot { pool, offset }
    }

    /// The word behind the length is the distance from itself to the common part.
    fn point_back(&mut self, fde: Spot, cie: Spot) {
        let field = fde.offset + 4;
        let distance = (field - cie.offset) as u32;
        let at = field as usize..field as usize + 4;
        if let Some(bytes) = self.pools[fde.pool].data.get_mut(at) {
            bytes.copy_from_slice(&distance.to_le_bytes());
        }
    }

    pub(super) fn relocate_unwinding(&mut self) {
        let view = self.source.view;
        for (record, spot) in std::mem::take(&mut self.unwinding) {
            let end = record.start + record.len;
            for reference in view.refs_in(record.section, record.start, end) {
                self.relocate_one(&reference, spot, record.start, None);
            }
        }
    }
}
