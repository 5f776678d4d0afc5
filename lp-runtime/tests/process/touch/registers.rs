//! A thread that did something for us has all its registers as before.

use super::support::{free_address, memory_and_gate, stopped};
use crate::program::{Folder, Program};
use lp_runtime::process::kept::area::Area;
use lp_runtime::process::touch::call::{CallSite, Others, STACK_SIZE, STUB};
use lp_runtime::process::touch::syscall::InjectError;
use lp_runtime::process::touch::threads::Threads;
use std::time::Duration;

/// A thread that holds known values in every register that it can, in a loop, and ends with a word when one changes.
const HOLDER: &str = r#"
#include <pthread.h>
#include <stdlib.h>
#include <signal.h>
#include <unistd.h>
static volatile long turns;
static void *hold(void *it)
{
	static const long values[8] __attribute__((aligned(32))) = { 1, 2, 3, 4, 5, 6, 7, 8 };
	long bad = 0;
	/* The red zone holds one, too. */
	asm volatile(
		"vmovdqa (%[v]), %%ymm0\n vmovdqa 32(%[v]), %%ymm15\n movq (%[v]), %%xmm7\n"
		"movq $77, -8(%%rsp)\n movq $78, -120(%%rsp)\n"
		"mov $11, %%r8\n mov $12, %%r9\n mov $13, %%r10\n mov $14, %%r11\n mov $15, %%r12\n std\n"
		"1: incq %[turns]\n"
		"vmovdqa (%[v]), %%ymm1\n vpxor %%ymm0, %%ymm1, %%ymm1\n vptest %%ymm1, %%ymm1\n jnz 2f\n"
		"vmovdqa 32(%[v]), %%ymm1\n vpxor %%ymm15, %%ymm1, %%ymm1\n vptest %%ymm1, %%ymm1\n jnz 2f\n"
		"cmpq $77, -8(%%rsp)\n jne 2f\n cmpq $78, -120(%%rsp)\n jne 2f\n"
		"cmp $11, %%r8\n jne 2f\n cmp $12, %%r9\n jne 2f\n cmp $13, %%r10\n jne 2f\n cmp $14, %%r11\n jne 2f\n"
		"cmp $15, %%r12\n jne 2f\n"
		"pushfq\n pop %%rax\n movq $77, -8(%%rsp)\n test $0x400, %%eax\n jz 2f\n jmp 1b\n"
		"2: cld\n"
		: [turns] "+m"(turns) : [v] "r"(values)
		: "r8", "r9", "r10", "r11", "r12", "rax", "cc", "memory", "xmm0", "xmm1", "xmm7", "xmm15");
	puts("changed");
	_exit(1);
}
/* What a callback may do to registers. */
int clobber(void)
{
	asm volatile("vpcmpeqd %%ymm0, %%ymm0, %%ymm0\n vpcmpeqd %%ymm15, %%ymm15, %%ymm15\n vpcmpeqd %%xmm7, %%xmm7, %%xmm7\n"
		"xor %%r8d, %%r8d\n xor %%r9d, %%r9d\n xor %%r10d, %%r10d\n xor %%r11d, %%r11d\n"
		::: "r8", "r9", "r10", "r11", "xmm0", "xmm7", "xmm15");
	return -42;
}
int crash(void) { *(volatile int *)8 = 1; return 0; }
int hang(void) { for (;;) ; }
int sleep_for_ever(void) { sleep(1000); return 0; }
int take_part(void) { long now = turns; while (turns == now) ; return 5; }
void answer(const char *q, char *r)
{
	pthread_t thread;
	/* A program may ignore these; a trap would then be seen. */
	signal(SIGTRAP, SIG_IGN);
	if (!strcmp(q, "hold"))
		pthread_create(&thread, NULL, hold, NULL);
	sprintf(r, "%ld", turns);
	if (!strcmp(q, "where"))
		sprintf(r, "%lx %lx %lx %lx %lx", clobber, crash, hang, sleep_for_ever, take_part);
	if (!strcmp(q, "trap"))
		strcpy(r, signal(SIGTRAP, SIG_IGN) == SIG_IGN && signal(SIGSEGV, SIG_DFL) == SIG_DFL ? "ignored" : "reset");
}
"#;

struct Holder {
    program: Program,
    functions: Vec<u64>,
    _folder: Folder,
}

impl Holder {
    fn start() -> Self {
        let folder = Folder::new();
        let args = ["-pthread", "-mavx2"];
        let mut program = Program::start(&folder.server("holder", HOLDER, &args));
        program.ask("hold");
        let hexadecimal = |word: &str| u64::from_str_radix(word, 16).expect("an address");
        let functions = program.ask("where").split(' ').map(hexadecimal).collect();
        Self {
            program,
            functions,
            _folder: folder,
        }
    }

    /// Both threads alive and well, and the one that holds values at work.
    fn check(&mut self) {
        let before = self.program.ask("turns");
        while self.program.ask("turns") == before {}
        assert_eq!(self.program.ask("trap"), "ignored");
    }
}

#[test]
fn a_system_call_leaves_all_registers() {
    let mut holder = Holder::start();
    let pid = holder.program.pid();
    let (_, gate) = memory_and_gate(pid);
    for _ in 0..20 {
        stopped(pid, |threads| {
            for tid in threads.tids().collect::<Vec<_>>() {
                let made = threads.syscall(gate, tid, "getpid", 39, [0; 6]);
                made.expect("the call is made");
            }
        });
    }
    holder.check();
}

/// Maps what calls need, and calls `function` in each thread.
pub(super) fn call_in_each(
    threads: &mut Threads,
    function: u64,
    others: Others,
    timeout: Duration,
) -> Vec<Result<i32, InjectError>> {
    let pid = threads.pid();
    let (memory, gate) = memory_and_gate(pid);
    let stub = free_address(pid);
    let stack = stub + 0x10000;
    let tids: Vec<_> = threads.tids().collect();
    let site = CallSite {
        stub,
        stack_top: stack + STACK_SIZE,
    };
    let areas = [(stub, 0x1000, Area::Text), (stack, STACK_SIZE, Area::Data)];
    for (address, size, protection) in areas {
        let mapped = threads.mmap(gate, tids[0], address, size, protection);
        mapped.expect("it is mapped");
    }
    memory.write_text(tids[0], stub, &STUB).expect("written");
    let call = |tid: &i32| {
        let called = threads.call(*tid, site, function, others, timeout);
        if others == Others::Running {
            threads.stop_all(super::support::PATIENCE).expect("stopped");
        }
        called
    };
    let results = tids.iter().map(call).collect();
    for (address, size, _) in areas {
        let unmapped = threads.munmap(gate, tids[0], address, size);
        unmapped.expect("it is unmapped");
    }
    results
}

const LONG: Duration = Duration::from_secs(10);

#[test]
fn a_call_leaves_all_registers() {
    let mut holder = Holder::start();
    let (pid, clobber) = (holder.program.pid(), holder.functions[0]);
    for _ in 0..10 {
        let results = stopped(pid, |threads| {
            call_in_each(threads, clobber, Others::Stopped, LONG)
        });
        assert!(
            results.iter().all(|it| matches!(it, Ok(-42))),
            "{results:?}"
        );
    }
    holder.check();
}

#[test]
fn a_call_that_crashes_or_hangs_is_an_error_and_the_thread_goes_back() {
    let mut holder = Holder::start();
    let pid = holder.program.pid();
    let short = Duration::from_millis(50);
    let [crash, hang, sleep] = [1, 2, 3].map(|it| holder.functions[it]);
    let results = stopped(pid, |threads| {
        call_in_each(threads, crash, Others::Stopped, LONG)
    });
    let crashed = |it: &Result<i32, InjectError>| matches!(it, Err(InjectError::Crashed { signal: 11, pc, .. }) if pc.wrapping_sub(crash) < 16);
    assert!(results.iter().all(crashed), "{results:?}");
    for function in [hang, sleep] {
        let results = stopped(pid, |threads| {
            call_in_each(threads, function, Others::Stopped, short)
        });
        let lost = |it: &Result<i32, InjectError>| matches!(it, Err(InjectError::Lost { .. }));
        assert!(results.iter().all(lost), "{results:?}");
    }
    holder.check();
}

#[test]
fn other_threads_may_run_during_a_call() {
    let mut holder = Holder::start();
    let (pid, take_part) = (holder.program.pid(), holder.functions[4]);
    let results = stopped(pid, |threads| {
        let main = threads.pid();
        let tids: Vec<_> = threads.tids().collect();
        assert_eq!(tids[0], main);
        call_in_each(
            threads,
            take_part,
            Others::Running,
            Duration::from_millis(300),
        )
    });
    // The thread that counts cannot wait for itself.
    assert!(matches!(results[0], Ok(5)), "{results:?}");
    assert!(
        matches!(results[1], Err(InjectError::Lost { .. })),
        "{results:?}"
    );
    holder.check();
}
