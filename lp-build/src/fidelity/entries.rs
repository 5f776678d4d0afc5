//! A program or library as [`lp_klp::entry`] sees it: its code, and its symbols.

use super::symbols::Symbols;
use super::target::Target;
use lp_klp::entry::{Branches, Object, Symbol};
use object::elf;
use std::ops::Range;

impl Target {
    /// Where its direct branches lead.
    pub fn branches(&self) -> Branches {
        let functions = self.symbols().filter(|symbol| symbol.function);
        let mut starts: Vec<u64> = functions.map(|symbol| symbol.value).collect();
        starts.sort_unstable();
        Branches::of(&self.pieces(), &starts)
    }
}

impl Object for Target {
    fn code(&self, range: Range<u64>) -> Option<Vec<u8>> {
        Self::code(self, range.start, range.end.checked_sub(range.start)?)
    }

    fn symbols(&self) -> impl Iterator<Item = Symbol<'_>> {
        let symbols: &Symbols = &self.symbols;
        symbols.placed().filter_map(|(index, symbol)| {
            let place = symbol.place.filter(|place| place.section == 0)?;
            let kind = symbol.info.st_type();
            Some(Symbol {
                name: symbols.name(index),
                value: place.offset,
                size: symbol.size,
                function: [elf::STT_FUNC, elf::STT_GNU_IFUNC].contains(&kind),
            })
        })
    }
}
