//! A stripped binary has its symbols elsewhere, or is refused.

use crate::lab::{Lab, run, said};
use object::{Object, ObjectSymbol};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const MAKEFILE: &str = "CFLAGS = -O2\nprog: main.o work.o\n\t$(CC) -o $@ $^\n";
const MAIN: &str = "int work(int); int main(int argc, char **argv) { return work(argc); }\n";
const WORK: &str = "static int count; int work(int x) { return x * 5 + count++; }\n";

fn lab() -> Lab {
    Lab::new(
        &[("Makefile", MAKEFILE), ("main.c", MAIN), ("work.c", WORK)],
        &[("work.c", &WORK.replace("* 5", "* 7"))],
    )
}

#[test]
fn a_build_that_gives_the_same_code_lends_its_symbols() {
    let lab = lab();
    run(Command::new("strip").arg(lab.binary("prog")));
    let patch = lab.patch("prog");
    assert_eq!(patch.functions(), ["work"]);
    assert_eq!(patch.outer(), [".klp.sym.prog.count,0"]);
    // The machines where it is loaded have no symbols either.
    assert!(patch.lent("prog").contains("\0count\0"));
    assert!(
        patch.report.contains("fidelity: 1 of 1"),
        "{}",
        patch.report
    );
}

#[test]
fn a_build_that_gives_other_code_does_not() {
    let mut lab = lab();
    let binary = lab.binary("prog");
    run(Command::new("strip").arg(&binary));
    lab.build = "make CFLAGS=-O1".to_owned();
    let done = lab.lp_build(&binary);
    assert_eq!(done.status.code(), Some(1));
    assert!(
        said(&done).contains("is not the same: .text has 0x"),
        "{}",
        said(&done)
    );
}

#[test]
fn what_has_moved_all_that_follows_is_told() {
    let makefile = MAKEFILE.replace("-O2", "-O2 -DSIZE=10");
    let work = "static volatile char table[SIZE] = {1}; int work(int x) { return table[x]; }\n";
    let mut lab = Lab::new(
        &[("Makefile", &makefile), ("main.c", MAIN), ("work.c", work)],
        &[("work.c", &work.replace("[x]", "[x] + 1"))],
    );
    let binary = lab.binary("prog");
    run(Command::new("strip").arg(&binary));
    lab.build = "make CFLAGS='-O2 -DSIZE=9000'".to_owned();
    let said = said(&lab.lp_build(&binary));
    assert!(said.contains(".data has 0x"), "{said}");
}

#[test]
fn a_debug_file_is_known_by_its_build_id() {
    let mut lab = lab();
    let binary = lab.binary("prog");
    let debug = lab.path("prog.debug");
    run(Command::new("objcopy")
        .arg("--only-keep-debug")
        .arg(&binary)
        .arg(&debug));
    run(Command::new("strip").arg(&binary));
    lab.options = vec!["--debug-file".to_owned(), debug.display().to_string()];
    assert_eq!(lab.patch("prog").outer(), [".klp.sym.prog.count,0"]);
    lab.options[1] = "/proc/self/exe".to_owned();
    let done = lab.lp_build(&binary);
    assert_eq!(done.status.code(), Some(1));
    assert!(
        said(&done).contains("it is of another build"),
        "{}",
        said(&done)
    );
}

/// A library whose variable the program copies; each tree has its own build of it, as machines have.
fn with_copied(alignment: &str) -> (&'static str, String) {
    let text = format!(
        "char first[8]; __attribute__((aligned({alignment}))) char from_library[40] = {{1}};\n"
    );
    ("lib.c", text)
}

const COPIES: &str = "extern char from_library[40]; static int a[3]; static int b[3]; static int unused[3] __attribute__((used));
int work(int x) { return from_library[x] + a[x]++ * 5 + b[x]++; }\n";
const LINKS: &str = "CFLAGS = -O2 -fno-toplevel-reorder\nprog: main.o work.o lib.so\n\t$(CC) -o $@ main.o work.o -L. -l:lib.so -Wl,-rpath,.\n\
lib.so: lib.c\n\t$(CC) -O2 -shared -fPIC -o $@ lib.c\n";

fn addresses(binary: &Path) -> BTreeMap<String, u64> {
    let data = std::fs::read(binary).expect("the binary");
    let file = object::File::parse(&*data).expect("an ELF file");
    let symbols = file.symbols();
    symbols
        .map(|symbol| (symbol.name().expect("a name").to_owned(), symbol.address()))
        .collect()
}

#[test]
fn data_may_be_elsewhere_where_a_librarys_variable_is_aligned_otherwise() {
    let (name, here) = with_copied("32");
    let (_, there) = with_copied("16");
    let lab = Lab::new(
        &[
            ("Makefile", LINKS),
            ("main.c", MAIN),
            ("work.c", COPIES),
            (name, &here),
        ],
        &[("work.c", &COPIES.replace("* 5", "* 7"))],
    );
    let binary = lab.binary("prog");
    // The machine where it was built had the other library.
    let built = lab.path("built");
    let places_here = addresses(&binary);
    std::fs::write(built.join("lib.c"), there).expect("the other library");
    run(Command::new("sh")
        .args(["-c", "rm prog lib.so && make"])
        .current_dir(&built));
    let places = addresses(&binary);
    run(Command::new("strip").arg(&binary));
    let patch = lab.patch("prog");
    assert_eq!(patch.functions(), ["work"]);
    for name in ["a", "b"] {
        assert_ne!(places[name], places_here[name], "{name} moved");
        assert_eq!(patch.lent_at("prog", name), Some(places[name]), "{name}");
    }
}

/// What a program says of its building: where, and with which options.
const SAYS: &str = "\
#include <stdio.h>
int work(int x) { switch (x) { case 1: return puts(\"one\"); case 2: return puts(\"two\"); case 3: return puts(FLAGS);
  case 4: return puts(\"four\"); case 5: return puts(\"five\"); case 6: return puts(\"six\"); } return x; }
";
const HAS: &str = "\
#include <stdio.h>
static const int before[6] = {7, 8, 9, 10, 11, 12};
static const char *const names[] = {\"alpha\", \"beta\", \"gamma\"};
static const int table[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}; static int used;
int work(int); int other(int x) { used += x; return before[x % 6] + table[x] + puts(names[x % 3]) + 5 * used; }
int main(int c, char **v) { return work(c) + other(c); }
";
const TELLS: &str = "CFLAGS = -O2\nFLAGS = in $(CURDIR)\nprog: work.o other.o\n\t$(CC) -o $@ $^ $(RUNPATH)\nwork.o: work.c\n\
\t$(CC) $(CFLAGS) -DFLAGS='\"$(FLAGS)\"' -c -o $@ $<\n";

/// Of a stripped program, built with what `make` is told besides, and where its data are.
fn told(makefile: &str, source: &str, told: &str) -> (Lab, BTreeMap<String, u64>) {
    let files = [
        ("Makefile", makefile),
        ("work.c", SAYS),
        ("other.c", source),
    ];
    let mut lab = Lab::new(&files, &[("other.c", &source.replace("5 *", "7 *"))]);
    lab.build = format!("make {told}");
    let binary = lab.binary("prog");
    let places = addresses(&binary);
    run(Command::new("strip").arg(&binary));
    lab.build = "make".to_owned();
    (lab, places)
}

#[test]
fn a_text_may_say_where_the_program_was_built() {
    for flags in [
        "in",
        "x",
        "in the folder of somebody else, where everything has a name of its own, with options that nobody has",
    ] {
        let (lab, places) = told(TELLS, HAS, &format!("FLAGS='{flags}'"));
        let patch = lab.patch("prog");
        assert_eq!(patch.functions(), ["other"]);
        for name in ["table", "names", "before", "used"] {
            let place = patch.lent_at("prog", name);
            assert_eq!(
                place,
                Some(places[name]),
                "{name} where it is built {flags}"
            );
        }
    }
}

#[test]
fn libraries_may_be_found_elsewhere() {
    for pages in [0, 1] {
        let runpath = format!("RUNPATH=-Wl,-rpath,/{}", "x".repeat(20 + 4096 * pages));
        let (lab, places) = told(TELLS, HAS, &runpath);
        let patch = lab.patch("prog");
        assert_eq!(patch.functions(), ["other"]);
        for name in ["table", "names", "used", "main"] {
            assert_eq!(patch.lent_at("prog", name), Some(places[name]), "{name}");
        }
    }
}

#[test]
fn a_longer_table_is_of_another_source() {
    let source = HAS.replace("before[6] = {", "before[6 + MORE] = {MORE + 0, ");
    let makefile = TELLS.replace("-O2", "-O2 -DMORE=8");
    let (lab, _) = told(&makefile, &source, "CFLAGS='-O2 -DMORE=40'");
    let done = lab.lp_build(&lab.binary("prog"));
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(
        said(&done).contains("is not the same: .rodata has other data at 0x"),
        "{}",
        said(&done)
    );
}
