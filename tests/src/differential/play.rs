//! A sequence on both sides, step by step, to the first difference.

use std::path::Path;

use anyhow::{Context, Result};
use lp_runtime::kernel::Host;

use super::model::Model;
use super::operation::Operation;
use super::order::Memory;
use super::pool::{self, Entry};
use super::system::{self, System};
use super::verdict::Verifier;
use crate::guest::kernel_log::Watch;

/// What the kernel logs when it is asked for what the pool's wrong patches ask for: two folders of one name in sysfs, with a
/// trace; and a previous state without a transition, a warning.
const EXPECTED: [&str; 2] = ["cannot create duplicate filename", "klp_get_prev_state"];

/// Where sequences are played.
#[derive(Debug)]
pub struct Arena<'a> {
    folder: &'a Path,
    pool: Vec<Entry>,
    memory: Memory,
    verifier: Verifier,
    runs: u32,
    /// Loads that lp-verify was asked about.
    pub judged: u64,
    /// Operations that were done.
    pub steps: u64,
}

/// Where the sides differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The number of the operation, from 0.
    pub step: usize,
    /// What differs.
    pub difference: String,
}

impl<'a> Arena<'a> {
    /// With the pool's modules in a folder, and a vmlinux for lp-verify.
    pub fn open(folder: &'a Path, vmlinux: &Path) -> Result<Self> {
        system::insert_stay(folder)?;
        Ok(Self {
            folder,
            pool: pool::pool(),
            memory: Memory::open()?,
            verifier: Verifier::open(vmlinux, folder)?,
            runs: 0,
            judged: 0,
            steps: 0,
        })
    }

    /// How many patches there are.
    pub fn pool(&self) -> usize {
        self.pool.len()
    }

    /// Plays a sequence; where the sides first differ.
    ///
    /// # Errors
    /// Where the test itself cannot go on.
    pub fn play(&mut self, sequence: &[Operation]) -> Result<Option<Failure>> {
        self.runs += 1;
        let mut watch = Watch::start(&Host::running());
        let mut model = Model::new(self.pool.clone());
        let mut system = System::new(&self.pool, self.folder, &self.memory, self.runs);
        let mut failure = None;
        for (step, operation) in sequence.iter().enumerate() {
            self.steps += 1;
            let difference = {
                let verdicts = match operation {
                    Operation::Load(patch) => {
                        self.judged += 1;
                        Some(self.verifier.ask(
                            &model,
                            &self.pool,
                            *patch,
                            self.folder,
                            self.runs,
                        )?)
                    }
                    _ => None,
                };
                let seen = system
                    .step(*operation)
                    .with_context(|| operation.to_string())?;
                let expected = model.step(*operation);
                let verdict = verdicts.and_then(|verdicts| verdicts.wrong(seen.is_done()));
                let sides = (expected != seen).then(|| expected.difference(&seen));
                let log = watch
                    .check(&EXPECTED.map(str::to_owned))
                    .err()
                    .map(|error| error.to_string());
                sides.or(verdict).or(log)
            };
            if let Some(difference) = difference {
                failure = Some(Failure { step, difference });
                break;
            }
        }
        system.clean()?;
        Ok(failure)
    }
}
