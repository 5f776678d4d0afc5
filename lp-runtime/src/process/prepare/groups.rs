//! Which object each part of a patch belongs near.
//!
//! Code of a library is compiled to reach the library's variables by 32 bits, and a jump reaches no farther; the program and its
//! libraries are farther apart than that. So what replaces a function of an object, and all that it
//! reaches by 32 bits, goes near that object. The rest goes where it is used first; calls go by veneers and addresses by
//! slots wherever they lead. An object that is not loaded now gets its part when it is.

use crate::process::kept::area::Area;
use crate::process::prepare::patch_file::{Meaning, PatchFile, Relocation, SectionId, new_name};
use crate::process::prepare::relocation::Kind;
use lp_klp::name::ObjName;
use std::collections::VecDeque;
use thiserror::Error;

/// Two objects that a part of the patch would have to be near.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "section '{section}' of the patch refers to both {first} and {second} by 32 bits: compile the patch with -fPIC, or make a \
     patch for each of them"
)]
pub struct Shared {
    /// The part.
    pub section: String,
    /// One object.
    pub first: ObjName,
    /// The other.
    pub second: ObjName,
}

/// For each section of a patch, the object that it goes near: an index into the manifest's objects.
///
/// `present` says which of them are loaded; what two of them use goes near one that is.
///
/// # Errors
/// Where a part would have to be near two objects.
pub fn groups(patch: &PatchFile, present: &[bool]) -> Result<Vec<usize>, Shared> {
    let mut tied = Tied::new(patch);
    for relocation in &patch.relocations {
        if let (true, Some(target)) = (is_near(patch, relocation), target(patch, relocation)) {
            tied.tie(relocation.section.0, target.0);
        }
    }
    let mut found: Vec<Option<usize>> = vec![None; patch.sections.len()];
    for (section, object) in firm(patch) {
        let root = tied.root(section.0);
        match found[root] {
            Some(other) if other != object => {
                let name = |object: usize| patch.manifest.objects[object].name.clone();
                return Err(Shared {
                    section: patch.section(section).name.clone(),
                    first: name(other),
                    second: name(object),
                });
            }
            _ => found[root] = Some(object),
        }
    }
    spread(patch, &mut tied, &mut found, present);
    let sections = 0..patch.sections.len();
    Ok(sections
        .map(|it| found[tied.root(it)].unwrap_or(0))
        .collect())
}

/// The object of a name in the manifest.
pub fn object_index(patch: &PatchFile, name: &ObjName) -> Option<usize> {
    patch
        .manifest
        .objects
        .iter()
        .position(|object| object.name == *name)
}

/// What surely belongs to an object: the code that replaces its functions, its callbacks, and what reaches it by 32 bits.
fn firm(patch: &PatchFile) -> Vec<(SectionId, usize)> {
    let mut firm = Vec::new();
    for (index, object) in patch.manifest.objects.iter().enumerate() {
        let callbacks = &object.callbacks;
        let callbacks = [
            &callbacks.pre_patch,
            &callbacks.post_patch,
            &callbacks.pre_unpatch,
            &callbacks.post_unpatch,
        ];
        let callbacks = callbacks.into_iter().flatten().map(String::as_str);
        let names = object.functions.iter().map(new_name).chain(callbacks);
        let symbols = names.filter_map(|name| patch.function(name));
        firm.extend(symbols.filter_map(|symbol| match symbol.meaning {
            Meaning::Inside { section, .. } => Some((section, index)),
            _ => None,
        }));
    }
    let near = patch.relocations.iter().filter(|it| is_near(patch, it));
    firm.extend(near.filter_map(|it| Some((it.section, klp_object(patch, it)?))));
    firm
}

/// Gives what is left to the first that refers to it, those of loaded objects first.
fn spread(patch: &PatchFile, tied: &mut Tied, found: &mut [Option<usize>], present: &[bool]) {
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); found.len()];
    for relocation in &patch.relocations {
        let (from, target) = (tied.root(relocation.section.0), target(patch, relocation));
        if let Some(object) =
            klp_object(patch, relocation).filter(|_| !is_unwind(patch, relocation.section))
        {
            found[from] = found[from].or(Some(object));
        }
        if let (Some(target), false) = (target, is_unwind(patch, relocation.section)) {
            users[from].push(tied.root(target.0));
        }
    }
    let is_present = |object: usize| present.get(object).copied().unwrap_or(false);
    for wanted in [true, false] {
        let known = |section: &usize| found[*section].is_some_and(|it| is_present(it) == wanted);
        let mut queue: VecDeque<usize> = (0..found.len()).filter(known).collect();
        while let Some(section) = queue.pop_front() {
            for target in std::mem::take(&mut users[section]) {
                if found[target].is_none() {
                    found[target] = found[section];
                    queue.push_back(target);
                }
            }
        }
    }
}

/// Whether a relocation only reaches what is within 2 GiB.
fn is_near(patch: &PatchFile, relocation: &Relocation) -> bool {
    relocation.kind == Kind::Pc32
        && !is_unwind(patch, relocation.section)
        && !is_branch(patch, relocation)
}

/// Whether the four bytes of a relocation are the distance of a call or jump, which may go by a veneer.
///
/// The byte before them is then the opcode. An operand in memory that is relative to the instruction has a ModRM byte
/// there, and those (mod 0, r/m 5) are none of these.
pub(in crate::process) fn is_branch(patch: &PatchFile, relocation: &Relocation) -> bool {
    let section = patch.section(relocation.section);
    if section.area != Area::Text || relocation.addend != -4 {
        return false;
    }
    let before = |bytes: u64| {
        let at = usize::try_from(relocation.offset.checked_sub(bytes)?).ok()?;
        section.bytes.get(at).copied()
    };
    match (before(2), before(1)) {
        (_, Some(0xe8 | 0xe9)) => true,
        (Some(0x0f), Some(opcode)) => opcode & 0xf0 == 0x80,
        _ => false,
    }
}

/// Unwind tables refer to all code: they are taken apart instead (see [`crate::process::read::eh_frame`]).
pub(in crate::process) fn is_unwind(patch: &PatchFile, section: SectionId) -> bool {
    patch.section(section).name == crate::process::read::eh_frame::SECTION
}

fn target(patch: &PatchFile, relocation: &Relocation) -> Option<SectionId> {
    match patch.symbol(relocation.symbol).meaning {
        Meaning::Inside { section, .. } => Some(section),
        _ => None,
    }
}

fn klp_object(patch: &PatchFile, relocation: &Relocation) -> Option<usize> {
    match &patch.symbol(relocation.symbol).meaning {
        Meaning::Klp(name) => object_index(patch, &name.object),
        _ => None,
    }
}

/// Sections that must stay together (union-find with halved paths).
struct Tied(Vec<usize>);

impl Tied {
    fn new(patch: &PatchFile) -> Self {
        Self((0..patch.sections.len()).collect())
    }

    fn root(&mut self, mut section: usize) -> usize {
        while self.0[section] != section {
            self.0[section] = self.0[self.0[section]];
            section = self.0[section];
        }
        section
    }

    fn tie(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        self.0[one.max(other)] = one.min(other);
    }
}
