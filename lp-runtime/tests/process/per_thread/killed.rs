//! The loader ends anywhere: the program lives, and the next one finishes or undoes.

use super::support::{World, soon, within};
use lp_runtime::process::kept::journal::{Step, Steps};
use lp_runtime::process::{Options, Process, ProcessError};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Ends the loader, as far as the process can see, after so many steps.
fn dies_after(count: usize) -> impl FnMut(Step) + Send {
    let mut left = count;
    move |_| {
        if left == 0 {
            resume_unwind(Box::new("killed"));
        }
        left -= 1;
    }
}

/// Whether it was killed.
fn killed_after(
    count: usize,
    process: &Process,
    work: impl Fn(&Process, Options<'_>) -> Result<(), ProcessError>,
) -> bool {
    let mut hook = dies_after(count);
    let work = AssertUnwindSafe(|| {
        let options = Options {
            steps: Steps::told_to(&mut hook),
            ..within(1000)
        };
        let _ = work(process, options);
    });
    catch_unwind(work).is_err()
}

#[test]
fn killed_while_it_goes_in_and_out() {
    let mut world = World::start();
    let fix = world.fix();
    world.load(&fix).expect("it goes in");
    world.unload("fix").expect("and out");
    world.program.ask("new thread");
    let mappings = world.mappings();
    for loading in [true, false] {
        let mut killed = 0;
        for count in 0.. {
            if !loading {
                world.load(&fix).expect("it goes in");
            }
            let died = killed_after(count, &world.process, |process, options| {
                if loading {
                    process.load(&fix, options).map(drop)
                } else {
                    process.unload("fix", options).map(drop)
                }
            });
            killed += usize::from(died);
            let answer = world.program.ask("");
            assert!(
                answer.starts_with("1 2") || answer.starts_with("100 2"),
                "{answer}"
            );
            assert!(["21", "120"].contains(&&*world.program.ask("new thread")));
            if world.installed().iter().any(|(_, enabled)| *enabled) && count % 2 == 0 {
                world.unload("fix").expect("what was begun can be undone");
            } else {
                match world.load(&fix) {
                    // It was out of use, and its memory is left.
                    Err(ProcessError::Installed { .. }) => {}
                    done => done.expect("the next one takes over"),
                }
                world.unload("fix").expect("and out");
            }
            assert_eq!(world.program.ask(""), "1 2, resident -1");
            assert_eq!(world.installed(), []);
            assert_eq!(world.mappings(), mappings, "after step {count}");
            if !died {
                break;
            }
        }
        assert!(killed > 10, "{killed}");
    }
}

#[test]
fn killed_while_it_is_turned_back_or_forced() {
    let mut world = World::start();
    let fix = world.fix();
    for forcing in [false, true] {
        for count in 0.. {
            world.program.ask("stay");
            if world.installed().is_empty() {
                world.load(&fix).expect_err("one is left");
            }
            let died = killed_after(count, &world.process, |process, options| {
                if forcing {
                    process.force("fix", options).map(drop)
                } else {
                    process.unload("fix", options).map(drop)
                }
            });
            let answer = world.program.ask("");
            assert!(
                answer.starts_with("1 2") || answer.starts_with("100 2"),
                "{answer}"
            );
            world.program.ask("leave");
            world
                .process
                .load(&fix, soon())
                .map(drop)
                .or_else(taken)
                .expect("it goes in");
            assert!(world.underway().is_none());
            world.unload("fix").expect("it goes out");
            assert_eq!(world.program.ask(""), "1 2, resident -1");
            if !died {
                break;
            }
        }
    }
}

/// It is in already, or on its way out with nothing but its memory left.
fn taken(error: ProcessError) -> Result<(), ProcessError> {
    match error {
        ProcessError::Installed { .. } => Ok(()),
        other => Err(other),
    }
}
