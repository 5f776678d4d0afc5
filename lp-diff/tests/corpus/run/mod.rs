//! Proves an output object by running it.
//!
//! A case says in `//#Run` which of its functions to call, with which arguments. One static program is linked from the
//! whole original object, the output object, and the whole patched object under other names as the reference. Its
//! undefined livepatch symbols are joined to the original's symbols by name and position, as the kernel does. The
//! program (`world.c`) makes the calls three times over: on the original code, with the sites at the entries of the
//! changed functions redirected as ftrace does it, and on the original code again. What it prints must be what the
//! sources print: the first and third time the original's, the second time the patched one's. State that both have
//! (a static variable) thereby must be one and the same, or the second time counts on from somewhere else.
//!
//! The tempting wrong way is to call the new functions directly: that shows neither that a redirected function is
//! whole nor that its state is the original's.

mod link;
mod program;

use crate::built::{self, Built};
use crate::parallel;

#[test]
fn outputs_behave_as_their_sources() {
    let proofs = Proofs::new();
    let problems = parallel::map(built::all(), |built| {
        let directives = &built.case.directives;
        let wrong = directives.known_wrong.contains(&built.compiler);
        if directives.run.is_empty() || wrong {
            return None;
        }
        let problem = proofs.prove(built).err()?;
        Some(format!("{}: {problem}", built.name()))
    });
    let wrong: Vec<String> = problems.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What all proofs have in common.
pub(crate) struct Proofs(program::World);

impl Proofs {
    /// Compiles it.
    pub(crate) fn new() -> Self {
        Self(program::World::compile())
    }

    /// Runs both versions of what was built; says what they do that their sources do not.
    pub(crate) fn prove(&self, built: &Built) -> Result<(), String> {
        match self.compare(built)? {
            (before, patched) if before == patched => Err(format!("both versions say\n{patched}")),
            _ => Ok(()),
        }
    }

    /// The same, where the difference may not show; what the versions say.
    pub(crate) fn compare(&self, built: &Built) -> Result<(String, String), String> {
        proof(&self.0, built)
    }
}

fn proof(world: &program::World, built: &Built) -> Result<(String, String), String> {
    let outcome = built.diff();
    let Some(output) = &outcome.object else {
        return Err(format!("nothing to run: {:?}", outcome.report));
    };
    let program = world.link(built, &outcome.report, output)?;
    let fresh = built.case.directives.fresh_state;
    let patched = program.run(if fresh { "fresh" } else { "source" })?;
    let (orig, live) = (program.run("orig")?, program.run("live")?);
    let expected = [&orig[0], &patched[1], &orig[2]];
    let phases = ["before", "patched", "after"].into_iter().zip(expected);
    // State that began with the patch leaves the original's where the original would not be.
    let compared = if fresh { 2 } else { 3 };
    for ((phase, expected), got) in phases.zip(&live).take(compared) {
        if expected != got {
            return Err(format!(
                "{phase} it says\n{got}\nand its source\n{expected}"
            ));
        }
    }
    Ok((orig[1].clone(), live[1].clone()))
}
