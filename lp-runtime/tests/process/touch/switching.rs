//! A function is redirected while threads call it, when and only when none is inside.

use super::support::{read, stopped};
use crate::program::{Folder, Program};
use lp_runtime::process::read::maps::Maps;
use lp_runtime::process::touch::check::{Busy, BusyRange, BusyThread, Checker, InTheWay};
use lp_runtime::process::touch::jump::{
    JUMP_SIZE, JumpError, TextChange, change_text, destination, jump,
};
use lp_runtime::process::touch::unwind::UnwindTables;
use lp_runtime::process::touch::write::WriteMemory;

/// Threads that call `old`, whose answers are counted.
const CALLERS: &str = r#"
#include <pthread.h>
#include <unistd.h>
__attribute__((noipa, aligned(16))) int old(void) { return 1; }
__attribute__((noipa, aligned(16))) int new(void) { return 2; }
static volatile long answers[4];
static volatile int stay;
__attribute__((noipa)) static void sleeper(void) { while (stay) usleep(1000); }
__attribute__((noipa)) static void outer(void) { sleeper(); }
void without(void (*call)(void));
asm(".text\nwithout: sub $8, %rsp\n call *%rdi\n add $8, %rsp\n ret\n");
static void *call(void *it) { for (;;) { int got = old(); __atomic_fetch_add(&answers[got == 1 || got == 2 ? got : 3], 1, __ATOMIC_RELAXED); } }
static void *stay_in(void *it) { outer(); return NULL; }
static void *stay_without(void *it) { without(sleeper); return NULL; }
void answer(const char *q, char *r)
{
	static pthread_t thread;
	if (!strcmp(q, "call"))
		for (int i = 0; i < 4; i++)
			pthread_create(&thread, NULL, call, NULL);
	if (!strcmp(q, "stay") || !strcmp(q, "stay without")) {
		stay = 1;
		pthread_create(&thread, NULL, q[4] ? stay_without : stay_in, NULL);
	}
	if (!strcmp(q, "leave")) {
		stay = 0;
		pthread_join(thread, NULL);
	}
	sprintf(r, "%ld %ld %ld", answers[1], answers[2], answers[3]);
	if (!strcmp(q, "where"))
		sprintf(r, "%lx %lx %lx", old, new, outer);
}
"#;

struct Callers {
    program: Program,
    memory: WriteMemory,
    maps: Maps,
    tables: UnwindTables,
    functions: Vec<u64>,
    _folder: Folder,
}

impl Callers {
    fn start() -> Self {
        let folder = Folder::new();
        let mut program = Program::start(&folder.server("callers", CALLERS, &["-pthread"]));
        let pid = program.pid();
        let memory = WriteMemory::open(pid).expect("its memory opens");
        let maps = Maps::read(pid).expect("maps");
        let address = |word: &str| u64::from_str_radix(word, 16).expect("an address");
        Self {
            functions: program.ask("where").split(' ').map(address).collect(),
            tables: UnwindTables::read(pid, &maps, &memory),
            program,
            memory,
            maps,
            _folder: folder,
        }
    }

    /// How often `old` answered 1 and 2.
    fn answers(&mut self) -> [u64; 2] {
        let answer = self.program.ask("answers");
        let counts: Vec<u64> = answer
            .split(' ')
            .map(|it| it.parse().expect("a count"))
            .collect();
        assert_eq!(counts[2], 0, "never anything else");
        [counts[0], counts[1]]
    }

    fn busy(&self, function: usize, size: u64) -> Busy {
        let start = self.functions[function];
        Busy::new([BusyRange {
            range: start..start + size,
            function: format!("function {function}"),
        }])
    }

    fn in_the_way(&self, busy: &Busy) -> Vec<BusyThread> {
        let pid = self.program.pid();
        let (maps, memory, tables) = (&self.maps, &self.memory, &self.tables);
        stopped(pid, |threads| {
            let mut checker = Checker::new(pid, maps, memory, tables);
            checker.in_the_way(threads, busy).expect("all are stopped")
        })
    }

    /// Changes text as soon as no thread is inside `old`.
    fn change(&self, change: TextChange) {
        let pid = self.program.pid();
        let busy = self.busy(0, 16);
        let (maps, memory, tables) = (&self.maps, &self.memory, &self.tables);
        let changed = || {
            stopped(pid, |threads| {
                let mut checker = Checker::new(pid, maps, memory, tables);
                let in_the_way = checker.in_the_way(threads, &busy);
                let free = in_the_way.expect("all are stopped").is_empty();
                if free {
                    change_text(memory, pid, &[change]).expect("it is changed");
                }
                free
            })
        };
        while !changed() {}
    }
}

#[test]
fn a_jump_is_written_and_undone_while_threads_call() {
    let mut callers = Callers::start();
    let [old, new] = [callers.functions[0], callers.functions[1]];
    callers.program.ask("call");
    let mut original = [0; JUMP_SIZE];
    original.copy_from_slice(&read(&callers.memory, old, JUMP_SIZE));
    let there = TextChange {
        address: old,
        old: original,
        new: jump(old, new).expect("it is near"),
    };
    let back = TextChange {
        old: there.new,
        new: there.old,
        ..there
    };
    assert_eq!(destination(old, there.new), Some(new));
    for _ in 0..5 {
        callers.change(there);
        let before = callers.answers();
        while callers.answers()[1] == before[1] {}
        // Those that were in `call` when it was written have counted by now, at most one each.
        assert!(callers.answers()[0] <= before[0] + 4);
        callers.change(back);
        let before = callers.answers();
        while callers.answers()[0] == before[0] {}
        assert!(callers.answers()[1] <= before[1] + 4);
    }
    let error = change_text(&callers.memory, callers.program.pid(), &[back]);
    assert!(matches!(error, Err(JumpError::Unexpected { .. })));
}

#[test]
fn a_thread_inside_a_function_is_named_until_it_leaves() {
    let mut callers = Callers::start();
    let busy = callers.busy(2, 32);
    assert_eq!(callers.in_the_way(&busy), []);
    callers.program.ask("stay");
    let mut in_the_way = callers.in_the_way(&busy);
    // It may not be there yet.
    while in_the_way.is_empty() {
        in_the_way = callers.in_the_way(&busy);
    }
    let [thread] = in_the_way.as_slice() else {
        panic!("{in_the_way:?}");
    };
    assert_ne!(thread.tid, callers.program.pid());
    let InTheWay::Inside {
        function, frame, ..
    } = &thread.why
    else {
        panic!("{thread}");
    };
    assert_eq!(function, "function 2");
    assert!(*frame >= 1, "{thread}");
    callers.program.ask("leave");
    assert_eq!(callers.in_the_way(&busy), []);
}

#[test]
fn a_thread_whose_stack_is_not_known_is_in_the_way() {
    let mut callers = Callers::start();
    callers.program.ask("stay without");
    // In the library it is known; what calls it from `without` is not.
    let unreliable = |it: &[BusyThread]| {
        matches!(
            it,
            [BusyThread {
                why: InTheWay::Unreliable { .. },
                ..
            }]
        )
    };
    let busy = callers.busy(0, 16);
    while !unreliable(&callers.in_the_way(&busy)) {}
    callers.program.ask("leave");
    assert_eq!(callers.in_the_way(&busy), []);
}

#[test]
fn a_jump_that_is_too_far_is_none() {
    assert!(jump(0x1000, 0x1000 + (1 << 31) + 4).is_ok());
    assert!(matches!(
        jump(0x1000, 0x1000 + (1 << 31) + 5),
        Err(JumpError::TooFar { .. })
    ));
    assert!(jump(0x1_0000_0000, 0x8000_0005).is_ok());
    assert!(jump(0x1_0000_0000, 0x8000_0004).is_err());
}
