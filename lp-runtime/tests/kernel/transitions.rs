//! Waiting, reversing, forcing, and who holds up.

use std::thread;
use std::time::Duration;

use lp_runtime::error::Error;
use lp_runtime::kernel::{Direction, Wait, disable, enable, force, holding_up, transition};

use super::fake::{FakeKernel, name};

fn quick() -> Wait {
    let milliseconds = Duration::from_millis;
    Wait {
        timeout: milliseconds(200),
        poll: milliseconds(5),
        report: milliseconds(20),
    }
}

/// Long enough for a helper thread on a busy machine.
fn patient() -> Wait {
    Wait {
        timeout: Duration::from_secs(30),
        ..quick()
    }
}

#[test]
fn a_transition_that_stalls_names_the_threads_left() {
    let kernel = FakeKernel::new();
    kernel.patch("fix", true, true);
    kernel.task(1, 1, "init", 1);
    kernel.task(40, 40, "server", 1);
    kernel.task(40, 42, "worker", 0);
    kernel.task(50, 50, "idle", -1);
    let mut reports = 0;
    let error = transition::wait(
        &kernel.host(),
        &name("fix"),
        Direction::Patching,
        &quick(),
        &mut |progress| {
            reports += 1;
            assert_eq!(progress.tasks.len(), 1);
        },
    );
    let error = error.unwrap_err();
    let [task] = error.tasks() else {
        panic!("{error}")
    };
    assert_eq!((task.pid, task.tid, task.comm.as_str()), (40, 42, "worker"));
    assert_eq!(
        task.stack.first().map(String::as_str),
        Some("do_nanosleep+0x5f/0x180")
    );
    assert!(reports > 0);
    assert!(error.is_the_kernels());
    assert!(error.advice().unwrap().contains("lp-ctl disable fix"));
}

#[test]
fn the_other_direction_looks_for_the_other_state() {
    let kernel = FakeKernel::new();
    kernel.task(1, 1, "done", 0);
    kernel.task(2, 2, "late", 1);
    let left = holding_up(&kernel.host(), Direction::Unpatching);
    assert_eq!(left.iter().map(|task| task.tid).collect::<Vec<_>>(), [2]);
}

#[test]
fn enabling_ends_when_the_kernel_says_so() {
    let kernel = FakeKernel::new();
    kernel.patch("fix", true, true);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            kernel.write("sys/kernel/livepatch/fix/transition", "0\n");
        });
        transition::wait(
            &kernel.host(),
            &name("fix"),
            Direction::Patching,
            &patient(),
            &mut |_| {},
        )
        .unwrap();
    });
}

#[test]
fn disabling_ends_when_the_patch_is_gone_not_when_it_is_merely_at_rest() {
    let kernel = FakeKernel::new();
    kernel.patch("fix", true, false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while kernel.read("sys/kernel/livepatch/fix/enabled") != "0" {
                thread::sleep(Duration::from_millis(5));
            }
            thread::sleep(Duration::from_millis(50));
            kernel.remove("fix");
        });
        disable(&kernel.host(), &name("fix"), &patient(), &mut |_| {}).unwrap();
    });
    assert!(!kernel.host().livepatch().join("fix").exists());
}

#[test]
fn a_patch_that_someone_reversed_is_no_success() {
    let kernel = FakeKernel::new();
    kernel.patch("fix", false, true);
    let wait = |direction| {
        transition::wait(
            &kernel.host(),
            &name("fix"),
            direction,
            &quick(),
            &mut |_| {},
        )
    };
    assert!(matches!(
        wait(Direction::Patching),
        Err(Error::Reversed { .. })
    ));
    kernel.write("sys/kernel/livepatch/fix/enabled", "1\n");
    assert!(matches!(
        wait(Direction::Unpatching),
        Err(Error::Reversed { .. })
    ));
    kernel.remove("fix");
    assert!(matches!(
        wait(Direction::Patching),
        Err(Error::Reversed { .. })
    ));
}

#[test]
fn enable_turns_a_disabling_back() {
    let kernel = FakeKernel::new();
    kernel.patch("fix", false, true);
    thread::scope(|scope| {
        scope.spawn(|| {
            while kernel.read("sys/kernel/livepatch/fix/enabled") != "1" {
                thread::sleep(Duration::from_millis(5));
            }
            kernel.write("sys/kernel/livepatch/fix/transition", "0\n");
        });
        enable(&kernel.host(), &name("fix"), &patient(), &mut |_| {}).unwrap();
    });
}

#[test]
fn only_a_transition_can_be_forced() {
    let kernel = FakeKernel::new();
    kernel.patch("fix", true, false);
    assert!(matches!(
        force(&kernel.host(), &name("fix")),
        Err(Error::NoTransition { .. })
    ));
    assert_eq!(kernel.read("sys/kernel/livepatch/fix/force"), "");
    kernel.write("sys/kernel/livepatch/fix/transition", "1\n");
    force(&kernel.host(), &name("fix")).unwrap();
    assert_eq!(kernel.read("sys/kernel/livepatch/fix/force"), "1");
}

#[test]
fn a_patch_that_is_not_there_is_told_from_one_whose_module_is_left() {
    let kernel = FakeKernel::new();
    let advice = || {
        disable(&kernel.host(), &name("fix"), &quick(), &mut |_| {})
            .unwrap_err()
            .advice()
            .unwrap()
    };
    assert!(advice().contains("lp-ctl list"));
    kernel.write("sys/module/fix/initstate", "live\n");
    assert!(advice().contains("lp-ctl unload fix"));
}
