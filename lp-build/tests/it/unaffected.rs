//! A header's change that no compiler need see: only where nothing that stayed names what came, went or changed.

use lp_build::kernel::reach::unaffected::{assembler, c};

const UNIT: &str = "
struct dev { int mtu; };
static inline __attribute__((__always_inline__)) int helper(struct dev *d) { return d->mtu; }
extern int known(int a);
int user(struct dev *d) { if (d) { return helper(d) + known(1); } return 0; }
";

/// Whether the unit is unaffected by `text` coming into its headers, and by its going.
fn harmless(text: &str) -> bool {
    let with = format!("typedef unsigned int u32;\n{text}\n{UNIT}");
    let without = format!("typedef unsigned int u32;\n{UNIT}");
    let (comes, goes) = (c(&without, &with), c(&with, &without));
    assert_eq!(comes, goes, "{text}");
    comes
}

#[test]
fn what_nothing_names_is_harmless() {
    assert!(harmless(""));
    assert!(harmless(
        "static inline int fresh(u32 a) { return known(a); }"
    ));
    assert!(harmless(
        "static inline struct dev *fresh(u32 a, int (*f)(int)) { for (;;) { f(a); } }"
    ));
    assert!(harmless(
        "static inline int one(void) { return 1; } static inline int two(void) { return one(); }"
    ));
    assert!(harmless("int fresh(u32 a, struct dev *d);"));
    assert!(harmless("extern u32 fresh;"));
    assert!(harmless(
        "extern int fresh(const char *fmt, ...) __attribute__((__format__(printf, 1, 2)));"
    ));
    assert!(harmless(
        "static inline __attribute__((__unused__)) __attribute__((__no_instrument_function__)) void fresh(void) { char *s = \"}\\\"{\"; }"
    ));
}

#[test]
fn what_may_leave_a_trace_is_not() {
    for text in [
        "int fresh(void) { return 1; }",
        "static int fresh(void) { return 1; }",
        "extern inline int fresh(void) { return 1; }",
        "static int fresh;",
        "int fresh;",
        "int fresh[2];",
        "static inline __attribute__((__used__)) int fresh(void) { return 1; }",
        "static inline __attribute__((section(\".x\"))) int fresh(void) { return 1; }",
        "int fresh(void) __attribute__((alias(\"user\")));",
        "int fresh(void) __asm__(\"user\");",
        "asm(\".globl x\");",
        "struct fresh { int a; };",
        "enum { FRESH = 1 };",
        "typedef int fresh;",
        "_Static_assert(sizeof(u32) == 4, \"u32\");",
        "#pragma GCC optimize(\"O0\")\nstatic inline int fresh(void) { return 1; }",
        "int a, fresh(void);",
        "int (*fresh(int a))(int);",
    ] {
        assert!(!harmless(text), "{text}");
    }
}

#[test]
fn what_the_compiler_calls_by_itself_counts() {
    let unit = "struct big { char c[999]; }; void copy(struct big *a, struct big *b) { *a = *b; }";
    let fresh = "static inline void *memcpy(void *a, const void *b, unsigned long n) { return a; }";
    assert!(!c(unit, &format!("{fresh}{unit}")));
    let unit = "int size(const char *s) { return __builtin_strlen(s); }";
    let fresh = "static inline unsigned long strlen(const char *s) { return 0; }";
    assert!(!c(unit, &format!("{fresh}{unit}")));
}

#[test]
fn a_name_that_something_else_has_counts() {
    assert!(!harmless("int user(struct dev *d);"));
    assert!(!harmless("static inline int known(int a) { return a; }"));
    assert!(!harmless("extern u32 mtu;"));
}

#[test]
fn a_changed_function_counts_where_it_is_used_alone() {
    let with = |body: &str, use_: &str| {
        format!("static inline int f(int a) {{ {body} }}\nint g(int a) {{ return {use_}; }}\n")
    };
    assert!(c(&with("return a;", "a"), &with("return a + 1;", "a")));
    assert!(!c(
        &with("return a;", "f(a)"),
        &with("return a + 1;", "f(a)")
    ));
    assert!(!c(&with("return a;", "a"), &with("return a;", "a + 1")));
}

#[test]
fn what_follows_a_block_that_is_no_body_is_not_taken_for_a_part_of_it() {
    // `MACRO` was left by the preprocessor, so the first `}` does not end an item.
    let with = |value: u32| {
        format!(
            "static inline int f(void) MACRO {{ return 1; }} static inline int g(void) {{ return {value}; }} int x;\n\
             int user(void) {{ return g(); }}\n"
        )
    };
    assert!(!c(&with(1), &with(2)));
}

#[test]
fn spaces_are_nothing_and_operators_are_not_glued() {
    assert!(c("int f ( void ) ;\nint g;", "int f(void);\n\nint g ;"));
    assert!(!c(
        "int g(int a, int b) { return a + +b; }",
        "int g(int a, int b) { return a ++ b; }"
    ));
    assert!(!c("char *s = \"a  b\";", "char *s = \"a b\";"));
}

#[test]
fn a_function_that_moves_counts_where_it_is_used() {
    let (f, g) = (
        "static inline int f(void) { return 1; }",
        "static inline int g(void) { return 2; }",
    );
    let user = "int user(void) { return f() + g(); }";
    assert!(!c(&format!("{f}{g}{user}"), &format!("{g}{f}{user}")));
}

#[test]
fn cut_off_texts_are_compared_too() {
    for text in [
        "(",
        "}",
        "\"",
        "'\\",
        "{",
        "a(",
        "static inline f(",
        ")",
        "\u{e9}",
    ] {
        assert!(c(text, text));
        assert!(!c(text, &format!("{text} int x = 1;")));
    }
}

#[test]
fn lines_of_assembler_are_compared_as_they_are() {
    assert!(assembler(
        "mov %rax, %rbx\n\n\nret\n",
        "mov %rax, %rbx \nret\n"
    ));
    assert!(!assembler("mov %rax, %rbx\nret\n", "mov %rax, %rbx ret\n"));
}
