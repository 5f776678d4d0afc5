//! In which scope a name means something: the whole image, or one source file, matched between the two objects.
//!
//! Files go by name, and several of one name by order if both objects have as many. A file that is alone without a
//! counterpart on either side was renamed. The tempting wrong way is to match files by position: one that is new in
//! the middle would shift all others.

use crate::bundle::BundleId;
use crate::name;
use crate::reference::View;
use crate::source_file::{FileIndex, SourceFiles};
use std::collections::BTreeMap;

/// Where a name is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Scope {
    /// Everywhere.
    Global,
    /// In one source file; the same number on both sides is the same file.
    File(u32),
    /// In a source file whose counterpart is not known.
    Stray,
}

/// The scopes of one object's bundles.
pub(super) struct Scopes<'v, 'd> {
    view: &'v View<'d>,
    files: SourceFiles<'d>,
    /// None where all local names are in one scope.
    matched: Option<BTreeMap<FileIndex, u32>>,
}

impl<'v, 'd> Scopes<'v, 'd> {
    /// The scopes of both objects.
    pub(super) fn of(orig: &'v View<'d>, patched: &'v View<'d>) -> (Self, Self) {
        let mut both = [orig, patched].map(|view| Self {
            view,
            files: SourceFiles::read(&view.object),
            matched: None,
        });
        if both.iter().any(|side| !side.files.is_single()) {
            let (theirs, ours) = matched(&both[0].files, &both[1].files);
            both[0].matched = Some(theirs);
            both[1].matched = Some(ours);
        }
        let [orig, patched] = both;
        (orig, patched)
    }

    /// The scope of a bundle's name.
    pub(super) fn scope(&self, id: BundleId) -> Scope {
        let bundle = self.view.bundles.get(id);
        let Some(owner) = bundle.owner else {
            return Scope::Stray;
        };
        let symbol = self.view.object.symbol(owner);
        if !symbol.is_local() || name::is_promoted(symbol.name()) {
            return Scope::Global;
        }
        match &self.matched {
            None => Scope::File(0),
            Some(matched) => {
                let file = self.files.of(owner).and_then(|file| matched.get(&file));
                file.map_or(Scope::Stray, |file| Scope::File(*file))
            }
        }
    }
}

type Matched = BTreeMap<FileIndex, u32>;

fn matched(orig: &SourceFiles<'_>, patched: &SourceFiles<'_>) -> (Matched, Matched) {
    let mut names: BTreeMap<&str, [Vec<FileIndex>; 2]> = BTreeMap::new();
    for (side, files) in [orig, patched].into_iter().enumerate() {
        for (index, name) in files.iter() {
            names.entry(name).or_default()[side].push(index);
        }
    }
    let (mut theirs, mut ours) = (Matched::new(), Matched::new());
    let mut lone: [Vec<FileIndex>; 2] = Default::default();
    let mut pair = |a: FileIndex, b: FileIndex| {
        let number = theirs.len() as u32;
        theirs.insert(a, number);
        ours.insert(b, number);
    };
    for [before, after] in names.into_values() {
        if before.len() == after.len() {
            before.iter().zip(&after).for_each(|(a, b)| pair(*a, *b));
        } else if before.is_empty() || after.is_empty() {
            lone[0].extend(before);
            lone[1].extend(after);
        }
    }
    if let ([before], [after]) = (&lone[0][..], &lone[1][..]) {
        pair(*before, *after);
    }
    (theirs, ours)
}
