//! Which function of the running binary each of ours is, when all of them must agree.
//!
//! A function that equals exactly one candidate is settled, and tells where the locals it refers to are; that may
//! leave others with one candidate. Round by round until nothing changes. What still has several equals is
//! reproduced, but we cannot say where it is. The tempting wrong way is to let each function pick its first match.

use super::compare::{self, Difference, Matched, Theirs};
use super::describe;
use super::orig::{Function, Orig};
use super::places::Places;
use super::symbols::Place;
use super::target::Target;
use super::unit::{Candidate, Unit};
use super::{Fidelity, FidelityError, FunctionFidelity, OldCode, Verdict};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// What is known of a function.
enum State {
    Absent(String),
    /// It is weak, and another file's definition is used.
    Overridden,
    Differs(Candidate, Difference),
    /// It equals each of these.
    Open(Vec<(Candidate, Matched)>),
    Settled(Candidate, Matched),
}

/// Compares all functions and settles what can be.
pub(super) fn solve(
    orig: &Orig<'_>,
    source: &str,
    target: &Target,
) -> Result<Fidelity, FidelityError> {
    let unit = Unit::find(orig, source, target);
    let mut solver = Solver {
        orig,
        target,
        places: Places::seed(orig, target, &unit),
        states: Vec::new(),
    };
    solver.states = orig
        .functions
        .iter()
        .map(|function| solver.first_state(function, &unit, source))
        .collect();
    while solver.settle_round() {}
    solver.check_insides();
    let functions = orig
        .functions
        .iter()
        .zip(&solver.states)
        .map(|(function, state)| solver.result(function, state));
    Ok(Fidelity {
        functions: functions.collect(),
        places: solver.places.certain(),
    })
}

struct Solver<'a> {
    orig: &'a Orig<'a>,
    target: &'a Target,
    places: Places<'a>,
    states: Vec<State>,
}

impl Solver<'_> {
    /// Compares a function with each of its candidates.
    fn first_state(&self, function: &Function, unit: &Unit<'_>, source: &str) -> State {
        let Some(definition) = self.orig.definition(function) else {
            return State::Absent("it has no name".to_owned());
        };
        if unit.is_overridden(definition) {
            return State::Overridden;
        }
        let mut matches = Vec::new();
        let mut difference = None;
        for candidate in unit.candidates(definition) {
            match self.compare(function, candidate) {
                Ok(matched) => matches.push((candidate, matched)),
                Err(found) => difference = farthest(difference, (candidate, found)),
            }
        }
        match difference {
            Some((candidate, difference)) if matches.is_empty() => {
                State::Differs(candidate, difference)
            }
            None if matches.is_empty() => State::Absent(format!(
                "the running binary has no function of this name from {source}"
            )),
            _ => State::Open(matches),
        }
    }

    fn compare(&self, function: &Function, candidate: Candidate) -> Result<Matched, Difference> {
        let nothing = Difference { ours: 0, theirs: 0 };
        let theirs = Theirs::read(self.target, candidate.place, candidate.size).ok_or(nothing)?;
        compare::compare(self.orig, function, self.target, &theirs)
    }

    /// Settles every function that has one candidate left; whether there was one.
    fn settle_round(&mut self) -> bool {
        let mut changed = false;
        for index in 0..self.states.len() {
            let Some((function, state)) = self
                .orig
                .functions
                .get(index)
                .zip(self.states.get_mut(index))
            else {
                break;
            };
            let State::Open(matches) = state else {
                continue;
            };
            let matches = std::mem::take(matches);
            let (state, settled) = self.narrow(function, matches);
            changed |= settled;
            if let Some(slot) = self.states.get_mut(index) {
                *slot = state;
            }
        }
        changed
    }

    /// Drops the candidates that disagree with what is known, and says whether the function is decided by that.
    fn narrow(&mut self, function: &Function, matches: Vec<(Candidate, Matched)>) -> (State, bool) {
        let mut agreeing = Vec::new();
        let mut difference = None;
        for (candidate, matched) in matches {
            match self.disagreement(function, candidate, &matched) {
                None => agreeing.push((candidate, matched)),
                Some(found) => difference = farthest(difference, (candidate, found)),
            }
        }
        match (agreeing.len(), difference) {
            (0, Some((candidate, difference))) => (State::Differs(candidate, difference), true),
            (1, _) => match agreeing.pop() {
                Some((candidate, matched)) => {
                    self.adopt(function, candidate, &matched);
                    (State::Settled(candidate, matched), true)
                }
                None => (State::Open(agreeing), false),
            },
            _ => (State::Open(agreeing), false),
        }
    }

    /// The first thing in a match that cannot be, after all that is known.
    fn disagreement(
        &self,
        function: &Function,
        candidate: Candidate,
        matched: &Matched,
    ) -> Option<Difference> {
        let own = candidate.place.minus(function.offset as i64);
        if !self.places.agrees(function.section, own) {
            return Some(Difference { ours: 0, theirs: 0 });
        }
        let mut bases: HashMap<usize, Place> = HashMap::from([(function.section, own)]);
        let wrong = matched.references.iter().find(|reference| {
            if let Some(inside) = self.inside(reference.section, reference.offset, reference.theirs)
            {
                return !inside;
            }
            let base = reference.theirs.minus(reference.offset);
            *bases.entry(reference.section).or_insert(base) != base
                || !self.places.agrees(reference.section, base)
        })?;
        Some(Difference {
            ours: wrong.at,
            theirs: compare::map(&matched.offsets, wrong.at),
        })
    }

    /// For a reference into the inside of a function: whether it goes to the same instruction there.
    fn inside(&self, section: usize, offset: i64, theirs: Place) -> Option<bool> {
        let offset = u64::try_from(offset).ok()?;
        let index = self.orig.function_inside(section, offset)?;
        let function = self.orig.functions.get(index)?;
        let same = |candidate: &Candidate, matched: &Matched| {
            candidate
                .place
                .plus(compare::map(&matched.offsets, offset - function.offset))
                == theirs
        };
        Some(match self.states.get(index)? {
            State::Settled(candidate, matched) => same(candidate, matched),
            State::Open(matches) if !matches.is_empty() => matches
                .iter()
                .any(|(candidate, matched)| same(candidate, matched)),
            // It is the function that differs, not the reference into it, if that goes there at all.
            _ => {
                let there = self
                    .target
                    .symbols
                    .before(theirs)
                    .map(|(symbol, _)| self.target.symbols.name(symbol));
                there
                    == self
                        .orig
                        .definition(function)
                        .map(|definition| definition.name)
            }
        })
    }

    /// Takes over what a settled function says of places.
    fn adopt(&mut self, function: &Function, candidate: Candidate, matched: &Matched) {
        self.places.learn(
            function.section,
            candidate.place.minus(function.offset as i64),
            true,
        );
        for reference in &matched.references {
            let offset = u64::try_from(reference.offset).ok();
            let inside =
                offset.and_then(|offset| self.orig.function_inside(reference.section, offset));
            if inside.is_none() {
                self.places.learn(
                    reference.section,
                    reference.theirs.minus(reference.offset),
                    true,
                );
            }
        }
    }

    /// References into functions that were settled later than the function that refers to them.
    fn check_insides(&mut self) {
        for index in 0..self.states.len() {
            let Some(State::Settled(candidate, matched)) = self.states.get(index) else {
                continue;
            };
            let wrong = matched.references.iter().find(|reference| {
                self.inside(reference.section, reference.offset, reference.theirs) == Some(false)
            });
            let Some(wrong) = wrong else { continue };
            let difference = Difference {
                ours: wrong.at,
                theirs: compare::map(&matched.offsets, wrong.at),
            };
            let state = State::Differs(*candidate, difference);
            if let Some(slot) = self.states.get_mut(index) {
                *slot = state;
            }
        }
    }

    fn result(&self, function: &Function, state: &State) -> FunctionFidelity {
        let name = self
            .orig
            .definition(function)
            .map_or(&b""[..], |definition| definition.name);
        let verdict = match state {
            State::Absent(why) => Verdict::Absent {
                why: why.clone(),
                overridden: false,
            },
            State::Overridden => Verdict::Absent {
                why: "it is __weak, and another file's definition is the one that is used"
                    .to_owned(),
                overridden: true,
            },
            State::Differs(candidate, difference) => Verdict::Mismatch {
                offset: difference.ours,
                ours: describe::ours(self.orig, function, difference.ours),
                theirs: describe::theirs(self.target, candidate, difference.theirs),
            },
            State::Open(_) | State::Settled(..) => Verdict::Reproduced,
        };
        let old = match state {
            State::Settled(candidate, matched) => self.old_code(candidate, matched.size),
            _ => None,
        };
        FunctionFidelity {
            name: String::from_utf8_lossy(name).into_owned(),
            verdict,
            old,
        }
    }

    fn old_code(&self, candidate: &Candidate, size: u64) -> Option<OldCode> {
        let code = self.target.read(candidate.place, size)?;
        let hash = Sha256::digest(&code);
        Some(OldCode {
            place: if self.target.is_module() {
                candidate.symbol.into()
            } else {
                candidate.place.offset
            },
            size,
            sha256: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}

/// Of several differing candidates the one that differs last tells most.
fn farthest(
    known: Option<(Candidate, Difference)>,
    new: (Candidate, Difference),
) -> Option<(Candidate, Difference)> {
    match known {
        Some(known) if known.1.ours >= new.1.ours => Some(known),
        _ => Some(new),
    }
}
