//! Objects that are loaded after the patch, and objects that go.

mod support;
mod watching;

use lp_klp::manifest::Manifest;
use lp_runtime::process::kept::journal::Steps;
use lp_runtime::process::{Happened, Process, ProcessError, State};
use support::{Host, PLUGIN, both, callbacks, soon};

const BOTH: &str = "int step(int x) { return x + 10; } int work(int x) { return x + 100; }";

#[test]
fn an_object_that_comes_later_is_patched_by_the_next_operation() {
    let mut host = Host::start();
    let patch = host.patch(
        &host.describe("fix", &[("plugin.so", &["work"])]),
        "int work(int x) { return x + 100; }",
    );
    let done = host.process.load(&patch, soon()).expect("it waits");
    assert_eq!(done.warnings.len(), 1, "{:?}", done.warnings);
    assert_eq!(host.states(), [("plugin_so", State::Waiting)]);
    assert_eq!(host.program.ask("open 0 plugin.so"), "1 3");
    assert_eq!(host.states(), [("plugin_so", State::Unpatched)]);
    let done = host.process.catch_up(soon()).expect("it comes");
    assert!(
        matches!(done.happened[..], [Happened::Patched { .. }]),
        "{:?}",
        done.happened
    );
    assert_eq!(host.program.ask(""), "1 102");
    assert_eq!(host.states(), [("plugin_so", State::Patched)]);
    host.process.unload("fix", soon()).expect("it goes");
    assert_eq!(host.program.ask(""), "1 3");
}

#[test]
fn an_object_that_goes_is_let_go_of_and_comes_again() {
    let mut host = Host::start();
    host.program.ask("open 0 plugin.so");
    let patch = host.patch(&both(&host, "fix"), BOTH);
    host.process.load(&patch, soon()).expect("both are there");
    assert_eq!(host.program.ask(""), "11 102");
    let mappings = host.mappings();
    for _ in 0..3 {
        assert_eq!(host.program.ask("close 0"), "11 -");
        assert_eq!(host.states()[1], ("plugin_so", State::Waiting));
        // At the same address, where nothing else has been mapped since.
        assert_eq!(host.program.ask("open 0 plugin.so"), "11 3");
        assert_eq!(host.states()[1], ("plugin_so", State::Unpatched));
        let done = host.process.catch_up(soon()).expect("it is patched again");
        assert!(
            matches!(
                done.happened[..],
                [Happened::Gone { .. }, Happened::Patched { .. }]
            ),
            "{:?}",
            done.happened
        );
        assert_eq!(host.program.ask(""), "11 102");
        assert_eq!(host.mappings(), mappings);
    }
    assert_eq!(host.program.ask("close 0"), "11 -");
    host.process.unload("fix", soon()).expect("without it, too");
    assert_eq!(host.program.ask("open 0 plugin.so"), "1 3");
    assert!(
        host.process
            .contents()
            .expect("they are known")
            .patches
            .is_empty()
    );
}

#[test]
fn what_lies_where_an_object_was_is_not_touched() {
    let mut host = Host::start();
    host.program.ask("open 0 plugin.so");
    let patch = host.patch(&both(&host, "fix"), BOTH);
    host.process.load(&patch, soon()).expect("both are there");
    // Another build of as many bytes takes its place.
    host.folder.library(
        "other.so",
        &PLUGIN.replace("x + n", "x - n"),
        &["-Wl,-soname,plugin.so"],
    );
    host.program.ask("close 0");
    assert_eq!(host.program.ask("open 0 other.so"), "11 1");
    let done = host
        .process
        .catch_up(soon())
        .expect("the other one is looked at");
    let [Happened::Gone { .. }, Happened::NotPatched { error, .. }] = &done.happened[..] else {
        panic!("{:?}", done.happened)
    };
    assert!(error.to_string().contains("build"), "{error}");
    assert_eq!(host.program.ask(""), "11 1");
    host.process.unload("fix", soon()).expect("it goes");
    assert_eq!(host.program.ask(""), "1 1");
}

#[test]
fn callbacks_run_in_the_kernels_order_for_objects_that_come_and_go() {
    let mut host = Host::start();
    let source = callbacks("step", "work", 0);
    let patch = host.patch(&with_callbacks(&host, "fix"), &source);
    host.process
        .load(&patch, soon())
        .expect("the program is there");
    assert_eq!(host.program.ask("log"), "a b");
    host.program.ask("open 0 plugin.so");
    host.process.catch_up(soon()).expect("it comes");
    assert_eq!(host.program.ask("log"), "a b A B");
    host.program.ask("close 0");
    host.process.catch_up(soon()).expect("it goes");
    assert_eq!(host.program.ask("log"), "a b A B C D");
    host.process.unload("fix", soon()).expect("it goes");
    assert_eq!(host.program.ask("log"), "a b A B C D c d");
}

#[test]
fn an_object_may_be_refused_and_is_asked_once() {
    let mut host = Host::start();
    let patch = host.patch(
        &with_callbacks(&host, "fix"),
        &callbacks("step", "work", 19),
    );
    host.process
        .load(&patch, soon())
        .expect("the program is there");
    host.program.ask("open 0 plugin.so");
    let mappings = host.mappings();
    let done = host.process.catch_up(soon()).expect("it is asked");
    assert!(
        matches!(
            done.happened[..],
            [Happened::NotPatched {
                error: ProcessError::Veto { .. },
                ..
            }]
        ),
        "{:?}",
        done.happened
    );
    assert_eq!(host.program.ask(""), "11 3");
    assert_eq!(host.mappings(), mappings);
    assert_eq!(host.states()[1], ("plugin_so", State::Refused));
    assert!(
        host.process
            .catch_up(soon())
            .expect("nothing")
            .happened
            .is_empty()
    );
    assert_eq!(host.program.ask("log"), "a b A");
    // A patch that replaces it may have it.
    let next = host.patch(
        &both(&host, "next"),
        "int step(int x) { return x + 20; } int work(int x) { return x + 200; }",
    );
    host.process.load(&next, soon()).expect("it goes in");
    assert_eq!(host.program.ask(""), "21 202");
}

#[test]
fn a_patch_is_replaced_while_its_object_is_absent() {
    let mut host = Host::start();
    let first = host.patch(&both(&host, "first"), BOTH);
    host.process.load(&first, soon()).expect("first");
    let second = host.patch(
        &host.describe("second", &[("prog", &["step"])]),
        "int step(int x) { return x + 20; }",
    );
    host.process.load(&second, soon()).expect("second");
    assert_eq!(host.program.ask("open 0 plugin.so"), "21 3");
    assert!(
        host.process
            .catch_up(soon())
            .expect("nothing")
            .happened
            .is_empty()
    );
    assert_eq!(host.program.ask(""), "21 3");
    host.process.unload("second", soon()).expect("it goes");
    host.process.unload("first", soon()).expect("it goes");
    assert_eq!(host.program.ask(""), "1 3");
}

#[test]
fn two_patches_over_each_other_both_take_what_comes() {
    let mut host = Host::start();
    let make = |host: &Host, name: &str, source: &str| {
        let manifest = Manifest {
            replace: false,
            ..host.describe(name, &[("plugin.so", &["work"])])
        };
        host.patch(&manifest, source)
    };
    let low = make(&host, "low", "int work(int x) { return x + 100; }");
    let high = make(&host, "high", "int work(int x) { return x + 200; }");
    host.process.load(&low, soon()).expect("low");
    host.process.load(&high, soon()).expect("high");
    host.program.ask("open 0 plugin.so");
    host.process.catch_up(soon()).expect("it comes");
    assert_eq!(host.program.ask(""), "1 202");
    host.process.unload("high", soon()).expect("high goes");
    assert_eq!(host.program.ask(""), "1 102");
    host.process.unload("low", soon()).expect("low goes");
    assert_eq!(host.program.ask(""), "1 3");
}

#[test]
fn two_copies_of_an_object_are_left_alone() {
    let mut host = Host::start();
    let patch = host.patch(
        &host.describe("fix", &[("plugin.so", &["work"])]),
        "int work(int x) { return x + 100; }",
    );
    host.process.load(&patch, soon()).expect("it waits");
    host.program.ask("open 0 plugin.so");
    host.program.ask("mopen 1 plugin.so");
    assert_eq!(host.states(), [("plugin_so", State::Several)]);
    let done = host.process.catch_up(soon()).expect("neither is patched");
    assert!(
        matches!(done.happened[..], [Happened::NotPatched { .. }]),
        "{:?}",
        done.happened
    );
    assert_eq!(host.program.ask(""), "1 3");
}

#[test]
fn a_child_has_the_patch_and_its_own_control_area() {
    let mut host = Host::start();
    let patch = host.patch(&both(&host, "fix"), BOTH);
    host.process.load(&patch, soon()).expect("it goes in");
    let pid: i32 = host.program.ask("fork").parse().expect("its number");
    let child = Process::attach(pid).expect("it is ours");
    assert_eq!(child.contents().expect("its own").patches.len(), 1);
    assert_eq!(host.program.ask("child"), "11 -");
    child.unload("fix", soon()).expect("from the child alone");
    assert_eq!(host.program.ask("child"), "1 -");
    assert_eq!(host.program.ask(""), "11 -");
    assert_eq!(host.process.contents().expect("its own").patches.len(), 1);
}

#[test]
fn another_program_has_no_patch() {
    let mut host = Host::start();
    let patch = host.patch(&both(&host, "fix"), BOTH);
    host.process.load(&patch, soon()).expect("it goes in");
    assert_eq!(host.program.ask("exec"), "ready");
    let process = Process::attach(host.program.pid()).expect("the same number");
    assert!(process.contents().expect("none").patches.is_empty());
    assert!(process.objects().expect("none").is_empty());
    assert_eq!(host.program.ask(""), "1 -");
}

fn with_callbacks(host: &Host, name: &str) -> Manifest {
    let mut manifest = both(host, name);
    for (object, prefix) in manifest.objects.iter_mut().zip(["prog", "plugin"]) {
        let name = |it: &str| Some(format!("{prefix}_{it}"));
        object.callbacks = lp_klp::manifest::Callbacks {
            pre_patch: name("pre_patch"),
            post_patch: name("post_patch"),
            pre_unpatch: name("pre_unpatch"),
            post_unpatch: name("post_unpatch"),
        };
    }
    manifest
}

#[test]
fn a_callback_that_needs_the_object_does_not_run_without_it() {
    let mut host = Host::start();
    host.program.ask("open 0 plugin.so");
    let mut manifest = both(&host, "fix");
    manifest.objects[1].callbacks.pre_unpatch = Some("undo".into());
    let source = "extern int klp$plugin_so$n$0 __attribute__((visibility(\"hidden\")));
        void undo(void) { klp$plugin_so$n$0 = 1; }
        int step(int x) { return x + 10; } int work(int x) { return x + 100; }";
    let patch = host.patch(&manifest, source);
    host.process.load(&patch, soon()).expect("both are there");
    host.program.ask("close 0");
    let done = host.process.catch_up(soon()).expect("it is let go");
    assert!(
        matches!(
            done.happened[..],
            [Happened::NotCalled { .. }, Happened::Gone { .. }]
        ),
        "{:?}",
        done.happened
    );
    assert_eq!(host.program.ask(""), "11 -");
}

/// What may be killed: catching up with what happened.
fn dies_after(host: &Host, count: usize) -> bool {
    let mut left = count;
    let mut hook = |_| {
        if left == 0 {
            std::panic::resume_unwind(Box::new("killed"));
        }
        left -= 1;
    };
    let catch_up = std::panic::AssertUnwindSafe(|| {
        let options = lp_runtime::process::Options {
            steps: Steps::told_to(&mut hook),
            ..soon()
        };
        host.process.catch_up(options).map(drop)
    });
    std::panic::catch_unwind(catch_up).is_err()
}

#[test]
fn a_loader_killed_while_objects_come_and_go_leaves_a_process_that_the_next_one_can_use() {
    let mut host = Host::start();
    let patch = host.patch(&both(&host, "fix"), BOTH);
    host.process.load(&patch, soon()).expect("it waits");
    host.program.ask("open 0 plugin.so");
    host.process.catch_up(soon()).expect("it comes");
    let mappings = host.mappings();
    let mut killed = 0;
    for count in 0.. {
        host.program.ask("close 0");
        host.program.ask("open 0 plugin.so");
        let died = dies_after(&host, count);
        killed += usize::from(died);
        assert!(host.program.ask("").starts_with("11 "));
        host.process
            .catch_up(soon())
            .expect("the next one does the rest");
        assert_eq!(host.program.ask(""), "11 102", "after step {count}");
        assert_eq!(host.mappings(), mappings, "after step {count}");
        if !died {
            break;
        }
    }
    assert!(killed > 10, "{killed}");
    host.process.unload("fix", soon()).expect("it goes");
    assert_eq!(host.program.ask(""), "1 3");
}

#[test]
fn what_is_in_memory_of_an_object_that_has_gone_stays_while_a_thread_is_inside() {
    let mut host = Host::start();
    host.program.ask("open 0 plugin.so");
    let source = "extern volatile int stay, inside; int step(int x) { return x + 10; }
        int work(int x) { inside = 1; while (stay) __builtin_ia32_pause(); inside = 0; return x + 100; }";
    let patch = host.patch(&both(&host, "fix"), source);
    host.process.load(&patch, soon()).expect("both are there");
    host.program.ask("enter");
    let mappings = host.mappings();
    assert_eq!(host.program.ask("close 0"), "11 -");
    let done = host.process.catch_up(soon()).expect("it is let go of");
    assert!(matches!(done.happened[..], [Happened::Gone { .. }]));
    assert_eq!(host.program.ask("leave"), "102", "the thread came back");
    host.process.catch_up(soon()).expect("now nobody is inside");
    host.program.ask("open 0 plugin.so");
    host.process.catch_up(soon()).expect("it is patched again");
    assert_eq!(host.program.ask(""), "11 102");
    assert_eq!(host.mappings(), mappings);
}
