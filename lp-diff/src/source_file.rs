//! Which source file each local symbol of an object comes from.
//!
//! An object linked from several (`ld -r`, link-time optimisation) has a FILE symbol for each, and the local symbols
//! of a file come after it. The tempting wrong way is to take the first FILE symbol for the file of all: two static
//! functions of one name would be the same.

use crate::object::{Object, SymbolId};

/// Index of a source file among those of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileIndex(pub u32);

/// The source files of an object, in the order of its symbol table.
#[derive(Debug, Default)]
pub struct SourceFiles<'d> {
    /// First symbol after the FILE symbol, and its name; empty where locals of no file begin.
    files: Vec<(SymbolId, &'d str)>,
}

impl<'d> SourceFiles<'d> {
    /// Reads the FILE symbols of an object.
    pub fn read(object: &Object<'d>) -> Self {
        let is_file = |kind: u8| kind == object::elf::STT_FILE.0;
        let symbols = object.symbols().filter(|(_, symbol)| is_file(symbol.kind));
        Self {
            files: symbols
                .map(|(id, symbol)| (SymbolId(id.0.saturating_add(1)), symbol.name()))
                .collect(),
        }
    }

    /// The file of a local symbol.
    pub fn of(&self, symbol: SymbolId) -> Option<FileIndex> {
        let before = self.files.partition_point(|(first, _)| *first <= symbol);
        let index = before.checked_sub(1)?;
        (!self.files[index].1.is_empty()).then_some(FileIndex(index as u32))
    }

    /// The local symbols of a file, in an object of so many symbols; the last file's are followed by global ones.
    pub fn symbols(&self, file: FileIndex, count: usize) -> impl Iterator<Item = SymbolId> {
        let first = self.files[file.0 as usize].0.0;
        let next = self.files.get(file.0 as usize + 1);
        let end = next.map_or(count as u32, |(after, _)| after.0.saturating_sub(1));
        (first..end).map(SymbolId)
    }

    /// The name of a file.
    pub fn name(&self, file: FileIndex) -> &'d str {
        self.files[file.0 as usize].1
    }

    /// The files with their names.
    pub fn iter(&self) -> impl Iterator<Item = (FileIndex, &'d str)> {
        let named = (0..).map(FileIndex).zip(&self.files);
        named
            .map(|(index, (_, name))| (index, *name))
            .filter(|(_, name)| !name.is_empty())
    }

    /// Whether all local symbols come from one file.
    pub fn is_single(&self) -> bool {
        self.iter().nth(1).is_none()
    }
}
