//! Plays the differential test's kept cases, then random sequences; a failure is made as short as it gets and told as a case.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::plan::Differential;
use super::report::Report;
use crate::differential::operation::Operation;
use crate::differential::play::{Arena, Failure};
use crate::differential::{sequence, shrink};

/// So many failures are enough to begin with.
const ENOUGH: usize = 3;
/// How often the host hears how far it is.
const TELL_EVERY: u64 = 100;

/// Plays all of it.
pub fn run(job: &Differential, report: &mut Report) -> Result<String> {
    // Every load is told on the console, which is slow; what is fatal is still shown.
    fs::write("/proc/sys/kernel/printk", "2").context("quieten the console")?;
    let start = Instant::now();
    let mut arena = Arena::open(&job.pool, &job.vmlinux)?;
    let mut failures = 0;
    for case in &job.cases {
        let sequence = sequence::parse(&case.text).with_context(|| case.name.clone())?;
        failures += try_one(&mut arena, &sequence, &case.name, report)?;
    }
    for number in job.first..job.first + job.sequences {
        if failures >= ENOUGH {
            break;
        }
        let sequence = sequence::random(job.seed, number, arena.pool());
        let name = format!("sequence {number} of seed {}", job.seed);
        failures += try_one(&mut arena, &sequence, &name, report)?;
        if (number + 1) % TELL_EVERY == 0 {
            let (steps, seconds) = (arena.steps, start.elapsed().as_secs());
            report.step(&format!(
                "{} sequences, {steps} operations, {seconds} s on the machine's clock",
                number + 1
            ));
        }
    }
    if failures > 0 {
        bail!("{failures} sequences end otherwise in the model than in the kernel");
    }
    let (cases, sequences) = (job.cases.len(), job.sequences);
    Ok(format!(
        "{cases} cases and {sequences} sequences, {} operations, {} verdicts of lp-verify: no difference",
        arena.steps, arena.judged
    ))
}

/// Plays a sequence; the number of failures, 0 or 1.
fn try_one(
    arena: &mut Arena<'_>,
    sequence: &[Operation],
    name: &str,
    report: &mut Report,
) -> Result<usize> {
    let played = arena
        .play(sequence)
        .with_context(|| format!("{name}:\n{}", sequence::write(sequence)))?;
    let Some(first) = played else {
        return Ok(0);
    };
    let short = shrink::shortest(sequence, |shorter| Ok(arena.play(shorter)?.is_some()))?;
    // One that fails only now and then may have healed by itself.
    let failure = arena.play(&short)?;
    let (sequence, failure) = match failure {
        Some(failure) => (short.as_slice(), failure),
        None => (sequence, first),
    };
    tell(sequence, &failure, name, report);
    Ok(1)
}

/// A case that can be kept: comments say what differs.
fn tell(sequence: &[Operation], failure: &Failure, name: &str, report: &mut Report) {
    report.line(&format!(
        "# from {name}; step {} differs:",
        failure.step + 1
    ));
    for line in failure.difference.lines() {
        report.line(&format!("#   {line}"));
    }
    for line in sequence::write(sequence).lines() {
        report.line(line);
    }
}
