//! What the author says of the patch: `livepatch.toml`.
//!
//! Unknown keys are refused with their line: a misspelt `replace` that is skipped would quietly build the opposite.

use anyhow::{Context, Result, anyhow, bail, ensure};
use lp_diff::explain::layout::parse_allowed;
use lp_klp::manifest::{Callbacks, ShadowId};
use lp_klp::state::KlpState;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use toml::Spanned;

/// A patch's description as the author wrote it; what is missing has a default or comes from options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Describe {
    /// The module's name.
    pub name: Option<String>,
    /// The patch's version.
    pub version: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether it replaces what is installed before it.
    pub replace: Option<bool>,
    /// The system states it changes.
    pub states: Vec<KlpState>,
    /// The line that each state is on, by its id.
    pub state_lines: BTreeMap<u64, usize>,
    /// The shadow variables it uses.
    pub shadows: Vec<ShadowId>,
    /// The types whose layout it changes knowingly.
    pub allow_layout_change: Vec<String>,
    /// The functions that are called around the patching, of a patch for processes.
    pub callbacks: Callbacks,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    version: Option<String>,
    description: Option<String>,
    replace: Option<bool>,
    #[serde(default, rename = "allow-layout-change")]
    allow_layout_change: Vec<Spanned<String>>,
    #[serde(default)]
    state: Vec<State>,
    #[serde(default)]
    shadow: Vec<Shadow>,
    #[serde(default)]
    callbacks: CallbackNames,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallbackNames {
    pre_patch: Option<String>,
    post_patch: Option<String>,
    pre_unpatch: Option<String>,
    post_unpatch: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shadow {
    id: Spanned<u64>,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    id: Spanned<u64>,
    version: u32,
    name: Option<String>,
}

/// Reads a description file.
pub fn read(path: &Path) -> Result<Describe> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the description {}", path.display()))?;
    parse(&text).with_context(|| format!("{} is not a patch's description", path.display()))
}

/// Parses a description; errors name the line.
pub fn parse(text: &str) -> Result<Describe> {
    let file: File = toml::from_str(text)?;
    let mut lines = BTreeMap::new();
    let mut states = Vec::new();
    for state in file.state {
        let line = line_at(text, state.id.span().start);
        let id = *state.id.get_ref();
        ensure!(
            id != 0,
            "line {line}: a state's id cannot be 0, number the states from 1"
        );
        if let Some(first) = lines.insert(id, line) {
            bail!("line {line}: state {id} is already on line {first}, give each state once");
        }
        states.push(KlpState {
            id,
            version: state.version,
            name: state.name.unwrap_or_default(),
        });
    }
    Ok(Describe {
        shadows: shadows(text, file.shadow)?,
        name: file.name,
        version: file.version,
        description: file.description,
        replace: file.replace,
        states,
        state_lines: lines,
        allow_layout_change: allowed(text, &file.allow_layout_change)?,
        callbacks: Callbacks {
            pre_patch: file.callbacks.pre_patch,
            post_patch: file.callbacks.post_patch,
            pre_unpatch: file.callbacks.pre_unpatch,
            post_unpatch: file.callbacks.post_unpatch,
        },
    })
}

fn shadows(text: &str, shadows: Vec<Shadow>) -> Result<Vec<ShadowId>> {
    let mut lines = BTreeMap::new();
    let mut ids = Vec::new();
    for shadow in shadows {
        let line = line_at(text, shadow.id.span().start);
        let id = *shadow.id.get_ref();
        if let Some(first) = lines.insert(id, line) {
            bail!("line {line}: shadow id {id} is already on line {first}, one id has one meaning");
        }
        ids.push(ShadowId {
            id,
            name: shadow.name,
        });
    }
    Ok(ids)
}

fn allowed(text: &str, names: &[Spanned<String>]) -> Result<Vec<String>> {
    let name = |name: &Spanned<String>| {
        let line = line_at(text, name.span().start);
        parse_allowed(name.get_ref()).map_err(|error| anyhow!("line {line}: {error}"))
    };
    names.iter().map(name).collect()
}

/// Parses the states given as options, `ID:VERSION[:NAME]`.
pub fn parse_states(options: &[String]) -> Result<Vec<KlpState>> {
    let mut states: Vec<KlpState> = Vec::new();
    for option in options {
        let state = parse_state(option)
            .with_context(|| format!("--state '{option}' is not ID:VERSION[:NAME]"))?;
        ensure!(
            state.id != 0,
            "--state '{option}': a state's id cannot be 0"
        );
        let known = states.iter().any(|other| other.id == state.id);
        ensure!(
            !known,
            "--state '{option}': state {} is given twice",
            state.id
        );
        states.push(state);
    }
    Ok(states)
}

fn parse_state(option: &str) -> Result<KlpState> {
    let mut parts = option.splitn(3, ':');
    let id = parts
        .next()
        .unwrap_or_default()
        .parse()
        .context("the id is not a number")?;
    let version = parts.next().context("the version is missing")?;
    let version = version.parse().context("the version is not a number")?;
    Ok(KlpState {
        id,
        version,
        name: parts.next().unwrap_or_default().to_owned(),
    })
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset)
        .filter(|&byte| byte == b'\n')
        .count()
}
