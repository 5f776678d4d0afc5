//! Many machines at once: equal ones are judged once.
//!
//! A fleet's inventory has a line for each machine and few kinds of lines: a line without its host's name is the key
//! under which machines are counted, and only one of each kind is parsed. The tempting wrong way is to parse them all.

use crate::finding::Finding;
use crate::installed::Installed;
use crate::kernel::Kernel;
use crate::reader::Module;
use crate::rules;
use lp_klp::inventory::{Inventory, split_host};
use rayon::prelude::*;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::{self, Read};

/// Hosts of a group that are named.
const NAMED: usize = 3;
/// Bytes of an inventory that are in memory at a time.
const BLOCK: u64 = 32 << 20;
/// Broken lines that are told of.
const BROKEN_SHOWN: usize = 20;

/// Machines that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// How many.
    pub machines: u64,
    /// The first few, in the order of the lines.
    pub hosts: Vec<String>,
    /// Their kernel's release.
    pub release: String,
    /// Names and versions of what is installed.
    pub installed: Vec<String>,
    /// Whether the patch may be installed there.
    pub accepted: bool,
    /// What is to be said of it.
    pub findings: Vec<Finding>,
}

/// The whole fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Fleet {
    /// Machines counted.
    pub machines: u64,
    /// Those where the patch may be installed.
    pub accepted: u64,
    /// By verdict and size: refused ones first, the largest first.
    pub groups: Vec<Group>,
    /// Lines that are no inventory.
    pub broken: u64,
    /// The first of them: line number, from 1, and what is wrong.
    pub broken_lines: Vec<(u64, String)>,
}

/// Judges a new patch on all machines of an inventory: one a line, empty lines aside.
///
/// # Errors
/// Where the inventory cannot be read.
pub fn judge(new: &Module, inventory: impl Read, kernel: Option<&Kernel>) -> io::Result<Fleet> {
    let mut fleet = Fleet::default();
    let mut groups: HashMap<String, Group> = HashMap::new();
    for kind in kinds(inventory)? {
        let parsed = match Inventory::from_line(&kind.line) {
            Ok(parsed) => parsed,
            Err(error) => {
                fleet.broken += kind.machines;
                fleet.broken_lines.push((kind.first, error.to_string()));
                continue;
            }
        };
        fleet.machines += kind.machines;
        let mut group = group(new, &parsed, kernel);
        group.machines = kind.machines;
        group.hosts = match kind.hosts.is_empty() {
            true => vec![parsed.host.clone()],
            false => kind.hosts,
        };
        merge(&mut groups, group, &parsed);
    }
    fleet.broken_lines.truncate(BROKEN_SHOWN);
    fleet.groups = groups.into_values().collect();
    fleet.groups.sort_by(|a, b| {
        let key = |group: &Group| (group.accepted, Reverse(group.machines), group.hosts.clone());
        key(a).cmp(&key(b))
    });
    let accepted = fleet.groups.iter().filter(|group| group.accepted);
    fleet.accepted = accepted.map(|group| group.machines).sum();
    Ok(fleet)
}

fn group(new: &Module, inventory: &Inventory, kernel: Option<&Kernel>) -> Group {
    let mut installed = Installed::of_inventory(inventory);
    for patch in &mut installed.patches {
        // Findings of one group are the same for all of its hosts.
        patch.place.clone_from(&patch.name);
    }
    let findings = rules::check(new, &installed, kernel);
    let name = |patch: &crate::patch::Patch| {
        format!("{} {}", patch.name, patch.version)
            .trim_end()
            .to_owned()
    };
    Group {
        machines: 0,
        hosts: Vec::new(),
        release: inventory.kernel.release.clone(),
        installed: installed.patches.iter().map(name).collect(),
        accepted: !findings.iter().any(Finding::is_error),
        findings,
    }
}

/// Lines of one kind can be spelt in two ways.
fn merge(groups: &mut HashMap<String, Group>, group: Group, inventory: &Inventory) {
    let common = Inventory {
        host: String::new(),
        ..inventory.clone()
    };
    let key = common.to_line().unwrap_or_default();
    match groups.get_mut(&key) {
        Some(known) => {
            known.machines += group.machines;
            known.hosts.extend(group.hosts);
            known.hosts.truncate(NAMED);
        }
        None => {
            groups.insert(key, group);
        }
    }
}

/// Lines that are equal but for the host.
struct Kind {
    machines: u64,
    /// Number of the first line.
    first: u64,
    hosts: Vec<String>,
    line: Vec<u8>,
}

/// The same within a block of the file.
struct Part<'b> {
    machines: u64,
    first: u64,
    hosts: Vec<&'b [u8]>,
    line: &'b [u8],
}

/// The kinds of lines, by the first line of each. The file is read in blocks, of which the threads share each.
fn kinds(mut inventory: impl Read) -> io::Result<Vec<Kind>> {
    let mut all: HashMap<Vec<u8>, Kind> = HashMap::new();
    let (mut block, mut line) = (Vec::new(), 1);
    loop {
        let read = inventory.by_ref().take(BLOCK).read_to_end(&mut block)?;
        let whole = match block.iter().rposition(|byte| *byte == b'\n') {
            Some(at) if read > 0 => at + 1,
            _ if read > 0 => continue,
            _ => block.len(),
        };
        for chunk in chunks(&block[..whole], line) {
            add(&mut all, chunk);
        }
        line += lines(&block[..whole]);
        block.drain(..whole);
        if read == 0 {
            break;
        }
    }
    let mut kinds: Vec<Kind> = all.into_values().collect();
    kinds.sort_by_key(|kind| kind.first);
    Ok(kinds)
}

fn add(all: &mut HashMap<Vec<u8>, Kind>, chunk: HashMap<&[u8], Part<'_>>) {
    let named = |hosts: &[&[u8]]| {
        hosts
            .iter()
            .map(|host| String::from_utf8_lossy(host).into_owned())
            .collect()
    };
    for (key, part) in chunk {
        match all.get_mut(key) {
            Some(kind) => {
                kind.machines += part.machines;
                kind.hosts.extend::<Vec<String>>(named(&part.hosts));
                kind.hosts.truncate(NAMED);
            }
            None => {
                let Part {
                    machines,
                    first,
                    hosts,
                    line,
                } = part;
                all.insert(
                    key.to_vec(),
                    Kind {
                        machines,
                        first,
                        hosts: named(&hosts),
                        line: line.to_vec(),
                    },
                );
            }
        }
    }
}

/// Pieces of whole lines, as many as there are threads, counted side by side.
fn chunks(block: &[u8], line: u64) -> Vec<HashMap<&[u8], Part<'_>>> {
    let size = block.len() / rayon::current_num_threads().max(1) + 1;
    let (mut pieces, mut rest) = (Vec::new(), block);
    while !rest.is_empty() {
        let from = size.min(rest.len());
        let end = rest[from..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(rest.len(), |at| from + at + 1);
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    let starts = pieces.iter().scan(line, |line, piece| {
        let start = *line;
        *line += lines(piece);
        Some(start)
    });
    let starts: Vec<u64> = starts.collect();
    pieces
        .par_iter()
        .zip(starts)
        .map(|(piece, start)| parts(piece, start))
        .collect()
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn parts(piece: &[u8], start: u64) -> HashMap<&[u8], Part<'_>> {
    let mut parts: HashMap<&[u8], Part<'_>> = HashMap::new();
    for (line, number) in piece.split(|byte| *byte == b'\n').zip(start..) {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let (host, common) =
            split_host(line).map_or((None, line), |(host, common)| (Some(host), common));
        let part = parts.entry(common).or_insert_with(|| Part {
            machines: 0,
            first: number,
            hosts: Vec::new(),
            line,
        });
        part.machines += 1;
        if part.hosts.len() < NAMED {
            part.hosts.extend(host);
        }
    }
    parts
}
