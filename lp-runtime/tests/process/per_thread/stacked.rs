//! Patches over each other, and patches that replace others.

use super::support::{ONE, RESIDENT, World, within};
use lp_runtime::process::ProcessError;

#[test]
fn the_old_side_is_what_ran_before_and_not_the_original() {
    let mut world = World::start();
    let mut low = world.describe("low", &["one", "resident"]);
    low.replace = false;
    let source = format!("int one(int x) {{ return x + 10; }} {RESIDENT}");
    world.load(&world.patch(&low, &source)).expect("low");
    world.program.ask("stay");
    let mut high = world.describe("high", &["one", "resident"]);
    high.replace = false;
    let high = world.patch(&high, &format!("{ONE} {RESIDENT}"));
    world
        .load(&high)
        .expect_err("one is inside the lower one's");
    assert_eq!(world.program.ask(""), "100 2, resident 10");
    world.program.ask("leave");
    world.load(&high).expect("it ends");
    world.program.ask("stay");
    assert_eq!(world.program.ask(""), "100 2, resident 100");
    let error = world.unload("high").expect_err("one is inside");
    assert!(matches!(error, ProcessError::Stalled { .. }), "{error}");
    assert_eq!(world.program.ask(""), "10 2, resident 100");
    world.program.ask("leave");
    world.unload("high").expect("it goes");
    assert_eq!(world.program.ask(""), "10 2, resident -1");
    world.unload("low").expect("it goes");
    assert_eq!(world.program.ask(""), "1 2, resident -1");
}

#[test]
fn what_a_cumulative_patch_does_not_have_goes_back_to_the_original() {
    let mut world = World::start();
    world.load(&world.fix()).expect("it goes in");
    world.program.ask("stay");
    let next = world.simple("next", &["two"], "int two(int x) { return 7; }");
    world.load(&next).expect_err("one is inside what goes");
    assert_eq!(world.program.ask(""), "1 7, resident 100");
    assert_eq!(world.program.ask("new thread"), "71");
    world
        .process
        .unload("next", within(2000))
        .expect("it is turned back");
    assert_eq!(world.program.ask(""), "100 2, resident 100");
    assert_eq!(world.installed(), [("fix".into(), true)]);
    world.load(&next).expect_err("again");
    world.program.ask("leave");
    world.load(&next).expect("it ends");
    assert_eq!(world.program.ask(""), "1 7, resident -1");
    assert_eq!(
        world.installed(),
        [("fix".into(), false), ("next".into(), true)]
    );
    world.unload("fix").expect("its memory goes");
    world.unload("next").expect("it goes");
    assert_eq!(world.program.ask(""), "1 2, resident -1");
}
