//! `lp-ctl` in a transition, as an operator calls it.

use super::support::World;
use std::process::{Command, Output};

fn ctl(world: &World, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lp-ctl"));
    let pid = world.program.pid().to_string();
    let output = command.args(words).args(["--pid", &pid]).output();
    output.expect("it runs")
}

fn text(output: &Output) -> String {
    let said = [&*output.stdout, &*output.stderr].concat();
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn an_operator_sees_who_is_left_and_turns_it_back_or_ends_it() {
    let mut world = World::start();
    let file = world.fix_file().display().to_string();
    let load = [
        "load",
        &file,
        "--consistency",
        "per-thread",
        "--timeout",
        "0.2",
        "--allow-unsigned",
    ];
    world.program.ask("stay");
    let done = ctl(&world, &load);
    assert_eq!(done.status.code(), Some(2), "{}", text(&done));
    assert!(
        text(&done).contains("lp-ctl disable fix --pid"),
        "{}",
        text(&done)
    );
    let status = text(&ctl(&world, &["status"]));
    assert!(status.contains("fix  enabling"), "{status}");
    assert!(status.contains("(resident): inside resident"), "{status}");
    let status = ctl(&world, &["status", "fix", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    let transition = &status["processes"][0]["transition"];
    assert_eq!(
        transition["held_up_by"][0]["name"], "resident",
        "{status:#}"
    );
    assert_eq!(world.program.ask(""), "100 2, resident 1");
    let done = ctl(&world, &["disable", "fix"]);
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!(world.program.ask(""), "1 2, resident 1");
    assert_eq!(ctl(&world, &load).status.code(), Some(2));
    let done = ctl(&world, &["force", "fix"]);
    assert!(done.status.success(), "{}", text(&done));
    assert!(text(&ctl(&world, &["status"])).contains("fix  enabled"));
    assert_eq!(ctl(&world, &["enable", "fix"]).status.code(), Some(2));
    assert_eq!(world.program.ask(""), "100 2, resident 100");
    world.program.ask("leave");
    let done = ctl(&world, &["unload", "fix", "--consistency", "per-thread"]);
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!(world.program.ask(""), "1 2, resident -1");
}
