//! A kernel's configuration, and whether the tree understands it as the running kernel's build did.
//!
//! An option that quietly changes its value changes structures: without `pahole`, `CONFIG_DEBUG_INFO_BTF` goes, and
//! with it fields of `struct module`; the patch module would load and write beside its fields.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The options of a configuration; `n` is not in it.
pub type Config = BTreeMap<String, String>;

/// What differs between the running kernel's configuration and the one that the tree makes of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Options of the kernel that have another value now, or none.
    pub changed: Vec<String>,
    /// Options that the kernel's configuration does not know.
    pub new: Vec<String>,
}

/// Symbols that say which tools are there, or how the build signs and names things: none changes code that is patched.
const TOOLCHAIN: [&str; 22] = [
    "CONFIG_CC_VERSION_TEXT",
    "CONFIG_GCC_VERSION",
    "CONFIG_CLANG_VERSION",
    "CONFIG_AS_VERSION",
    "CONFIG_LD_VERSION",
    "CONFIG_LLD_VERSION",
    "CONFIG_PAHOLE_VERSION",
    "CONFIG_RUSTC_VERSION",
    "CONFIG_RUSTC_VERSION_TEXT",
    "CONFIG_RUSTC_LLVM_VERSION",
    "CONFIG_BINDGEN_VERSION_TEXT",
    "CONFIG_RUST_IS_AVAILABLE",
    "CONFIG_BUILD_SALT",
    "CONFIG_MODULE_SIG_ALL",
    "CONFIG_MODULE_SIG_KEY",
    "CONFIG_MODULE_SIG_KEY_TYPE_RSA",
    "CONFIG_SYSTEM_TRUSTED_KEYS",
    "CONFIG_SYSTEM_REVOCATION_KEYS",
    "CONFIG_PAHOLE_HAS_SPLIT_BTF",
    "CONFIG_PAHOLE_HAS_BTF_TAG",
    "CONFIG_PAHOLE_HAS_LANG_EXCLUDE",
    "CONFIG_CC_CAN_LINK",
];

/// Reads a configuration file.
pub fn read(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8(bytes)
        .ok()
        .filter(|text| text.contains("CONFIG_"));
    text.with_context(|| {
        format!(
            "{} is not a kernel configuration: it has no CONFIG_ lines",
            path.display()
        )
    })
}

/// Parses `CONFIG_X=value` lines.
pub fn parse(text: &str) -> Config {
    let lines = text.lines().filter(|line| line.starts_with("CONFIG_"));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

/// The version of the tree that wrote the configuration, from its `# Linux/x86 6.1.187 Kernel Configuration`.
pub fn kernel_version(text: &str) -> Option<&str> {
    let line = text
        .lines()
        .take(5)
        .find_map(|line| line.strip_prefix("# Linux/"))?;
    line.split(' ').nth(1)
}

/// An option's value without its quotes.
pub fn string<'a>(config: &'a Config, name: &str) -> Option<&'a str> {
    let value = config.get(name)?;
    Some(
        value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .unwrap_or(value),
    )
}

/// The options that a configuration says are not set.
pub fn unset(text: &str) -> BTreeSet<String> {
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("# ")?.strip_suffix(" is not set"));
    names.map(str::to_owned).collect()
}

/// How two configurations that should be one differ, in words.
pub fn differences(given: &Config, own: &Config) -> Vec<String> {
    let names: BTreeSet<&String> = given.keys().chain(own.keys()).collect();
    let value = |config: &Config, name: &String| match config.get(name) {
        Some(value) => value.clone(),
        None => "not set".to_owned(),
    };
    let differing = names
        .into_iter()
        .filter(|name| counts(name) && given.get(*name) != own.get(*name));
    differing
        .map(|name| {
            format!(
                "{name} is {} instead of {}",
                value(given, name),
                value(own, name)
            )
        })
        .collect()
}

fn counts(name: &str) -> bool {
    !TOOLCHAIN.contains(&name)
}

/// What the tree made of the configuration; `unset` is what that says is not set.
pub fn drift(given: &Config, unset: &BTreeSet<String>, made: &Config) -> Drift {
    let changed = given
        .iter()
        .filter(|(name, value)| counts(name) && made.get(*name) != Some(value));
    let (set, new): (Vec<_>, Vec<_>) = made
        .iter()
        .filter(|(name, _)| counts(name) && !given.contains_key(*name))
        .partition(|(name, _)| unset.contains(*name));
    let set = set
        .into_iter()
        .map(|(name, value)| format!("{name} was not set and became {value}"));
    let new = new.into_iter();
    Drift {
        changed: changed
            .map(|(name, value)| match made.get(name) {
                Some(now) => format!("{name}={value} became {now}"),
                None => format!("{name}={value} is gone"),
            })
            .chain(set)
            .collect(),
        new: new.map(|(name, value)| format!("{name}={value}")).collect(),
    }
}
