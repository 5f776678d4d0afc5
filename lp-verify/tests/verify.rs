//! The rules on modules made by hand, and the command on files.

use lp_klp::core::KlpObject;
use lp_klp::manifest::{Callbacks, FORMAT, Function, Manifest, Object, Target};
use lp_klp::name::Sympos;
use lp_klp::note;
use lp_klp::state::KlpState;
use lp_verify::finding::Finding;
use lp_verify::installed::Installed;
use lp_verify::promise::Promise;
use lp_verify::reader::tables::{TableObject, Tables, Unknown};
use lp_verify::reader::{KlpSection, KlpSymbol, Module, ReadError};
use lp_verify::rules;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[path = "../../tests/support/commands_page.rs"]
mod commands_page;

const RELEASE: &str = "6.1.0-53-cloud-amd64";

fn manifest(name: &str, replace: bool, states: &[(u64, u32)]) -> Manifest {
    let function = Function {
        new_name: String::new(),
        name: "show".to_owned(),
        sympos: Sympos::UNIQUE,
        old_size: 1,
        old_hash: String::new(),
    };
    let state = |&(id, version): &(u64, u32)| KlpState {
        id,
        version,
        name: String::new(),
    };
    Manifest {
        format: FORMAT,
        tool: "test".to_owned(),
        name: name.to_owned(),
        version: "1".to_owned(),
        description: String::new(),
        target: Target {
            kind: lp_klp::manifest::TargetKind::Kernel,
            release: RELEASE.to_owned(),
            build_id: String::new(),
            arch: "x86_64".to_owned(),
        },
        replace,
        states: states.iter().map(state).collect(),
        objects: vec![Object {
            file: String::new(),
            build_id: String::new(),
            name: "vmlinux".parse().unwrap(),
            functions: vec![function],
            callbacks: Callbacks::default(),
        }],
        kept_states: Vec::new(),
        shadow_ids: Vec::new(),
    }
}

/// A sound module.
fn module(name: &str, replace: bool, states: &[(u64, u32)]) -> Module {
    let info = [
        ("livepatch", "Y"),
        ("name", name),
        ("vermagic", "6.1.0-53-cloud-amd64 SMP mod_unload"),
    ];
    let symbol = klp_symbol(".klp.sym.vmlinux.helper,0");
    Module {
        path: PathBuf::from(format!("{name}.ko")),
        tables: tables(&manifest(name, replace, states)),
        manifest: Some(manifest(name, replace, states)),
        signed: false,
        arch: "x86_64",
        modinfo: info
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec(),
        klp_symbols: vec![symbol.clone()],
        imports: Default::default(),
        klp_sections: vec![KlpSection {
            name: ".klp.rela.vmlinux..text.show".to_owned(),
            is_marked: true,
            is_alloc: true,
            target: ".text.show".to_owned(),
            symbols: vec![symbol],
        }],
    }
}

/// The tables that a module with this manifest has.
fn tables(manifest: &Manifest) -> Tables {
    let patch = manifest.patch();
    let object = |object: KlpObject| TableObject {
        name: object.name,
        funcs: Ok(object.funcs),
        code: Vec::new(),
        callbacks: Vec::new(),
    };
    Tables {
        replace: Ok(patch.replace),
        states: Ok(patch.states),
        objects: Ok(patch.objects.into_iter().map(object).collect()),
        variables: Vec::new(),
    }
}

fn klp_symbol(name: &str) -> KlpSymbol {
    KlpSymbol {
        name: name.to_owned(),
        is_marked: true,
    }
}

fn set_info(module: &mut Module, key: &str, value: &str) {
    for entry in module.modinfo.iter_mut().filter(|entry| entry.0 == key) {
        entry.1 = value.to_owned();
    }
}

/// The errors; what is said besides is looked at where it matters.
fn check(new: &Module, installed: &[Module]) -> Vec<Finding> {
    let mut findings = all(new, installed);
    findings.retain(Finding::is_error);
    findings
}

fn all(new: &Module, installed: &[Module]) -> Vec<Finding> {
    let patches = installed.iter().map(Module::patch).collect();
    rules::check(new, &Installed::of_patches(patches), None)
}

/// The promises that do not hold.
fn broken(new: &Module, installed: &[Module]) -> Vec<Promise> {
    check(new, installed)
        .into_iter()
        .map(|finding| finding.promise)
        .collect()
}

#[test]
fn a_sound_module_is_accepted() {
    assert_eq!(
        check(
            &module("new", true, &[(1, 2)]),
            &[module("old", true, &[(1, 1)])]
        ),
        []
    );
}

#[test]
fn states_follow_the_kernels_rule() {
    let old = [module("old", true, &[(1, 2)])];
    assert_eq!(broken(&module("new", true, &[]), &old), [Promise::States]);
    assert_eq!(broken(&module("new", false, &[]), &old), []);
    assert_eq!(
        broken(&module("new", false, &[(1, 1)]), &old),
        [Promise::States]
    );
    let text = check(&module("new", true, &[]), &old)[0].to_string();
    assert!(
        text.starts_with("states: new.ko: installed patch 'old' has state 1 version 2"),
        "{text}"
    );
}

#[test]
fn one_kernel_release_for_all() {
    let mut other = module("old", true, &[]);
    other.manifest.as_mut().unwrap().target.release = "6.1.0-52-cloud-amd64".to_owned();
    assert_eq!(
        broken(&module("new", true, &[]), &[other]),
        [Promise::Release]
    );
    let mut new = module("new", true, &[]);
    set_info(&mut new, "vermagic", "6.1.0-5 SMP");
    assert_eq!(broken(&new, &[]), [Promise::Release]);
    new.modinfo.retain(|(key, _)| key != "vermagic");
    assert_eq!(broken(&new, &[]), [Promise::Release]);
}

#[test]
fn the_module_is_what_its_manifest_says() {
    let mut new = module("new", true, &[]);
    set_info(&mut new, "name", "other");
    set_info(&mut new, "livepatch", "N");
    assert_eq!(broken(&new, &[]), [Promise::Identity; 2]);
    assert_eq!(
        broken(&module("same", true, &[]), &[module("same", true, &[])]),
        [Promise::Identity]
    );
}

/// The kernel takes the patch and never looks at the second one: a mistake, but not a reason to refuse.
#[test]
fn a_state_declared_twice_is_a_warning() {
    let findings = all(&module("new", true, &[(3, 1), (3, 2)]), &[]);
    let twice = |finding: &&Finding| finding.message.contains("declares state 3 twice");
    let found = findings.iter().find(twice).unwrap();
    assert!(!found.is_error() && found.promise == Promise::Identity);
}

#[test]
fn livepatch_relocations_are_what_the_core_can_apply() {
    let break_one = |change: fn(&mut Module)| {
        let mut new = module("new", true, &[]);
        change(&mut new);
        broken(&new, &[])
    };
    let cases: [fn(&mut Module); 8] = [
        |new| new.klp_symbols[0].is_marked = false,
        |new| new.klp_symbols[0].name = ".klp.sym.vmlinux.helper".to_owned(),
        |new| new.klp_sections[0].is_marked = false,
        |new| new.klp_sections[0].is_alloc = false,
        |new| new.klp_sections[0].name = ".klp.rela.".to_owned(),
        |new| new.klp_sections[0].target = ".text.other".to_owned(),
        |new| new.klp_sections[0].symbols[0].is_marked = false,
        |new| new.klp_sections[0].name = ".klp.rela.nf_tables..text.show".to_owned(),
    ];
    for (index, case) in cases.into_iter().enumerate() {
        assert_eq!(break_one(case), [Promise::Relocations], "case {index}");
    }
}

/// Assembles a module with this note and these `.modinfo` entries.
fn assemble(dir: &Path, name: &str, note: &[u8], modinfo: &[&str]) -> PathBuf {
    let bytes = note
        .iter()
        .map(|byte| format!(".byte {byte}\n"))
        .collect::<String>();
    let entries = modinfo
        .iter()
        .map(|entry| format!(".asciz \"{entry}\"\n"))
        .collect::<String>();
    let text = format!(
        ".section .note.livepatch,\"a\",@note\n.balign 4\n{bytes}\n.section .modinfo,\"a\",@progbits\n{entries}\n\
         .section .text.show,\"ax\",@progbits\nshow: call printk\nret\n"
    );
    let (source, object) = (
        dir.join(format!("{name}.s")),
        dir.join(format!("{name}.ko")),
    );
    std::fs::write(&source, text).unwrap();
    let status = Command::new("gcc")
        .arg("-c")
        .arg("-o")
        .arg(&object)
        .arg(&source)
        .status()
        .unwrap();
    assert!(status.success());
    object
}

fn build(dir: &Path, name: &str, state: (u64, u32)) -> PathBuf {
    let note = note::encode(&manifest(name, true, &[state])).unwrap();
    module_with_tables(dir, name, 1, state, "nop", Some(&note))
}

fn verify(args: &[&str], files: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lp-verify"))
        .args(args)
        .args(files)
        .output()
        .unwrap()
}

/// A livepatch module as the assembler writes it: the tables of a patch to vmlinux's `show`, and what `init` does.
fn module_with_tables(
    dir: &Path,
    name: &str,
    replace: u8,
    state: (u64, u32),
    init: &str,
    note: Option<&[u8]>,
) -> PathBuf {
    let (source, object) = (
        dir.join(format!("{name}.s")),
        dir.join(format!("{name}.ko")),
    );
    let note = note.map_or(String::new(), |note| {
        let bytes: Vec<String> = note.iter().map(u8::to_string).collect();
        format!(
            ".section .note.livepatch,\"a\",@note\n.balign 4\n.byte {}\n",
            bytes.join(",")
        )
    });
    let (id, version) = state;
    let text = format!(
        ".section .modinfo,\"a\"\n.asciz \"livepatch=Y\"\n.asciz \"name={name}\"\n.asciz \"vermagic={RELEASE} SMP \"\n\
         .text\nnew_show: ret\ninit: {init}\nmov $patch, %rdi\njmp klp_enable_patch\n\
         .data\n.balign 8\n\
         .type other,@object\nother: .quad __this_module, new_show\n.size other, . - other\n\
         .type patch,@object\npatch: .quad __this_module, objs, states\n.byte {replace}\n.zero 200\n.size patch, . - patch\n\
         .balign 8\n.type objs,@object\nobjs: .quad 0, funcs\n.zero 184\n.zero 200\n.size objs, . - objs\n\
         .type funcs,@object\nfuncs: .quad old_name, new_show, 0\n.zero 144\n.zero 168\n.size funcs, . - funcs\n\
         .type states,@object\nstates: .quad {id}\n.long {version}, 0\n.quad 0\n.zero 24\n.size states, . - states\n\
         .section .rodata\nold_name: .asciz \"show\"\n{note}"
    );
    std::fs::write(&source, text).unwrap();
    let mut gcc = Command::new("gcc");
    let status = gcc
        .arg("-c")
        .arg("-o")
        .arg(&object)
        .arg(&source)
        .status()
        .unwrap();
    assert!(status.success());
    object
}

#[test]
fn any_livepatch_is_read_from_its_own_tables() {
    let dir = tempfile::tempdir().unwrap();
    let foreign = module_with_tables(dir.path(), "foreign", 1, (7, 2), "nop", None);
    let foreign = Module::open(&foreign, None).unwrap();
    let expected = tables(&manifest("foreign", true, &[(7, 2)]));
    let Tables {
        replace, states, ..
    } = &foreign.tables;
    assert_eq!((replace, states), (&expected.replace, &expected.states));
    assert_eq!(
        foreign.patch().objects,
        module("foreign", true, &[]).patch().objects
    );
    assert_eq!(
        broken(&module("new", true, &[]), std::slice::from_ref(&foreign)),
        [Promise::States]
    );
    assert_eq!(broken(&foreign, &[]), []);
}

#[test]
fn what_code_sets_at_load_is_not_guessed() {
    let dir = tempfile::tempdir().unwrap();
    let set_replace = "mov %al, patch+24(%rip)";
    let foreign = module_with_tables(dir.path(), "foreign", 0, (7, 2), set_replace, None);
    let foreign = Module::open(&foreign, None).unwrap();
    assert_eq!(foreign.tables.replace, Err(Unknown::AtRunTime));
    // Whether it replaces is all the same here, and not there.
    assert_eq!(broken(&foreign, &[module("old", true, &[(7, 1)])]), []);
    assert_eq!(
        broken(&foreign, &[module("old", true, &[(8, 1)])]),
        [Promise::States]
    );
    let set_state = "movl $3, states+8(%rip)";
    let foreign = module_with_tables(dir.path(), "foreign", 0, (7, 2), set_state, None);
    let foreign = Module::open(&foreign, None).unwrap();
    assert_eq!(foreign.tables.states, Err(Unknown::AtRunTime));
    assert_eq!(
        broken(&module("new", true, &[(7, 9)]), &[foreign]),
        [Promise::States]
    );
}

#[test]
fn a_note_that_disagrees_with_the_tables_is_a_finding() {
    let dir = tempfile::tempdir().unwrap();
    let found = |replace, states: &[(u64, u32)]| {
        let note = note::encode(&manifest("new", replace, states)).unwrap();
        let file = module_with_tables(dir.path(), "new", 1, (7, 2), "nop", Some(&note));
        broken(&Module::open(&file, None).unwrap(), &[])
    };
    assert_eq!(found(true, &[(7, 2)]), []);
    assert_eq!(found(false, &[(7, 2)]), [Promise::Tables]);
    assert_eq!(found(true, &[(7, 1)]), [Promise::Tables]);
    let mut other = manifest("new", true, &[(7, 2)]);
    other.objects[0].functions[0].name = "hide".to_owned();
    let file = module_with_tables(
        dir.path(),
        "new",
        1,
        (7, 2),
        "nop",
        Some(&note::encode(&other).unwrap()),
    );
    assert_eq!(
        broken(&Module::open(&file, None).unwrap(), &[]),
        [Promise::Tables]
    );
}

#[test]
fn a_matrix_and_a_plan_say_which_can_follow_which() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = [1, 2].map(|version| build(dir.path(), &format!("v{version}"), (7, version)));
    let matrix = verify(&["matrix"], &[&one, &two]);
    let text = String::from_utf8(matrix.stdout).unwrap();
    let rows: Vec<&str> = text.lines().take(3).collect();
    assert_eq!(
        rows,
        [
            "installed  v1  v2",
            "v1         -   yes",
            "v2         NO  -"
        ]
    );
    let html = verify(&["matrix", "--format", "html"], &[&one, &two]);
    assert!(
        String::from_utf8(html.stdout)
            .unwrap()
            .contains("<td class=\"no\">no</td>")
    );
    let plan = |from: &Path, to: &Path| {
        let output = Command::new(env!("CARGO_BIN_EXE_lp-verify"))
            .arg("plan")
            .arg("--from")
            .arg(from)
            .arg("--to")
            .arg(to)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    assert_eq!(plan(&one, &two), (Some(0), "v1 -> v2\n".into()));
    assert_eq!(plan(&two, &one).0, Some(2));
}

#[test]
fn the_command_accepts_refuses_and_fails() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (
        build(dir.path(), "old", (7, 2)),
        build(dir.path(), "new", (7, 1)),
    );
    let accepted = verify(&["--nothing-installed"], &[&new]);
    assert_eq!(accepted.status.code(), Some(0));
    assert_eq!(
        accepted.stdout,
        b"new 1 may be installed over nothing installed\n"
    );
    let refused = Command::new(env!("CARGO_BIN_EXE_lp-verify"))
        .arg(&new)
        .args(["--format", "json", "--installed"])
        .arg(&old)
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let report: serde_json::Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(
        (&report["verdict"], &report["findings"][0]["promise"]),
        (&"refused".into(), &"states".into())
    );
    assert_eq!(
        verify(&[], &[&dir.path().join("none.ko")]).status.code(),
        Some(1)
    );
    assert_eq!(
        verify(&["--no-such-option"], &[&new]).status.code(),
        Some(1)
    );
    assert_eq!(verify(&["--help"], &[]).status.code(), Some(0));
}

#[test]
fn files_that_are_not_ours_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let foreign = assemble(
        dir.path(),
        "foreign",
        b"\x04\0\0\0\0\0\0\0\x03\0\0\0GNU\0",
        &["livepatch=Y"],
    );
    assert!(matches!(
        Module::open(&foreign, None),
        Err(ReadError::Note { .. })
    ));
    assert!(matches!(
        Module::parse(Path::new("x"), b"#!/bin/sh", None),
        Err(ReadError::Elf { .. })
    ));
    assert!(matches!(
        Module::open(&dir.path().join("none"), None),
        Err(ReadError::Io { .. })
    ));
}

#[test]
fn damaged_modules_are_errors_and_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let whole = std::fs::read(build(dir.path(), "new", (7, 1))).unwrap();
    let mut seed = 3u64;
    let mut random = move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    for round in 0..5000 {
        let mut bytes = whole.clone();
        for _ in 0..=random() % 4 {
            let at = random() % bytes.len();
            bytes[at] = random() as u8;
        }
        bytes.truncate(if round % 4 == 0 {
            random() % whole.len()
        } else {
            whole.len()
        });
        if let Ok(module) = Module::parse(Path::new("damaged.ko"), &bytes, None) {
            let _ = check(&module, std::slice::from_ref(&module));
        }
    }
}

#[test]
fn an_error_is_json_where_that_was_asked_for() {
    let output = verify(
        &["--nothing-installed", "--format", "json"],
        &[Path::new("/nonexistent.ko")],
    );
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"], "error");
    assert!(report["error"].as_str().unwrap().contains("nonexistent"));
}

#[test]
fn every_option_is_in_the_reference() {
    commands_page::check("lp-verify", env!("CARGO_BIN_EXE_lp-verify"));
}
