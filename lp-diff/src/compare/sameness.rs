//! Which pairs of pieces say the same, all the way down.
//!
//! A pair is the same if its own bytes are and if each pair that it needs is: what has no name of its own is compared
//! wherever it is referred to, and such things refer to each other, in circles too. So all pairs are looked at once,
//! each by itself, and then what differs is carried back to those that need it. What is left over is the same. The
//! tempting wrong way is to compare by recursion: a long chain of tables overflows the stack, and a table with many
//! users is compared many times.

use super::Reason;
use crate::bundle::BundleId;
use std::collections::HashMap;

/// An original bundle and a patched one.
pub(super) type Pair = (BundleId, BundleId);

/// What a look at one pair finds.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// The first difference in bytes, size or flags.
    pub(super) own: Option<Reason>,
    /// The first other difference that no further pair can settle.
    pub(super) rest: Option<Reason>,
    /// The pairs that must be the same besides, with what to say where one is not.
    pub(super) needs: Vec<(Pair, Reason)>,
}

/// All pairs that were looked at.
#[derive(Debug, Default)]
pub(super) struct Sameness {
    index: HashMap<Pair, u32>,
    pairs: Vec<Pair>,
    looks: Vec<Look>,
    differs: Vec<bool>,
}

impl Sameness {
    /// Looks at these pairs and at all that they need.
    pub(super) fn of(roots: impl Iterator<Item = Pair>, look: impl Fn(Pair) -> Look) -> Self {
        let mut all = Self::default();
        for root in roots {
            all.add(root);
        }
        while let Some(pair) = all.pairs.get(all.looks.len()).copied() {
            let found = look(pair);
            for (needed, _) in &found.needs {
                all.add(*needed);
            }
            all.looks.push(found);
        }
        all
    }

    fn add(&mut self, pair: Pair) {
        let pairs = &mut self.pairs;
        self.index.entry(pair).or_insert_with(|| {
            pairs.push(pair);
            pairs.len() as u32 - 1
        });
    }

    /// Decides all pairs. Where `excused` says so, a pair's own difference does not count.
    pub(super) fn settle(&mut self, excused: impl Fn(Pair) -> bool) {
        let mut users: Vec<Vec<u32>> = vec![Vec::new(); self.pairs.len()];
        for (user, look) in (0..).zip(&self.looks) {
            for (needed, _) in &look.needs {
                users[self.index[needed] as usize].push(user);
            }
        }
        let differs = |(pair, look): (&Pair, &Look)| {
            look.rest.is_some() || (look.own.is_some() && !excused(*pair))
        };
        self.differs = self.pairs.iter().zip(&self.looks).map(differs).collect();
        let mut work: Vec<u32> = (0..)
            .zip(&self.differs)
            .filter(|(_, differs)| **differs)
            .map(|(index, _)| index)
            .collect();
        while let Some(index) = work.pop() {
            for user in std::mem::take(&mut users[index as usize]) {
                if !std::mem::replace(&mut self.differs[user as usize], true) {
                    work.push(user);
                }
            }
        }
    }

    /// The pairs with what was found in each, in a fixed order.
    pub(super) fn looks(&self) -> impl Iterator<Item = (Pair, &Look)> {
        self.pairs.iter().copied().zip(&self.looks)
    }

    /// Whether a pair says the same. One that was never looked at does not.
    pub(super) fn is_same(&self, pair: Pair) -> bool {
        self.index
            .get(&pair)
            .is_some_and(|index| !self.differs[*index as usize])
    }

    /// The first thing found to differ in a pair that is not the same.
    pub(super) fn reason(&self, pair: Pair) -> Option<Reason> {
        let index = *self.index.get(&pair)? as usize;
        let look = self.looks.get(index).filter(|_| self.differs[index])?;
        let needed = || {
            let mut needs = look.needs.iter();
            needs.find(|(needed, _)| !self.is_same(*needed))
        };
        look.own
            .clone()
            .or_else(|| needed().map(|(_, reason)| reason.clone()))
            .or_else(|| look.rest.clone())
    }
}
