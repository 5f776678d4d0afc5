//! What the debug information says is read the same from each DWARF version, compiler and compression.

use lp_diff::dwarf::DebugInfo;
use lp_diff::dwarf::variable::Scope;
use lp_diff::object::{Object, SectionId};
use std::process::Command;

const SOURCE: &str = r#"static inline __attribute__((always_inline)) int twice(int x)
{
	return x * 2;
}
int first(int x)
{
	return twice(x) + 1;
}
int second(int x)
{
	return first(x) - 7;
}
"#;

/// Compilers and options; a compiler that this machine lacks is left out by [`objects`].
const BUILDS: [(&str, &[&str]); 6] = [
    ("gcc", &["-gdwarf-5"]),
    ("gcc", &["-gdwarf-4"]),
    ("gcc", &["-gdwarf-5", "-gz=zlib"]),
    ("gcc", &["-gdwarf-5", "-fno-function-sections"]),
    ("clang-19", &["-gdwarf-5"]),
    ("clang-14", &["-gdwarf-4"]),
];

fn has(compiler: &str) -> bool {
    let found = Command::new(compiler).arg("--version").output().is_ok();
    assert!(found || compiler != "gcc", "gcc is needed");
    found
}

/// The objects of one source, compiled from a folder below the one that the compiler runs in.
fn objects(source: &str) -> Vec<(String, Vec<u8>)> {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().canonicalize().expect("a path");
    std::fs::create_dir(root.join("fs")).expect("a folder");
    std::fs::write(root.join("fs/case.c"), source).expect("a file");
    let mut objects = Vec::new();
    for (compiler, options) in BUILDS.iter().filter(|(compiler, _)| has(compiler)) {
        let done = Command::new(compiler)
            .args(["-c", "-O2", "-ffunction-sections", "-fdata-sections"])
            .args(*options)
            .arg(root.join("fs/case.c"))
            .args(["-o", "case.o"])
            .current_dir(&root)
            .status()
            .expect("the compiler runs");
        assert!(done.success(), "{compiler} {options:?}");
        let object = std::fs::read(root.join("case.o")).expect("the object");
        objects.push((format!("{compiler} {options:?}"), object));
    }
    objects
}

fn symbol(object: &Object<'_>, name: &str) -> (SectionId, u64, u64) {
    let (_, symbol) = object
        .symbols()
        .find(|(_, symbol)| symbol.name() == name)
        .expect(name);
    (symbol.section().expect(name), symbol.value, symbol.size)
}

#[test]
fn each_instruction_has_its_line() {
    for (build, bytes) in objects(SOURCE) {
        let object = Object::parse(&bytes).expect(&build);
        let debug = DebugInfo::load(&object).expect(&build);
        let lines = debug.lines();
        for (name, head, body) in [("first", 5..=7, 7), ("second", 9..=11, 11)] {
            let (section, start, size) = symbol(&object, name);
            let place = lines.at(section, start).expect(&build);
            assert_eq!(place.file, "fs/case.c", "{build}");
            assert!(head.contains(&place.line), "{build}: {place}");
            let seen: Vec<u32> = lines
                .rows(section, start, start + size)
                .filter_map(|row| Some(row.line?.1))
                .collect();
            assert!(seen.contains(&body), "{build}: {name} has {seen:?}");
        }
    }
}

#[test]
fn an_address_leads_back_to_its_place() {
    for (build, bytes) in objects(SOURCE) {
        let object = Object::parse(&bytes).expect(&build);
        let debug = DebugInfo::load(&object).expect(&build);
        let (section, start, size) = symbol(&object, "second");
        for offset in start..=start + size {
            let address = debug.address(section, offset);
            assert_eq!(debug.place(address), Some((section, offset)), "{build}");
        }
        let beyond = object.section(section).size + 1;
        assert_eq!(debug.place(debug.address(section, beyond)), None, "{build}");
        assert_eq!(debug.place(4), None, "{build}");
    }
}

const LOCALS: &str = r#"extern void use(int *, int *);
int counter;
static inline __attribute__((always_inline)) void tick(void)
{
	static int count;
	{
		static int last;
		use(&count, &last);
	}
}
void one(int x)
{
	static int count;
	if (x) {
		static int last;
		use(&count, &last);
	} else {
		static int last;
		use(&last, &counter);
	}
}
void two(void)
{
	tick();
}
void three(void)
{
	tick();
	counter++;
}
"#;

#[test]
fn static_locals_belong_to_the_function_that_declares_them() {
    for (build, bytes) in objects(LOCALS) {
        let object = Object::parse(&bytes).expect(&build);
        let debug = DebugInfo::load(&object).expect(&build);
        let mut seen: Vec<(String, String, u32, u32)> = object
            .symbols()
            .filter(|(_, symbol)| symbol.kind == object::elf::STT_OBJECT.0)
            .map(|(_, symbol)| {
                let section = symbol.section().expect(&build);
                let variable = debug.variable_at(section, symbol.value).expect(&build);
                let function = match &variable.scope {
                    Scope::File => "-",
                    Scope::Function { name, .. } => name,
                    Scope::Nameless if build.contains("clang") => "tick",
                    Scope::Nameless => "?",
                };
                (
                    function.to_owned(),
                    variable.name.clone(),
                    variable.nth,
                    variable.declared.as_ref().expect(&build).line,
                )
            })
            .collect();
        seen.sort();
        let want = [
            ("-", "counter", 0, 2),
            ("one", "count", 0, 13),
            ("one", "last", 0, 15),
            ("one", "last", 1, 18),
            ("tick", "count", 0, 5),
            ("tick", "last", 0, 7),
        ];
        let want = want.map(|(f, v, nth, line)| (f.to_owned(), v.to_owned(), nth, line));
        assert_eq!(seen, want, "{build}");
    }
}

#[test]
fn inlined_functions_are_open_where_their_code_is() {
    for (build, bytes) in objects(LOCALS) {
        let object = Object::parse(&bytes).expect(&build);
        let debug = DebugInfo::load(&object).expect(&build);
        let (section, start, size) = symbol(&object, "three");
        let relocs = &object.section(section).relocs;
        let inside = object.section(section).relocs_in(start, start + size);
        let wanted = [
            ("tick".to_owned(), Some("fs/case.c:28".to_owned())),
            ("three".to_owned(), None),
        ];
        let frames = |offset| -> Vec<(String, Option<String>)> {
            debug
                .frames(section, offset)
                .into_iter()
                .map(|frame| (frame.function, frame.call.map(|call| call.to_string())))
                .collect()
        };
        let of_tick = relocs
            .range(inside)
            .any(|reloc| frames(reloc.offset) == wanted);
        assert!(of_tick, "{build}");
    }
}
