//! What goes into a patch, and how it refers to the rest.

use crate::lab::{File, Lab};

const MAKEFILE: File<'static> = (
    "Makefile",
    "CFLAGS = -O2\nprog: main.o work.o\n\t$(CC) -o $@ $^\n",
);
const MAIN: File<'static> = (
    "main.c",
    "#include <stdio.h>\nint work(int);\n__thread int seen;\n__attribute__((visibility(\"hidden\"))) int hidden(int x) { return x * 3; }\n\
     int main(int argc, char **argv) { return printf(\"%d\\n\", work(argc)); }\n",
);

fn project(before: &str, after: &str) -> Lab {
    Lab::new(&[MAKEFILE, MAIN, ("work.c", before)], &[("work.c", after)])
}

#[test]
fn the_programs_own_is_reached_by_livepatch_symbols_and_the_rest_by_name() {
    let before = "#include <stdio.h>\nextern __thread int seen; int hidden(int) __attribute__((visibility(\"hidden\")));\n\
        static int counter = 3; static __thread int mine; int shared;\n\
        static __attribute__((noinline)) int helper(int x) { static int total = 7; total += x; return total; }\n\
        int work(int x) { seen++; mine++; counter++; shared += helper(x); puts(\"one\"); return hidden(x) + counter; }\n";
    let after = before
        .replace("\"one\"", "\"another\"")
        .replace("+ counter", "- counter");
    let patch = project(before, &after).patch("prog");
    assert_eq!(patch.functions(), ["work"]);
    let expected = ["counter", "helper", "hidden", "mine", "seen", "shared"];
    let mut outer: Vec<String> = expected
        .map(|name| format!(".klp.sym.prog.{name},0"))
        .into();
    outer.push("puts".to_owned());
    assert_eq!(patch.outer(), outer);
    let object = patch.object();
    assert_eq!(
        (object.name.as_str(), object.file.as_str()),
        ("prog", "prog")
    );
    assert_eq!(object.build_id.len(), 40);
    let work = &object.functions[0];
    assert_eq!(work.new_name, "__lp_new.work.work");
    assert!(work.old_size > 20 && work.old_hash.len() == 64, "{work:?}");
    let sections = patch.sections();
    for name in [".eh_frame", ".klp.rela.prog..text.work", ".rela.eh_frame"] {
        assert!(
            sections.iter().any(|section| section == name),
            "{sections:?}"
        );
    }
    assert!(!sections.iter().any(|section| section.starts_with(".debug")));
    assert!(
        patch.report.contains("fidelity: 2 of 2"),
        "{}",
        patch.report
    );
}

#[test]
fn a_switch_table_reproduces_and_comes_along() {
    let cases: String = (0..8)
        .map(|n| format!("case {n}: puts(\"n{n}\"); break; "))
        .collect();
    let before =
        format!("#include <stdio.h>\nint work(int x) {{ switch (x) {{ {cases} }} return x; }}\n");
    let patch = project(&before, &before.replace("return x", "return x + 1")).patch("prog");
    assert_eq!(patch.functions(), ["work"]);
    assert!(patch.sections().contains(&".rela.rodata.work".to_owned()));
}

#[test]
fn new_thread_local_data_is_refused() {
    let before = "int work(int x) { return x; }\n";
    let after = "__thread int last; int work(int x) { last = x; return x + 1; }\n";
    let refusal = project(before, after).refusal("prog");
    assert!(
        refusal.contains("work.c: last:") && refusal.contains("[thread-local]"),
        "{refusal}"
    );
}

#[test]
fn a_constructor_that_changed_is_refused() {
    let before = "static int base; __attribute__((constructor)) static void start(void) { base = 3; }\n\
                  int work(int x) { return x + base; }\n";
    let refusal = project(before, &before.replace("base = 3", "base = 4")).refusal("prog");
    assert!(
        refusal.contains("start:") && refusal.contains("[init-code]"),
        "{refusal}"
    );
}

#[test]
fn a_new_constructor_is_refused() {
    let before = "int base; int work(int x) { return x + base; }\n";
    let after = "int base; __attribute__((constructor)) static void start(void) { base = 3; }\n\
                 int work(int x) { return x + base; }\n";
    let refusal = project(before, after).refusal("prog");
    assert!(
        refusal.contains(".init_array") && refusal.contains("[changed-section]"),
        "{refusal}"
    );
}

#[test]
fn code_that_does_not_reproduce_is_refused() {
    let mut lab = project(
        "int work(int x) { return x; }\n",
        "int work(int x) { return x + 1; }\n",
    );
    let binary = lab.binary("prog");
    lab.build = "make CFLAGS=-O0".to_owned();
    let done = lab.lp_build(&binary);
    let said = crate::lab::said(&done);
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(
        said.contains("work.c: work: our build of the original differs"),
        "{said}"
    );
}

#[test]
fn padding_that_a_longer_jump_leaves_less_of_is_no_difference() {
    // Plain, the jump to `helper` is short; in a section of its own it is long, and the loop's alignment needs less.
    let before = "#include <stdio.h>\n\
        static __attribute__((noinline,noclone)) int helper(int x) { return printf(\"%d\\n\", x); }\n\
        int work(int n, volatile int *at) { int sum = 0; if (__builtin_expect(n < 9, 1)) return helper(n);\n\
        for (int i = 0; i < n; i++) sum += at[i] * 3; return sum; }\n";
    let lab = project(before, &before.replace("* 3", "* 7"));
    let patch = lab.patch("prog");
    assert_eq!(patch.functions(), ["work"]);
    assert!(
        patch.report.contains("fidelity: 2 of 2"),
        "{}",
        patch.report
    );
    // A no-operation that is no padding counts.
    let other = before.replace("int sum = 0;", "int sum = 0; asm volatile(\"nop\");");
    let binary = lab.binary("prog");
    std::fs::write(lab.path("orig/work.c"), other).expect("a source");
    std::fs::remove_file(lab.path("fix.lp")).expect("the patch");
    let done = lab.lp_build(&binary);
    assert_eq!(done.status.code(), Some(2), "{}", crate::lab::said(&done));
}

#[test]
fn a_function_that_is_never_left_is_told_before_anybody_waits_for_it() {
    let source = |step: &str| {
        format!(
            r#"
extern int get(int); extern void put(int); extern void end(void) __attribute__((noreturn));
/* A server's loop. */
__attribute__((noinline)) void serve(int x) {{ for (;;) {{ x = get(x) + {step}; put(x); }} }}
/* The same with a switch. */
__attribute__((noinline)) void choose(int x) {{
    for (;;) switch (get(x) + {step}) {{
        case 0: put(1); break; case 1: put(7); break; case 2: put(3); break; case 3: put(9); break;
        case 4: put(2); break; case 5: put(8); break; default: put(4);
    }}
}}
/* Ends the process, and has no loop. */
__attribute__((noinline)) void fail(int x) {{ put(x + {step}); end(); }}
/* Is left by a jump. */
__attribute__((noinline)) void last(int x) {{ while (get(x)) x += {step}; put(x); }}
/* Is left. */
__attribute__((noinline)) int work(int x) {{ while (get(x)) x += {step}; return x; }}
int main(int c, char **v) {{ if (c == 2) serve(c); if (c == 3) choose(c); if (c == 4) fail(c); last(c); return work(c); }}
"#
        )
    };
    let other =
        "int get(int x) { return x; }\nvoid put(int x) {}\nvoid end(void) { __builtin_trap(); }\n";
    let makefile = "prog: main.o other.o\n\t$(CC) -Wl,--build-id -o $@ $^\n%.o: %.c\n\t$(CC) -O2 -g -c -o $@ $<\n";
    let files = [
        ("Makefile", makefile),
        ("main.c", &source("1")),
        ("other.c", other),
    ];
    let patch = Lab::new(&files, &[("main.c", &source("1009"))]).patch("prog");
    assert_eq!(patch.functions().len(), 5, "{:?}", patch.functions());
    let warned = |name: &str| {
        let mut lines = patch.report.lines();
        lines.any(|line| line.contains("runs-forever") && line.contains(&format!("{name} (")))
    };
    let names = ["serve", "choose", "fail", "last", "work"].map(warned);
    assert_eq!(names, [true, true, false, false, false], "{}", patch.report);
}

/// A library's function with a name that others may define and one that is its own, and a datum with two names that others may define.
const TWO_NAMES: &str = "\
__attribute__((noinline)) int over(int x) { for (int i = 0; i < 3; i++) x += i; return x; }
extern __typeof(over) own_over __attribute__((visibility(\"hidden\"), alias(\"over\")));
int level = 5;
extern int level_too __attribute__((alias(\"level\")));
__attribute__((noinline)) int get(int x) { return over(x) * 10 + own_over(x) + level * 3 + level_too; }
";

#[test]
fn each_of_several_names_means_what_it_says() {
    let makefile = "libx.so: lib.o\n\t$(CC) -shared -Wl,-soname,libx.so -o $@ lib.o\nlib.o: lib.c\n\t$(CC) -O2 -fPIC -c -o $@ lib.c\n";
    let fixed = TWO_NAMES.replace("* 10", "* 11");
    let files = [("Makefile", makefile), ("lib.c", TWO_NAMES)];
    let patch = Lab::new(&files, &[("lib.c", &fixed)]).patch("libx.so");
    assert_eq!(patch.functions(), ["get"]);
    let outer = [".klp.sym.libx_so.over,0", "level", "level_too", "over"];
    assert_eq!(patch.outer(), outer);
}

/// A loop from the end counts before it reads, so the compiler writes the place before the text.
#[test]
fn a_text_may_be_referred_to_by_the_place_before_it() {
    let before = "#include <string.h>\n\
        static inline int same(const char *a, size_t n, const char *b, size_t m)\n\
        { if (n != m) return 0; while (n) { if (a[n - 1] != b[n - 1]) return 0; n--; } return 1; }\n\
        int work(int x) { return x; }\n\
        int kind(const char *s, size_t n) { if (same(s, n, \"host\", 4)) return 1; if (same(s, n, \"connection\", 10)) return 2; return 0; }\n";
    let patch = project(before, &before.replace("return 2", "return 20")).patch("prog");
    assert_eq!(patch.functions(), ["kind"]);
    assert!(
        patch.report.contains("fidelity: 1 of 1") || patch.report.contains("fidelity: 2 of 2"),
        "{}",
        patch.report
    );
}

/// A function in two versions, which callers choose between when they are linked.
const VERSIONS: &str = "\
int helper_v1(int x) { for (int i = 0; i < 3; i++) x ^= x << 1; return x & 7; }\n\
__asm__(\".symver helper_v1,helper@V1\");\n\
int helper_v2(int x) { for (int i = 0; i < 4; i++) x ^= x << 2; return x & 15; }\n\
__asm__(\".symver helper_v2,helper@@V2\");\n";

#[test]
fn a_function_may_have_versions() {
    let makefile = "libx.so: lib.o map\n\t$(CC) -shared -Wl,--version-script=map -Wl,-soname,libx.so -o $@ lib.o\n\
        lib.o: lib.c\n\t$(CC) -O2 -fPIC -c -o $@ lib.c\n";
    let map = "V1 { global: helper; local: *; };\nV2 { global: helper; } V1;\n";
    for (kind, name) in [("& 7", "helper_v1"), ("& 15", "helper_v2")] {
        let fixed = VERSIONS.replace(kind, "& 31");
        let files = [("Makefile", makefile), ("map", map), ("lib.c", VERSIONS)];
        let patch = Lab::new(&files, &[("lib.c", &fixed)]).patch("libx.so");
        assert_eq!(patch.functions(), [name]);
        assert!(
            patch.report.contains("fidelity: 4 of 4"),
            "{}",
            patch.report
        );
    }
}
