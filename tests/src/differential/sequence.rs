//! Sequences of operations: at random, or from a case's text with one operation a line.
//!
//! A sequence plays with a few patches of the pool, or hardly two would ever meet. The tempting wrong way is to do only what
//! makes sense: half of the kernel's rules are about what does not.

use anyhow::Result;
use fastrand::Rng;

use super::operation::Operation;

/// What is done, in order.
pub type Sequence = Vec<Operation>;

/// Patches that one sequence plays with, and its longest.
const PATCHES: usize = 5;
const SHORTEST: usize = 5;
const LONGEST: usize = 14;

/// The sequence of this number in the row that a seed begins; `pool` is how many patches there are.
pub fn random(seed: u64, number: u64, pool: usize) -> Sequence {
    // Each has its own generator, so that one can be had without those before it.
    let mut rng = Rng::with_seed(
        seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(number),
    );
    let patches: Vec<usize> = (0..PATCHES).map(|_| rng.usize(..pool)).collect();
    let length = rng.usize(SHORTEST..=LONGEST);
    (0..length).map(|_| operation(&mut rng, &patches)).collect()
}

fn operation(rng: &mut Rng, patches: &[usize]) -> Operation {
    let patch = patches
        .get(rng.usize(..patches.len()))
        .copied()
        .unwrap_or_default();
    match rng.u32(..100) {
        0..38 => Operation::Load(patch),
        38..52 => Operation::Disable(patch),
        52..60 => Operation::Enable(patch),
        60..70 => Operation::Unload(patch),
        70..79 => Operation::InsertLate,
        79..84 => Operation::RemoveLate,
        84..91 => Operation::Hold,
        91..97 => Operation::Release,
        _ => Operation::Force(patch),
    }
}

/// Reads a case: one operation a line; `#` begins a comment.
pub fn parse(text: &str) -> Result<Sequence> {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    lines
        .filter(|line| !line.is_empty())
        .map(str::parse)
        .collect()
}

/// Writes a case.
pub fn write(sequence: &[Operation]) -> String {
    sequence
        .iter()
        .map(|operation| format!("{operation}\n"))
        .collect()
}
