//! Stacks that no thread is on: what is suspended inside a patch comes back to code that is still there.

use crate::patch::{make, manifest, object_of};
use crate::program::{Folder, Program};
use lp_runtime::process::prepare::patch_file::PatchFile;
use lp_runtime::process::prepare::plan::Warning;
use lp_runtime::process::read::maps::Maps;
use lp_runtime::process::{Done, Options, Process};
use std::process::Command;
use std::time::Duration;

/// `work` is suspended in its middle and goes on when the next question is asked. SWITCH switches between two stacks.
const PROGRAM: &str = r#"
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <pthread.h>
    static int at; static char *last;
    void yield_(void);
    __attribute__((noipa)) int work(int x) { int before = x * 10; yield_(); return before + 1; }
    static void body(void) { for (;; at++) { int result = work(at); sprintf(last, "%d", result); yield_(); } }
    void resume(void);
    void answer(const char *q, char *r) { last = r; resume(); }
"#;

const UCONTEXT: &str = r#"
    #include <ucontext.h>
    static ucontext_t outer, inner;
    __attribute__((noipa)) void yield_(void) { swapcontext(&inner, &outer); }
    void resume(void) {
        if (!inner.uc_stack.ss_sp) {
            getcontext(&inner); inner.uc_stack.ss_sp = malloc(65536); inner.uc_stack.ss_size = 65536;
            makecontext(&inner, body, 0);
        }
        swapcontext(&outer, &inner);
    }
"#;

/// As libraries do it that have instructions of their own: registers are pushed, the stack pointer is kept. STACK is where the stack comes
/// from, BEFORE and AFTER are done when it is switched to and away from.
const ASSEMBLY: &str = r#"
    #include <sys/mman.h>
    static char *stack;
    #ifndef STACK
    #define STACK malloc(65536)
    #define BEFORE
    #define AFTER
    #endif
    static void *outer, *inner;
    void switch_to(void **from, void *to);
    asm("switch_to: push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15; mov %rsp, (%rdi); mov %rsi, %rsp;"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp; ret");
    __attribute__((noipa)) void yield_(void) { switch_to(&inner, outer); }
    void resume(void) {
        if (!inner) {
            void **top = (void **)((stack = STACK) + 65536);
            top -= 2; top[0] = body; top[1] = 0; inner = top - 6;
        }
        BEFORE
        switch_to(&outer, inner);
        AFTER
    }
"#;

const PATCH: &str =
    "void yield_(void); int work(int x) { int before = x * 10; yield_(); return before + 2; }";

/// A context in the frame of the function that uses it, and one that `sigsetjmp` keeps, whose addresses glibc mangles.
const IN_A_FRAME: &str = r#"
    #include <setjmp.h>
    #include <ucontext.h>
    static ucontext_t outer, inner;
    static jmp_buf outside, inside;
    static int begun;
    __attribute__((noipa)) void yield_(void) { if (!_setjmp(inside)) _longjmp(outside, 1); }
    __attribute__((noipa)) void step(void) { if (!_setjmp(outside)) { if (begun++) _longjmp(inside, 1); swapcontext(&outer, &inner); } }
    static char *stack;
    void resume(void) {
        if (!stack) {
            char in_this_frame[65536]; char question[512];
            stack = in_this_frame;
            getcontext(&inner); inner.uc_stack.ss_sp = stack; inner.uc_stack.ss_size = sizeof in_this_frame;
            makecontext(&inner, body, 0);
            step();
            do {
                puts(last); fflush(stdout);
                if (!fgets(question, sizeof question, stdin)) exit(0);
                strcpy(last, "?");
                step();
            } while (1);
        }
    }
"#;

/// The same by instructions of the program's own, so that where the coroutine's stack ends nobody can tell.
const IN_A_FRAME_BY_HAND: &str = r#"
    static void *outer, *inner;
    void switch_to(void **from, void *to);
    asm("switch_to: push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15; mov %rsp, (%rdi); mov %rsi, %rsp;"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp; ret");
    __attribute__((noipa)) void yield_(void) { switch_to(&inner, outer); }
    void resume(void) {
        if (!inner) {
            void *in_this_frame[8192] __attribute__((aligned(16))); char question[512];
            void **top = in_this_frame + 8190;
            top[0] = body; top[1] = 0; inner = top - 6;
            switch_to(&outer, inner);
            do {
                puts(last); fflush(stdout);
                if (!fgets(question, sizeof question, stdin)) exit(0);
                strcpy(last, "?");
                switch_to(&outer, inner);
            } while (1);
        }
    }
"#;

struct World {
    program: Program,
    process: Process,
    patch: PatchFile,
    _folder: Folder,
}

impl World {
    fn start(source: &str, patch: &str) -> Self {
        let folder = Folder::new();
        let path = folder.server("prog", source, &["-pthread"]);
        let mut manifest = manifest("fix");
        manifest.objects.push(object_of(&path, &["work"]));
        let bytes = make(&folder, patch, &[], &manifest);
        let program = Program::start(&path);
        Self {
            process: Process::attach(program.pid()).expect("it is ours"),
            patch: PatchFile::parse(&bytes).expect("a patch"),
            program,
            _folder: folder,
        }
    }

    fn load(&self) -> Done {
        self.process.load(&self.patch, soon()).expect("it goes in")
    }

    fn unload(&self) -> Done {
        self.process.unload("fix", soon()).expect("it goes out")
    }

    fn listed(&self) -> String {
        let mut list = Command::new(env!("CARGO_BIN_EXE_lp-ctl"));
        let pid = self.program.pid().to_string();
        let done = list.args(["list", "--pid", &pid]).output();
        String::from_utf8(done.expect("lp-ctl").stdout).expect("text")
    }

    fn mappings(&self) -> usize {
        let maps = Maps::read(self.program.pid());
        maps.expect("its maps").iter().count()
    }
}

fn soon() -> Options<'static> {
    Options {
        timeout: Duration::from_millis(200),
        ..Options::default()
    }
}

fn what_is_suspended_comes_back(switch: &str) {
    let mut world = World::start(&format!("{PROGRAM}{switch}"), PATCH);
    // Each two questions are a call of `work`: the first suspends it.
    world.program.ask("");
    let functions = vec!["work".to_owned()];
    assert_eq!(world.load().warnings, [Warning::Suspended { functions }]);
    assert_eq!(world.unload().warnings, []);
    assert_eq!(world.program.ask(""), "1", "the old code was suspended");
    let mappings = world.mappings();
    assert_eq!(world.load().warnings, []);
    world.program.ask("");
    let done = world.unload();
    let [Warning::Stays { function, size, .. }] = &done.warnings[..] else {
        panic!("{:?}", done.warnings);
    };
    assert_eq!(function.as_deref(), Some("work"));
    assert!(*size >= 4096, "{size}");
    assert!(
        world
            .process
            .contents()
            .expect("a control area")
            .patches
            .is_empty()
    );
    let stays = "fix is out; 8 KiB of it stay in memory";
    assert!(world.listed().contains(stays), "{}", world.listed());
    assert_eq!(world.program.ask(""), "12", "it comes back to the new code");
    world.program.ask("");
    assert_eq!(world.program.ask(""), "21", "and then calls the old one");
    // What stayed goes when nobody is in it any more, which the next one sees.
    world.load();
    assert_eq!(world.process.contents().expect("a control area").stays, []);
    assert!(world.unload().warnings.is_empty());
    assert_eq!(world.mappings(), mappings);
}

#[test]
fn a_suspended_context_comes_back() {
    what_is_suspended_comes_back(UCONTEXT);
}

#[test]
fn a_stack_that_was_switched_away_from_by_hand_comes_back() {
    what_is_suspended_comes_back(ASSEMBLY);
}

#[test]
fn a_stack_in_another_ones_frame_comes_back() {
    what_is_suspended_comes_back(IN_A_FRAME);
    what_is_suspended_comes_back(IN_A_FRAME_BY_HAND);
}

fn on_a_stack_of(declared: &str, stack: &str, before: &str, after: &str) -> String {
    let defines = [("STACK", stack), ("BEFORE", before), ("AFTER", after)];
    let defines: String = defines
        .iter()
        .map(|(name, value)| format!("#define {name} {value}\n"))
        .collect();
    format!("{declared}\n{defines}{ASSEMBLY}")
}

#[test]
fn a_stack_that_is_protected_meanwhile_comes_back() {
    what_is_suspended_comes_back(&on_a_stack_of(
        "",
        "mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)",
        "mprotect(stack, 65536, PROT_READ | PROT_WRITE);",
        "mprotect(stack, 65536, PROT_NONE);",
    ));
}

#[test]
fn what_looks_like_a_threads_record_is_none() {
    let nil = "static char *with_nil(void) { char *stack = malloc(65536); void **nil = malloc(64);\
               nil[0] = nil[1] = nil[2] = nil; return stack; }";
    what_is_suspended_comes_back(&on_a_stack_of(nil, "with_nil()", "", ""));
}

#[test]
fn below_a_threads_stack_in_the_heap_there_is_anything() {
    let thread = "static void *waits(void *x) { for (;;) pause(); }\n\
        #include <unistd.h>\n\
        static char *with_thread(void) { char *stack = malloc(65536), *other = malloc(65536); pthread_t thread; pthread_attr_t own;\
        pthread_attr_init(&own); pthread_attr_setstack(&own, other, 65536); pthread_create(&thread, &own, waits, 0); return stack; }";
    what_is_suspended_comes_back(&on_a_stack_of(thread, "with_thread()", "", ""));
}

#[test]
fn a_stack_below_another_ones_stack_pointer_comes_back() {
    let below = "__attribute__((noipa)) static void *same(void *p) { return p; }\n\
        __attribute__((noipa)) static char *below(void) { char room[262144]; return same(room); }";
    what_is_suspended_comes_back(&on_a_stack_of(below, "below()", "", ""));
}

/// All is done on a stack that `makecontext` has made; the one that the thread was given waits.
const INSIDE: &str = r#"
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <ucontext.h>
    __attribute__((noipa)) int helper(int x) { return x; }
    __attribute__((noipa)) int work(int x) { return helper(x) + 1; }
    static ucontext_t outer, inner;
    static void body(void) {
        static char question[512];
        do { printf("%d\n", work(0)); fflush(stdout); } while (fgets(question, sizeof question, stdin));
        exit(0);
    }
    void answer(const char *q, char *r) {
        getcontext(&inner); inner.uc_stack.ss_sp = malloc(65536); inner.uc_stack.ss_size = 65536; inner.uc_link = &outer;
        makecontext(&inner, body, 0);
        swapcontext(&outer, &inner);
    }
"#;

#[test]
fn a_thread_may_be_on_a_stack_that_the_program_made() {
    let source = "int helper(int x); int work(int x) { return helper(x) + 2; }";
    let mut world = World::start(INSIDE, source);
    assert_eq!(world.program.ask(""), "1");
    assert_eq!(world.load().warnings, []);
    assert_eq!(world.program.ask(""), "2");
    assert_eq!(world.unload().warnings, []);
    assert_eq!(world.program.ask(""), "1");
}

/// What calls leave behind: on the stack of a thread that waits, in a frame of it that has room, on stacks of threads that have
/// ended and wait to be used again.
const REMAINS: &str = r#"
    #include <pthread.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <unistd.h>
    __attribute__((noipa)) int helper(int x) { return x; }
    __attribute__((noipa)) int work(int x) { return helper(x) + 1; }
    __attribute__((noipa)) int deep(int n) { char room[512]; room[n] = 1; return n ? deep(n - 1) + room[n] : work(0); }
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static void *ends(void *x) { deep(20); return x; }
    static void *waits(void *x) { deep(20); pthread_mutex_lock(&mutex); return x; }
    __attribute__((noipa)) static void *waits_above(void *x) { deep(2); char room[8192]; asm volatile("" :: "r"(room)); pthread_mutex_lock(&mutex); return x; }
    static void *calls(void *x) { deep(2); return waits_above(x); }
    void answer(const char *q, char *r)
    {
        pthread_t threads[4];
        static int begun;
        if (!begun++) {
            pthread_mutex_lock(&mutex);
        }
        for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, ends, 0);
        for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
        pthread_create(&threads[0], 0, waits, 0);
        pthread_create(&threads[0], 0, calls, 0);
        usleep(20000);
        sprintf(r, "%d", deep(10));
    }
"#;

#[test]
fn what_calls_have_left_behind_keeps_nothing() {
    let source = "int helper(int x); int work(int x) { return helper(x) + 2; }";
    let mut world = World::start(REMAINS, source);
    world.program.ask("");
    assert_eq!(world.load().warnings, []);
    assert_eq!(world.program.ask(""), "12");
    assert_eq!(world.unload().warnings, []);
    assert_eq!(world.program.ask(""), "11");
}

/// A callback runs on a stack of ours, and has left behind where it would have returned to when its patch is replaced.
#[test]
fn what_callbacks_have_left_behind_is_nobodys() {
    let plain = "int helper(int x) { return x; } int work(int x) { return x; }";
    let folder = Folder::new();
    let answer =
        format!("{plain} void answer(const char *q, char *r) {{ sprintf(r, \"%d\", work(1)); }}");
    let path = folder.server(
        "prog",
        &answer.replace("int work", "__attribute__((noipa)) int work"),
        &[],
    );
    let mut program = Program::start(&path);
    let process = Process::attach(program.pid()).expect("it is ours");
    for (name, step) in [("one", 1), ("two", 2)] {
        let mut manifest = manifest(name);
        let mut object = object_of(&path, &["work"]);
        object.callbacks.pre_patch = Some("before".into());
        manifest.objects.push(object);
        let source = format!(
            "static volatile int noted; __attribute__((noipa)) static int note(int x) {{ noted = x; return 0; }}\
             int before(void) {{ return note(1) + note(2); }} int work(int x) {{ return x + {step}; }}"
        );
        let bytes = make(&folder, &source, &[], &manifest);
        let patch = PatchFile::parse(&bytes).expect("a patch");
        let done = process.load(&patch, soon()).expect("it goes in");
        assert_eq!(done.warnings, []);
        assert_eq!(program.ask(""), (1 + step).to_string());
    }
}
