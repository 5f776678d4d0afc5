//! One patch of several binaries that are built of one tree.

use super::lab::{Lab, said};
use object::{Object, ObjectSection, ObjectSymbol};

const MAKEFILE: &str = "\
CFLAGS = -O2 -g -fPIC
all: libone.so prog
shared.o: shared.c
libone.so: one.o shared.o
\t$(CC) -shared -Wl,--build-id -Wl,-soname,libone.so -o $@ one.o shared.o
prog: main.o shared.o libone.so
\t$(CC) -Wl,--build-id -o $@ main.o shared.o -L. -lone
";

const SHARED: &str = "\
#include <stdio.h>
__attribute__((visibility(\"hidden\"))) int shared(int x) { printf(\"shared %d\\n\", x); return x + 1; }
";

const SHARED_FIXED: &str = "\
#include <stdio.h>
__attribute__((visibility(\"hidden\"), noinline)) int fresh(int x) { static int count; printf(\"fresh %d\\n\", ++count); return x * 3; }
__attribute__((visibility(\"hidden\"))) int shared(int x) { printf(\"shared %d\\n\", x); return fresh(x); }
";

const ONE: &str = "int shared(int); int one(int x) { return shared(x) + 1; }\n";
const ONE_FIXED: &str = "int shared(int); int one_new(int x) { return shared(x) + 5; }\nint one(int x) { return one_new(x) + 2; }\n";
const MAIN: &str = "\
int one(int); int shared(int);
__attribute__((noinline)) int work(int x) { return one(x) + shared(x); }
int main(int c, char **v) { return work(c); }
";
const MAIN_FIXED: &str = "\
int one(int); int one_new(int); int shared(int);
__attribute__((noinline)) int work(int x) { return one(x) + one_new(x) + shared(x); }
int main(int c, char **v) { return work(c); }
";

const FILES: [(&str, &str); 4] = [
    ("Makefile", MAKEFILE),
    ("shared.c", SHARED),
    ("one.c", ONE),
    ("main.c", MAIN),
];

/// The lab whose patch is of the program and of its library, too.
fn lab(changes: &[(&str, &str)]) -> Lab {
    let mut lab = Lab::new(&FILES, changes);
    let library = lab.binary("libone.so").display().to_string();
    lab.options.extend(["--binary".to_owned(), library]);
    lab
}

#[test]
fn a_fix_in_a_program_and_its_library_is_one_patch() {
    let lab = lab(&[
        ("shared.c", SHARED_FIXED),
        ("one.c", ONE_FIXED),
        ("main.c", MAIN_FIXED),
    ]);
    let patch = lab.patch("prog");
    let manifest = patch.manifest();
    let functions = |file: &str| {
        let mut objects = manifest.objects.iter();
        let object = objects.find(|it| it.file == file).expect(file);
        let mut names: Vec<_> = object.functions.iter().map(|it| it.name.as_str()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(functions("prog"), ["shared", "work"]);
    assert_eq!(functions("libone.so"), ["one", "shared"]);
    // The new function of the shared source, and its counter, are there once for each.
    let file = patch.file();
    let named = |name: &str| file.symbols().filter(|it| it.name() == Ok(name)).count();
    assert_eq!(named("fresh"), 2);
    // What the library exports anew, the program finds in the patch.
    assert!(patch.defines("one_new"));
    let undefined = file.symbols().filter(|it| it.is_undefined());
    assert!(
        undefined
            .filter_map(|it| it.name().ok())
            .all(|name| name != "one_new")
    );
    // Nothing of the one is in a section with what the other has.
    let strings = file
        .sections()
        .filter(|it| it.name().is_ok_and(|name| name.starts_with(".rodata")));
    assert!(strings.count() > 1);
}

#[test]
fn a_binary_that_does_not_change_is_left_out() {
    let patch = lab(&[("one.c", ONE_FIXED)]).patch("prog");
    let files: Vec<_> = patch
        .manifest()
        .objects
        .iter()
        .map(|it| it.file.clone())
        .collect();
    assert_eq!(files, ["libone.so"]);
    assert!(
        patch.report.contains("no function of prog changes"),
        "{}",
        patch.report
    );
}

#[test]
fn where_the_build_puts_one_of_several_is_said_with_its_name() {
    let mut lab = lab(&[("one.c", ONE_FIXED)]);
    lab.options
        .extend(["--built".to_owned(), "prog".to_owned()]);
    let done = lab.lp_build(&lab.binary("prog"));
    assert_eq!(done.status.code(), Some(1));
    assert!(
        said(&done).contains("of several binaries say FILE=PATH"),
        "{}",
        said(&done)
    );
    lab.options.pop();
    lab.options.push("libone.so=libone.so".to_owned());
    assert_eq!(lab.lp_build(&lab.binary("prog")).status.code(), Some(0));
}

/// A fix of a program, and the program's library changes too: as libtool links, by the library's file.
#[test]
fn what_a_library_is_made_of_is_no_part_of_who_uses_it() {
    let makefile = "\
prog: main.o libone.so
\t$(CC) -Wl,--build-id -Wl,-rpath,'$$ORIGIN' -o $@ main.o ./libone.so
libone.so: one.o
\t$(CC) -shared -Wl,--build-id -Wl,-soname,libone.so -o $@ one.o
%.o: %.c
\t$(CC) -O2 -fPIC -c -o $@ $<
";
    let main = "int one(int); __attribute__((noinline)) int work(int x) { return one(x) * 3; } int main(int c, char **v) { return work(c); }\n";
    let files = [
        ("Makefile", makefile),
        ("one.c", "int one(int x) { return x + 1; }\n"),
        ("main.c", main),
    ];
    let fixed = main.replace("* 3", "* 1007");
    let lab = Lab::new(
        &files,
        &[
            ("one.c", "int one(int x) { return x + 1000; }\n"),
            ("main.c", &fixed),
        ],
    );
    let patch = lab.patch("prog");
    assert_eq!(patch.functions(), ["work"]);
    assert!(
        patch
            .report
            .contains("not part of the binary, though changed: one.c"),
        "{}",
        patch.report
    );
    // Lines that moved are no change.
    let moved = "/* */\nint one(int x) { return x + 1; }\n";
    let patch = Lab::new(&files, &[("one.c", moved), ("main.c", &fixed)]).patch("prog");
    assert!(!patch.report.contains("not part of"), "{}", patch.report);
}

/// A library that defines what the program defines, too, each for itself: the linker's rules are followed, not the names.
#[test]
fn what_a_binary_keeps_to_itself_nobody_else_can_mean() {
    let hidden = ONE_FIXED.replace(
        "int one_new",
        "__attribute__((visibility(\"hidden\"), noinline)) int one_new",
    );
    let elsewhere = "int one_new(int x) { return x + 40000; }\n";
    let makefile = MAKEFILE
        .replace("libone.so prog", "libtwo.so libone.so prog")
        .replace("-L. -lone", "-L. -lone -ltwo")
        .replace("prog: ", "prog: libtwo.so ")
        + "libtwo.so: two.o\n\t$(CC) -shared -Wl,--build-id -Wl,-soname,libtwo.so -o $@ two.o\n";
    let mut files = FILES.to_vec();
    files.extend([("Makefile", makefile.as_str()), ("two.c", elsewhere)]);
    let mut lab = Lab::new(&files, &[("one.c", &hidden), ("main.c", MAIN_FIXED)]);
    let library = lab.binary("libone.so").display().to_string();
    lab.options.extend(["--binary".to_owned(), library]);
    let patch = lab.patch("prog");
    // The program's is the other library's, which the loader looks up where it runs.
    let file = patch.file();
    let named: Vec<bool> = file
        .symbols()
        .filter(|it| it.name().is_ok_and(|name| name.contains("one_new")))
        .map(|it| it.is_undefined())
        .collect();
    assert!(named.contains(&true) && named.contains(&false), "{named:?}");
}
