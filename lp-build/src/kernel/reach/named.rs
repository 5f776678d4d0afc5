//! Whom the changed headers can reach, where some of them changed in ways that only reach who says a name.
//!
//! A file is reached through such a header if it says one of the names, or includes a file that does ([`super::mentions`]); through
//! any other header if it includes it. The tempting wrong way is to ask for the names in the files that include the
//! header: a macro of a third header says them for others.

use super::header_names::names;
use super::include_graph::IncludeGraph;
use super::mentions::{mention, words};
use crate::tree::{Change, ChangeKind};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// So many of the files are told in the log.
const SHOWN: usize = 20;

/// Who can be reached.
pub struct Named(BTreeSet<String>);

impl Named {
    /// Finds them; none where no header changed so. The graph's files are below the first of `folders` that has them, of
    /// which the first is the original tree.
    pub fn find(
        graph: &IncludeGraph,
        roots: &[String],
        headers: &[Change],
        folders: &[&Path; 2],
        patched: &Path,
    ) -> Option<Self> {
        let changed = headers
            .iter()
            .filter(|header| header.kind == ChangeKind::Changed && roots.contains(&header.path));
        let read = |tree: &Path, path: &str| std::fs::read_to_string(tree.join(path)).ok();
        let texts = changed.filter_map(|header| {
            let texts = (
                read(folders[0], &header.path)?,
                read(patched, &header.path)?,
            );
            // Of what each may be alone, all must be together.
            names(std::slice::from_ref(&texts)).map(|_| (header.path.clone(), texts))
        });
        let (named, texts): (Vec<String>, Vec<_>) = texts.unzip();
        let names = names(&texts).filter(|_| !named.is_empty())?;
        tracing::debug!("{named:?} changed these names only: {names:?}");
        let others: Vec<String> = roots
            .iter()
            .filter(|root| !named.contains(root))
            .cloned()
            .collect();
        let said: Vec<String> = mention(
            &graph.texts(folders, &named),
            &names,
            &fresh(&texts, &names),
        )
        .into_iter()
        .collect();
        tracing::debug!(
            "{} files say them or can make them: {:?} ..",
            said.len(),
            said.iter().take(SHOWN).collect::<Vec<_>>()
        );
        let owned = |reached: BTreeMap<&str, &str>| -> BTreeSet<String> {
            reached.into_keys().map(str::to_owned).collect()
        };
        let mut can = owned(graph.reached(&said));
        can.extend(owned(graph.reached(&others)));
        can.extend(said);
        Some(Self(can))
    }

    /// Whether it can be reached.
    pub fn can_reach(&self, path: &str) -> bool {
        self.0.contains(path)
    }
}

/// The names that only one version of the headers says.
fn fresh(texts: &[(String, String)], names: &BTreeSet<String>) -> BTreeSet<String> {
    let said = |version: fn(&(String, String)) -> &String| -> BTreeSet<&[u8]> {
        let all = texts.iter().map(version);
        all.flat_map(|text| words(text.as_bytes())).collect()
    };
    let (before, after) = (said(|texts| &texts.0), said(|texts| &texts.1));
    let is_fresh =
        |name: &&String| before.contains(name.as_bytes()) != after.contains(name.as_bytes());
    names.iter().filter(is_fresh).cloned().collect()
}
