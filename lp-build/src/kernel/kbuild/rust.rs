//! The options of a kernel that has code in Rust, without the tools for it.
//!
//! Kconfig leaves `CONFIG_RUST` out where the Rust compiler of the kernel's build is not there, and with it all that depends on it. To
//! compile C takes no such compiler, and yet the options must be the kernel's: C asks for them, too (`lib/vsprintf.c`). So the build
//! folder is always prepared as if there were none, which also saves compiling what Rust needs, and then its options of Rust are
//! made the kernel's. The tempting wrong way is to make all options so: what is gone for another reason says that the tree or a tool
//! is not the kernel's.

use crate::kernel::running::config::Config;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Of the prepared folder: what make reads, and what C does.
const MAKES: &str = "include/config/auto.conf";
const CS: &str = "include/generated/autoconf.h";

/// Kconfig files that include each other more deeply than any tree's.
const MAX_DEPTH: usize = 32;

/// The options that differ from the kernel's because the tools for Rust are not there, by their names with `CONFIG_`.
///
/// `arch` is the folder of the architecture.
pub fn options(tree: &Path, arch: &str, kernels: &Config, made: &Config) -> BTreeSet<String> {
    let mut differ: BTreeSet<&str> = kernels
        .keys()
        .chain(made.keys())
        .map(String::as_str)
        .collect();
    differ.retain(|name| kernels.get(*name) != made.get(*name));
    let of_rust = |name: &&str| {
        let name = without_prefix(name);
        name.starts_with("RUST") || name.starts_with("BINDGEN")
    };
    let (mut found, mut others): (BTreeSet<&str>, BTreeSet<&str>) =
        differ.into_iter().partition(of_rust);
    if found.is_empty() || others.is_empty() {
        return owned(found);
    }
    let mut symbols = Symbols::default();
    symbols.read((tree, arch), "Kconfig", &mut Vec::new(), 0);
    loop {
        let follows = |name: &&str| {
            let mentioned = symbols.mentioned(without_prefix(name));
            found
                .iter()
                .any(|it| mentioned.contains(without_prefix(it)))
        };
        let more: Vec<&str> = others
            .iter()
            .copied()
            .filter(|name| follows(name))
            .collect();
        if more.is_empty() {
            return owned(found);
        }
        others.retain(|name| !more.contains(name));
        found.extend(more);
    }
}

/// A configuration with these options as the kernel has them.
pub fn with_kernels(made: &Config, kernels: &Config, options: &BTreeSet<String>) -> Config {
    let of_rust = options
        .iter()
        .filter_map(|name| kernels.get_key_value(name));
    let kept = made.iter().filter(|(name, _)| !options.contains(*name));
    let all = kept.chain(of_rust);
    all.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Makes these options of a prepared folder the kernel's, for make and for C.
///
/// # Errors
/// Where the folder's files cannot be read or written.
pub fn take_over(folder: &Path, kernels: &Config, options: &BTreeSet<String>) -> Result<()> {
    if options.is_empty() {
        return Ok(());
    }
    let set: Vec<(&String, &String)> = options
        .iter()
        .filter_map(|name| kernels.get_key_value(name))
        .collect();
    let makes = set.iter().map(|(name, value)| format!("{name}={value}\n"));
    rewrite(&folder.join(MAKES), makes, |line| {
        let (name, _) = line.split_once('=')?;
        Some(options.contains(name))
    })?;
    let cs = set.iter().map(|(name, value)| define(name, value));
    rewrite(&folder.join(CS), cs, |line| {
        let name = line.strip_prefix("#define ")?.split(' ').next()?;
        let whole = name.strip_suffix("_MODULE").unwrap_or(name);
        Some(options.contains(name) || options.contains(whole))
    })
}

/// As Kconfig writes it (`scripts/kconfig/confdata.c`, `print_symbol_for_c`).
fn define(name: &str, value: &str) -> String {
    match value {
        "y" => format!("#define {name} 1\n"),
        "m" => format!("#define {name}_MODULE 1\n"),
        other => format!("#define {name} {other}\n"),
    }
}

/// Puts lines in the place of those that are of the options.
fn rewrite(
    path: &Path,
    lines: impl Iterator<Item = String>,
    is_replaced: impl Fn(&str) -> Option<bool>,
) -> Result<()> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let kept = text.lines().filter(|line| is_replaced(line) != Some(true));
    let kept: String = kept.map(|line| format!("{line}\n")).chain(lines).collect();
    fs::write(path, kept).with_context(|| format!("cannot write {}", path.display()))
}

fn without_prefix(name: &str) -> &str {
    name.strip_prefix("CONFIG_").unwrap_or(name)
}

fn owned(names: BTreeSet<&str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// What the definition of each symbol mentions (`Documentation/kbuild/kconfig-language.rst`).
#[derive(Debug, Default)]
struct Symbols(BTreeMap<String, BTreeSet<String>>);

impl Symbols {
    fn mentioned(&self, name: &str) -> BTreeSet<&str> {
        let known = self.0.get(name).into_iter().flatten();
        known.map(String::as_str).collect()
    }

    fn add(&mut self, name: &str, expression: &str) {
        let known = self.0.entry(name.to_owned()).or_default();
        known.extend(names(expression).map(str::to_owned));
    }

    /// Reads a file and those that it includes; what encloses it holds for all of its symbols.
    /// Kconfig has read them all before: what is not there is another configuration's.
    fn read(
        &mut self,
        (tree, arch): (&Path, &str),
        path: &str,
        around: &mut Vec<String>,
        depth: usize,
    ) {
        let Some(text) = fs::read(tree.join(path)).ok().filter(|_| depth < MAX_DEPTH) else {
            return;
        };
        let text = String::from_utf8_lossy(&text).replace("\\\n", " ");
        let mut block = Block::Other;
        for line in text.lines() {
            let at_start = line.starts_with(|c: char| !c.is_whitespace());
            if block == Block::Help && !at_start {
                continue;
            }
            let line = line.split(" #").next().unwrap_or(line).trim();
            let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
            match word {
                "config" | "menuconfig" => {
                    self.add(rest.trim(), &around.join(" "));
                    block = Block::Symbol(rest.trim().to_owned());
                }
                "if" | "menu" | "choice" => {
                    around.push(if word == "if" {
                        rest.to_owned()
                    } else {
                        String::new()
                    });
                    block = Block::Around;
                }
                "endif" | "endmenu" | "endchoice" => {
                    around.pop();
                    block = Block::Other;
                }
                "comment" => block = Block::Other,
                "source" => {
                    let included = rest.trim().trim_matches('"').replace("$(SRCARCH)", arch);
                    let enclosing = around.len();
                    self.read((tree, arch), &included, around, depth + 1);
                    around.truncate(enclosing);
                }
                "help" | "---help---" => block = Block::Help,
                _ => self.attribute(&block, around, (word, rest)),
            }
        }
    }

    fn attribute(&mut self, block: &Block, around: &mut [String], (word, rest): (&str, &str)) {
        match block {
            Block::Symbol(name) if ["select", "imply"].contains(&word) => {
                let (selected, condition) =
                    rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
                self.add(selected, &format!("{name} {condition}"));
            }
            Block::Symbol(name) => self.add(name, rest),
            Block::Around if ["depends", "visible"].contains(&word) => {
                if let Some(last) = around.last_mut() {
                    last.push(' ');
                    last.push_str(rest);
                }
            }
            _ => {}
        }
    }
}

/// What a line of a Kconfig file belongs to.
#[derive(Debug, PartialEq, Eq)]
enum Block {
    Symbol(String),
    /// A menu or a choice, whose conditions hold for all inside.
    Around,
    Help,
    Other,
}

/// The symbols of an expression: words that are not in quotes.
fn names(expression: &str) -> impl Iterator<Item = &str> {
    let outside = expression.split('"').step_by(2);
    let words =
        outside.flat_map(|part| part.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    words.filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit()))
}
