//! The C of the pool's modules: tables in the shape that `tests/differential/patch.h` gives their functions.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use lp_klp::core::KlpObject;
use lp_klp::manifest::{Callbacks, FORMAT, Function, Manifest, Object, Target};
use lp_klp::note;

use super::pool::{self, Entry, HELD};

/// Written once, by hand.
const FILES: [(&str, &str); 6] = [
    ("patch.h", include_str!("../../differential/patch.h")),
    ("lp_stay.h", include_str!("../../differential/lp_stay.h")),
    ("lp_stay.c", include_str!("../../differential/lp_stay.c")),
    ("lp_late.h", include_str!("../../differential/lp_late.h")),
    (
        "lp_late_main.c",
        include_str!("../../differential/lp_late_main.c"),
    ),
    (
        "lp_late_twin.c",
        include_str!("../../differential/lp_late_twin.c"),
    ),
];

/// Writes a folder for kbuild, for a kernel of this release.
pub fn write_all(folder: &Path, release: &str) -> Result<()> {
    let mut kbuild =
        "obj-m := lp_stay.o lp_late.o\nlp_late-y := lp_late_main.o lp_late_twin.o\n".to_owned();
    for (name, text) in FILES {
        write_file(&folder.join(name), text)?;
    }
    for entry in pool::pool() {
        writeln!(kbuild, "obj-m += {}.o", entry.name())?;
        let file = folder.join(format!("{}.c", entry.name()));
        write_file(&file, &patch(&entry, release)?)?;
    }
    write_file(&folder.join("Kbuild"), &kbuild)
}

fn write_file(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("write {}", file.display()))
}

/// The C of a patch.
fn patch(entry: &Entry, release: &str) -> Result<String> {
    let mut text = "// SPDX-License-Identifier: GPL-2.0\n#include \"patch.h\"\n\n".to_owned();
    let mut objects = String::new();
    for (number, object) in entry.patch.objects.iter().enumerate() {
        let veto = entry.vetoes.iter().find(|(name, _)| *name == object.name);
        writeln!(
            text,
            "CALLBACKS({number}, {})",
            veto.map_or(0, |(_, errno)| -errno.0)
        )?;
        text += &functions(number, object)?;
        let name = match object.name.is_vmlinux() {
            true => String::new(),
            false => format!(".name = \"{}\", ", object.name),
        };
        writeln!(
            objects,
            "\t{{ {name}.funcs = funcs_{number}, .callbacks = CALLBACK_TABLE({number}) }},"
        )?;
    }
    writeln!(
        text,
        "static struct klp_object objects[] = {{\n{objects}\t{{ }}\n}};\n"
    )?;
    let states = &entry.patch.states;
    if !states.is_empty() {
        text += "static struct klp_state states[] = {\n";
        for state in states {
            writeln!(
                text,
                "\t{{ .id = {}, .version = {} }},",
                state.id, state.version
            )?;
        }
        text += "\t{ }\n};\n\n";
    }
    let states = if states.is_empty() {
        ""
    } else {
        " .states = states,"
    };
    let replace = entry.patch.replace;
    writeln!(
        text,
        "static struct klp_patch patch = {{\n\t.mod = THIS_MODULE, .objs = objects,{states} .replace = {replace},\n}};"
    )?;
    if entry.note {
        text += &note_section(entry, release)?;
    }
    Ok(text)
}

fn functions(number: usize, object: &KlpObject) -> Result<String> {
    let (mut text, mut table) = (String::new(), String::new());
    for (at, func) in object.funcs.iter().enumerate() {
        let (name, id) = (&func.old_name, format!("{number}_{at}"));
        ensure!(
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
            "{name}: no C name"
        );
        let answer = if name == HELD {
            "ANSWER_HELD"
        } else {
            "ANSWER"
        };
        let position = func.sympos.0;
        writeln!(text, "{answer}(\"{name},{}\", {id})", position.max(1))?;
        writeln!(
            table,
            "\t{{ .old_name = \"{name}\", .new_func = new_{id}, .old_sympos = {position} }},"
        )?;
    }
    Ok(format!(
        "{text}static struct klp_func funcs_{number}[] = {{\n{table}\t{{ }}\n}};\n\n"
    ))
}

fn note_section(entry: &Entry, release: &str) -> Result<String> {
    let bytes = note::encode(&manifest(entry, release))?;
    let list: Vec<String> = bytes.iter().map(u8::to_string).collect();
    // In assembler: the compiler has no section of notes.
    Ok(format!(
        "\n__asm__(\".pushsection {}, \\\"a\\\", @note\\n.balign {}\\n.byte {}\\n.popsection\\n\");\n",
        note::NOTE_SECTION,
        note::NOTE_ALIGN,
        list.join(", ")
    ))
}

fn manifest(entry: &Entry, release: &str) -> Manifest {
    let objects = entry.patch.objects.iter().map(|object| Object {
        name: object.name.clone(),
        file: String::new(),
        build_id: String::new(),
        functions: object
            .funcs
            .iter()
            .map(|func| Function {
                name: func.old_name.clone(),
                new_name: String::new(),
                sympos: func.sympos,
                old_size: 0,
                old_hash: String::new(),
            })
            .collect(),
        callbacks: callbacks(),
    });
    Manifest {
        format: FORMAT,
        tool: "lp-tests".into(),
        name: entry.name().to_owned(),
        version: entry.patch.version.clone(),
        description: String::new(),
        target: Target {
            kind: lp_klp::manifest::TargetKind::Kernel,
            release: release.to_owned(),
            build_id: String::new(),
            arch: std::env::consts::ARCH.to_owned(),
        },
        replace: entry.patch.replace,
        states: entry.patch.states.clone(),
        kept_states: Default::default(),
        objects: objects.collect(),
        shadow_ids: Vec::new(),
    }
}

fn callbacks() -> Callbacks {
    let name = |name: &str| Some(name.to_owned());
    Callbacks {
        pre_patch: name("pre_patch"),
        post_patch: name("post_patch"),
        pre_unpatch: name("pre_unpatch"),
        post_unpatch: name("post_unpatch"),
    }
}
