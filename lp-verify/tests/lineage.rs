//! From one cumulative patch to the next, on modules that the assembler wrote.

use lp_klp::manifest::{FORMAT, KeptState, Manifest, Object, ShadowId, Target};
use lp_klp::note;
use lp_verify::lineage::{Fate, Lineage, compare};
use lp_verify::reader::Module;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

struct Patch<'a> {
    name: &'a str,
    /// Function, position, and what its new version does.
    funcs: &'a [(&'a str, u32, &'a str)],
    state: (u64, u32),
    shadow: Option<&'a str>,
    /// Bytes of data of the state that the toolchain keeps, and whether it can be upgraded.
    kept: Option<(u64, bool)>,
    variable: bool,
}

const ONE: Patch<'_> = Patch {
    name: "one",
    funcs: &[
        ("f", 0, "call printk"),
        ("g", 0, "mov $text, %rdi\ncall printk"),
    ],
    state: (7, 1),
    shadow: None,
    kept: None,
    variable: false,
};

fn module(dir: &Path, patch: &Patch<'_>) -> Module {
    let mut text = format!(
        ".section .modinfo,\"a\"\n.asciz \"livepatch=Y\"\n.asciz \"name={}\"\n.asciz \"vermagic=6.1.0 SMP \"\n\
         .section .rodata.str1.1,\"aMS\",@progbits,1\nother{1}: .asciz \"{1}\"\ntext: .asciz \"the same\"\n\
         .section .text.helper,\"ax\"\n.type helper,@function\nhelper: .fill {2}, 1, 0x90\nret\n.size helper, . - helper\n\
         .section .rodata.f.str1.1,\"a\"\nplain: .asciz \"{1}\"\n.text\n",
        patch.name,
        patch.name.repeat(patch.state.1 as usize),
        patch.state.1,
    );
    let mut table = String::new();
    for (name, position, code) in patch.funcs {
        write!(text, ".type new_{name},@function\nnew_{name}:\n{code}\nret\n.size new_{name}, . - new_{name}\n").unwrap();
        write!(
            table,
            ".quad name_{name}, new_{name}, {position}\n.zero 144\n"
        )
        .unwrap();
    }
    let (id, version) = patch.state;
    write!(
        text,
        ".data\n.balign 8\n.type patch,@object\npatch: .quad __this_module, objs, states\n.byte 1\n.zero 207\n.size patch, . - patch\n\
         .type objs,@object\nobjs: .quad 0, funcs\n.zero 184\n.zero 200\n.size objs, . - objs\n\
         .type funcs,@object\nfuncs:\n{table}.zero 168\n.size funcs, . - funcs\n\
         .type states,@object\nstates: .quad {id}\n.long {version}, 0\n.quad 0\n.zero 24\n.size states, . - states\n.section .rodata\n"
    )
    .unwrap();
    for (name, ..) in patch.funcs {
        writeln!(text, "name_{name}: .asciz \"{name}\"").unwrap();
    }
    if patch.variable {
        text.push_str(".bss\n.type counter,@object\ncounter: .zero 8\n.size counter, 8\n");
    }
    if let Some(shadow) = patch.shadow {
        let bytes: Vec<String> = note::encode(&manifest(patch, shadow))
            .unwrap()
            .iter()
            .map(u8::to_string)
            .collect();
        writeln!(
            text,
            ".section .note.livepatch,\"a\",@note\n.balign 4\n.byte {}",
            bytes.join(",")
        )
        .unwrap();
    }
    let (source, object) = (
        dir.join(format!("{}.s", patch.name)),
        dir.join(format!("{}.ko", patch.name)),
    );
    std::fs::write(&source, text).unwrap();
    assert!(
        Command::new("gcc")
            .arg("-c")
            .arg("-o")
            .arg(&object)
            .arg(&source)
            .status()
            .unwrap()
            .success()
    );
    Module::open(&object, None).unwrap()
}

fn manifest(patch: &Patch<'_>, shadow: &str) -> Manifest {
    let object = Object {
        name: "vmlinux".parse().unwrap(),
        file: String::new(),
        build_id: String::new(),
        functions: Vec::new(),
        callbacks: Default::default(),
    };
    Manifest {
        format: FORMAT,
        tool: "test".into(),
        name: patch.name.into(),
        version: "1".into(),
        description: String::new(),
        target: Target {
            kind: lp_klp::manifest::TargetKind::Kernel,
            release: "6.1.0".into(),
            build_id: String::new(),
            arch: "x86_64".into(),
        },
        replace: true,
        states: vec![lp_klp::state::KlpState {
            id: patch.state.0,
            version: patch.state.1,
            name: String::new(),
        }],
        objects: vec![object],
        kept_states: patch
            .kept
            .into_iter()
            .map(|(size, upgrades)| KeptState {
                id: patch.state.0,
                size,
                upgrades,
            })
            .collect(),
        shadow_ids: vec![ShadowId {
            id: 9,
            name: shadow.into(),
        }],
    }
}

fn step(old: &Patch<'_>, new: &Patch<'_>, reverts: &[&str]) -> Lineage {
    let dir = tempfile::tempdir().unwrap();
    let reverts: Vec<String> = reverts.iter().map(|name| (*name).to_owned()).collect();
    compare(&module(dir.path(), old), &module(dir.path(), new), &reverts)
}

fn fates(lineage: &Lineage) -> Vec<(Fate, &str)> {
    lineage
        .functions
        .iter()
        .map(|(fate, function)| (*fate, function.name.as_str()))
        .collect()
}

fn refused(lineage: &Lineage) -> Vec<&str> {
    lineage
        .refusals
        .iter()
        .map(|refusal| refusal.code)
        .collect()
}

#[test]
fn a_function_is_carried_on_wherever_its_strings_lie() {
    let next = Patch {
        name: "two",
        state: (7, 2),
        ..ONE
    };
    let lineage = step(&ONE, &next, &[]);
    assert_eq!(
        fates(&lineage),
        [(Fate::CarriedOn, "f"), (Fate::CarriedOn, "g")]
    );
    assert_eq!(refused(&lineage), [""; 0]);
    assert_eq!(
        (lineage.states[0].old, lineage.states[0].new),
        (Some(1), Some(2))
    );
}

#[test]
fn the_same_code_with_another_helper_or_text_is_not_carried_on() {
    for code in ["call helper", "mov $plain, %rdi"] {
        let funcs = &[("f", 0, code)];
        let (one, next) = (
            Patch { funcs, ..ONE },
            Patch {
                state: (7, 2),
                funcs,
                ..ONE
            },
        );
        assert_eq!(
            fates(&step(&one, &one, &[])),
            [(Fate::CarriedOn, "f")],
            "{code}"
        );
        assert_eq!(
            fates(&step(&one, &next, &[])),
            [(Fate::PatchedAnew, "f")],
            "{code}"
        );
    }
}

#[test]
fn what_one_patch_keeps_the_next_can_take() {
    let kept = |version, kept: Option<(u64, bool)>| Patch {
        state: (7, version),
        shadow: Some("lock"),
        kept,
        ..ONE
    };
    let small = kept(1, Some((4, false)));
    for (next, wanted) in [
        (kept(1, Some((4, false))), None),
        (kept(2, Some((4, false))), None),
        (kept(2, Some((8, true))), None),
        (kept(1, Some((8, true))), Some("4 bytes in the old")),
        (kept(2, Some((8, false))), Some("4 bytes in the old")),
        (kept(2, None), Some("has none")),
    ] {
        let lineage = step(&small, &next, &[]);
        let found = lineage.refusals.first();
        assert_eq!(found.is_some(), wanted.is_some(), "{lineage:?}");
        if let (Some(found), Some(wanted)) = (found, wanted) {
            assert!(found.message.contains(wanted), "{}", found.message);
            assert_eq!((found.code, found.state), ("state", Some(7)));
        }
    }
    let bare = kept(1, None);
    assert_eq!(refused(&step(&bare, &small, &[])), ["state"]);
    assert_eq!(
        refused(&step(&bare, &kept(2, Some((4, true))), &[])),
        [""; 0]
    );
}

#[test]
fn new_code_is_patched_anew_and_a_lost_fix_is_refused() {
    let funcs = &[("f", 0, "call other"), ("h", 0, "nop")];
    let next = Patch {
        name: "two",
        funcs,
        ..ONE
    };
    let lineage = step(&ONE, &next, &[]);
    assert_eq!(
        fates(&lineage),
        [
            (Fate::PatchedAnew, "f"),
            (Fate::Reverted, "g"),
            (Fate::New, "h")
        ]
    );
    assert_eq!(refused(&lineage), ["lost-fix"]);
    assert_eq!(refused(&step(&ONE, &next, &["g"])), [""; 0]);
    assert_eq!(refused(&step(&ONE, &next, &["g", "x"])), ["revert"]);
}

#[test]
fn a_lower_state_is_refused() {
    let higher = Patch {
        name: "two",
        state: (7, 2),
        ..ONE
    };
    assert_eq!(refused(&step(&higher, &ONE, &[])), ["state"]);
}

#[test]
fn a_position_that_flips_between_0_and_1_is_refused() {
    let funcs = &[("f", 1, "call printk"), ("g", 0, "nop")];
    let next = Patch {
        name: "two",
        funcs,
        ..ONE
    };
    assert_eq!(refused(&step(&ONE, &next, &[])), ["sympos"]);
}

#[test]
fn a_shadow_id_keeps_its_meaning() {
    let one = Patch {
        shadow: Some("lock"),
        ..ONE
    };
    let same = Patch {
        name: "two",
        shadow: Some("lock"),
        ..ONE
    };
    let other = Patch {
        name: "two",
        shadow: Some("counter"),
        ..ONE
    };
    assert_eq!(refused(&step(&one, &same, &[])), [""; 0]);
    assert_eq!(refused(&step(&one, &other, &[])), ["shadow-id"]);
}

#[test]
fn variables_of_the_old_patch_are_lost() {
    let one = Patch {
        variable: true,
        ..ONE
    };
    let next = Patch { name: "two", ..ONE };
    let lineage = step(&one, &next, &[]);
    let lost: Vec<_> = lineage
        .warnings
        .iter()
        .map(|warning| (warning.code, warning.place.as_str()))
        .collect();
    assert_eq!(lost, [("lost-data", "counter")]);
}
