//! The tables that the livepatch core reads, as C from `templates/livepatch-main.c.j2`.
//!
//! Every text from outside goes through `c_string`: a description with a quote in it must stay a description.

use anyhow::{Context, Result};
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;
use std::fmt::Write;

const NAME: &str = "livepatch-main.c";
const TEMPLATE: &str = include_str!("../../../templates/livepatch-main.c.j2");

/// What the source may include, by name: the author's header, the code that keeps states, and what tells a module's builds apart.
pub const HEADERS: [(&str, &str); 3] = [
    (
        "livepatch.h",
        include_str!("../../../templates/livepatch.h"),
    ),
    (
        "livepatch-state.h",
        include_str!("../../../templates/livepatch-state.h"),
    ),
    (
        "livepatch-build-id.h",
        include_str!("../../../templates/livepatch-build-id.h"),
    ),
];

const NOTE_BYTES_A_LINE: usize = 16;

/// What the template is filled with.
#[derive(Debug, Clone, Serialize)]
pub struct Tables {
    /// Name and version of the tool.
    pub tool: String,
    /// What is patched.
    pub objects: Vec<Object>,
    /// The states the patch changes.
    pub states: Vec<State>,
    /// Whether it replaces what is installed before it.
    pub replace: bool,
    /// What it is for.
    pub description: String,
    /// Its version.
    pub version: String,
    /// Symbol namespaces it imports.
    pub namespaces: Vec<String>,
    /// The bytes of the manifest's note.
    #[serde(skip)]
    pub note: Vec<u8>,
}

/// `struct klp_object`.
#[derive(Debug, Clone, Serialize)]
pub struct Object {
    /// A module's name; none for vmlinux.
    pub name: Option<String>,
    /// Its functions.
    pub funcs: Vec<Func>,
    /// `struct klp_callbacks`: one of a kind at most.
    pub callbacks: Vec<Callback>,
    /// Whether its callbacks keep the states as well: of one object at most.
    pub keeps_states: bool,
    /// The bytes of a module's build-id: its `pre_patch` lets no other build of that name be patched. Empty where there is none.
    pub build_id: Vec<u8>,
}

/// A callback.
#[derive(Debug, Clone, Serialize)]
pub struct Callback {
    /// The field.
    pub kind: lp_klp::target::Callback,
    /// The symbol of the function.
    pub alias: String,
}

/// `struct klp_func`.
#[derive(Debug, Clone, Serialize)]
pub struct Func {
    /// The function that is replaced.
    pub old_name: String,
    /// Which of that name.
    pub sympos: u32,
    /// The symbol of its new code.
    pub alias: String,
}

/// `struct klp_state`.
#[derive(Debug, Clone, Serialize)]
pub struct State {
    /// What is changed.
    pub id: u64,
    /// How.
    pub version: u32,
    /// The symbol of the `struct lp_state_ops`, where the author leaves the taking over to us.
    pub ops: Option<String>,
}

#[derive(Serialize)]
struct Filling<'a> {
    #[serde(flatten)]
    tables: &'a Tables,
    keeps_states: bool,
    checks_builds: bool,
    note_section: &'static str,
    note_align: usize,
    note_lines: Vec<String>,
}

/// The C source.
pub fn render(tables: &Tables) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_filter("c_string", |text: &str| c_string(text));
    environment
        .add_template(NAME, TEMPLATE)
        .context("the template of the module's tables")?;
    let context = Filling {
        tables,
        keeps_states: tables.objects.iter().any(|object| object.keeps_states),
        checks_builds: tables
            .objects
            .iter()
            .any(|object| !object.build_id.is_empty()),
        note_section: lp_klp::note::NOTE_SECTION,
        note_align: lp_klp::note::NOTE_ALIGN,
        note_lines: tables
            .note
            .chunks(NOTE_BYTES_A_LINE)
            .map(byte_list)
            .collect(),
    };
    let source = environment.get_template(NAME)?.render(Serde(&context));
    Ok(source.context("the template of the module's tables")? + "\n")
}

fn byte_list(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(u8::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

/// A text as a C string literal, whatever is in it.
fn c_string(text: &str) -> String {
    let mut literal = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => literal.extend(['\\', char::from(byte)]),
            // `??/` would be a trigraph.
            b' '..=b'~' if byte != b'?' => literal.push(char::from(byte)),
            // Three octal digits: a digit that follows cannot join them, as it would with \x.
            _ => {
                let _ = write!(literal, "\\{byte:03o}");
            }
        }
    }
    literal.push('"');
    literal
}
