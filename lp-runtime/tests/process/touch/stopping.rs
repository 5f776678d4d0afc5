//! Threads are stopped all together and let go, whatever they do.

use super::support::{PATIENCE, states, stopped};
use crate::program::{Folder, Program};
use lp_runtime::process::read::maps::Maps;
use lp_runtime::process::touch::threads::{SeizeError, StopError, with_threads};
use lp_runtime::process::touch::write::WriteMemory;
use std::process::Command;
use std::time::Duration;

/// Threads that count, and the sum of what they count.
const COUNTERS: &str = r#"
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
static volatile unsigned long counts[600];
static void *count(void *it)
{
	/* Many of them must leave the others some time. */
	for (;;)
		if (!(++*(volatile unsigned long *)it & 0xfff))
			usleep(1000);
}
void answer(const char *q, char *r)
{
	unsigned long sum = 0;
	pthread_t thread;
	if (!strncmp(q, "start ", 6))
		for (int i = 0; i < atoi(q + 6); i++)
			pthread_create(&thread, NULL, count, (void *)&counts[i]);
	for (int i = 0; i < 600; i++)
		sum += counts[i];
	sprintf(r, "%lu", sum);
}
"#;

/// A thread that makes a thread that makes a thread, each ending at once.
pub(super) const STORM: &str = r#"
#include <pthread.h>
static void *next(void *it)
{
	pthread_t thread;
	while (pthread_create(&thread, NULL, next, it)) ;
	pthread_detach(thread);
	__atomic_fetch_add((unsigned long *)it, 1, __ATOMIC_RELAXED);
	return NULL;
}
void answer(const char *q, char *r)
{
	static unsigned long made[8];
	if (!strcmp(q, "start"))
		for (int i = 0; i < 8; i++)
			next(&made[i]);
	sprintf(r, "%lu", made[0]);
}
"#;

/// Waits until its threads have counted on.
fn counts(program: &mut Program) {
    let before = program.ask("sum");
    while program.ask("sum") == before {}
}

#[test]
fn all_threads_stop_and_go_on() {
    let folder = Folder::new();
    let path = folder.server("counters", COUNTERS, &["-pthread"]);
    for threads in [0, 16, 128] {
        let mut program = Program::start(&path);
        program.ask(&format!("start {threads}"));
        let pid = program.pid();
        let count = stopped(pid, |it| {
            assert!(states(pid).iter().all(|state| *state == 't'));
            it.count()
        });
        assert_eq!(count, threads + 1);
        assert!(states(pid).iter().all(|state| *state != 't'));
        if threads > 0 {
            counts(&mut program);
        }
    }
}

#[test]
fn a_storm_of_threads_stops_too() {
    let folder = Folder::new();
    let mut program = Program::start(&folder.server("storm", STORM, &["-pthread"]));
    program.ask("start");
    let pid = program.pid();
    for _ in 0..20 {
        let before = program.ask("made");
        stopped(pid, |threads| {
            let running = states(pid).into_iter().filter(|it| !"tZX".contains(*it));
            assert_eq!(running.count(), 0);
            assert!(threads.count() >= 1);
        });
        while program.ask("made") == before {}
    }
}

#[test]
fn threads_that_are_stopped_again_and_again_can_make_threads_and_processes() {
    let folder = Folder::new();
    let answer = r#"
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
static void *nothing(void *it) { return it; }
void answer(const char *q, char *r)
{
	pthread_t thread;
	pid_t pid;
	int status = 1;
	char *argv[] = { "true", NULL };
	pthread_create(&thread, NULL, nothing, NULL);
	pthread_join(thread, NULL);
	if (!posix_spawnp(&pid, "true", NULL, NULL, argv, environ))
		waitpid(pid, &status, 0);
	if (!(pid = fork()))
		_exit(0);
	sprintf(r, "%d %d", status, waitpid(pid, &status, 0) == pid);
}
"#;
    let mut program = Program::start(&folder.server("maker", answer, &["-pthread"]));
    let pid = program.pid();
    program.send("make");
    let ran = with_threads(pid, |threads| {
        for _ in 0..20 {
            threads.stop_all(PATIENCE).expect("all threads stop");
            threads.run_for(Duration::from_millis(5)).expect("it runs");
        }
    });
    ran.expect("it can be traced");
    assert_eq!(program.line(), "0 1");
}

#[test]
fn no_signal_is_lost() {
    let folder = Folder::new();
    let answer = r#"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
static volatile int got;
/* Both threads take signals, at once too. */
static void on_signal(int it) { __atomic_add_fetch(&got, 1, __ATOMIC_SEQ_CST); }
static void *raise_many(void *it)
{
	union sigval value = { 0 };
	for (int sent = 0; sent < 3000; )
		sent += !sigqueue(getpid(), SIGRTMIN + 3, value);
	return NULL;
}
void answer(const char *q, char *r)
{
	pthread_t thread;
	signal(SIGRTMIN + 3, on_signal);
	pthread_create(&thread, NULL, raise_many, NULL);
	pthread_join(thread, NULL);
	while (got < 3000)
		usleep(1000);
	sprintf(r, "%d", got);
}
"#;
    let mut program = Program::start(&folder.server("signals", answer, &["-pthread"]));
    let pid = program.pid();
    program.send("go");
    for _ in 0..100 {
        stopped(pid, |_| ());
    }
    assert_eq!(program.line(), "3000");
}

#[test]
fn a_process_stopped_by_a_signal_stays_so() {
    let folder = Folder::new();
    let mut program = Program::start(&folder.server("counters", COUNTERS, &["-pthread"]));
    program.ask("start 3");
    let pid = program.pid();
    let kill = |signal: &str| {
        let done = Command::new("kill")
            .args([signal, &pid.to_string()])
            .status();
        assert!(done.expect("kill runs").success());
    };
    kill("-STOP");
    while states(pid) != ['T'; 4] {}
    stopped(pid, |_| assert_eq!(states(pid), ['t'; 4]));
    // On their way from one stop into the other they show as running.
    let again = (0..100_000).any(|_| states(pid) == ['T'; 4]);
    assert!(again, "{:?}", states(pid));
    kill("-CONT");
    counts(&mut program);
}

#[test]
fn a_process_that_has_ended_its_main_thread_is_refused_and_lives() {
    let folder = Folder::new();
    let answer = r#"
#include <pthread.h>
#include <unistd.h>
static void *later(void *it) { usleep(200000); puts("alive"); fflush(stdout); _exit(0); }
void answer(const char *q, char *r)
{
	pthread_t thread;
	pthread_create(&thread, NULL, later, NULL);
	pthread_exit(NULL);
}
"#;
    let mut program = Program::start(&folder.server("headless", answer, &["-pthread"]));
    let pid = program.pid();
    program.send("go");
    while !states(pid).contains(&'Z') {}
    let error = with_threads(pid, |_| ()).expect_err("it is refused");
    assert!(matches!(error, SeizeError::Zombie { .. }), "{error}");
    assert_eq!(program.line(), "alive");
}

#[test]
fn a_vfork_child_shares_the_memory_until_it_ends() {
    let folder = Folder::new();
    let answer = r#"
#include <unistd.h>
void answer(const char *q, char *r)
{
	if (!vfork()) {
		usleep(300000);
		_exit(0);
	}
	strcpy(r, "ended");
}
"#;
    let mut program = Program::start(&folder.server("vfork", answer, &[]));
    let pid = program.pid();
    program.send("go");
    while states(pid) != ['D'] {}
    let stopped_soon = with_threads(pid, |it| it.stop_all(Duration::from_millis(20)));
    let error = stopped_soon
        .expect("it can be traced")
        .expect_err("it is shared");
    let shared = matches!(error, StopError::Seize(SeizeError::SharedMemory { .. }));
    assert!(shared, "{error}");
    // With more patience it stops when the child has ended.
    stopped(pid, |_| ());
    assert_eq!(program.line(), "ended");
    stopped(pid, |_| ());
}

#[test]
fn a_process_that_shares_its_memory_for_good_is_refused() {
    let folder = Folder::new();
    let answer = r#"
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>
static char stack[65536];
static int other(void *it) { prctl(PR_SET_PDEATHSIG, SIGKILL); for (;;) pause(); }
void answer(const char *q, char *r)
{
	sprintf(r, "%d", clone(other, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL));
}
"#;
    let mut program = Program::start(&folder.server("shares", answer, &["-D_GNU_SOURCE"]));
    let other: i32 = program.ask("go").parse().expect("a pid");
    let patience = Duration::from_millis(50);
    let stop = with_threads(program.pid(), |it| it.stop_all(patience));
    match stop.expect("it can be traced") {
        Err(StopError::Seize(SeizeError::SharedMemory { other: found, .. })) => {
            assert_eq!(found, other);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_process_that_becomes_another_program_is_let_go() {
    let folder = Folder::new();
    let answer = r#"
#include <unistd.h>
void answer(const char *q, char *r) { execlp("sh", "sh", "-c", "echo another; read it; read it", NULL); }
"#;
    let mut program = Program::start(&folder.server("exec", answer, &[]));
    let pid = program.pid();
    let memory = WriteMemory::open(pid).expect("its memory opens");
    let maps = Maps::read(pid).expect("maps");
    let ran = with_threads(pid, |threads| {
        threads.stop_all(PATIENCE).expect("it stops");
        threads.resume_all();
        program.send("go");
        assert_eq!(program.line(), "another");
        let data = maps.iter().find(|it| it.perms.write);
        let written = memory.write_data(data.expect("it has data").range.start, b"bytes");
        written.expect_err("the other program is not written");
        threads.stop_all(PATIENCE)
    });
    let error = ran
        .expect("it can be traced")
        .expect_err("it is another program");
    assert!(matches!(error, StopError::Exec { .. }), "{error}");
}

#[test]
fn a_panic_lets_the_process_go() {
    let folder = Folder::new();
    let mut program = Program::start(&folder.server("counters", COUNTERS, &["-pthread"]));
    let pid = program.pid();
    program.ask("start 4");
    let work = || stopped(pid, |_| std::panic::resume_unwind(Box::new("a bug")));
    assert!(std::panic::catch_unwind(work).is_err());
    counts(&mut program);
}

#[test]
fn who_cannot_be_traced_is_refused_with_the_reason() {
    let folder = Folder::new();
    let mut program = Program::start(&folder.server("counters", COUNTERS, &["-pthread"]));
    program.ask("start 1");
    let pid = program.pid();
    let error = |pid: i32| with_threads(pid, |_| ()).expect_err("it is refused");
    let ours = i32::try_from(std::process::id()).expect("a pid fits");
    assert!(matches!(error(ours), SeizeError::Ourselves { .. }));
    assert!(matches!(error(i32::MAX), SeizeError::NoSuchProcess { .. }));
    let tid = stopped(pid, |threads| threads.tids().find(|tid| *tid != pid));
    let tid = tid.expect("it has two threads");
    assert!(matches!(error(tid), SeizeError::NotAProcess { .. }));
    let traced = stopped(pid, |_| error(pid));
    assert!(
        matches!(traced, SeizeError::AlreadyTraced { .. }),
        "{traced}"
    );
    let mut dead = Command::new("true").spawn().expect("true starts");
    let pid = i32::try_from(dead.id()).expect("a pid fits");
    while states(pid) != ['Z'] {}
    assert!(matches!(error(pid), SeizeError::Zombie { .. }));
    dead.wait().expect("it has ended");
}
