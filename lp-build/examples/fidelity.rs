//! Shows which functions of an object reproduce a kernel's vmlinux or module.
//!
//! `cargo run --release -p lp-build --example fidelity -- OBJECT.o SOURCE.c TARGET [OBJECT.o SOURCE.c]..`
//!
//! TARGET is a vmlinux with symbols, or a module's `.ko`. Compile OBJECT from the kernel's unpatched source with
//! `-ffunction-sections -fdata-sections` in a prepared build folder.

use anyhow::{Context, Result, bail};
use lp_build::fidelity::{Fidelity, Target, Verdict, check};
use std::time::Instant;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [object, source, target, more @ ..] = &args[..] else {
        bail!("usage: OBJECT SOURCE TARGET [OBJECT SOURCE]..")
    };
    let start = Instant::now();
    let opened = if target.ends_with(".ko") {
        Target::module(target)?
    } else {
        Target::vmlinux(target)?
    };
    println!("opened {target} in {:.0?}", start.elapsed());
    show(object, source, &opened)?;
    for pair in more.chunks(2) {
        let [object, source] = pair else {
            bail!("an OBJECT without its SOURCE")
        };
        show(object, source, &opened)?;
    }
    Ok(())
}

fn show(object: &str, source: &str, target: &Target) -> Result<()> {
    let start = Instant::now();
    let bytes = std::fs::read(object).with_context(|| object.to_owned())?;
    let fidelity = check(&bytes, source, target)?;
    print_table(&fidelity);
    let (reproduced, comparable) = (fidelity.reproduced(), fidelity.comparable());
    println!(
        "{source}: {reproduced} of {comparable} functions reproduce, {} absent, {} places, {:.0?}",
        fidelity.functions.len() - comparable,
        fidelity.places.len(),
        start.elapsed()
    );
    Ok(())
}

fn print_table(fidelity: &Fidelity) {
    for function in &fidelity.functions {
        match &function.verdict {
            Verdict::Reproduced if function.old.is_some() => {}
            Verdict::Reproduced => {
                println!("  {:40} reproduced, in more than one place", function.name)
            }
            Verdict::Absent { why, .. } => println!("  {:40} absent: {why}", function.name),
            Verdict::Mismatch {
                offset,
                ours,
                theirs,
            } => {
                println!(
                    "  {:40} differs at {offset:#x}: '{ours}' instead of '{theirs}'",
                    function.name
                );
            }
        }
    }
}
