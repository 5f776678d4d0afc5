//! How a transition ends: by itself, turned back, forced.

use super::support::{World, within};
use lp_runtime::process::{Process, ProcessError};

#[test]
fn all_switch_where_nobody_stays() {
    let mut world = World::start();
    assert_eq!(world.program.ask(""), "1 2, resident -1");
    world.load(&world.fix()).expect("it goes in");
    assert_eq!(world.program.ask(""), "100 2, resident -1");
    assert_eq!(world.installed(), [("fix".into(), true)]);
    assert!(world.underway().is_none());
    let mappings = world.mappings();
    world.unload("fix").expect("and out");
    assert_eq!(world.program.ask(""), "1 2, resident -1");
    assert_eq!(world.installed(), []);
    world.load(&world.fix()).expect("it goes in again");
    assert_eq!(world.mappings(), mappings, "no trampolines are left");
}

#[test]
fn a_thread_that_stays_runs_the_old_code_and_all_others_the_new() {
    let mut world = World::start();
    world.program.ask("stay");
    let error = world.load(&world.fix()).expect_err("one is left");
    let text = error.to_string();
    assert!(
        matches!(error, ProcessError::Stalled { patched: true, .. }),
        "{text}"
    );
    assert!(error.is_refusal() && text.contains("resident"), "{text}");
    assert_eq!(world.program.ask(""), "100 2, resident 1");
    assert_eq!(
        world.program.ask("new thread"),
        "120",
        "made by one that has switched"
    );
    let underway = world.underway().expect("it goes on");
    assert_eq!(
        (&*underway.name, underway.patched, underway.left.len()),
        ("fix", true, 1)
    );
    let left = &underway.left[0];
    assert_eq!(left.name, "resident");
    assert!(left.why.contains("resident"), "{left:?}");
    assert!(
        left.frames.iter().any(|it| it.starts_with("resident+")),
        "{left:?}"
    );
    world.program.ask("leave");
    world.load(&world.fix()).expect("the next one ends it");
    assert_eq!(world.program.ask(""), "100 2, resident -1");
    assert!(world.underway().is_none());
    world.program.ask("stay");
    assert_eq!(world.program.ask(""), "100 2, resident 100");
    let error = world
        .unload("fix")
        .expect_err("now it is inside the new one");
    assert!(
        matches!(error, ProcessError::Stalled { patched: false, .. }),
        "{error}"
    );
    assert_eq!(world.program.ask(""), "1 2, resident 100");
    world
        .process
        .enable("fix", within(2000))
        .expect("all go back to it");
    assert_eq!(world.program.ask(""), "100 2, resident 100");
    assert!(
        world.process.enable("fix", within(100)).is_err(),
        "it is not in transition"
    );
}

#[test]
fn a_transition_is_turned_back() {
    let mut world = World::start();
    world.load(&world.fix()).expect("it goes in");
    world.unload("fix").expect("it goes out");
    let mappings = world.mappings();
    world.program.ask("stay");
    world.load(&world.fix()).expect_err("one is left");
    assert_eq!(world.program.ask(""), "100 2, resident 1");
    let other = world.simple("other", &["two"], "int two(int x) { return 7; }");
    let error = world.load(&other).expect_err("one at a time");
    assert!(
        matches!(error, ProcessError::InTransition { .. }),
        "{error}"
    );
    world
        .process
        .unload("fix", within(2000))
        .expect("it is turned back");
    assert_eq!(world.program.ask(""), "1 2, resident 1");
    assert_eq!(world.installed(), []);
    assert!(
        world.mappings() <= mappings + 2,
        "nothing but the new thread's stack"
    );
    world.program.ask("leave");
    assert_eq!(world.program.ask(""), "1 2, resident -1");
}

#[test]
fn a_forced_transition_ends_and_what_was_left_stays_for_ever() {
    let mut world = World::start();
    world.load(&world.fix()).expect("it goes in");
    world.program.ask("stay");
    world.unload("fix").expect_err("one is inside");
    assert_eq!(world.program.ask(""), "1 2, resident 100");
    world.process.force("fix", within(1000)).expect("it ends");
    assert_eq!(
        world.program.ask(""),
        "1 2, resident 1",
        "old and new mixed"
    );
    assert!(world.underway().is_none());
    assert_eq!(world.installed(), [("fix".into(), false)]);
    assert!(world.contents().patches[0].forced);
    let error = world.unload("fix").expect_err("its memory stays");
    assert!(matches!(error, ProcessError::Forced { .. }), "{error}");
    world.program.ask("leave");
    assert_eq!(world.program.ask(""), "1 2, resident -1");
}

#[test]
fn a_child_has_the_transition_and_ends_it_for_itself() {
    let mut world = World::start();
    world.program.ask("stay");
    world.load(&world.fix()).expect_err("one is left");
    let child = world.program.ask("fork").parse().expect("a pid");
    let process = Process::attach(child).expect("it is ours");
    let underway = process.underway().expect("it can be looked into");
    assert!(underway.expect("it has it").left.is_empty());
    process
        .enable("fix", within(2000))
        .expect("only its main thread is there");
    assert!(process.underway().expect("it can be looked into").is_none());
    assert_eq!(world.program.ask("wait"), "100");
    assert!(world.underway().is_some(), "its parent is another process");
}

#[test]
fn a_signal_handler_counts() {
    let mut world = World::start();
    world.program.ask("signal");
    world.load(&world.fix()).expect_err("the handler is inside");
    assert_eq!(world.program.ask(""), "100 2, resident 1");
    assert_eq!(world.underway().expect("it goes on").left.len(), 1);
    world.program.ask("leave");
    world.load(&world.fix()).expect("it has returned");
}
