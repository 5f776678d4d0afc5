//! The resident watcher.

use super::BOTH;
use super::support::{Host, both, soon};
use crate::program::Speaker;
use lp_runtime::process::kept::journal::Steps;
use lp_runtime::process::{Ended, Happened, Process, ProcessError, State, Watched};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// A watcher on a thread of the test.
struct Watcher {
    told: Receiver<Watched>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Ended, ProcessError>>>,
}

impl Watcher {
    fn of(pid: i32) -> Self {
        let (send, told) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let process = Process::attach(pid)?;
            process.watch(Steps::default(), &mut |it| drop(send.send(it)), &mut || {
                until.load(Ordering::SeqCst)
            })
        });
        let watcher = Self {
            told,
            stop,
            thread: Some(thread),
        };
        while !matches!(watcher.next(), Watched::Began) {}
        watcher
    }

    fn next(&self) -> Watched {
        let told = self.told.recv_timeout(Duration::from_secs(60));
        told.expect("the watcher says something")
    }

    /// What has happened next: whether an object came and was patched in time, and which.
    fn happened(&self) -> (Happened, bool) {
        match self.next() {
            Watched::Happened { happened, in_time } => (happened, in_time),
            other => panic!("{other:?}"),
        }
    }

    fn ended(&mut self) -> Result<Ended, ProcessError> {
        let thread = self.thread.take().expect("it was not waited for");
        thread.join().expect("it does not panic")
    }

    fn end(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let ended = self.ended().expect("it can end");
        assert_eq!(ended, Ended::Told);
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

#[test]
fn an_object_is_patched_before_its_constructors_run() {
    let mut host = Host::start();
    let patch = host.patch(&both(&host, "fix"), BOTH);
    host.process.load(&patch, soon()).expect("it waits");
    let mappings = host.mappings();
    let watcher = Watcher::of(host.program.pid());
    for _ in 0..3 {
        assert_eq!(host.program.ask("open 0 plugin.so"), "11 102");
        assert_eq!(host.program.ask("start"), "100");
        let (happened, in_time) = watcher.happened();
        assert!(matches!(happened, Happened::Patched { .. }), "{happened:?}");
        assert!(in_time);
        assert_eq!(host.program.ask("close 0"), "11 -");
        let (happened, _) = watcher.happened();
        assert!(matches!(happened, Happened::Gone { .. }), "{happened:?}");
    }
    watcher.end();
    assert_eq!(host.mappings(), mappings, "nothing of the watcher is left");
    assert_eq!(host.program.ask("open 0 plugin.so"), "11 3");
    assert_eq!(host.states()[1].1, State::Unpatched);
}

#[test]
fn a_patch_may_be_loaded_while_somebody_watches() {
    let mut host = Host::start();
    let watcher = Watcher::of(host.program.pid());
    let patch = host.patch(&both(&host, "fix"), BOTH);
    host.process.load(&patch, soon()).expect("it waits");
    assert_eq!(host.program.ask("open 0 plugin.so"), "11 102");
    let second = host
        .process
        .watch(Steps::default(), &mut |_| (), &mut || true);
    let error = second.expect_err("there is one");
    assert!(error.to_string().contains("watches it already"), "{error}");
    host.process.unload("fix", soon()).expect("it goes");
    assert_eq!(host.program.ask(""), "1 3");
    watcher.end();
}

#[test]
fn threads_that_load_and_unload_at_once_never_see_old_code() {
    let mut host = Host::start();
    let patch = host.patch(&both(&host, "fix"), BOTH);
    host.process.load(&patch, soon()).expect("it waits");
    let watcher = Watcher::of(host.program.pid());
    let old = host.program.ask("storm");
    let told: Vec<Watched> = watcher.told.try_iter().collect();
    // A watcher that has no turn for three seconds says so: then the machine is to blame.
    let late = told.iter().any(|it| matches!(it, Watched::Late));
    assert!(old == "0" || late, "{old}: {told:?}");
    watcher.end();
    host.process.unload("fix", soon()).expect("it goes");
    assert_eq!(host.program.ask("open 0 plugin.so"), "1 3");
}

#[test]
fn a_program_lives_on_when_its_watcher_is_killed() {
    let mut host = Host::start();
    let patch = host.patch(&both(&host, "fix"), BOTH);
    host.process.load(&patch, soon()).expect("it waits");
    let mappings = host.mappings();
    let pid = host.program.pid().to_string();
    let mut ctl = Command::new(env!("CARGO_BIN_EXE_lp-ctl"));
    let mut watcher = Speaker::start(ctl.args(["watch", "--pid", &pid]));
    assert!(watcher.line().contains("watch"));
    watcher.signal("KILL");
    // This one waits until it is clear that nobody answers, the next one does not.
    assert_eq!(host.program.ask("open 0 plugin.so"), "11 3");
    assert_eq!(host.program.ask("close 0"), "11 -");
    let done = host
        .process
        .catch_up(soon())
        .expect("what is left is taken away");
    assert!(done.happened.is_empty());
    assert_eq!(host.mappings(), mappings);
    assert!(host.process.contents().expect("known").watch.is_none());
    assert_eq!(host.program.ask("open 0 plugin.so"), "11 3");
}

#[test]
fn lp_ctl_watches_until_it_is_told_to_end() {
    let mut host = Host::start();
    let patch = host.patch(&both(&host, "fix"), BOTH);
    host.process.load(&patch, soon()).expect("it waits");
    let mappings = host.mappings();
    let pid = host.program.pid().to_string();
    let mut ctl = Command::new(env!("CARGO_BIN_EXE_lp-ctl"));
    let mut watcher = Speaker::start(ctl.args(["watch", "--pid", &pid]));
    assert!(watcher.line().contains("watched"));
    assert_eq!(host.program.ask("open 0 plugin.so"), "11 102");
    assert!(watcher.line().contains("plugin_so has come and is patched"));
    assert_eq!(host.program.ask("close 0"), "11 -");
    assert!(watcher.line().contains("plugin_so has gone"));
    assert_eq!(watcher.signal("TERM"), Some(0));
    assert_eq!(host.mappings(), mappings);
    let mut ctl = Command::new(env!("CARGO_BIN_EXE_lp-ctl"));
    let listed = ctl
        .args(["list", "--pid", &pid])
        .output()
        .expect("it lists");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("plugin_so  waiting"), "{listed}");
}

#[test]
fn a_child_does_not_wait_for_its_parents_watcher() {
    let mut host = Host::start();
    let patch = host.patch(&both(&host, "fix"), BOTH);
    host.process.load(&patch, soon()).expect("it waits");
    let watcher = Watcher::of(host.program.pid());
    let pid: i32 = host.program.ask("fork").parse().expect("its number");
    let start = std::time::Instant::now();
    assert_eq!(host.program.ask("child open 0 plugin.so"), "11 3");
    assert!(start.elapsed() < Duration::from_secs(2));
    let child = Process::attach(pid).expect("it is ours");
    child
        .catch_up(soon())
        .expect("it has a control area of its own");
    assert_eq!(host.program.ask("child"), "11 102");
    assert!(child.contents().expect("known").watch.is_none());
    assert_eq!(host.program.ask("open 0 plugin.so"), "11 102");
    watcher.end();
}

#[test]
fn the_watcher_tells_of_another_program_and_of_the_end() {
    let mut host = Host::start();
    let mut watcher = Watcher::of(host.program.pid());
    assert_eq!(host.program.ask("exec"), "ready");
    assert_eq!(watcher.ended().expect("it ends"), Ended::Exec);
    assert_eq!(host.program.ask("open 0 plugin.so"), "1 3");
    let mut watcher = Watcher::of(host.program.pid());
    assert!(host.program.finish());
    assert_eq!(watcher.ended().expect("it ends"), Ended::Exited);
}

#[test]
fn what_waits_for_a_slot_that_the_linker_fills_is_patched_late() {
    let mut host = Host::start();
    // Which of both the name means is the linker's business; the program has its own, so the library's does not count.
    let source = "int shared_name = 5;
        int *where(void) { return &shared_name; }
        __attribute__((noipa, visibility(\"default\"))) int work(int x) { return x + shared_name; }";
    host.folder
        .library("other.so", source, &["-Wl,-soname,other.so"]);
    let patch = host.patch(
        &host.describe("fix", &[("other.so", &["work"])]),
        "extern int klp$other_so$shared_name$0; int work(int x) { return 1000 + klp$other_so$shared_name$0; }",
    );
    host.process.load(&patch, soon()).expect("it waits");
    let watcher = Watcher::of(host.program.pid());
    assert_eq!(host.program.ask("open 0 other.so"), "1 1077");
    let (happened, in_time) = watcher.happened();
    assert!(matches!(happened, Happened::Patched { .. }), "{happened:?}");
    assert!(in_time);
    watcher.end();
}

#[test]
fn what_only_the_linker_knows_is_waited_for() {
    let mut host = Host::start();
    // The number of the library's block is in a slot that is filled when the library is relocated.
    let source = "static __thread int own = 5; int *where(void) { return &own; }
        int at_start;
        __attribute__((noipa, visibility(\"default\"))) int work(int x) { return x + ++own; }";
    host.folder.library("other.so", source, &[]);
    let patch = host.patch(
        &host.describe("fix", &[("other.so", &["work"])]),
        "extern __thread int klp$other_so$own$0; int work(int x) { return 1000 + klp$other_so$own$0; }",
    );
    host.process.load(&patch, soon()).expect("it waits");
    let watcher = Watcher::of(host.program.pid());
    host.program.ask("open 0 other.so");
    let (happened, in_time) = watcher.happened();
    assert!(
        matches!(happened, Happened::NotPatched { .. }),
        "{happened:?}"
    );
    assert!(in_time);
    let (happened, in_time) = watcher.happened();
    assert!(matches!(happened, Happened::Patched { .. }), "{happened:?}");
    assert!(!in_time);
    let answer = host.program.ask("");
    assert!(answer.starts_with("1 100"), "{answer}");
    watcher.end();
}

#[test]
fn a_watcher_killed_at_its_beginning_or_end_leaves_what_the_next_one_takes_away() {
    let mut host = Host::start();
    let patch = host.patch(&both(&host, "fix"), BOTH);
    host.process.load(&patch, soon()).expect("it waits");
    let mappings = host.mappings();
    let mut killed = 0;
    for count in 0.. {
        let mut left = count;
        let mut hook = |_| {
            if left == 0 {
                std::panic::resume_unwind(Box::new("killed"));
            }
            left -= 1;
        };
        let watch = std::panic::AssertUnwindSafe(|| {
            let steps = Steps::told_to(&mut hook);
            host.process.watch(steps, &mut |_| (), &mut || true)
        });
        // A watcher is a thread: it is dead when that is.
        let died = std::thread::scope(|scope| scope.spawn(watch).join().is_err());
        let lives = |host: &Host| {
            let watching = host.process.contents().expect("known").watch;
            watching.is_some_and(|it| it.is_live(host.process.about().identity))
        };
        while lives(&host) {
            std::thread::yield_now();
        }
        killed += usize::from(died);
        assert_eq!(host.program.ask(""), "11 -");
        host.process.catch_up(soon()).expect("it is made good");
        assert_eq!(host.mappings(), mappings, "after step {count}");
        if !died {
            break;
        }
    }
    assert!(killed > 10, "{killed}");
    assert!(host.process.contents().expect("known").watch.is_none());
}
