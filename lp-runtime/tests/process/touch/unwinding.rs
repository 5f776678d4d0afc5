//! A stack is known to its end, or it is known that it is not.

use super::support::{PATIENCE, stopped};
use crate::program::{Folder, Program};
use lp_runtime::process::read::maps::Maps;
use lp_runtime::process::touch::registers::Registers;
use lp_runtime::process::touch::threads::Tid;
use lp_runtime::process::touch::unwind::{Frame, Stack, Unreliable, UnwindTables, Unwinder, Why};
use lp_runtime::process::touch::write::WriteMemory;
use std::path::Path;

/// The functions of a program, for names of frames.
struct Symbols {
    bias: u64,
    functions: Vec<(u64, u64, String)>,
}

impl Symbols {
    fn of(pid: i32, path: &Path) -> Self {
        use object::{Object, ObjectSymbol};
        let data = std::fs::read(path).expect("the program can be read");
        let file = object::File::parse(&*data).expect("it is an ELF file");
        let canonical = path.canonicalize().expect("it is there");
        let maps = Maps::read(pid).expect("maps");
        let first = maps.iter().find(|it| it.path == canonical);
        let start = first.expect("it is mapped").range.start;
        let static_base = file.kind() == object::ObjectKind::Executable;
        let mut functions: Vec<_> = file
            .symbols()
            .filter(|it| it.size() > 0)
            .map(|it| (it.address(), it.size(), it.name().unwrap_or("?").to_owned()))
            .collect();
        functions.sort_unstable();
        Self {
            bias: if static_base { 0 } else { start },
            functions,
        }
    }

    fn name(&self, address: u64) -> &str {
        let at = address.wrapping_sub(self.bias);
        let after = self.functions.partition_point(|it| it.0 <= at);
        let found = self.functions[..after].last().filter(|it| at - it.0 < it.1);
        found.map_or("?", |it| it.2.as_str())
    }

    fn names(&self, frames: &[Frame]) -> Vec<&str> {
        frames.iter().map(|it| self.name(it.inside())).collect()
    }
}

/// Unwinds one stopped thread.
fn unwind(tables: &UnwindTables, memory: &WriteMemory, tid: Tid) -> Result<Vec<Frame>, Unreliable> {
    let registers = Registers::of(tid).expect("it is stopped");
    let mut stack = Stack::new(memory, registers.sp(), Vec::new());
    Unwinder::new(tables).unwind(&registers, &mut stack)
}

/// Stops a program and gives the names of a thread's functions: of the main one, or of the other.
fn names(program: &Program, path: &Path, main: bool) -> Result<Vec<String>, Why> {
    let pid = program.pid();
    let memory = WriteMemory::open(pid).expect("its memory opens");
    let tables = UnwindTables::read(pid, &Maps::read(pid).expect("maps"), &memory);
    let symbols = Symbols::of(pid, path);
    stopped(pid, |threads| {
        let tid = threads.tids().find(|tid| (*tid == pid) == main);
        let frames = unwind(&tables, &memory, tid.expect("there is one"));
        let frames = frames.map_err(|it| it.why)?;
        Ok(symbols
            .names(&frames)
            .into_iter()
            .map(str::to_owned)
            .collect())
    })
}

const DEEP: &str = r#"
#include <unistd.h>
static volatile int stop;
__attribute__((noipa)) int deep(int n) { if (!n) { puts("deep"); fflush(stdout); while (!stop) ; return 1; } return deep(n - 1) + n; }
void answer(const char *q, char *r) { deep(20000); }
"#;

#[test]
fn a_deep_recursion_is_known_to_its_end() {
    let folder = Folder::new();
    for args in [
        ["-O2", "-fno-optimize-sibling-calls"],
        ["-O0", "-fno-omit-frame-pointer"],
    ] {
        let path = folder.server("deep", DEEP, &args);
        let mut program = Program::start(&path);
        program.send("go");
        assert_eq!(program.line(), "deep");
        let names = names(&program, &path, true).expect("it is reliable");
        let deep = names.iter().filter(|it| it.starts_with("deep")).count();
        assert!(deep > 100, "{deep}");
        assert_eq!(names.last().map(String::as_str), Some("_start"));
        assert!(names.iter().any(|it| it == "main"));
    }
}

#[test]
fn a_thread_that_waits_is_known_from_the_library_to_its_start() {
    let folder = Folder::new();
    let answer = r#"
#include <pthread.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *wait_here(void *it) { pthread_mutex_lock(&lock); return it; }
void answer(const char *q, char *r)
{
	pthread_t thread;
	pthread_mutex_lock(&lock);
	pthread_create(&thread, NULL, wait_here, NULL);
}
"#;
    let path = folder.server("waits", answer, &["-pthread"]);
    let mut program = Program::start(&path);
    program.ask("go");
    let names = names(&program, &path, false).expect("it is reliable");
    assert!(names.iter().any(|it| it == "wait_here"), "{names:?}");
}

#[test]
fn a_handler_on_a_stack_of_its_own_leads_back_to_what_it_interrupted() {
    let folder = Folder::new();
    let answer = r#"
#include <signal.h>
static char other[65536];
static void handler(int it) { puts("handler"); fflush(stdout); for (;;) ; }
__attribute__((noipa)) static int interrupted(volatile int *zero) { return 100 / *zero; }
void answer(const char *q, char *r)
{
	volatile int zero = 0;
	stack_t stack = { .ss_sp = other, .ss_size = sizeof other };
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
	sigaltstack(&stack, NULL);
	sigaction(SIGFPE, &action, NULL);
	sprintf(r, "%d", interrupted(&zero));
}
"#;
    let path = folder.server("handler", answer, &[]);
    let mut program = Program::start(&path);
    program.send("go");
    assert_eq!(program.line(), "handler");
    let names = names(&program, &path, true).expect("it is reliable");
    assert_eq!(names[0], "handler");
    assert!(names.contains(&"interrupted".to_owned()), "{names:?}");
    assert!(names.contains(&"main".to_owned()), "{names:?}");
}

/// As in musl, whose way back from a handler has no unwind information.
#[test]
fn a_handler_that_returns_by_code_without_unwind_information_leads_back_too() {
    let folder = Folder::new();
    let answer = r#"
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>
asm(".text\nreturns: mov $15, %eax\n syscall\n");
extern void returns(void);
static void handler(int it) { puts("handler"); fflush(stdout); for (;;) ; }
__attribute__((noipa)) static int interrupted(volatile int *zero) { return 100 / *zero; }
struct { void (*handler)(int); unsigned long flags; void (*restorer)(void); unsigned long mask; } action =
	{ handler, 0x04000000 /* SA_RESTORER */, returns, 0 };
void answer(const char *q, char *r)
{
	volatile int zero = 0;
	syscall(SYS_rt_sigaction, SIGFPE, &action, NULL, 8);
	sprintf(r, "%d", interrupted(&zero));
}
"#;
    let path = folder.server("restorer", answer, &[]);
    let mut program = Program::start(&path);
    program.send("go");
    assert_eq!(program.line(), "handler");
    let names = names(&program, &path, true).expect("it is reliable");
    assert_eq!(names[0], "handler");
    assert!(names.contains(&"interrupted".to_owned()), "{names:?}");
    assert!(names.contains(&"main".to_owned()), "{names:?}");
}

#[test]
fn code_without_unwind_information_is_never_taken_for_the_end() {
    let folder = Folder::new();
    let answer = r#"
void without(void (*call)(void));
asm(".text\n.globl without\n.type without, @function\nwithout: sub $24, %rsp\n call *%rdi\n add $24, %rsp\n ret\n.size without, . - without\n");
static void spin(void) { puts("spin"); fflush(stdout); for (;;) ; }
void answer(const char *q, char *r) { without(spin); }
"#;
    let path = folder.server("without", answer, &[]);
    let mut program = Program::start(&path);
    program.send("go");
    assert_eq!(program.line(), "spin");
    assert_eq!(names(&program, &path, true), Err(Why::NoInformation));
}

#[test]
fn a_smashed_stack_is_not_trusted() {
    let folder = Folder::new();
    let answer = r#"
__attribute__((noipa)) static void smash(void)
{
	volatile unsigned long here[1];
	for (int i = 0; i < 40; i++)
		((volatile unsigned long *)here)[i] = 0x1234;
	for (;;) ;
}
void answer(const char *q, char *r) { puts("smash"); fflush(stdout); smash(); strcpy(r, "x"); }
"#;
    let path = folder.server("smash", answer, &["-fno-stack-protector"]);
    let mut program = Program::start(&path);
    program.send("go");
    assert_eq!(program.line(), "smash");
    while program_is_not_in(&program, &path, "smash") {}
    assert!(names(&program, &path, true).is_err());
}

fn program_is_not_in(program: &Program, path: &Path, function: &str) -> bool {
    let pid = program.pid();
    let symbols = Symbols::of(pid, path);
    let pc = stopped(pid, |_| Registers::of(pid).expect("it is stopped").pc());
    symbols.name(pc) != function
}

/// Every instruction of a program's function, of what it calls in the procedure linkage table, the library and the vdso: the
/// stack always leads to `main`, and shows the functions that are known to be active.
const STEPPED: &str = r#"
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
__attribute__((noipa)) static long leaf(long a) { asm volatile("" : "+r"(a)); return a * 3; }
__attribute__((noipa)) static long saves(long a, long b)
{
	long c = leaf(a), d = leaf(b), e = leaf(a + b);
	return leaf(c + d) + e;
}
__attribute__((noipa)) static long aligned(long n)
{
	volatile char big[n] __attribute__((aligned(64)));
	big[0] = n;
	return leaf(big[0]);
}
__attribute__((noipa)) static int less(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
__attribute__((noipa)) void traced(void)
{
	struct timespec time;
	int numbers[] = { 3, 1, 2 };
	volatile long sum = saves(4, 5) + aligned(100);
	clock_gettime(CLOCK_MONOTONIC, &time);
	qsort(numbers, 3, sizeof *numbers, less);
	sum += labs(getppid());
}
__attribute__((noipa)) void done(void) { asm volatile(""); }
__attribute__((noipa)) void answer(const char *q, char *r)
{
	char line_end;
	puts("here"); fflush(stdout);
	read(0, &line_end, 1);
	traced();
	done();
	strcpy(r, "stepped");
}
"#;

fn every_instruction_is_known(args: &[&str]) {
    let folder = Folder::new();
    let path = folder.server("stepped", STEPPED, args);
    let mut program = Program::start(&path);
    program.send("go");
    assert_eq!(program.line(), "here");
    let steps = step_through(&mut program, &path);
    assert!(steps > 300, "{steps}");
}

#[test]
fn every_instruction_of_optimised_code_is_known() {
    every_instruction_is_known(&["-O2", "-fomit-frame-pointer"]);
    every_instruction_is_known(&["-O3", "-fcf-protection"]);
}

#[test]
fn every_instruction_with_frame_pointers_is_known() {
    every_instruction_is_known(&["-O0"]);
    every_instruction_is_known(&["-O2", "-Wl,-z,lazy", "-fno-omit-frame-pointer"]);
}

#[test]
fn every_instruction_at_fixed_addresses_is_known() {
    every_instruction_is_known(&["-Os", "-fno-pie", "-no-pie"]);
    every_instruction_is_known(&["-O2", "-static"]);
}

/// Steps until `done` is reached, and counts the steps inside `traced`.
fn step_through(program: &mut Program, path: &Path) -> usize {
    use nix::sys::ptrace;
    let pid = program.pid();
    let memory = WriteMemory::open(pid).expect("its memory opens");
    let tables = UnwindTables::read(pid, &Maps::read(pid).expect("maps"), &memory);
    let symbols = Symbols::of(pid, path);
    let thread = nix::unistd::Pid::from_raw(pid);
    let wait = || nix::sys::wait::waitpid(thread, None).expect("it stops");
    ptrace::attach(thread).expect("it can be traced");
    wait();
    program.send("");
    let step = || {
        ptrace::step(thread, None).expect("it can be stepped");
        wait();
    };
    let mut unwinder = Unwinder::new(&tables);
    let mut steps = 0;
    loop {
        let registers = Registers::of(pid).expect("it is stopped");
        let mut stack = Stack::new(&memory, registers.sp(), Vec::new());
        let frames = unwinder.unwind(&registers, &mut stack);
        let frames = frames.unwrap_or_else(|it| {
            panic!(
                "{it}, in {:?}, after {steps} steps",
                symbols.names(&it.frames)
            )
        });
        let names = symbols.names(&frames);
        assert!(
            names.contains(&"main") && names.contains(&"_start"),
            "{names:?}"
        );
        if names.contains(&"traced") {
            steps += 1;
            let above = names.iter().position(|it| *it == "traced").unwrap_or(0);
            assert_eq!(names[above + 1], "answer", "{names:?}");
            if let Some(leaf) = names.iter().position(|it| *it == "leaf") {
                assert!(["saves", "aligned"].contains(&names[leaf + 1]), "{names:?}");
            }
        }
        if names[0] == "done" {
            return steps;
        }
        step();
    }
}

/// A thread that has just been made, and one that has just made one, are in the middle of the library's `clone`, of which nothing
/// is known but its instructions.
#[test]
fn threads_that_are_made_all_the_time_are_known() {
    let folder = Folder::new();
    let path = folder.server("storm", super::stopping::STORM, &["-pthread"]);
    let mut program = Program::start(&path);
    program.ask("start");
    let pid = program.pid();
    let memory = WriteMemory::open(pid).expect("its memory opens");
    let mut unknown = Vec::new();
    for _ in 0..20 {
        let maps = Maps::read(pid).expect("maps");
        let tables = UnwindTables::read(pid, &maps, &memory);
        let of_all = stopped(pid, |threads| {
            let tids: Vec<Tid> = threads.tids().collect();
            let frames = tids.iter().map(|tid| unwind(&tables, &memory, *tid));
            frames.filter_map(Result::err).collect::<Vec<_>>()
        });
        unknown.extend(of_all);
    }
    assert_eq!(unknown, []);
}

#[test]
fn a_thread_of_another_library_is_known_with_tables_that_saw_it() {
    let folder = Folder::new();
    folder.library(
        "libspin.so",
        "#include <stdio.h>\nvoid spin(void) { puts(\"spin\"); fflush(stdout); for (;;) ; }",
        &[],
    );
    let answer = r#"
#include <dlfcn.h>
void answer(const char *q, char *r) { ((void (*)(void))dlsym(dlopen("libspin.so", RTLD_NOW), "spin"))(); }
"#;
    let path = folder.server("late", answer, &[]);
    let mut program = Program::start(&path);
    let pid = program.pid();
    let memory = WriteMemory::open(pid).expect("its memory opens");
    let before = UnwindTables::read(pid, &Maps::read(pid).expect("maps"), &memory);
    program.send("go");
    assert_eq!(program.line(), "spin");
    let after = UnwindTables::read(pid, &Maps::read(pid).expect("maps"), &memory);
    assert!(after.len() > before.len());
    let done = lp_runtime::process::touch::threads::with_threads(pid, |threads| {
        threads.stop_all(PATIENCE).expect("it stops");
        let unreliable = unwind(&before, &memory, pid).expect_err("it was not there");
        assert_eq!(unreliable.why, Why::NoInformation);
        unwind(&after, &memory, pid).expect("it is reliable");
        let at = Registers::of(pid).expect("it is stopped").pc();
        assert!(
            after
                .object_at(at)
                .expect("it is known")
                .ends_with("libspin.so")
        );
    });
    done.expect("it can be traced");
}
