//! A changed function is explained by the source: the line that changed and the functions that carried it there.

use lp_diff::{Config, EntrySizes, Exports, Function, Outcome, Refusal, SymbolTable, diff};
use lp_klp::name::ObjName;
use std::process::Command;

const HEADER: &str = "\
extern int many(int, int, int, int, int);
static inline __attribute__((always_inline)) int limit(int x)
{
	return many(x, LIMIT, 1, 2, 3);
}
static inline __attribute__((always_inline)) int scaled(int x)
{
	return limit(x * 5);
}
";

const SOURCE: &str = r#"#include "net/sock.h"
extern int many(int, int, int, int, int);
int carried(int x)
{
	return many(1, 2, 3, 4, scaled(x));
}
int moved(int x, int y)
{
	int z = many(x, y, 3, 4, 5);
#ifdef PATCHED
	if (x == 77)
		return 1;
#endif
	return many(z, y, 8, x, 9) + many(x, x, x, z, y);
}
#ifdef PATCHED
__attribute__((noinline)) static int helper(int x)
{
	return many(x, x, x, x, x);
}
#endif
int user(int x)
{
#ifdef PATCHED
	x = helper(x);
#endif
	return x;
}
"#;

const REFUSED: &str = r#"extern int many(int, int, int, int, int);
int limits[2] = { LIMIT, 2 };
int use(void)
{
	{
		static int seen = LIMIT;
		return many(seen++, 1, 2, 3, limits[0]);
	}
}
__attribute__((section(".init.text"))) int start(void)
{
	return many(1, 2, 3, LIMIT, 5);
}
"#;

fn functions(compiler: &str, debug: &str) -> Vec<Function> {
    diff_of(compiler, debug, SOURCE).report.functions
}

fn diff_of(compiler: &str, debug: &str, source: &str) -> Outcome {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().canonicalize().expect("a path");
    std::fs::create_dir(root.join("net")).expect("a folder");
    std::fs::write(root.join("net/sock.h"), HEADER).expect("a file");
    std::fs::write(root.join("net/tcp.c"), source).expect("a file");
    let object = |options: &[&str]| {
        let done = Command::new(compiler)
            .args(["-c", "-O2", debug, "-pg", "-mfentry", "-fno-pie", "-I."])
            .args(["-ffunction-sections", "-fdata-sections"])
            .args(options)
            .args(["net/tcp.c", "-o", "tcp.o"])
            .current_dir(&root)
            .status();
        assert!(done.expect("the compiler runs").success());
        std::fs::read(root.join("tcp.o")).expect("the object")
    };
    let orig = object(&["-DLIMIT=1000"]);
    let patched = object(&["-DLIMIT=2000", "-DPATCHED"]);
    let symbols = SymbolTable::from_elf(&orig[..]).expect("symbols");
    let config = Config {
        flavour: Default::default(),
        object: ObjName::vmlinux(),
        entry_sizes: EntrySizes::default(),
        unit: "tcp".into(),
        places: Default::default(),
        overridden: Default::default(),
        allow_layout_change: Default::default(),
    };
    let outcome = diff(&orig, &patched, &symbols, &Exports::default(), &config);
    outcome.expect("objects")
}

fn lines(refusal: &Refusal) -> String {
    let source = refusal.source.as_ref();
    let source = source.map_or("nowhere".to_owned(), ToString::to_string);
    format!("{} '{}' at {source}", refusal.code, refusal.place)
}

fn why<'f>(functions: &'f [Function], name: &str) -> &'f str {
    let found = functions.iter().find(|function| function.name == name);
    &found.expect(name).why
}

#[test]
fn the_chain_of_inlined_functions_is_told() {
    for compiler in ["gcc", "clang-19"] {
        let functions = functions(compiler, "-g");
        let carried = why(&functions, "carried");
        let told = "limit changed at net/sock.h:4 and is inlined at net/sock.h:8 in scaled, inlined at net/tcp.c:5: ";
        assert!(carried.starts_with(told), "{compiler}: {carried}");
        let function = functions.iter().find(|function| function.name == "carried");
        let places = &function.expect("carried").places;
        let inlined = places.iter().map(|place| place.inlined.len()).max();
        assert_eq!(inlined, Some(2), "{compiler}: {places:?}");
    }
}

#[test]
fn what_only_moved_is_not_blamed() {
    for compiler in ["gcc", "clang-19"] {
        let functions = functions(compiler, "-g");
        let moved = why(&functions, "moved");
        assert!(
            moved.starts_with("changed at net/tcp.c:"),
            "{compiler}: {moved}"
        );
        let function = functions.iter().find(|function| function.name == "moved");
        let added = function.expect("moved").places.iter().any(|place| {
            let patched = place.patched.as_ref();
            patched.is_some_and(|side| side.instruction.contains("$0x4d"))
        });
        assert!(added, "{compiler}: {functions:?}");
        assert_eq!(
            why(&functions, "helper"),
            "used by user at net/tcp.c:25",
            "{compiler}"
        );
    }
}

#[test]
fn without_debug_information_the_instruction_is_told() {
    let functions = functions("gcc", "-g0");
    let moved = why(&functions, "moved");
    assert!(moved.starts_with("changed at +"), "{moved}");
    assert!(moved.contains("$0x4d"), "{moved}");
    assert_eq!(why(&functions, "helper"), "used by user");
}

#[test]
fn a_refusal_names_its_line() {
    let outcome = diff_of("gcc", "-g", REFUSED);
    let mut told: Vec<String> = outcome.report.refusals.iter().map(lines).collect();
    told.sort();
    let wanted = [
        "changed-data 'limits in .data.limits' at net/tcp.c:2",
        "changed-data 'seen.0 in .data.seen.0' at net/tcp.c:6",
        "init-code 'start' at net/tcp.c:10",
    ];
    assert_eq!(told, wanted);
}
