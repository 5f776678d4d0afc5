//! The patched tree is built on top of the original's build, and gives what a build from scratch gives.

use crate::lab::{File, Lab, Patch, said};
use std::fs;

const MAIN: &str = "#include \"limit.h\"\nint work(int); int main(int argc, char **argv) { return work(argc) + LIMIT; }\n";
const WORK: &str = "int work(int x) { return x * 1000; }\n";
const LIMIT: &str = "#define LIMIT 1000\n";
/// Writes down what it compiles.
const COMPILE: &str = "%.o: %.c\n\techo $< >> $(LOG)\n\t$(CC) -O2 -c -o $@ $<\n";

/// A project whose Makefile begins like this, and its sources.
fn lab(rules: &str, more: &[File<'_>], changes: &[File<'_>]) -> Lab {
    let makefile = format!("prog: main.o work.o\n\t$(CC) -o $@ $^\n{COMPILE}{rules}");
    let mut files = vec![
        ("Makefile", makefile.as_str()),
        ("main.c", MAIN),
        ("work.c", WORK),
        ("limit.h", LIMIT),
    ];
    files.extend(more);
    let mut lab = Lab::new(&files, changes);
    lab.build = format!("make LOG={}", lab.path("log").display());
    lab
}

/// The patch, what was compiled for it after both builds of the original, and what was said of the build.
fn built(lab: &Lab) -> (Patch, Vec<String>, String) {
    let done = lab.lp_build(&lab.binary("prog"));
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let log = fs::read_to_string(lab.path("log")).expect("a log");
    let all: Vec<String> = log.lines().map(str::to_owned).collect();
    let twice = all.iter().filter(|one| *one == "main.c").count().min(2) * 2;
    let later = all.get(twice..).unwrap_or_default().to_vec();
    (Patch::read(&lab.path("fix.lp"), &done), later, said(&done))
}

#[test]
fn what_a_change_does_not_reach_is_not_compiled_again() {
    let changes = [("work.c", "int work(int x) { return x * 1007; }\n")];
    let mut lab = lab("", &[], &changes);
    let (patch, compiled, _) = built(&lab);
    assert_eq!(compiled, ["work.c"]);
    assert_eq!(patch.functions(), ["work"]);
    lab.options = vec!["--from-scratch".to_owned()];
    let whole = lab.patch("prog");
    assert_eq!(patch.bytes(), whole.bytes());
}

#[test]
fn a_header_that_the_build_follows() {
    let lab = lab(
        "main.o: limit.h\n",
        &[],
        &[("limit.h", "#define LIMIT 1009\n")],
    );
    let (patch, compiled, _) = built(&lab);
    assert_eq!(compiled, ["main.c"]);
    assert_eq!(patch.functions(), ["main"]);
}

#[test]
fn a_header_that_the_build_forgets() {
    let lab = lab("", &[], &[("limit.h", "#define LIMIT 1009\n")]);
    let (patch, _, said) = built(&lab);
    assert_eq!(patch.functions(), ["main"]);
    assert!(
        said.contains("from scratch: main.c was not compiled again"),
        "{said}"
    );
}

#[test]
fn what_is_made_from_a_changed_source_is_made_again() {
    let work = "#include \"made.h\"\nint work(int x) { return x * MADE; }\n";
    let rules = "work.o: made.h\nmade.h:\n\tsed s/LIMIT/MADE/ limit.h > $@\n";
    let changes = [("work.c", work), ("limit.h", "#define LIMIT 1009\n")];
    let lab = lab(
        &format!("{rules}main.o: limit.h\n"),
        &[("work.c", work)],
        &changes,
    );
    let (patch, _, said) = built(&lab);
    assert_eq!(patch.functions(), ["main", "work"]);
    // What it was made from is not known: it could be a number that grows with each build.
    assert!(
        said.contains("from scratch: work.c came out another one"),
        "{said}"
    );
}

#[test]
fn a_number_that_grows_with_each_build_is_no_change() {
    let work = "#include \"count.h\"\nint work(int x) { return x * COUNT; }\n";
    let rules = "work.o: count.h\ncount.h:\n\techo >> builds\n\techo '#define COUNT' $$(wc -l < builds) > $@\n";
    let changes = [("limit.h", "#define LIMIT 1009\n")];
    let lab = lab(
        &format!("{rules}main.o: limit.h\n"),
        &[("work.c", work)],
        &changes,
    );
    let (patch, _, said) = built(&lab);
    assert_eq!(patch.functions(), ["main"], "{said}");
}

/// A build that compiles `work.c` again and does not put it where it belongs.
fn forgets_to_link(makefile: &str) {
    let makefile = format!("{makefile}{COMPILE}");
    let main = format!("{MAIN}int other;\n");
    let changes = [
        ("work.c", "int work(int x) { return x * 1007; }\n"),
        ("main.c", main.as_str()),
    ];
    let lab = lab("", &[("Makefile", &makefile)], &changes);
    let (patch, _, said) = built(&lab);
    assert_eq!(patch.functions(), ["work"]);
    assert!(
        said.contains("from scratch: prog has an older object"),
        "{said}"
    );
}

#[test]
fn an_archive_that_the_build_forgets() {
    forgets_to_link(
        "all: main.o work.o prog\nprog: main.o libw.a\n\t$(CC) -o $@ $^\nlibw.a:\n\t$(AR) rcs $@ work.o\n",
    );
}

#[test]
fn a_program_that_the_build_forgets_to_link() {
    forgets_to_link("all: main.o work.o prog\nprog:\n\t$(CC) -o $@ main.o work.o\n");
}

#[test]
fn a_source_that_the_build_itself_writes_to() {
    let rules = "main.o: limit.h edited\nedited:\n\tsed -i s/1000/1001/ limit.h\n\ttouch $@\n";
    let lab = lab(rules, &[], &[("limit.h", "#define LIMIT 1000 + 7\n")]);
    let (patch, _, said) = built(&lab);
    assert_eq!(patch.functions(), ["main"]);
    assert!(
        said.contains("from scratch: the build writes to limit.h"),
        "{said}"
    );
}

#[test]
fn a_configure_script_may_write_down_where_the_compiler_is() {
    let makefile = format!("include config.mk\nprog: main.o work.o\n\t$(CC) -o $@ $^\n{COMPILE}");
    let changes = [("work.c", "int work(int x) { return x * 1007; }\n")];
    let configured = "CC = gcc\n";
    let mut lab = lab(
        "",
        &[("Makefile", &makefile), ("config.mk", configured)],
        &changes,
    );
    lab.options = vec![
        "--configure".to_owned(),
        "echo CC = $(command -v gcc) > config.mk".to_owned(),
    ];
    let (patch, compiled, said) = built(&lab);
    assert_eq!(compiled, ["work.c"], "{said}");
    assert_eq!(patch.functions(), ["work"]);
}

const FIXED: File<'_> = ("work.c", "int work(int x) { return x * 1007; }\n");

/// What is compiled for a fix of `work.c` that comes with these files, and what is said.
fn with_files(rules: &str, more: &[File<'_>], changes: &[File<'_>]) -> (Vec<String>, String) {
    let lab = lab(rules, more, &[&[FIXED], changes].concat());
    let (patch, compiled, said) = built(&lab);
    assert_eq!(patch.functions(), ["work"]);
    (compiled, said)
}

#[test]
fn a_test_that_the_build_does_not_open_changes_nothing() {
    let tests = [("tests/one.tcl", "check 1\n")];
    let (compiled, _) = with_files("", &tests, &[("tests/one.tcl", "check 1007\n")]);
    assert_eq!(compiled, ["work.c"]);
    // Nor does one more, where the build does not look.
    let (compiled, _) = with_files("", &tests, &[("tests/new/two.tcl", "check 1007\n")]);
    assert_eq!(compiled, ["work.c"]);
}

#[test]
fn what_the_build_opens_may_change_what_is_built() {
    let from_scratch = |rules: &str, more: &[File<'_>], changes: &[File<'_>]| {
        let (compiled, said) = with_files(rules, more, changes);
        assert_eq!(compiled, ["main.c", "work.c"]);
        assert!(said.contains("may change what is built"), "{said}");
    };
    let notes = [("notes.txt", "one\n")];
    let reads = "work.o: made\nmade: notes.txt\n\tcat notes.txt > made\n";
    from_scratch(reads, &notes, &[("notes.txt", "two\n")]);
    // A list of a folder's files.
    let tests = [("tests/one.tcl", "check 1\n")];
    let lists = "work.o: made\nmade:\n\tls tests > made\n";
    from_scratch(lists, &tests, &[("tests/two.tcl", "check 2\n")]);
    // Beside the sources, where anything may be looked for.
    from_scratch("", &[], &[("settings", "two\n")]);
    // A header that was asked for in vain.
    from_scratch("", &tests, &[("tests/limit.h", "#define LIMIT 7\n")]);
    // The same file by another name.
    let linked = "work.o: made\nmade: notes.txt\n\tln -f notes.txt other && cat other > made\n";
    from_scratch(linked, &notes, &[("notes.txt", "two\n")]);
}

#[test]
fn a_build_that_a_killed_run_left_behind_is_waited_for() {
    let mut lab = lab("", &[], &[FIXED]);
    let trace = lab.path("trace").display().to_string();
    lab.binary("prog");
    lab.build =
        format!("echo begins >> {trace}; sleep 2; make LOG=/dev/null; echo ends >> {trace}");
    let mut first = lab.started(&lab.path("built/prog"));
    while fs::read_to_string(lab.path("trace")).is_err() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    first.kill().expect("it is killed");
    first.wait().expect("it has ended");
    let done = lab.lp_build(&lab.path("built/prog"));
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let trace = fs::read_to_string(lab.path("trace")).expect("a trace");
    assert!(trace.starts_with("begins\nends\nbegins\nends\n"), "{trace}");
    assert!(
        said(&done).contains("waiting for another run"),
        "{}",
        said(&done)
    );
}

/// How many files a compiler worked on for the patched tree.
fn compiled(said: &str) -> &str {
    let line = said.lines().find(|line| line.contains(" files compiled"));
    line.unwrap_or(said).trim()
}

#[test]
fn what_reads_nothing_that_changed_is_not_compiled_from_scratch() {
    let other = ("other.c", "int other(int x) { return x; }\n");
    let rules = "prog: other.o\n";
    let lab = lab(rules, &[other], &[("limit.h", "#define LIMIT 1009\n")]);
    let (patch, _, said) = built(&lab);
    assert_eq!(patch.functions(), ["main"]);
    assert!(
        said.contains("from scratch: main.c was not compiled again"),
        "{said}"
    );
    assert_eq!(compiled(&said), "1 of 3 files compiled", "{said}");
}

#[test]
fn a_header_that_is_made_again_as_it_was_compiles_nothing() {
    let rules = "main.o work.o: made.h\nmade.h:\n\techo '#define MADE 1' > made.h\n";
    let main = format!("#include \"made.h\"\n{MAIN}");
    let work = "#include \"made.h\"\nint work(int x) { return x * 1000; }\n";
    let fixed = work.replace("1000", "1007");
    let lab = lab(
        rules,
        &[("main.c", &main), ("work.c", work)],
        &[("work.c", &fixed)],
    );
    let (patch, _, said) = built(&lab);
    assert_eq!(patch.functions(), ["work"]);
    assert_eq!(compiled(&said), "1 of 2 files compiled", "{said}");
}

#[test]
fn what_the_assembler_reads_is_compiled_again() {
    let work = r#"
__asm__(".section .rodata.blob,\"a\"\nblob: .incbin \"blob.h\"\n.byte 0\n.text");
extern char blob[];
int work(int x) { return x * blob[0]; }
"#;
    let files = [("work.c", work), ("blob.h", "A")];
    let main = MAIN.replace("LIMIT;", "LIMIT + 7;");
    let lab = lab("", &files, &[("blob.h", "B"), ("main.c", &main)]);
    let done = lab.lp_build(&lab.binary("prog"));
    assert!(
        said(&done).contains("what work.c includes could not be told"),
        "{}",
        said(&done)
    );
    assert_eq!(compiled(&said(&done)), "2 of 2 files compiled");
}

#[test]
fn two_files_of_one_size_and_time_are_not_the_same() {
    let lab = lab("", &[], &[("limit.h", "#define LIMIT 1009\n")]);
    lab.binary("prog");
    let time = fs::metadata(lab.path("orig/limit.h")).and_then(|data| data.modified());
    let file = fs::File::options()
        .write(true)
        .open(lab.path("patched/limit.h"));
    let file = file.expect("the header");
    file.set_modified(time.expect("a time")).expect("its time");
    let (patch, _, _) = built(&lab);
    assert_eq!(patch.functions(), ["main"]);
}

#[test]
fn make_is_told_what_an_object_was_made_from() {
    let makefile = "\
prog: main.o work.o
\t$(CC) -o $@ $^
%.o: %.c
\techo $< >> $(LOG)
\t$(CC) -O2 -MMD -MP -MF $*.tmp -c -o $@ $<
\tmv $*.tmp $*.d
";
    let changes = [("limit.h", "#define LIMIT 1009\n")];
    let lab = lab("", &[("Makefile", makefile)], &changes);
    let (patch, _, said) = built(&lab);
    assert_eq!(patch.functions(), ["main"]);
    assert_eq!(compiled(&said), "1 of 2 files compiled", "{said}");
}

/// A header beside the tree, of another project, that changes after the tree was built.
#[test]
fn what_is_read_beside_the_tree_may_change_between_two_runs() {
    let work = "#include \"scale.h\"\nint work(int x) { return x * SCALE; }\n";
    let fixed = MAIN.replace("LIMIT;", "LIMIT + 7;");
    let mut lab = lab("", &[("work.c", work)], &[("main.c", &fixed)]);
    let beside = lab.path("beside");
    lab.build += &format!(" CC='gcc -I{}'", beside.display());
    fs::create_dir_all(&beside).expect("a folder");
    let run = |scale: &str, compiled_of_all: &str| {
        fs::write(beside.join("scale.h"), scale).expect("a header");
        let _ = fs::remove_dir_all(lab.path("built"));
        let done = lab.lp_build(&lab.binary("prog"));
        let said = said(&done);
        assert_eq!(done.status.code(), Some(0), "{said}");
        assert_eq!(compiled(&said), compiled_of_all, "{said}");
        let patch = Patch::read(&lab.path("fix.lp"), &done);
        assert_eq!(patch.functions(), ["main"]);
        said
    };
    let told = "scale.h has changed since it was built";
    assert!(!run("#define SCALE 1000\n", "1 of 2 files compiled").contains(told));
    assert!(run("#define SCALE 1009\n", "1 of 2 files compiled").contains(told));
    // With what was there once more, the first build holds.
    assert!(!run("#define SCALE 1000\n", "1 of 2 files compiled").contains(told));
}

/// `config.guess` compiles a file in a folder with a name of its own each time, and removes it.
#[test]
fn what_a_build_tries_beside_the_tree_is_a_part_of_nothing() {
    let fixed = MAIN.replace("LIMIT;", "LIMIT + 7;");
    let work = "int work(int x) { return x * 2; }\n";
    let mut lab = lab("", &[("work.c", work)], &[("main.c", &fixed)]);
    let made = lab.build.clone();
    lab.build = format!(
        "set -e; d=`mktemp -d`; echo 'int x;' > $d/dummy.c; cc -c -o $d/dummy.o $d/dummy.c; rm -r $d; {made}"
    );
    for _ in 0..2 {
        let done = lab.lp_build(&lab.binary("prog"));
        let said = said(&done);
        assert_eq!(done.status.code(), Some(0), "{said}");
        assert!(!said.contains("dummy.c"), "{said}");
        assert!(!said.contains("from scratch"), "{said}");
    }
}
