//! How a project is built must not matter.

use crate::lab::{Lab, run, said};
use std::process::Command;

const WORK: &str = "int work(int x) { return x * 1000; }\n";
const MAIN: &str = "int work(int); int main(int argc, char **argv) { return work(argc); }\n";

#[test]
fn sources_that_are_compiled_and_linked_at_once() {
    let makefile = "prog: main.c work.c\n\t$(CC) -O2 -o $@ $^\n";
    let lab = Lab::new(
        &[("Makefile", makefile), ("main.c", MAIN), ("work.c", WORK)],
        &[("work.c", "int work(int x) { return x * 1007; }\n")],
    );
    assert_eq!(lab.patch("prog").functions(), ["work"]);
}

#[test]
fn a_static_library_and_a_test_program_beside_it() {
    let makefile = "all: prog check\nCFLAGS = -O2\nlibw.a: work.o\n\t$(AR) rcs $@ $^\n\
                    prog: main.o libw.a\n\t$(CC) -o $@ main.o -L. -lw\n\
                    check: check.o\n\t$(CC) -o $@ $^\n";
    let check = "int main(void) { return 1; }\n";
    let lab = Lab::new(
        &[
            ("Makefile", makefile),
            ("main.c", MAIN),
            ("work.c", WORK),
            ("check.c", check),
        ],
        &[
            ("work.c", "int work(int x) { return x * 1007; }\n"),
            ("check.c", "int main(void) { return 2; }\n"),
        ],
    );
    let patch = lab.patch("prog");
    assert_eq!(patch.functions(), ["work"]);
    assert!(
        patch
            .report
            .contains("not part of the binary, though changed: check.c"),
        "{}",
        patch.report
    );
}

#[test]
fn a_header_reaches_all_who_include_it() {
    let makefile = "CFLAGS = -O2\nprog: main.o work.o\n\t$(CC) -o $@ $^\n";
    let main = "#include \"limit.h\"\nint work(int); int main(int argc, char **argv) { return work(argc) + LIMIT; }\n";
    let work = "#include \"limit.h\"\nint work(int x) { return x * LIMIT; }\n";
    let lab = Lab::new(
        &[
            ("Makefile", makefile),
            ("main.c", main),
            ("work.c", work),
            ("limit.h", "#define LIMIT 1000\n"),
        ],
        &[("limit.h", "#define LIMIT 1009\n")],
    );
    assert_eq!(lab.patch("prog").functions(), ["main", "work"]);
}

#[test]
fn a_new_source_comes_along() {
    let makefile =
        "CFLAGS = -O2\nprog: $(patsubst %.c,%.o,$(sort $(wildcard *.c)))\n\t$(CC) -o $@ $^\n";
    let lab = Lab::new(
        &[("Makefile", makefile), ("main.c", MAIN), ("work.c", WORK)],
        &[
            (
                "work.c",
                "int more(int); int work(int x) { return more(x); }\n",
            ),
            (
                "more.c",
                "int count; int more(int x) { return x + count++; }\n",
            ),
        ],
    );
    let patch = lab.patch("prog");
    assert_eq!(patch.functions(), ["work"]);
    assert_eq!(patch.outer(), [""; 0]);
    assert!(
        patch.report.contains("new function more, more.c"),
        "{}",
        patch.report
    );
}

#[test]
fn a_shared_library_that_lets_others_define_its_names() {
    let makefile =
        "CFLAGS = -O2 -fPIC\nlibw.so.1: work.o\n\t$(CC) -shared -Wl,-soname,libw.so.1 -o $@ $^\n";
    let before = "int count; static int own; __attribute__((visibility(\"hidden\"))) int hidden;\n\
                  int other(int x) { return x; }\n\
                  int work(int x) { count++; own++; hidden++; return other(x); }\n";
    let lab = Lab::new(
        &[("Makefile", makefile), ("work.c", before)],
        &[(
            "work.c",
            &before.replace("return other(x)", "return other(x + 1)"),
        )],
    );
    let patch = lab.patch("libw.so.1");
    assert_eq!(
        patch.outer(),
        [
            ".klp.sym.libw_so_1.hidden,0",
            ".klp.sym.libw_so_1.own,0",
            "count",
            "other"
        ]
    );
    assert_eq!(patch.object().file, "libw.so.1");
}

#[test]
fn a_link_that_only_tries_whether_it_can_be_done() {
    let makefile = "CFLAGS = -O2 -fPIC\nSO = $(CC) -shared -Wl,-soname,libw.so.1\nlibw.so.1: work.o\n\t\
                    echo 'int try;' > try.c; $(SO) -fPIC -o try.so try.c; rm try.*\n\t$(SO) -o $@ $^\n";
    let lab = Lab::new(
        &[("Makefile", makefile), ("work.c", WORK)],
        &[("work.c", "int work(int x) { return x * 1007; }\n")],
    );
    assert_eq!(lab.patch("libw.so.1").functions(), ["work"]);
}

#[test]
fn link_time_optimisation_is_refused() {
    let makefile = "CFLAGS = -O2 -flto\nprog: main.o work.o\n\t$(CC) $(CFLAGS) -o $@ $^\n";
    let lab = Lab::new(
        &[("Makefile", makefile), ("main.c", MAIN), ("work.c", WORK)],
        &[("work.c", "int work(int x) { return x * 1007; }\n")],
    );
    let refusal = lab.refusal("prog");
    assert!(refusal.contains("[link-time-optimisation]"), "{refusal}");
}

#[test]
fn a_compiler_that_no_shim_stands_for_is_said() {
    let makefile = "prog: main.c work.c\n\t/usr/bin/gcc -O2 -o $@ $^\n";
    let lab = Lab::new(
        &[("Makefile", makefile), ("main.c", MAIN), ("work.c", WORK)],
        &[("work.c", "int work(int x) { return x * 1007; }\n")],
    );
    let done = lab.lp_build(&lab.binary("prog"));
    assert_eq!(done.status.code(), Some(1));
    assert!(
        said(&done).contains("compiled nothing that could be seen"),
        "{}",
        said(&done)
    );
}

#[test]
fn a_tree_that_was_built_before_is_built_anew_and_not_written_to() {
    let makefile = "CFLAGS = -O2\nprog: main.o work.o\n\t$(CC) -o $@ $^\n";
    let lab = Lab::new(
        &[("Makefile", makefile), ("main.c", MAIN), ("work.c", WORK)],
        &[("work.c", "int work(int x) { return x * 1007; }\n")],
    );
    run(Command::new("make").current_dir(lab.path("orig")));
    let stamp = |name: &str| {
        let data = std::fs::metadata(lab.path("orig").join(name)).expect("a file");
        data.modified().expect("its time")
    };
    let before = stamp("work.o");
    assert_eq!(lab.patch("prog").functions(), ["work"]);
    assert_eq!(stamp("work.o"), before);
}

#[test]
fn the_second_run_does_not_build_the_original_again() {
    let makefile = "CFLAGS = -O2\nprog: main.o work.o\n\tdate +%N >> $(LOG)\n\t$(CC) -o $@ $^\n";
    let mut lab = Lab::new(
        &[("Makefile", makefile), ("main.c", MAIN), ("work.c", WORK)],
        &[("work.c", "int work(int x) { return x * 1007; }\n")],
    );
    lab.build = format!("make LOG={}", lab.path("log").display());
    let built = |lab: &Lab| {
        let text = std::fs::read_to_string(lab.path("log"));
        text.expect("a log").lines().count()
    };
    let binary = lab.binary("prog");
    let before = built(&lab);
    let first = lab.patch("prog");
    assert_eq!(built(&lab) - before, 2, "both trees");
    let second = lab.patch("prog");
    assert_eq!(built(&lab) - before, 3, "the patched tree alone");
    assert_eq!(first.bytes(), second.bytes());
    std::fs::write(lab.path("orig/main.c"), format!("{MAIN}\n")).expect("a source");
    assert_eq!(lab.lp_build(&binary).status.code(), Some(0));
    assert_eq!(built(&lab) - before, 5, "a tree that is another one");
}

#[test]
fn a_build_that_fails_says_why_and_what_to_try() {
    let makefile = "CFLAGS = -O2\nprog: main.o work.o\n\t$(CC) -o $@ $^\n";
    let lab = Lab::new(
        &[("Makefile", makefile), ("main.c", MAIN), ("work.c", WORK)],
        &[("work.c", "int work(int x) { return }\n")],
    );
    let done = lab.lp_build(&lab.binary("prog"));
    assert_eq!(done.status.code(), Some(1));
    let said = said(&done);
    assert!(
        said.contains("the patched tree: the build failed")
            && said.contains("work.c:1:")
            && said.contains("try it in one of yours"),
        "{said}"
    );
}

/// A tree whose code holds its own path, built with a map of it or without.
fn with_its_path(map: &str) -> Lab {
    let makefile = format!(
        "CFLAGS = -O2 {map}\nprog: main.o work.o\n\t$(CC) -o $@ $^\n\
         %.o: %.c\n\t$(CC) $(CFLAGS) -c $(CURDIR)/$< -o $@\n"
    );
    let work = "const char *from; int work(int x) { from = __FILE__; return x * 1000; }\n";
    let fixed = work.replace("1000", "1007");
    Lab::new(
        &[("Makefile", &makefile), ("main.c", MAIN), ("work.c", work)],
        &[("work.c", &fixed)],
    )
}

#[test]
fn what_a_build_says_of_where_its_files_are_from_holds() {
    let lab = with_its_path("-ffile-prefix-map=$(CURDIR)=.");
    assert_eq!(lab.patch("prog").functions(), ["work"]);
}

#[test]
fn a_path_that_is_another_is_told() {
    let said = with_its_path("").refusal("prog");
    for path in ["/orig/work.c\"", "/built/work.c\""] {
        assert!(said.contains(path), "{said}");
    }
}

#[test]
fn one_source_compiled_alike_for_two_programs() {
    let makefile = "all: prog check\nCFLAGS = -O2\nprog: prog-work.o main.o\n\t$(CC) -o $@ $^\n\
                    check: check-work.o main.o\n\t$(CC) -o $@ $^\n\
                    prog-work.o check-work.o: work.c\n\t$(CC) $(CFLAGS) -c -o $@ $<\n";
    let lab = Lab::new(
        &[("Makefile", makefile), ("main.c", MAIN), ("work.c", WORK)],
        &[("work.c", "int work(int x) { return x * 1007; }\n")],
    );
    assert_eq!(lab.patch("prog").functions(), ["work"]);
}

/// The program is linked under a name that is gone when the build ends.
#[test]
fn what_was_linked_may_have_been_moved_away() {
    let makefile = "prog: main.o\n\t$(CC) -o prog.tmp main.o\n\tmv prog.tmp prog\nmain.o: main.c\n\t$(CC) -O2 -c -o $@ $<\n";
    let main = "int main(int argc, char **argv) { return argc * 3; }\n";
    let files = [("Makefile", makefile), ("main.c", main)];
    let mut lab = Lab::new(&files, &[("main.c", &main.replace("* 3", "* 1007"))]);
    lab.options = vec!["--built".to_owned(), "prog.tmp".to_owned()];
    assert_eq!(lab.patch("prog").functions(), ["main"]);
}
