//! What the kernel exports to modules, from `Module.symvers`.
//!
//! A line is `CRC NAME OWNER TYPE NAMESPACE`, separated by tabs (`scripts/mod/modpost.c`); the owner is `vmlinux` or
//! the path of a module without `.ko`. Before Linux 5.4 there was no namespace, and in 5.4 it stood third.

use lp_klp::name::ObjName;
use std::collections::HashMap;
use thiserror::Error;

/// A line of `Module.symvers` that cannot be read.
#[derive(Debug, Error)]
#[error("line {line}: expected CRC, NAME, OWNER and EXPORT TYPE separated by tabs")]
pub struct ExportsError {
    /// Its number from 1.
    pub line: usize,
}

/// One exported symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Version of its type, 0 without CONFIG_MODVERSIONS.
    pub crc: u32,
    /// Who exports it.
    pub owner: ObjName,
    /// Its namespace; empty for none.
    pub namespace: String,
}

/// All exported symbols.
#[derive(Debug, Default)]
pub struct Exports(HashMap<String, Export>);

impl Exports {
    /// Reads the text of a `Module.symvers`.
    pub fn parse(text: &str) -> Result<Self, ExportsError> {
        let mut exports = HashMap::new();
        for (index, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.is_empty())
        {
            let (name, export) = parse_line(line).ok_or(ExportsError { line: index + 1 })?;
            exports.insert(name, export);
        }
        Ok(Self(exports))
    }

    /// Who exports a symbol, if anybody does.
    pub fn get(&self, name: &str) -> Option<&Export> {
        self.0.get(name)
    }
}

fn parse_line(line: &str) -> Option<(String, Export)> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [crc, name, rest @ ..] = &fields[..] else {
        return None;
    };
    let crc = u32::from_str_radix(crc.strip_prefix("0x")?, 16).ok()?;
    let (owner, namespace) = match rest {
        [owner, kind] if kind.starts_with("EXPORT") => (owner, ""),
        [owner, kind, namespace, ..] if kind.starts_with("EXPORT") => (owner, *namespace),
        [namespace, owner, kind, ..] if kind.starts_with("EXPORT") => (owner, *namespace),
        _ => return None,
    };
    let stem = owner.rsplit('/').next()?;
    Some((
        (*name).to_owned(),
        Export {
            crc,
            owner: stem.parse().ok()?,
            namespace: namespace.to_owned(),
        },
    ))
}
