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

impl Look {
    /// Whether it found that the pair is the same, whatever others are.
    fn is_settled(&self) -> bool {
        self.own.is_none() && self.rest.is_none() && self.needs.is_empty()
    }
}

const NONE: u32 = u32::MAX;

/// All pairs that were looked at.
#[derive(Debug, Default)]
pub(super) struct Sameness {
    pairs: Vec<Pair>,
    /// Index of the first pair of each patched bundle, and of all others: most are in one pair, with their twins.
    first: Vec<u32>,
    others: HashMap<Pair, u32>,
    /// By index of the pair; of most there is nothing to say.
    looks: Vec<(u32, Look)>,
    differs: Vec<bool>,
}

impl Sameness {
    /// Looks at these pairs and at all that they need.
    pub(super) fn of(roots: impl Iterator<Item = Pair>, look: impl Fn(Pair) -> Look) -> Self {
        let mut all = Self::default();
        for root in roots {
            all.add(root);
        }
        let mut next = 0;
        while let Some(pair) = all.pairs.get(next).copied() {
            let found = look(pair);
            for (needed, _) in &found.needs {
                all.add(*needed);
            }
            if !found.is_settled() {
                all.looks.push((next as u32, found));
            }
            next += 1;
        }
        all
    }

    fn add(&mut self, pair: Pair) {
        if self.index(pair).is_some() {
            return;
        }
        let (index, patched) = (self.pairs.len() as u32, pair.1.0 as usize);
        if self.first.len() <= patched {
            self.first.resize(patched + 1, NONE);
        }
        if self.first[patched] == NONE {
            self.first[patched] = index;
        } else {
            self.others.insert(pair, index);
        }
        self.pairs.push(pair);
    }

    fn index(&self, pair: Pair) -> Option<u32> {
        let first = *self.first.get(pair.1.0 as usize)?;
        match self.pairs.get(first as usize) {
            Some(known) if *known == pair => Some(first),
            _ => self.others.get(&pair).copied(),
        }
    }

    /// Decides all pairs. Where `excused` says so, a pair's own difference does not count.
    pub(super) fn settle(&mut self, excused: impl Fn(Pair) -> bool) {
        // (needed, user)
        let mut users: Vec<(u32, u32)> = Vec::new();
        self.differs = vec![false; self.pairs.len()];
        let mut work: Vec<u32> = Vec::new();
        for (user, look) in &self.looks {
            let needed = look.needs.iter();
            let needed = needed.filter_map(|(needed, _)| self.index(*needed));
            users.extend(needed.map(|needed| (needed, *user)));
            let pair = self.pairs[*user as usize];
            if look.rest.is_some() || (look.own.is_some() && !excused(pair)) {
                self.differs[*user as usize] = true;
                work.push(*user);
            }
        }
        users.sort_unstable();
        while let Some(index) = work.pop() {
            let first = users.partition_point(|(needed, _)| *needed < index);
            for (_, user) in users[first..]
                .iter()
                .take_while(|(needed, _)| *needed == index)
            {
                if !std::mem::replace(&mut self.differs[*user as usize], true) {
                    work.push(*user);
                }
            }
        }
    }

    /// The pairs of which something was found, in a fixed order.
    pub(super) fn looks(&self) -> impl Iterator<Item = (Pair, &Look)> {
        let looks = self.looks.iter();
        looks.map(|(index, look)| (self.pairs[*index as usize], look))
    }

    /// Whether a pair says the same. One that was never looked at does not.
    pub(super) fn is_same(&self, pair: Pair) -> bool {
        self.index(pair)
            .is_some_and(|index| !self.differs[index as usize])
    }

    /// The first thing found to differ in a pair that is not the same.
    pub(super) fn reason(&self, pair: Pair) -> Option<Reason> {
        let index = self.index(pair)?;
        let at = self.looks.binary_search_by_key(&index, |(index, _)| *index);
        let (_, look) = at.ok().map(|at| &self.looks[at])?;
        if !self.differs[index as usize] {
            return None;
        }
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
