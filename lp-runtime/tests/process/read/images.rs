//! The objects of a process: found by what is mapped, however they were built and whatever became of their files.

use crate::program::{Folder, Program, run};
use lp_klp::name::{ObjName, Sympos};
use lp_runtime::process::read::image::{Image, Origin};
use lp_runtime::process::read::images::Images;
use lp_runtime::process::read::maps::Maps;
use lp_runtime::process::read::memory::ProcessMemory;
use lp_runtime::process::read::symbols::{Source, SymbolError};
use std::path::Path;
use std::process::Command;

/// Answers with the address of a static function and of a static variable.
const TELLS: &str = "static int counter = 3;
    __attribute__((noinline, noclone)) static int step(int by) { return counter += by; }
    void answer(const char *q, char *r)
    { step(1); sprintf(r, \"%lx %lx\", (unsigned long)step, (unsigned long)&counter); }";

pub(super) fn images_of(program: &Program) -> Images {
    let maps = Maps::read(program.pid()).expect("they can be read");
    let memory = ProcessMemory::open(program.pid()).expect("it is ours");
    Images::read(program.pid(), &maps, &memory).expect("it has an executable")
}

pub(super) fn object<'a>(images: &'a Images, name: &str) -> &'a Image {
    let object = ObjName::of_file(name).expect("a name");
    let found = images.find(&object).expect("at most one");
    found.unwrap_or_else(|| panic!("{name} is not among {:?}", names(images)))
}

fn names(images: &Images) -> Vec<&str> {
    images.iter().map(|image| image.name.as_str()).collect()
}

/// The addresses that an image gives for `step` and `counter` are those that the program tells.
fn agrees(image: &Image, program: &mut Program) {
    let address = |name: &str| {
        let found = image.find(name, Sympos::UNIQUE).expect("it has the symbol");
        image.address(found.value)
    };
    let found = format!("{:x} {:x}", address("step"), address("counter"));
    assert_eq!(found, program.ask("where"));
}

#[test]
fn an_executable_of_any_kind_is_found_with_its_bias() {
    let kinds: [&[&str]; 4] = [&["-pie"], &["-no-pie"], &["-static"], &["-static-pie"]];
    for kind in kinds {
        let folder = Folder::new();
        let compiler = if kind[0].ends_with("no-pie") || kind[0] == "-static" {
            "-fno-pie"
        } else {
            "-fpie"
        };
        let path = folder.server("prog", TELLS, &[kind, &[compiler]].concat());
        let mut program = Program::start(&path);
        let images = images_of(&program);
        let image = object(&images, "prog");
        assert!(image.executable && image.origin == Origin::File, "{kind:?}");
        assert!(image.build_id.is_some(), "{kind:?}");
        assert_eq!(image.elf.kind == 2, image.bias == 0, "{kind:?}");
        agrees(image, &mut program);
        assert!(images.unreadable.is_empty());
        assert!(!names(&images).iter().any(|name| name.contains("vdso")));
    }
}

#[test]
fn a_library_has_the_name_that_it_gives_itself_and_comes_in_the_linkers_order() {
    let folder = Folder::new();
    let second = folder.library("libsecond.so.2", TELLS_LIBRARY, &[]);
    std::fs::rename(&second, folder.path("libother.so")).expect("it can be renamed");
    folder.library("libfirst.so", "int first(void) { return 1; }", &[]);
    let link = ["-Wl,--no-as-needed", "-lfirst", "-lother", "-ldl"];
    let path = folder.server("prog", TELLS, &link);
    std::os::unix::fs::symlink("libother.so", folder.path("libsecond.so.2")).expect("a link");
    let program = Program::start(&path);
    let images = images_of(&program);
    let names = names(&images);
    let place = |name: &str| names.iter().position(|it| *it == name);
    assert_eq!(place("prog"), Some(0));
    assert!(place("libfirst.so") < place("libsecond.so.2"));
    assert!(place("libsecond.so.2") < place("libc.so.6"), "{names:?}");
    let image = object(&images, "libsecond.so.2");
    assert!(image.path.ends_with("libother.so"));
    assert!(image.find("hidden", Sympos::UNIQUE).is_ok());
}

const TELLS_LIBRARY: &str = "__attribute__((noinline)) static int hidden(int x) { return x * x; }
    int told(int x) { return hidden(x) + hidden(x + 1); }";

#[test]
fn a_plugin_is_found_and_looks_into_its_own_libraries_alone() {
    let folder = Folder::new();
    folder.library("liba.so", "int helper(void) { return 1; }", &[]);
    folder.library("libb.so", "int helper(void) { return 2; }", &[]);
    for name in ["a", "b"] {
        let (plugin, library) = (format!("plugin{name}.so"), format!("-l{name}"));
        let source = "int helper(void); int plugin(void) { return helper(); }";
        folder.library(&plugin, source, &[&library]);
    }
    let source = "#include <dlfcn.h>
        void answer(const char *q, char *r) { sprintf(r, \"%d\", dlopen(q, RTLD_NOW) != 0); }";
    let mut program = Program::start(&folder.server("prog", source, &["-ldl"]));
    for plugin in ["plugina.so", "pluginb.so"] {
        assert_eq!(program.ask(plugin), "1");
    }
    let images = images_of(&program);
    let plugin = object(&images, "pluginb.so");
    let scope = images.scope(plugin);
    let has = |name: &str| scope.iter().any(|image| image.name == name);
    assert!(has("prog") && has("libc.so.6") && has("libb.so"));
    assert!(!has("liba.so") && !has("plugina.so"));
}

#[test]
fn a_deleted_or_replaced_program_is_the_one_that_runs() {
    let folder = Folder::new();
    let path = folder.server("prog", TELLS, &[]);
    let mut program = Program::start(&path);
    std::fs::remove_file(&path).expect("it is there");
    agrees(object(&images_of(&program), "prog"), &mut program);
    let other = TELLS.replace("counter += by", "counter -= by * 7");
    folder.server("prog", &other, &["-O1"]);
    agrees(object(&images_of(&program), "prog"), &mut program);
}

#[test]
fn symbols_of_a_stripped_program_are_in_its_debug_file() {
    let folder = Folder::new();
    let path = folder.server("prog", TELLS, &[]);
    let debug = folder.path("prog.debug");
    run(Command::new("objcopy")
        .arg("--only-keep-debug")
        .args([&path, &debug]));
    run(Command::new("strip").arg(&path));
    let link = format!("--add-gnu-debuglink={}", debug.display());
    run(Command::new("objcopy").arg(&link).arg(&path));
    let mut program = Program::start(&path);
    let images = images_of(&program);
    let image = object(&images, "prog");
    agrees(image, &mut program);
    assert_eq!(
        image.symbols().expect("they are good").source,
        Source::DebugFile
    );

    // The file of another build says nothing.
    let other = folder.server("other", &TELLS.replace("+= by", "+= 2 * by"), &[]);
    std::fs::rename(other, &debug).expect("it can be renamed");
    let images = images_of(&program);
    let found = object(&images, "prog").find("step", Sympos::UNIQUE);
    let Err(SymbolError::NotFound { table, .. }) = found else {
        panic!("{found:?}");
    };
    assert_eq!(table, Source::Dynamic);
}

#[test]
fn symbols_packed_into_the_program_are_found() {
    let folder = Folder::new();
    let path = folder.server("prog", TELLS, &[]);
    let packed = folder.path("packed");
    run(Command::new("objcopy")
        .arg("--only-keep-debug")
        .args([&path, &packed]));
    run(Command::new("xz").arg(&packed));
    run(Command::new("strip").arg(&path));
    let section = format!(".gnu_debugdata={}.xz", packed.display());
    run(Command::new("objcopy")
        .args(["--add-section", &section])
        .arg(&path));
    let mut program = Program::start(&path);
    let images = images_of(&program);
    let image = object(&images, "prog");
    agrees(image, &mut program);
    assert_eq!(
        image.symbols().expect("they are good").source,
        Source::DebugData
    );
}

#[test]
fn one_of_several_symbols_is_meant_by_its_place() {
    let folder = Folder::new();
    let other = folder.path("other.c");
    let source = "static int step[4]; int *other(void) { return step; }";
    std::fs::write(&other, source).expect("it is ours");
    let path = folder.server("prog", TELLS, &[other.to_str().expect("text")]);
    let program = Program::start(&path);
    let images = images_of(&program);
    let image = object(&images, "prog");
    let found = image.find("step", Sympos::UNIQUE);
    assert!(matches!(
        found,
        Err(SymbolError::NotUnique { count: 2, .. })
    ));
    let at = |rank: u32| image.find("step", Sympos(rank)).map(|it| it.value);
    assert!(at(1).expect("code") < at(2).expect("data"));
    assert!(matches!(at(3), Err(SymbolError::TooFew { .. })));
    let none = image.find("st", Sympos::UNIQUE);
    assert!(matches!(none, Err(SymbolError::NotFound { .. })));
    drop(program);
}

#[test]
fn what_is_left_of_a_stripped_library_cannot_be_counted() {
    let folder = Folder::new();
    let library = folder.library("libtold.so.1", TELLS_LIBRARY, &["-s"]);
    let prog = folder.server("prog", TELLS, &["-Wl,--no-as-needed", "-l:libtold.so.1"]);
    let images = images_of(&Program::start(&prog));
    let image = object(&images, "libtold.so.1");
    assert!(
        image.find("told", Sympos::UNIQUE).is_ok(),
        "{}",
        library.display()
    );
    let first = image.find("told", Sympos(1));
    assert!(
        matches!(first, Err(SymbolError::Stripped { .. })),
        "{first:?}"
    );
}

#[test]
fn a_number_is_no_place() {
    let folder = Folder::new();
    let source = folder.path("first.s");
    std::fs::write(&source, ".globl numbered\n.set numbered, 5\n").expect("it is ours");
    let path = folder.server("prog", TELLS, &[source.to_str().expect("text")]);
    let images = images_of(&Program::start(&path));
    let number = object(&images, "prog").find("numbered", Sympos::UNIQUE);
    assert!(
        matches!(number, Err(SymbolError::NotFound { .. })),
        "{number:?}"
    );
}

#[test]
fn without_its_file_an_object_is_put_together_from_memory() {
    let folder = Folder::new();
    let path = folder.library("libtold.so.1", TELLS_LIBRARY, &[]);
    let prog = folder.server("prog", TELLS, &["-Wl,--no-as-needed", "-l:libtold.so.1"]);
    let program = Program::start(&prog);
    let images = images_of(&program);
    let image = object(&images, "libtold.so.1");
    let memory = ProcessMemory::open(program.pid()).expect("it is ours");
    let header = image.range.start;
    let loaded =
        lp_runtime::process::read::elf::Elf::of_memory(&memory, header).expect("it is whole");
    assert_eq!(loaded.build_id().expect("it is loaded"), image.build_id);
    let dynamic = lp_runtime::process::read::dynamic::Dynamic::read(&loaded, image.bias);
    let dynamic = dynamic.expect("it is whole");
    assert_eq!(dynamic.soname.as_deref(), Some(b"libtold.so.1".as_slice()));
    let told = dynamic.named(b"told").next().expect("it is exported");
    let found = image.find("told", Sympos::UNIQUE).expect("it is there");
    assert_eq!((told.value, told.size), (found.value, found.size));
    assert_eq!(dynamic.symbols.len(), image.dynamic.symbols.len());
    assert!(Path::new(&path).exists());
}

#[test]
fn a_program_that_the_dynamic_linker_was_told_to_start_is_the_executable() {
    let folder = Folder::new();
    let path = folder.server("prog", TELLS, &[]);
    let mut command = Command::new("/lib64/ld-linux-x86-64.so.2");
    let mut program = Program::spawn(command.arg(&path));
    let images = images_of(&program);
    let image = object(&images, "prog");
    assert!(image.executable);
    agrees(image, &mut program);
    assert!(!object(&images, "ld-linux-x86-64.so.2").executable);
}

#[test]
fn a_deleted_library_is_the_one_that_runs() {
    let folder = Folder::new();
    let path = folder.library("libtold.so.1", TELLS_LIBRARY, &[]);
    let prog = folder.server("prog", TELLS, &["-Wl,--no-as-needed", "-l:libtold.so.1"]);
    let program = Program::start(&prog);
    let build_id = object(&images_of(&program), "libtold.so.1")
        .build_id
        .clone();
    std::fs::remove_file(path).expect("it is there");
    let other = TELLS_LIBRARY.replace("x * x", "x * 77");
    folder.library("libtold.so.1", &other, &[]);
    let images = images_of(&program);
    let image = object(&images, "libtold.so.1");
    // Without the right to open what is mapped, it is put together from memory.
    assert!(image.find("told", Sympos::UNIQUE).is_ok());
    assert!(image.build_id == build_id && build_id.is_some());
    assert_eq!(image.elf.build_id().expect("it is whole"), build_id);
}
