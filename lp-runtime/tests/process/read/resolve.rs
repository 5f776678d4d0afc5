//! What a patch's symbols stand for: the addresses are those that the program itself uses.

use super::images::{images_of, object};
use crate::program::{Folder, Program};
use lp_klp::name::KlpSymName;
use lp_runtime::process::prepare::patch_file::{Meaning, Symbol};
use lp_runtime::process::prepare::resolve::{ResolveError, Resolver, TlsVariable, Value};
use lp_runtime::process::read::images::Images;
use lp_runtime::process::read::memory::ProcessMemory;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// A started program, and what is read of it.
struct Target {
    program: Program,
    images: Images,
    memory: ProcessMemory,
}

impl Target {
    fn start(path: &Path, questions: &[&str]) -> (Self, Vec<String>) {
        Self::of(Program::start(path), questions)
    }

    fn of(mut program: Program, questions: &[&str]) -> (Self, Vec<String>) {
        let answers = questions.iter().map(|it| program.ask(it)).collect();
        let images = images_of(&program);
        let memory = ProcessMemory::open(program.pid()).expect("it is ours");
        (
            Self {
                program,
                images,
                memory,
            },
            answers,
        )
    }

    /// What a symbol stands for in a patch of an object.
    fn value(&self, of: &str, name: &str) -> Result<Value, ResolveError> {
        let meaning = match name.parse::<KlpSymName>() {
            Ok(klp) => Meaning::Klp(klp),
            Err(_) => Meaning::Undefined { weak: false },
        };
        self.meaning(of, name, meaning)
    }

    fn meaning(&self, of: &str, name: &str, meaning: Meaning) -> Result<Value, ResolveError> {
        let reserved = BTreeMap::from([("__lp_states".to_owned(), 0x1234)]);
        let patched = vec![object(&self.images, of)];
        let resolver = Resolver::new(&self.images, &self.memory, patched, &reserved);
        let (name, kind, size) = (name.to_owned(), 0, 0);
        let value = resolver.resolve(&Symbol {
            name,
            meaning,
            kind,
            size,
        });
        value.map(|value| value.expect("it is not in the patch"))
    }

    fn address(&self, of: &str, name: &str) -> String {
        match self.value(of, name) {
            Ok(Value::Address(address)) => format!("{address:x}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

const PREFIX: &str = "#define _GNU_SOURCE\n#include <dlfcn.h>\n#define HEX(x) sprintf(r, \"%lx\", (unsigned long)(x))\n";

#[test]
fn a_variable_that_the_executable_has_a_copy_of_is_that_copy() {
    let folder = Folder::new();
    let library = "int shared = 5; static int own = 6; int *where(void) { return &shared; } int *own_at(void) { return &own; }";
    folder.library("libdata.so", library, &[]);
    let answer = "extern int shared; int *where(void), *own_at(void);
        void answer(const char *q, char *r) { HEX(*q == 'o' ? own_at() : *q == 'l' ? where() : &shared); }";
    let args = ["-no-pie", "-fno-pie", "-ldata"];
    let path = folder.server("prog", &format!("{PREFIX}{answer}"), &args);
    let (target, told) = Target::start(&path, &["executable", "library", "own"]);
    assert_eq!(told[0], told[1], "the library uses the copy");
    assert_eq!(
        target.address("libdata.so", ".klp.sym.libdata_so.shared,0"),
        told[0]
    );
    assert_eq!(target.address("libdata.so", "shared"), told[0]);
    assert_eq!(target.address("prog", "shared"), told[0]);
    assert_eq!(
        target.address("libdata.so", ".klp.sym.libdata_so.own,0"),
        told[2]
    );
}

#[test]
fn a_version_is_the_one_that_the_patched_object_asks_for() {
    let folder = Folder::new();
    let map = folder.path("versions.map");
    std::fs::write(
        &map,
        "V1 { global: f; local: *; }; V2 { global: f; g; } V1;",
    )
    .expect("it is ours");
    let library = "asm(\".symver f1,f@V1\"); asm(\".symver f2,f@@V2\");
        int f1(void) { return 1; } int f2(void) { return 2; } int g(void) { return 3; }";
    let script = format!("-Wl,--version-script={}", map.display());
    folder.library("libversions.so", library, &[&script]);
    let old = "asm(\".symver f,f@V1\"); int f(void); int old(void) { return f(); } void *old_at(void) { return f; }";
    folder.library("libold.so", old, &["-lversions"]);
    let answer = "int f(void), g(void); void *old_at(void); int old(void);
        void answer(const char *q, char *r) { HEX(*q == 'o' ? old_at() : *q == 'n' ? dlsym(RTLD_DEFAULT, \"f\") : (old() + f() + g(), 0)); }";
    let path = folder.server(
        "prog",
        &format!("{PREFIX}{answer}"),
        &["-lold", "-lversions"],
    );
    let (target, told) = Target::start(&path, &["old", "new"]);
    assert_ne!(told[0], told[1]);
    assert_eq!(target.address("libold.so", "f"), told[0]);
    assert_eq!(target.address("prog", "f"), told[1]);
    // Where the object does not refer to the name, the default version counts, or the one that is spelt out.
    assert_eq!(
        target.address("libc.so.6", "puts"),
        target.address("prog", "puts")
    );
    assert_eq!(target.address("prog", "f@V1"), told[0]);
    let none = target.value("prog", "f@V3");
    assert!(
        matches!(
            none,
            Err(ResolveError::Undefined {
                version: Some(_),
                ..
            })
        ),
        "{none:?}"
    );
}

#[test]
fn a_function_that_was_chosen_at_start_is_the_chosen_one() {
    let answer = "#include <string.h>
        void answer(const char *q, char *r) { memcpy(r + 100, q, strlen(q)); HEX(dlsym(RTLD_DEFAULT, q)); }";
    let folder = Folder::new();
    let path = folder.server("prog", &format!("{PREFIX}{answer}"), &["-fno-builtin"]);
    let (target, told) = Target::start(&path, &["memcpy", "strlen"]);
    assert_eq!(target.address("prog", "memcpy"), told[0]);
    assert_eq!(target.address("prog", "strlen"), told[1]);
    drop(target);

    // In a static program it is a symbol like any other, and the slot has no name.
    let own = "static int one(void) { return 1; }
        static void *choose(void) { return one; }
        int chosen(void) __attribute__((ifunc(\"choose\")));
        int never(void) __attribute__((ifunc(\"choose\")));
        void answer(const char *q, char *r) { sprintf(r, \"%lx\", (unsigned long)one + 0 * chosen()); }";
    let path = folder.server("static", own, &["-static", "-O1"]);
    let (target, told) = Target::start(&path, &["where"]);
    assert_eq!(
        target.address("static", ".klp.sym.static.chosen,0"),
        told[0]
    );
    assert_eq!(target.address("static", "chosen"), told[0]);
    drop(target);

    // What nobody called has no slot.
    let own = own.replace("0 * chosen()", "0");
    let path = folder.server("never", &own, &["-O1"]);
    let (target, _) = Target::start(&path, &[]);
    let never = target.value("never", ".klp.sym.never.never,0");
    assert!(
        matches!(never, Err(ResolveError::Ifunc { .. })),
        "{never:?}"
    );
}

#[test]
fn variables_of_threads_are_where_the_threads_have_them() {
    let folder = Folder::new();
    let library = "static __thread int local = 1; __thread int shared = 2;
        int *local_at(void) { return &local; } int *shared_at(void) { return &shared; }";
    folder.library("libtls.so", library, &[]);
    let fixed = library.replace(
        "__thread",
        "__attribute__((tls_model(\"initial-exec\"))) __thread",
    );
    let fixed = fixed
        .replace("local_at", "fixed_at")
        .replace("shared", "other");
    folder.library("libfixed.so", &fixed, &[]);
    let answer = "static __thread long first = 7; static __thread int own = 3;
        int *local_at(void), *shared_at(void), *fixed_at(void);
        void answer(const char *q, char *r) {
            char *tp; asm(\"mov %%fs:0, %0\" : \"=r\"(tp));
            first++;
            char *at = (char *)(*q == 'o' ? &own : *q == 'l' ? local_at() : *q == 's' ? shared_at() : fixed_at());
            sprintf(r, \"%ld\", at - tp); }";
    let path = folder.server("prog", answer, &["-ltls", "-lfixed"]);
    let (target, told) = Target::start(&path, &["own", "fixed", "local"]);
    let variable = |of: &str, name: &str| match target.value(of, name) {
        Ok(Value::Tls(variable)) => variable,
        other => panic!("{name}: {other:?}"),
    };
    let distance = |it: &TlsVariable| it.block.map(|block| (block + it.offset as i64).to_string());
    let own = variable("prog", ".klp.sym.prog.own,0");
    assert_eq!(
        (own.module, distance(&own)),
        (Some(1), Some(told[0].clone()))
    );
    let fixed = variable("libfixed.so", ".klp.sym.libfixed_so.local,0");
    assert_eq!(distance(&fixed), Some(told[1].clone()));
    let local = variable("libtls.so", ".klp.sym.libtls_so.local,0");
    let shared = variable("libtls.so", "shared");
    assert!(local.module.is_some_and(|module| module > 1));
    assert_eq!(local.module, shared.module);
    assert_ne!(local.offset, shared.offset);
    assert_eq!(local.block, None, "no slot says how far it is");
}

#[test]
fn a_plugins_reference_is_its_own_librarys() {
    let folder = Folder::new();
    for (name, value) in [("a", 1), ("b", 2)] {
        folder.library(
            &format!("lib{name}.so"),
            &format!("int helper(void) {{ return {value}; }}"),
            &[],
        );
        let (plugin, link) = (format!("plugin{name}.so"), format!("-l{name}"));
        // It names the library without having a slot for the function.
        folder.library(
            &plugin,
            "int plugin(void) { return 0; }",
            &["-Wl,--no-as-needed", &link],
        );
    }
    let answer = "void answer(const char *q, char *r) { void *h = dlopen(q, RTLD_NOW); HEX(dlsym(h, \"helper\")); }";
    let path = folder.server("prog", &format!("{PREFIX}{answer}"), &["-ldl"]);
    let (target, told) = Target::start(&path, &["plugina.so", "pluginb.so"]);
    assert_eq!(target.address("plugina.so", "helper"), told[0]);
    assert_eq!(target.address("pluginb.so", "helper"), told[1]);
    let from_program = target.value("prog", "helper");
    assert!(matches!(from_program, Err(ResolveError::Undefined { .. })));
}

#[test]
fn a_function_that_two_objects_have_is_the_one_that_the_patched_object_calls() {
    let library = "int f(void) { return 1; } int calls(void) { return f(); } int shared = 3;";
    let answer = "int f(void) { return 2; } int calls(void); extern int shared;
        void answer(const char *q, char *r) { HEX(*q == 'f' ? (long)f : *q == 's' ? (long)&shared : calls()); }";
    let prog = format!("{PREFIX}{answer}");
    let args = ["-rdynamic", "-no-pie", "-fno-pie", "-l:libf.so"];
    let calls_ours: [(&[&str], bool); 3] = [
        (&["-fno-inline"], false),
        (&["-fno-inline", "-Wl,-Bsymbolic"], true),
        (&["-fno-inline", "-Wl,-Bsymbolic-functions"], true),
    ];
    for (link, own) in calls_ours {
        let folder = Folder::new();
        folder.library("libf.so", library, link);
        let path = folder.server("prog", &prog, &args);
        let (target, told) = Target::start(&path, &["f", "calls", "shared"]);
        assert_eq!(told[1], if own { "1" } else { "2" });
        let found = target.value("libf.so", "f");
        if link.contains(&"-Wl,-Bsymbolic-functions") {
            assert!(
                matches!(found, Err(ResolveError::Interposed { .. })),
                "{found:?}"
            );
            assert_eq!(target.address("libf.so", "shared"), told[2]);
            continue;
        }
        let at = target.address("libf.so", ".klp.sym.libf_so.f,0");
        assert_eq!(
            found.expect("it is known"),
            Value::Address(u64::from_str_radix(if own { &at } else { &told[0] }, 16).expect("hex"))
        );
    }
}

#[test]
fn what_is_missing_is_named() {
    let folder = Folder::new();
    let answer = "int not_exported(void) { return 4; }
        void answer(const char *q, char *r) { HEX(not_exported); }";
    let path = folder.server("prog", &format!("{PREFIX}{answer}"), &[]);
    let (mut target, told) = Target::start(&path, &["where"]);
    assert_eq!(target.address("prog", "not_exported"), told[0]);
    assert_eq!(target.address("prog", "__lp_states"), "1234");
    let late = target
        .value("prog", ".klp.sym.libgone_so.x,0")
        .expect("it may come later");
    assert!(matches!(late, Value::Late(_)));
    let weak = target.meaning("prog", "nothing", Meaning::Undefined { weak: true });
    assert_eq!(weak.expect("it may be missing"), Value::Address(0));
    let said = target
        .value("prog", "nothing")
        .expect_err("nobody has it")
        .to_string();
    assert!(
        said.contains("'nothing'") && said.contains("'prog'"),
        "{said}"
    );
    assert!(target.value("prog", "_GLOBAL_OFFSET_TABLE_").is_err());
    assert_eq!(target.program.ask("where"), told[0]);
}

#[test]
fn what_is_preloaded_comes_before_what_is_needed() {
    let folder = Folder::new();
    let preload = folder.library("libpre.so", "int f(void) { return 1; }", &[]);
    folder.library(
        "libneeded.so",
        "int f(void) { return 2; } int g(void) { return 3; }",
        &[],
    );
    let answer = "void answer(const char *q, char *r) { HEX(dlsym(RTLD_DEFAULT, q)); }";
    let args = ["-Wl,--no-as-needed", "-lneeded"];
    let path = folder.server("prog", &format!("{PREFIX}{answer}"), &args);
    let program = Program::spawn(Command::new(path).env("LD_PRELOAD", preload));
    let (target, told) = Target::of(program, &["f", "g"]);
    assert_eq!(target.address("prog", "f"), told[0]);
    let own = target.value("libneeded.so", "f");
    assert!(
        matches!(own, Err(ResolveError::Interposed { .. })),
        "{own:?}"
    );
    assert_eq!(target.address("libpre.so", "g"), told[1]);
}
