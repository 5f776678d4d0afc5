//! One folder of the corpus.

use crate::compiler::Compiler;
use crate::directive::Directives;
use std::fs;
use std::path::{Path, PathBuf};

/// A case: its folder, its source and how that is built.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    /// `case.c` or `case.S`.
    pub(crate) source: &'static str,
    pub(crate) directives: Directives,
}

/// All cases, by name. `CORPUS=part` chooses those with it in their name, for work on one of them.
pub(crate) fn all() -> Vec<Result<Case, String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let wanted = std::env::var("CORPUS").unwrap_or_default();
    let mut folders: Vec<PathBuf> = fs::read_dir(root)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").path())
        .filter(|folder| folder.to_string_lossy().contains(&wanted))
        .collect();
    folders.sort();
    folders.iter().map(|folder| Case::read(folder)).collect()
}

impl Case {
    fn read(folder: &Path) -> Result<Self, String> {
        let name = folder.file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let source = ["case.c", "case.S"]
            .into_iter()
            .find(|source| folder.join(source).exists())
            .ok_or_else(|| format!("{name}: neither case.c nor case.S"))?;
        let text = fs::read_to_string(folder.join(source)).expect("the source");
        let sentence = text.lines().next().unwrap_or_default();
        if !sentence.starts_with("// ") || !sentence.ends_with('.') || sentence.len() > 120 {
            return Err(format!(
                "{name}: the first line says in one sentence what it pins"
            ));
        }
        let directives = Directives::parse(&text).map_err(|error| format!("{name}: {error}"))?;
        Ok(Self {
            name,
            folder: folder.to_owned(),
            source,
            directives,
        })
    }

    /// The compilers that it is for and that are here.
    pub(crate) fn compilers(&self) -> impl Iterator<Item = Compiler> {
        let named = self.directives.compilers.iter().copied();
        named.filter(|compiler| compiler.is_available())
    }

    /// Whether all the compilers that it is for are here.
    pub(crate) fn has_all_compilers(&self) -> bool {
        self.compilers().count() == self.directives.compilers.len()
    }
}
