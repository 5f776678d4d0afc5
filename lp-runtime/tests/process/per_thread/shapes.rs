//! How functions begin, and what cannot be done with some.

use super::support::World;
use lp_runtime::process::{Consistency, ProcessError};
use std::process::Command;

/// Beginnings of functions as compilers make them; of a weak one no compiler believes that it stays as it is. Each is called by both sides while a thread is inside `resident`.
const SHAPES: &str = r#"
    #include <stdio.h>
    #include <string.h>
    #include <unistd.h>
    #include <pthread.h>
#define F __attribute__((weak, noinline))
        volatile int stay, inside, number = 5;
    static int table[4] = { 1, 2, 3, 4 };
    typedef int call(int);
    F int leaf(int x) { return x * 3; }
    F int reads(int x) { return number + x; }
    F int calls(int x) { return leaf(x) + 1; }
    F int calls_first(void) { return leaf(1) + leaf(2); }
    F int tail(int x) { return leaf(x); }
    F int branches(int x) { if (!x) return 9; return leaf(x - 1) + branches(x - 1); }
    F int loops(int x) { int sum = 0; while (x > 0) { sum += leaf(x); x -= 2; } return sum; }
    F int chooses(int x) { switch (x) { case 0: return leaf(4); case 1: return 8; case 2: return leaf(2);
        case 3: return 77; case 4: return leaf(x) + 4; case 5: return 1; default: return -1; } }
    F double floats(double x) { return x * 2.5 + number; }
    F int many(int a, int b, int c, int d, int e, int f, int g, int h) { return a + b * c - d + leaf(e) + f * g - h; }
    F int indexes(int x) { return table[x & 3]; }
    F int tests(int *x) { return x ? *x : number; }
    F int all(int x)
    {
        int sum = reads(x) + calls(x) + calls_first() + tail(x) + branches(x) + loops(x) + (int)floats(x) + tests(&x) + tests(0);
        for (int i = -1; i < 7; i++) sum = sum * 3 + chooses(i);
        return sum + many(1, 2, 3, 4, 5, 6, 7, x) + indexes(x);
    }
    static volatile int answers;
    F int resident(int x) { inside = 1; while (stay) { answers = all(x); usleep(200); } inside = 0; return x; }
    static void *stays(void *x) { resident(6); return x; }
    void answer(const char *q, char *r)
    {
        static pthread_t t;
        int seen = -1;
        if (!strcmp(q, "stay")) { stay = 1; pthread_create(&t, 0, stays, 0); while (!inside) usleep(100); }
        if (!strcmp(q, "leave")) { stay = 0; pthread_join(t, 0); }
        if (stay) { answers = -1; while (answers == -1) usleep(100); seen = answers; }
        sprintf(r, "%d %d", all(6), seen);
    }
"#;

const NEW: &str = "
    int reads(int x) { return 1; } int calls(int x) { return 2; } int calls_first(void) { return 3; } int tail(int x) { return 4; }
    int branches(int x) { return 5; } int loops(int x) { return 6; } int chooses(int x) { return 7; }
    double floats(double x) { return 8; } int many(int a) { return 9; } int indexes(int x) { return 10; }
    int tests(int *x) { return 11; } int leaf(int x) { return 12; }
    extern volatile int klp$prog$stay$0, klp$prog$inside$0; int usleep(unsigned);
    int resident(int x) { return 0; }";

const FUNCTIONS: [&str; 13] = [
    "reads",
    "calls",
    "calls_first",
    "tail",
    "branches",
    "loops",
    "chooses",
    "floats",
    "many",
    "indexes",
    "tests",
    "leaf",
    "resident",
];

fn compilers() -> Vec<String> {
    let there = |name: &String| Command::new(name).arg("--version").output().is_ok();
    let clangs = (14..24).map(|version| format!("clang-{version}"));
    let all = ["gcc".to_owned(), "clang".to_owned()]
        .into_iter()
        .chain(clangs);
    all.filter(there).collect()
}

/// All functions that can be moved, are; the old side gives what it gave, the new one is new.
fn both_sides_are_right(compiler: &str, args: &[&str]) -> usize {
    let args: Vec<&str> = [args, &["-pthread"]].concat();
    let mut world = World::compiled(compiler, SHAPES, &args);
    let before = world.program.ask("stay");
    let old = before.split(' ').next().expect("a number").to_owned();
    let mut functions = FUNCTIONS.to_vec();
    let refused = loop {
        let fix = world.simple("fix", &functions, NEW);
        match world.load(&fix) {
            Err(ProcessError::CannotMove(refused)) => {
                let names: Vec<String> = refused.iter().map(|it| it.function.clone()).collect();
                functions.retain(|it| !names.iter().any(|name| name == it));
            }
            Err(ProcessError::Refused(refusals)) => {
                // A function that is too small for any jump.
                let text: Vec<String> = refusals.iter().map(ToString::to_string).collect();
                let text = text.join("\n");
                let left = functions.len();
                functions.retain(|it| {
                    !text.contains(&format!("'{it}'")) && !text.contains(&format!("{it}:"))
                });
                assert!(functions.len() < left, "{compiler} {args:?}: {text}");
            }
            Err(ProcessError::Stalled { .. }) => break FUNCTIONS.len() - functions.len(),
            other => panic!("{compiler} {args:?}: {other:?}"),
        }
    };
    let now = world.program.ask("");
    let (main, resident) = now.split_once(' ').expect("two numbers");
    assert_ne!(main, old, "{compiler} {args:?}");
    assert_eq!(resident, old, "{compiler} {args:?}");
    world.unload("fix").expect("it is turned back");
    assert_eq!(
        world.program.ask(""),
        format!("{old} {old}"),
        "{compiler} {args:?}"
    );
    refused
}

#[test]
fn functions_of_all_compilers_can_be_moved() {
    let mut refused = 0;
    let mut of = 0;
    for compiler in compilers() {
        for level in ["-O0", "-Os", "-O2", "-O3"] {
            for protection in ["-fcf-protection=none", "-fcf-protection=full"] {
                refused += both_sides_are_right(&compiler, &[level, protection]);
                of += FUNCTIONS.len();
            }
        }
    }
    assert!(10 * refused < of, "{refused} of {of} functions");
}

#[test]
fn a_loop_into_the_first_bytes_is_refused() {
    let source = r#"
        int one(int x);
        asm(".text\n.globl one\n.type one, @function\none: .cfi_startproc\n xor %eax, %eax\n1: inc %eax\n dec %edi\n jnz 1b\n ret\n"
            ".cfi_endproc\n.size one, . - one\n");
        void answer(const char *q, char *r) { sprintf(r, "%d", one(3)); }
    "#;
    let mut world = World::with(source, &[]);
    let fix = world.simple("fix", &["one"], "int one(int x) { return 100; }");
    let mappings = world.mappings();
    let rehearsed = world.process.rehearse(&fix, Consistency::PerThread);
    let error = rehearsed.expect_err("that can be known before");
    assert!(matches!(error, ProcessError::CannotMove(_)), "{error}");
    let rehearsed = world.process.rehearse(&fix, Consistency::AllAtOnce);
    rehearsed.expect("all at once it could");
    let error = world.load(&fix).expect_err("it loops into the jump");
    assert!(matches!(error, ProcessError::CannotMove(_)), "{error}");
    assert!(error.to_string().contains("branches to"), "{error}");
    assert!(
        world.mappings() <= mappings + 1,
        "only the control area is new"
    );
    assert_eq!(world.program.ask(""), "3");
    let all = lp_runtime::process::Options::default();
    world.process.load(&fix, all).expect("all at once it can");
    assert_eq!(world.program.ask(""), "100");
    let error = world.unload("fix").expect_err("nor can it go out so");
    assert!(matches!(error, ProcessError::CannotMove(_)), "{error}");
}

#[test]
fn a_program_that_uses_gs_is_refused() {
    let source = r#"
        #include <unistd.h>
        #include <sys/syscall.h>
        __attribute__((noipa)) int one(int x) { return x; }
        void answer(const char *q, char *r)
        {
            static long mine;
            if (*q) syscall(SYS_arch_prctl, 0x1001, &mine);
            sprintf(r, "%d", one(3));
        }
    "#;
    let mut world = World::with(source, &[]);
    world.program.ask("gs");
    let fix = world.simple("fix", &["one"], "int one(int x) { return 100; }");
    let error = world.load(&fix).expect_err("it needs its gs");
    assert!(matches!(error, ProcessError::GsInUse { .. }), "{error}");
    assert_eq!(world.program.ask(""), "3");
    assert_eq!(world.installed(), []);
    assert!(world.contents().journal.is_none());
}
