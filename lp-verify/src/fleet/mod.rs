//! Many machines at once: equal ones are judged once.
//!
//! Three steps make many machines few: lines that are equal but for the host ([`lines`]), inventories that say the same
//! of what the patch is about, and machines of which the same is to be said. Memory is bounded by the last of these.

mod lines;

use crate::finding::Finding;
use crate::installed::Installed;
use crate::kernel::Kernel;
use crate::reader::Module;
use crate::rules;
use lines::{Block, Blocks, Common, Kind};
use lp_klp::inventory::Inventory;
use lp_klp::name::ObjName;
use rayon::prelude::*;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::io::{self, Read};

/// Hosts of a group that are named.
const NAMED: usize = 3;
/// Broken lines that are told of.
const BROKEN_SHOWN: usize = 20;

/// Machines that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// How many.
    pub machines: u64,
    /// The first few, in the order of the lines.
    pub hosts: Vec<String>,
    /// Their kernel's release, or the processes' program.
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
    let mut judging = Judging::new(new, kernel);
    let mut blocks = Blocks::new(inventory);
    while let Some(block) = blocks.next()? {
        judging.add(&block);
    }
    Ok(judging.fleet())
}

/// Of what a line or an inventory says; nobody finds a second one of the same.
type Digest = [u8; 32];

struct Judging<'k> {
    new: &'k Module,
    kernel: Option<&'k Kernel>,
    /// The names of the functions that it redirects: a probe elsewhere is nothing to it.
    functions: HashSet<String>,
    /// The names of its objects: another module is nothing to it, either.
    objects: HashSet<ObjName>,
    /// Lines without their hosts that were parsed, and what they say.
    lines: HashMap<Digest, Digest>,
    /// What was judged, and the group that it is in.
    judged: HashMap<Digest, usize>,
    groups: Vec<Group>,
    /// By what is said of them.
    by_words: HashMap<Digest, usize>,
    broken: u64,
    broken_lines: Vec<(u64, String)>,
}

/// A kind of lines, parsed.
struct Parsed {
    line: Digest,
    said: Digest,
    /// Only where the line is new.
    inventory: Option<Inventory>,
}

impl<'k> Judging<'k> {
    fn new(new: &'k Module, kernel: Option<&'k Kernel>) -> Self {
        let functions = new.patch().functions();
        Self {
            new,
            kernel,
            objects: new
                .manifest
                .iter()
                .flat_map(|manifest| &manifest.objects)
                .map(|object| object.name.clone())
                .collect(),
            functions: functions.into_iter().map(|(_, name, _)| name).collect(),
            lines: HashMap::new(),
            judged: HashMap::new(),
            groups: Vec::new(),
            by_words: HashMap::new(),
            broken: 0,
            broken_lines: Vec::new(),
        }
    }

    fn add(&mut self, block: &Block) {
        let kinds = block.kinds(NAMED);
        let read: Vec<Result<Parsed, String>> = kinds
            .par_iter()
            .map(|(common, kind)| self.read(*common, kind))
            .collect();
        self.judge_new(&read);
        for ((_, kind), read) in kinds.iter().zip(read) {
            match read {
                Ok(read) => self.count(kind, read),
                Err(error) => {
                    self.broken += kind.machines;
                    if self.broken_lines.len() < BROKEN_SHOWN {
                        self.broken_lines.push((kind.first, error));
                    }
                }
            }
        }
    }

    fn read(&self, (before, after): Common<'_>, kind: &Kind<'_>) -> Result<Parsed, String> {
        let mut hash = blake3::Hasher::new();
        hash.update(&(before.len() as u64).to_le_bytes());
        let line = *hash.update(before).update(after).finalize().as_bytes();
        // Without a plain host the line itself names it.
        let known = self.lines.get(&line).filter(|_| !kind.hosts.is_empty());
        if let Some(said) = known {
            return Ok(Parsed {
                line,
                said: *said,
                inventory: None,
            });
        }
        let inventory = Inventory::from_line(kind.line).map_err(|error| error.to_string())?;
        Ok(Parsed {
            line,
            said: self.said(&inventory),
            inventory: Some(inventory),
        })
    }

    /// What an inventory says of anything that the patch is about.
    fn said(&self, inventory: &Inventory) -> Digest {
        let mut common = Inventory {
            host: String::new(),
            ..inventory.clone()
        };
        if let Some(probes) = &mut common.kprobes {
            probes.retain(|probe| self.functions.contains(probe));
        }
        common
            .modules
            .retain(|module| self.objects.contains(&module.name));
        *blake3::hash(common.to_line().unwrap_or_default().as_bytes()).as_bytes()
    }

    /// Judges what nothing equal was judged of before.
    fn judge_new(&mut self, read: &[Result<Parsed, String>]) {
        let mut news: Vec<(Digest, &Inventory)> = Vec::new();
        let mut seen = HashSet::new();
        for read in read.iter().flatten() {
            if let Some(inventory) = &read.inventory
                && !self.judged.contains_key(&read.said)
                && seen.insert(read.said)
            {
                news.push((read.said, inventory));
            }
        }
        let judge = |(said, inventory): &(Digest, &Inventory)| {
            (*said, group(self.new, inventory, self.kernel))
        };
        let groups: Vec<(Digest, Group)> = news.par_iter().map(judge).collect();
        for (said, group) in groups {
            let words = serde_json::to_vec(&group).unwrap_or_default();
            let words = *blake3::hash(&words).as_bytes();
            let at = *self.by_words.entry(words).or_insert_with(|| {
                self.groups.push(group);
                self.groups.len() - 1
            });
            self.judged.insert(said, at);
        }
    }

    fn count(&mut self, kind: &Kind<'_>, read: Parsed) {
        let Some(at) = self.judged.get(&read.said) else {
            return;
        };
        let group = &mut self.groups[*at];
        group.machines += kind.machines;
        let host = read.inventory.map(|inventory| inventory.host);
        let hosts: Vec<String> = match kind.hosts.as_slice() {
            [] => host.into_iter().collect(),
            hosts => hosts
                .iter()
                .map(|host| String::from_utf8_lossy(host).into_owned())
                .collect(),
        };
        group.hosts.extend(hosts);
        group.hosts.truncate(NAMED);
        self.lines.insert(read.line, read.said);
    }

    fn fleet(mut self) -> Fleet {
        self.groups.sort_by(|a, b| {
            let key =
                |group: &Group| (group.accepted, Reverse(group.machines), group.hosts.clone());
            key(a).cmp(&key(b))
        });
        let accepted = self.groups.iter().filter(|group| group.accepted);
        Fleet {
            machines: self.groups.iter().map(|group| group.machines).sum(),
            accepted: accepted.map(|group| group.machines).sum(),
            groups: self.groups,
            broken: self.broken,
            broken_lines: self.broken_lines,
        }
    }
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
        release: match &inventory.process {
            Some(process) => process.program.clone(),
            None => inventory.kernel.release.clone(),
        },
        installed: installed.patches.iter().map(name).collect(),
        accepted: !findings.iter().any(Finding::is_error),
        findings,
    }
}
