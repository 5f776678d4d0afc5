//! What a thread runs is all old or all new, however many threads there are.

use super::support::{World, within};

/// `agree` is of the patch, too: what it calls is of one version.
const PROGRAM: &str = r#"
    #include <stdio.h>
    #include <string.h>
    #include <pthread.h>
    volatile int end, mixed;
    volatile long calls;
    __attribute__((noipa)) int one(void) { return 1; }
    __attribute__((noipa)) int two(void) { return 1; }
    __attribute__((noipa)) int agree(void) { int a = one(), b = two(); if (a != 1 || b != 1) mixed++; return a; }
    __attribute__((noipa)) static void *more(void *x) { agree(); return x; }
    static void *work(void *x)
    {
        pthread_t t;
        int last = 0;
        while (!end) {
            int now = agree();
            for (int i = 0; i < 100; i++) agree();
            __atomic_fetch_add(&calls, 101, __ATOMIC_RELAXED);
            if (x) { pthread_create(&t, 0, more, 0); pthread_join(t, 0); }
        }
        return x;
    }
    void answer(const char *q, char *r)
    {
        static pthread_t t[8];
        if (!strcmp(q, "begin")) for (long i = 0; i < 8; i++) pthread_create(&t[i], 0, work, i < 2 ? r : 0);
        if (!strcmp(q, "end")) { end = 1; for (int i = 0; i < 8; i++) pthread_join(t[i], 0); }
        long before = calls;
        while (!end && !strcmp(q, "work") && calls < before + 10000) ;
        sprintf(r, "%d, mixed %d", agree(), mixed);
    }
"#;

const NEW: &str = "
    extern volatile int klp$prog$mixed$0; extern int klp$prog$one$0(void), klp$prog$two$0(void);
    int one(void) { return 2; } int two(void) { return 2; }
    int agree(void) { int a = klp$prog$one$0(), b = klp$prog$two$0(); if (a != 2 || b != 2) klp$prog$mixed$0++; return a; }";

#[test]
fn two_functions_that_must_agree_do() {
    let mut world = World::with(PROGRAM, &["-pthread"]);
    let fix = world.simple("fix", &["one", "two", "agree"], NEW);
    world.program.ask("begin");
    for _ in 0..2 {
        world
            .process
            .load(&fix, within(60_000))
            .expect("it goes in");
        assert_eq!(world.program.ask("work"), "2, mixed 0");
        world
            .process
            .unload("fix", within(60_000))
            .expect("it goes out");
        assert_eq!(world.program.ask("work"), "1, mixed 0");
    }
    assert_eq!(world.program.ask("end"), "1, mixed 0");
}
