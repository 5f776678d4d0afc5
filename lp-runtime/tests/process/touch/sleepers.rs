//! A thread that sleeps in a system call does not notice that it was stopped, nor what it did for us meanwhile.

use super::registers::call_in_each;
use super::support::{memory_and_gate, stopped};
use crate::program::{Folder, Program};
use lp_runtime::process::touch::call::Others;
use lp_runtime::process::touch::threads::Threads;
use std::time::Duration;

/// Threads in calls of every way to restart; each says what it got and waited, when it is done.
const SLEEPERS: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static int word, ends[2];
static const struct timespec half = { 0, 500000000 };
static int by_nanosleep(void) { return nanosleep(&half, NULL); }
static int by_clock(void) { return clock_nanosleep(CLOCK_MONOTONIC, 0, &half, NULL); }
static int by_poll(void) { return poll(NULL, 0, 500); }
static int by_ppoll(void)
{
	sigset_t none;
	sigemptyset(&none);
	return ppoll(NULL, 0, &half, &none);
}
static int by_select(void)
{
	struct timeval time = { 0, 500000 };
	return select(0, NULL, NULL, NULL, &time);
}
static int by_futex(void)
{
	int got = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &half, NULL, 0);
	return got == -1 && errno == ETIMEDOUT ? 0 : -1;
}
/* These the kernel does not restart. */
static int by_epoll(void)
{
	struct epoll_event event;
	return epoll_wait(epoll_create1(0), &event, 1, 500);
}
static int by_semaphore(void)
{
	struct sembuf down = { 0, -1, 0 };
	int id = semget(IPC_PRIVATE, 1, 0600);
	int got = semtimedop(id, &down, 1, &half), error = errno;
	semctl(id, 0, IPC_RMID);
	errno = error;
	return got == -1 && errno == EAGAIN ? 0 : -1;
}
static int by_sigtimedwait(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	return sigtimedwait(&set, NULL, &half) == -1 && errno == EAGAIN ? 0 : -1;
}
static int by_socket(void)
{
	struct timeval time = { 0, 500000 };
	int pair[2];
	char it;
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
	return recv(pair[0], &it, 1, 0) == -1 && errno == EAGAIN ? 0 : -1;
}
static int by_read(void) { char it; return read(ends[0], &it, 1) - 1; }
static int (*const ways[])(void) = {
	by_nanosleep, by_clock, by_poll, by_ppoll, by_select, by_futex,
	by_epoll, by_semaphore, by_sigtimedwait, by_socket, by_read,
};
#define WAYS (sizeof ways / sizeof *ways)
static long waited[WAYS];
static int got[WAYS];
static long now(void)
{
	struct timespec it;
	clock_gettime(CLOCK_MONOTONIC, &it);
	return it.tv_sec * 1000 + it.tv_nsec / 1000000;
}
static void *go(void *it)
{
	long i = (long)it, start = now();
	errno = 0;
	got[i] = ways[i]() ? errno : 0;
	waited[i] = now() - start;
	return NULL;
}
static void on_signal(int it) { }
void answer(const char *q, char *r)
{
	pthread_t threads[WAYS];
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	sigaction(SIGUSR1, &action, NULL);
	pipe(ends);
	for (long i = 0; i < WAYS; i++)
		pthread_create(&threads[i], NULL, go, (void *)i);
	puts("asleep");
	fflush(stdout);
	for (int i = 0; i < WAYS - 1; i++)
		pthread_join(threads[i], NULL);
	pthread_kill(threads[WAYS - 1], SIGUSR1);
	usleep(20000);
	write(ends[1], "x", 1);
	pthread_join(threads[WAYS - 1], NULL);
	for (int i = 0; i < WAYS; i++)
		r += sprintf(r, "%d:%d ", got[i], waited[i] >= 499 && waited[i] < 1500);
}
"#;

/// What a program says whose sleepers were not disturbed: no error, and about the time that was asked for.
const UNDISTURBED: &str = "0:1 0:1 0:1 0:1 0:1 0:1 0:1 0:1 0:1 0:1 0:1 ";

/// The kernel ends such a call with EINTR when a thread is stopped; a signal's EINTR is another thing.
#[test]
fn a_signal_still_ends_a_call_that_the_kernel_does_not_restart() {
    let folder = Folder::new();
    let answer = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>
static volatile int done, waiter;
static void on_signal(int it) { }
static void *wait_long(void *it)
{
	struct epoll_event event;
	waiter = gettid();
	errno = 0;
	epoll_wait(epoll_create1(0), &event, 1, 5000);
	done = errno == EINTR ? 1 : 2;
	return NULL;
}
/* A signal before it waits would end nothing. */
static int waits(void)
{
	char name[64];
	long call = -1;
	snprintf(name, sizeof(name), "/proc/self/task/%d/syscall", waiter);
	FILE *file = fopen(name, "r");
	if (!file || fscanf(file, "%ld", &call) != 1)
		call = -1;
	if (file)
		fclose(file);
	return call == SYS_epoll_wait || call == SYS_epoll_pwait;
}
void answer(const char *q, char *r)
{
	static pthread_t thread;
	signal(SIGUSR1, on_signal);
	if (!strcmp(q, "wait")) {
		pthread_create(&thread, NULL, wait_long, NULL);
		while (!waits())
			usleep(1000);
	} else
		pthread_kill(thread, SIGUSR1);
	for (int turn = 0; turn < 1000 && strcmp(q, "wait") && !done; turn++)
		usleep(1000);
	sprintf(r, "%d", done);
}
"#;
    let mut program = Program::start(&folder.server("epoll", answer, &["-pthread"]));
    let pid = program.pid();
    program.ask("wait");
    for _ in 0..5 {
        stopped(pid, |_| ());
    }
    program.send("signal");
    for _ in 0..5 {
        stopped(pid, |_| ());
    }
    assert_eq!(program.line(), "1");
}

fn disturb(each: impl Fn(&mut Threads) + Sync) {
    let folder = Folder::new();
    let mut program = Program::start(&folder.server("sleepers", SLEEPERS, &["-pthread"]));
    let pid = program.pid();
    program.send("sleep");
    assert_eq!(program.line(), "asleep");
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(20));
        stopped(pid, |threads| each(threads));
    }
    assert_eq!(program.line(), UNDISTURBED);
}

#[test]
fn sleepers_are_not_disturbed_by_a_stop() {
    disturb(|_| ());
}

/// A function that sleeps itself. The time of a call that was slept through begins again.
#[test]
fn sleepers_are_not_ended_by_a_call_of_ours() {
    let folder = Folder::new();
    let source = format!("{SLEEPERS}{NAPS}").replace("\"asleep\"", "\"asleep\"), where(");
    let source = source.replace("void answer", "static void where(void);\nvoid answer");
    let mut program = Program::start(&folder.server("nappers", &source, &["-pthread"]));
    let pid = program.pid();
    program.send("sleep");
    assert_eq!(program.line(), "asleep");
    let nap = u64::from_str_radix(&program.line(), 16).expect("an address");
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(20));
        stopped(pid, |threads| {
            let results = call_in_each(threads, nap, Others::Stopped, Duration::from_secs(5));
            assert!(results.iter().all(|it| matches!(it, Ok(3))), "{results:?}");
        });
    }
    assert_eq!(program.line(), UNDISTURBED);
}

const NAPS: &str = r#"
int nap(void)
{
	struct timespec short_time = { 0, 1000000 };
	nanosleep(&short_time, NULL);
	return 3;
}
static void where(void) { printf("%lx\n", nap); }
"#;

#[test]
fn sleepers_are_not_disturbed_by_a_system_call_of_ours() {
    disturb(|threads| {
        let (_, gate) = memory_and_gate(threads.pid());
        for tid in threads.tids().collect::<Vec<_>>() {
            let pid = threads.syscall(gate, tid, "getpid", 39, [0; 6]);
            assert_eq!(pid.ok(), u64::try_from(threads.pid()).ok());
        }
    });
}
