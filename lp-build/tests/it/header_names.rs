//! By which names a header's change can be used, and who says them.

use crate::folder;
use lp_build::kernel::reach::header_names::names;
use lp_build::kernel::reach::mentions::mention;
use std::collections::BTreeSet;

const HEADER: &str = "#ifndef _H
#define _H
/* int gone(void); isn't here */
struct one { int a; };
#define OLD(x) \\
	((x) + 1)
int stays(struct one *one);
#ifdef CONFIG_X
static inline int helper(int a)
{
	return stays(0) + a;
}
#else
static inline int helper(int a) { return 0; }
#endif
#endif
";

fn changed(from: &str, to: &str) -> Option<Vec<String>> {
    assert!(HEADER.contains(from), "{from}");
    let after = HEADER.replace(from, to);
    names(&[(HEADER.to_owned(), after)]).map(|names| names.into_iter().collect())
}

fn by(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn functions_and_macros_are_used_by_their_names() {
    let end = "int stays";
    let added = |text: &str| changed(end, &format!("{text}\n{end}"));
    assert_eq!(added("int fresh(int, struct one *);"), by(&["fresh"]));
    for attribute in [
        "int __ref fresh(int);",
        "extern __must_check int fresh(int) __must_hold(one->lock);",
        "__printf(1, 2) void fresh(const char *, ...);",
        "__init int fresh(void);",
    ] {
        assert_eq!(added(attribute), by(&["fresh"]), "{attribute}");
    }
    assert_eq!(added("#define FRESH (1 << 3)"), by(&["FRESH"]));
    assert_eq!(
        added("static inline __u32 f(void) { return 1; }"),
        by(&["f"])
    );
    assert_eq!(added("/* nothing\n * at all */"), by(&[]));
    assert_eq!(changed("((x) + 1)", "((x) + 2)"), by(&["OLD"]));
    assert_eq!(changed("return 0; }", "return a; }"), by(&["helper"]));
}

#[test]
fn a_type_that_comes_is_used_by_its_name() {
    let end = "int stays";
    let added = |text: &str| changed(end, &format!("{text}\n{end}"));
    assert_eq!(
        added("struct two {\n int (*f)(void);\n} __packed;"),
        by(&["two"])
    );
    assert_eq!(added("enum { A, B = 3, };"), by(&["A", "B"]));
    assert_eq!(added("struct two { int b; } two;"), None, "a variable");
    assert_eq!(added("struct { int b; };"), None, "no name");
    assert_eq!(added("struct two { struct three { int b; } c; };"), None);
    assert_eq!(added("struct two *fresh(char **a);"), by(&["fresh"]));
}

#[test]
fn a_member_that_is_called_otherwise_is_used_by_both_names() {
    let with = |member: &str| {
        format!("struct s {{\n union {{ int x; struct {{ int y; }}; }};\n {member}\n}};\n")
    };
    let changed = |before: &str, after: &str| {
        let names = names(&[(with(before), with(after))]);
        names.map(|names| names.into_iter().collect::<Vec<_>>())
    };
    assert_eq!(
        changed("long one:1; int a;", "long two:1; int a;"),
        by(&["one", "two"])
    );
    assert_eq!(
        changed("struct t *one[2];", "struct t *two[2];"),
        by(&["one", "two"])
    );
    for (before, after) in [
        ("long one:1;", "long two:2;"),
        ("int one;", "long one;"),
        ("int one[2];", "int two[3];"),
        ("int a one;", "int b two;"),
        ("int one __packed;", "int one __aligned;"),
        ("DECLARE(one, 3);", "DECLARE(two, 3);"),
        ("int one, a;", "int two, a;"),
        ("one;", "two;"),
    ] {
        assert_eq!(changed(before, after), None, "{before} {after}");
    }
}

#[test]
fn an_enumerator_is_used_by_its_name() {
    let with =
        |list: &str| HEADER.replace("int stays", &format!("enum two {{ {list} }};\nint stays"));
    let changed = |before: &str, after: &str| {
        let names = names(&[(with(before), with(after))]);
        names.map(|names| names.into_iter().collect::<Vec<_>>())
    };
    assert_eq!(changed("A, B", "A, B, C,"), by(&["C"]));
    assert_eq!(changed("A, B = 4, C", "A, NEW, B = 4, C"), by(&["NEW"]));
    assert_eq!(
        changed("A, B, C = 4", "A, NEW, B, C = 4"),
        by(&["B", "NEW"])
    );
    assert_eq!(
        changed("A, B, C = 4, D", "B, C = 0x5, D"),
        by(&["A", "B", "C", "D"])
    );
    // It may be wider than an int, or another thing altogether.
    assert_eq!(changed("A, B", "A, B, C = 0x80000000"), None);
    assert_eq!(changed("A, B", "A, B, C = -1"), None);
    assert_eq!(changed("A, B", "A, B, C = 1 << 31"), None);
    assert_eq!(changed("A, B", "A, B, C = OTHER"), None);
    let packed = |list: &str| with(list).replace(" };", " } __packed;");
    assert_eq!(names(&[(packed("A"), packed("A, B = 0x100"))]), None);
    // What stays and says it has no name of its own.
    let sized = |list: &str| format!("{}struct s {{ int a[LAST]; }};\n", with(list));
    assert_eq!(names(&[(sized("A, LAST"), sized("A, B, LAST"))]), None);
}

#[test]
fn a_member_may_stand_between_conditions() {
    let changed = |before: &str, after: &str| {
        let found = names(&[(before.to_owned(), after.to_owned())]);
        found.map(|names| names.into_iter().collect::<Vec<_>>())
    };
    let with = |member: &str, other: &str| {
        format!(
            "struct s {{\n int first;\n#ifdef A\n int a;\n#else\n {other}\n#endif\n int b; {member} int c;\n#ifdef B\n int d;\n#endif\n}};\n\
             static inline int get(struct s *s) {{ return s->b; }}\n"
        )
    };
    let old = with("long one:1;", "int e;");
    assert_eq!(
        changed(&old, &with("long two:1;", "int e;")),
        by(&["one", "two"])
    );
    assert_eq!(
        changed(&old, &with("long one:1;", "int g;")),
        by(&["e", "g"])
    );
    assert_eq!(changed(&old, &with("long two:2;", "int e;")), None);
    assert_eq!(changed(&old, &with("long one:1; int x;", "int e;")), None);
    let function = |text: &str| {
        format!("int f(void)\n{{\n#ifdef A\n g();\n#endif\n {text}\n#ifdef B\n h();\n#endif\n}}\n")
    };
    assert_eq!(changed(&function("int a;"), &function("int b;")), None);
}

#[test]
fn a_member_that_stays_a_pointer_to_a_function_is_used_by_its_name() {
    let with = |ops: &str, rest: &str| format!("struct ops {{\n int a;\n {ops}\n}};\n{rest}\n");
    let of = |before: &str, after: &str, rest: &str| {
        let found = names(&[(with(before, rest), with(after, rest))]);
        found.map(|names| names.into_iter().collect::<Vec<_>>())
    };
    let (one, two) = ("int (*f)(int a);", "long *(*f)(int (*g)(int), long b);");
    assert_eq!(of(one, two, ""), by(&["f"]));
    assert_eq!(of(one, two, "struct other { int f; };"), by(&["f"]));
    assert_eq!(
        of(one, two, "#define CALL(ops) (ops)->f(1)"),
        by(&["CALL", "f"])
    );
    let asks = "struct other { typeof(((struct ops *)0)->f(0)) b; };";
    assert_eq!(of(one, two, asks), None, "its type is the other's");
    for other in [
        "int (*h)(int a);",
        "int f;",
        "int (*f)(int a); int b;",
        "int (*f[2])(int a);",
    ] {
        assert_eq!(of(one, other, ""), None, "{other}");
    }
}

#[test]
fn a_directive_inside_a_function_cuts_that_function_alone() {
    let cut =
        "static inline int f(void)\n{\n#ifdef A\n\treturn 1;\n#else\n\treturn 2;\n#endif\n}\n";
    let of = |before: &str, after: &str| {
        let found = names(&[(before.to_owned(), after.to_owned())]);
        found.map(|names| names.into_iter().collect::<Vec<_>>())
    };
    let fresh = "static inline int fresh(void)\n{\n\treturn 3;\n}\n";
    let (first, last) = (format!("{fresh}{cut}"), format!("{cut}{fresh}"));
    assert_eq!(of(cut, &first), by(&["fresh"]));
    assert_eq!(of(cut, &last), by(&["fresh"]));
    assert_eq!(of(cut, &cut.replace('2', "4")), None);
    assert_eq!(
        of(
            cut,
            &format!("{}{fresh}", cut.replace("}\n", "\tint b;\n}\n"))
        ),
        None
    );
    let lost = cut.replace("#else\n", "#else\n}\n");
    assert_eq!(
        of(&lost, &format!("{lost}{fresh}")),
        None,
        "nobody knows what is inside"
    );
    let record = "struct s {\n#ifdef A\n\tint a;\n#endif\n};\n";
    assert_eq!(of(record, &format!("{record}{fresh}")), by(&["fresh"]));
}

#[test]
fn what_uses_one_of_them_is_one_of_them() {
    let both = by(&["helper", "stays"]);
    assert_eq!(
        changed("int stays(struct one *one)", "long stays(void)"),
        both
    );
}

#[test]
fn what_a_condition_decides_is_used_by_its_name() {
    let end = "int stays";
    let added = |text: &str| changed(end, &format!("{text}\n{end}"));
    let by_config = "#ifdef CONFIG_Y\n#define FRESH 1\n#else\nint other(void);\n#endif";
    assert_eq!(added(by_config), by(&["FRESH", "other"]));
    assert_eq!(
        changed("#ifdef CONFIG_X", "#ifdef CONFIG_Y"),
        by(&["helper"])
    );
    assert_eq!(changed("#else", "#elif 1"), by(&["helper"]));
    assert_eq!(
        changed(
            "int stays(struct one *one);\n#ifdef CONFIG_X",
            "#ifdef CONFIG_X\nint stays(struct one *one);"
        ),
        by(&["helper", "stays"])
    );
    assert_eq!(added("#undef OLD"), by(&["OLD"]));
    let two =
        "#if A\nstruct two { int (*f)(void); };\n#else\nstruct two { int (*f)(int); };\n#endif";
    assert_eq!(added(two), by(&["two"]), "both are new");
    let with_data =
        "#if A\nint fresh(void);\n#endif\n#if fresh\nstruct two { struct { int b; } c; };\n#endif";
    assert_eq!(added(with_data), None);
    let deep = format!("{}int fresh(void);\n", "#if A\n".repeat(2000));
    assert_eq!(added(&deep), None, "too deep");
}

#[test]
fn an_inline_function_may_be_in_capitals() {
    let end = "int stays";
    let added = |text: &str| changed(end, &format!("{text}\n{end}"));
    assert_eq!(
        added(
            "static __always_inline int FRESH(struct one *a, enum e e, int b)\n{\n\treturn 1;\n}"
        ),
        by(&["FRESH"])
    );
    assert_eq!(
        added("static inline int FRESH(void) { return 1; }"),
        by(&["FRESH"])
    );
    for macro_like in [
        "static inline int DEFINE(thing) { return 1; }",
        "static inline DEFINE(int a) { return 1; }",
        "int DECLARE(int a);",
    ] {
        assert_eq!(added(macro_like), None, "{macro_like}");
    }
}

#[test]
fn what_acts_in_another_way_has_no_names() {
    assert_eq!(changed("int a; }", "long a; }"), None);
    assert_eq!(
        changed("#define _H\n", "#define _H\n#include \"y.h\"\n"),
        None
    );
    assert_eq!(changed("int a; }", "int a; int f(void); }"), None);
    let end = "int stays";
    for text in [
        "DEFINE_THING(x);",
        "static DEFINE_MUTEX(x);",
        "int DECLARE(x);",
        "extern int datum;\nenum { A };",
        "static int f(void) { return 1; }",
        "__strange int f(void);",
        "int __printf(1, 2 f(void);",
        "int f(void) __section(\".x\");",
        "static __used inline int f(void) { return 1; }",
        "void *memcpy(void *, const void *, unsigned long);",
        "EXPORT_SYMBOL(stays);",
        "int f(\n#ifdef X\nint a\n#endif\n);",
    ] {
        let found = changed(end, &format!("{text}\n{end}"));
        assert_eq!(found, None, "{text}");
    }
    let conditional = "#define _H2\n#if FRESH\nextern int datum;\nstruct t { int a; };\n#endif\n";
    let before = format!("{conditional}{HEADER}");
    let after = format!("#define FRESH 1\n{before}");
    assert_eq!(names(&[(before, after)]), None, "a condition says the name");
}

const FILES: [(&str, &str); 9] = [
    ("says.c", "int f(void) { return do_the_thing(1); }"),
    (
        "builtin.c",
        "int f(void) { return __builtin_do_the_thing(1); }",
    ),
    (
        "near.c",
        "int f(void) { return do_the_thing2(1) + redo_the_thing(); }",
    ),
    ("pastes.h", "#define CALL(x) \\\n\tdo_##x(1)\n"),
    ("pasted.c", "int f(void) { return CALL(the_thing); }"),
    ("apart.c", "int f(void) { return the_; }"),
    (
        "both.c",
        "#define PASTE(a, b) a##b\nint f(void) { return PASTE(do_the_, thing); }",
    ),
    (
        "comment.c",
        "/* do_the_thing is not used here */ // nor do_the_thing",
    ),
    (
        "string.c",
        "char a[] = \"/*\", b = '\"', *c = \"do_the_thing\"; /* \" */",
    ),
];

/// The files that say `do_the_thing` or can make it.
fn made(files: &[(&str, &str)], fresh: &BTreeSet<String>) -> Vec<String> {
    let tree = folder(files);
    let place = |(path, _): &(&str, &str)| ((*path).to_owned(), tree.path().join(path));
    let paths: Vec<_> = files.iter().map(place).collect();
    let names = BTreeSet::from(["do_the_thing".to_owned()]);
    mention(&paths, &names, fresh).into_iter().collect()
}

#[test]
fn a_source_pastes_for_itself_and_for_who_includes_it() {
    let files = [
        ("a.c", "#define GLUE(a) do_the_##a\n"),
        ("thing.c", "int x = GLUE(thing);"),
        ("own.c", "#define GLUE(a) do_the_##a\nint x = GLUE(thing);"),
    ];
    let made = |files: &[_]| made(files, &BTreeSet::new());
    assert_eq!(made(&files), ["own.c"]);
    let included = [&files[..], &[("b.h", "#define A <x/a.c>\n")]].concat();
    assert_eq!(made(&included), ["own.c", "thing.c"]);
}

#[test]
fn a_macro_brings_what_stands_beside_its_signs_and_no_parameter() {
    let made = |define: &str| {
        let files = [("a.h", define), ("thing.c", "int f(A(thing));")];
        made(&files, &BTreeSet::new())
    };
    assert_eq!(made("#define A(x) do_the_##x"), ["thing.c"]);
    assert_eq!(made("#define A(x) do_the_ ## x"), ["thing.c"]);
    assert_eq!(made("#define A(x) do_the_/* ( */##x"), ["thing.c"]);
    assert_eq!(made("#define A(x) not_##x(do_the_)"), [""; 0]);
    assert_eq!(made("#define A(do_the_, x) do_the_##x"), [""; 0]);
    assert_eq!(made("#define A(x) \"do_the_##x\" a##x"), [""; 0]);
}

#[test]
fn a_macro_brings_what_it_hands_to_one_that_pastes_by_itself_or_by_others() {
    let made = |define: &str| {
        let files = [
            (
                "glue.h",
                "#define GLUE_(a, b) a##b\n#define GLUE(a, b) GLUE_(a, b)",
            ),
            ("a.h", define),
            ("thing.c", "int f(int a) { return A(thing); }"),
        ];
        made(&files, &BTreeSet::new())
    };
    assert_eq!(made("#define A(x) GLUE_(do_the_, x)"), ["thing.c"]);
    assert_eq!(
        made("#define A(x) (\")\", GLUE(f(do_the_), x))"),
        ["thing.c"]
    );
    assert_eq!(made("#define A(x) OTHER(do_the_, x)"), [""; 0]);
    assert_eq!(made("#define A(x) GLUE(a, x) + OTHER(do_the_)"), [""; 0]);
    assert_eq!(made("#define A(x) f(x)\n#define B(x) do_the_##x"), [""; 0]);
    assert_eq!(made("#define A B\n#define B(x) do_the_##x"), ["thing.c"]);
    assert_eq!(
        made("#define EACH(M) M(do_the_)\n#define A(x) GLUE(x, 1)"),
        ["thing.c"]
    );
}

#[test]
fn each_parameter_is_pasted_or_not() {
    let made = |define: &str| {
        let files = [("a.h", define), ("thing.c", "int x = A(1, 2, 3, thing);")];
        made(&files, &BTreeSet::new())
    };
    let glue = "#define GLUE(a, b) do_the_##b\n";
    assert_eq!(made("#define A(a, b, c, d) do_the_##d"), ["thing.c"]);
    assert_eq!(made("#define A(a, b, c, d) do_the_##c + d"), [""; 0]);
    assert_eq!(made("#define A(a, ...) do_the_##__VA_ARGS__"), ["thing.c"]);
    assert_eq!(made("#define A(a, rest...) do_the_##rest"), ["thing.c"]);
    let calls = |call: &str| format!("{glue}#define A(a, b, c, d) {call}\n");
    assert_eq!(made(&calls("GLUE(a, d)")), ["thing.c"]);
    assert_eq!(made(&calls("GLUE(a, f(b, d))")), ["thing.c"]);
    assert_eq!(made(&calls("GLUE(d, a)")), [""; 0]);
}

#[test]
fn what_is_given_to_a_macro_may_stand_on_another_line() {
    let made = |code: &str| {
        let files = [("a.h", "#define A(x, y) do_the_##y\n"), ("thing.c", code)];
        made(&files, &BTreeSet::new())
    };
    assert_eq!(made("int x = A\n(1,\n\tthing);"), ["thing.c"]);
    assert_eq!(made("int x = A(1, 2) + thing;"), [""; 0]);
    assert_eq!(made("int x = A(thing, f(1, 2));"), [""; 0], "not pasted");
    assert_eq!(
        made("int x = A(0,\n#ifdef B\n 1)\n#else\n thing)\n#endif\n;"),
        ["thing.c"]
    );
    assert_eq!(made("int x = A(\")\", thing);"), ["thing.c"]);
}

#[test]
fn what_one_tree_alone_has_is_pasted_only_if_others_say_it() {
    let pasted = [
        ("pastes.h", "#define CALL(x) do_##x(1)\n"),
        ("pasted.c", "int f(void) { return CALL(the_thing); }"),
    ];
    let fresh = BTreeSet::from(["do_the_thing".to_owned()]);
    let made = |files: &[_]| made(files, &fresh);
    assert_eq!(made(&pasted), [""; 0]);
    let said = [&pasted[..], &[("says.h", "int do_the_thing(int);")]].concat();
    assert_eq!(made(&said), ["pasted.c", "says.h"]);
}

#[test]
fn who_says_a_name_or_can_paste_it() {
    let tree = folder(&FILES);
    let paths: Vec<_> = FILES
        .iter()
        .map(|(path, _)| ((*path).to_owned(), tree.path().join(path)))
        .chain([("missing.c".to_owned(), tree.path().join("missing.c"))])
        .collect();
    let names = BTreeSet::from(["do_the_thing".to_owned()]);
    let found: Vec<String> = mention(&paths, &names, &BTreeSet::new())
        .into_iter()
        .collect();
    let expected = [
        "both.c",
        "builtin.c",
        "missing.c",
        "pasted.c",
        "says.c",
        "string.c",
    ];
    assert_eq!(found, expected);
}
