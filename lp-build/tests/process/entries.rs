//! Whether a jump can be written where a function begins is asked when the patch is made, in the loader's words.

use crate::lab::Lab;

const MAIN: &str = "#include <stdio.h>\nint work(int); int next(int);\n\
    int main(int argc, char **argv) { return printf(\"%d %d\\n\", work(argc), next(argc)); }\n";

fn project(flags: &str, before: &str, after: &str) -> Lab {
    let makefile = format!("CFLAGS = -O2 {flags}\nprog: main.o work.o\n\t$(CC) -o $@ $^\n");
    let files = [
        ("Makefile", makefile.as_str()),
        ("main.c", MAIN),
        ("work.c", before),
    ];
    Lab::new(&files, &[("work.c", after)])
}

const SMALL: &str = "int work(int x) { return x; }\nint next(int x) { return x * 3 + 1; }\n";

fn small(flags: &str) -> Lab {
    let flags = format!("-fno-toplevel-reorder {flags}");
    project(&flags, SMALL, &SMALL.replace("return x;", "return x + 7;"))
}

#[test]
fn a_function_without_room_for_the_jump_is_refused() {
    let refusal = small("-falign-functions=1 -fcf-protection=none").refusal("prog");
    assert!(
        refusal.contains("work.c: work:")
            && refusal.contains("it has 3 bytes, with padding 3, and the jump takes 5")
            && refusal.contains("[entry]"),
        "{refusal}"
    );
    // With padding behind it there is room; with endbr64 before it the jump takes more.
    assert_eq!(
        small("-fcf-protection=none").patch("prog").functions(),
        ["work"]
    );
    let refusal = small("-falign-functions=1 -fcf-protection=branch").refusal("prog");
    assert!(
        refusal.contains("with padding 7, and the jump takes 9"),
        "{refusal}"
    );
}

#[test]
fn a_branch_into_the_jump_is_refused() {
    let next = "asm(\".globl next\\n.type next,@function\\nnext: nop\\njmp work+3\\n.size next,.-next\");\n";
    let before = format!("int work(int x) {{ return x * 5 + 4; }}\n{next}");
    let after = before.replace("x * 5", "x * 9");
    let refusal = project("-fcf-protection=none", &before, &after).refusal("prog");
    assert!(
        refusal.contains("work.c: work:")
            && refusal.contains("into the bytes where the jump must go: patch"),
        "{refusal}"
    );
}

#[test]
fn another_name_of_the_code_is_told() {
    let before =
        "int work(int x) { return x * 5 + 4; }\nint next(int) __attribute__((alias(\"work\")));\n";
    let after = before.replace("x * 5", "x * 9");
    let patch = project("", before, &after).patch("prog");
    assert!(
        patch.functions().contains(&"work".to_owned()),
        "{:?}",
        patch.functions()
    );
}

#[test]
fn functions_that_the_linker_made_one_cannot_be_told_apart() {
    let before = "int work(int x) { return x * 5 + 4; }\n";
    let other = "int next(int x) { return x * 5 + 4; }\n";
    let makefile = "CFLAGS = -O2 -ffunction-sections\n\
        prog: main.o work.o next.o\n\t$(CC) -fuse-ld=gold -Wl,--icf=all -o $@ $^\n";
    let files = [
        ("Makefile", makefile),
        ("main.c", MAIN),
        ("work.c", before),
        ("next.c", other),
    ];
    let after = before.replace("x * 5", "x * 9");
    let refusal = Lab::new(&files, &[("work.c", &after)]).refusal("prog");
    assert!(
        refusal.contains("work.c: work:")
            && refusal.contains("one copy of its code for next")
            && refusal.contains("[folded]"),
        "{refusal}"
    );
}

#[test]
fn what_is_copied_from_a_library_is_nothing_new() {
    let before = "#include <stdio.h>\nint work(int x) { fputs(\"one\", stderr); return x; }\nint next(int x) { return x; }\n";
    let after = before.replace("one", "two");
    let patch = project("", before, &after).patch("prog");
    assert!(!patch.report.contains("uses so far"), "{}", patch.report);
}
