//! Where our sections went in the running binary.
//!
//! A section of ours (one function or datum, as a rule) is somewhere as a whole, so one number per section says
//! where all in it is. It is taken from names first and from references of functions that are certain; whoever
//! disagrees later is the one that is wrong. The tempting wrong way is to believe any reference: what is there must
//! have the name, or for nameless constants the content, of what we have.

use super::content;
use super::orig::{Definition, Kind, Orig};
use super::symbols::Place;
use super::target::Target;
use super::unit::Unit;
use object::elf;
use std::collections::HashMap;

/// The places of our sections, and whether a function or a source file vouches for each.
pub(super) struct Places<'a> {
    orig: &'a Orig<'a>,
    target: &'a Target,
    bases: HashMap<usize, (Place, bool)>,
}

impl<'a> Places<'a> {
    /// Starts with the sections whose symbols' names leave no choice.
    pub(super) fn seed(orig: &'a Orig<'a>, target: &'a Target, unit: &Unit<'_>) -> Self {
        let mut claims: HashMap<usize, Vec<Place>> = HashMap::new();
        for definition in orig
            .definitions
            .iter()
            .filter(|definition| definition.bind != elf::STB_WEAK)
        {
            if let [only] = unit.candidates(definition)[..] {
                let base = only.place.minus(definition.offset as i64);
                claims.entry(definition.section).or_default().push(base);
            }
        }
        let mut places = Self {
            orig,
            target,
            bases: HashMap::new(),
        };
        for (section, claimed) in claims {
            let first = claimed.first().copied();
            if let Some(base) = first.filter(|base| claimed.iter().all(|other| other == base)) {
                places.learn(section, base, unit.is_certain());
            }
        }
        places
    }

    /// Whether a section can be here, as far as is known.
    pub(super) fn agrees(&self, section: usize, base: Place) -> bool {
        match self.bases.get(&section) {
            Some(&(known, _)) => known == base,
            None => self.is_possible(section, base),
        }
    }

    /// Notes where a section is; the caller has asked whether that agrees.
    pub(super) fn learn(&mut self, section: usize, base: Place, certain: bool) {
        if self.agrees(section, base) {
            let known = self.bases.entry(section).or_insert((base, false));
            known.1 |= certain;
        }
    }

    /// What the result says: for each definition whose place is certain its index and the address, or the index of
    /// the module's symbol.
    pub(super) fn certain(&self) -> HashMap<usize, u64> {
        let place = |definition: &Definition<'_>| {
            let &(base, certain) = self.bases.get(&definition.section)?;
            let place = base.plus(definition.offset);
            let symbol = self
                .target
                .symbols
                .named_at(definition.name, place)
                .filter(|_| certain)?;
            Some((
                definition.index,
                if self.target.is_module() {
                    symbol.into()
                } else {
                    place.offset
                },
            ))
        };
        self.orig.definitions.iter().filter_map(place).collect()
    }

    /// Whether what is there can be our section: every name is there; nameless constants by content.
    fn is_possible(&self, section: usize, base: Place) -> bool {
        let named = |definition: &&Definition<'_>| definition.section == section;
        let definitions: Vec<_> = self.orig.definitions.iter().filter(named).collect();
        let there = |definition: &&&Definition<'_>| {
            let place = base.plus(definition.offset);
            self.target
                .symbols
                .named_at(definition.name, place)
                .is_some()
        };
        // A weak one may have lost to another file's, but not all there is.
        let lost =
            |definition: &&&Definition<'_>| definition.bind == elf::STB_WEAK && !there(definition);
        let found = definitions.iter().filter(there).count();
        let missing = definitions.len() - found - definitions.iter().filter(lost).count();
        missing == 0
            && (found > 0 || definitions.is_empty())
            && self.has_content(section, base, found == 0)
    }

    /// What has a name is known by it, constants must have their content too.
    fn has_content(&self, section: usize, base: Place, nameless: bool) -> bool {
        let Some(ours) = self.orig.sections.get(section) else {
            return false;
        };
        let expected = match ours.kind {
            Kind::Constant => nameless || ours.name.starts_with(b".rodata"),
            Kind::Place => false,
            Kind::Strings | Kind::Entries(_) | Kind::NotLoaded => return false,
        };
        // Its content is written after the link, by resolve_btfids.
        !expected
            || ours.name == b".BTF_ids"
            || content::is_there(self.orig, self.target, section, base)
    }
}
