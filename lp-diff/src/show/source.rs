//! The source line of each instruction, with each file's name held once.

use super::SourceLine;
use crate::dwarf::DebugInfo;
use crate::dwarf::line::FileId;
use crate::object::{Object, SectionId};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The lines of one object; none where it has no debug information.
pub(super) struct SourceLines<'o> {
    info: Option<DebugInfo<'o>>,
    files: RefCell<BTreeMap<FileId, Option<Arc<str>>>>,
}

impl<'o> SourceLines<'o> {
    /// Finds the debug information of an object.
    pub(super) fn of(object: &'o Object<'o>) -> Self {
        Self {
            info: DebugInfo::load(object),
            files: RefCell::default(),
        }
    }

    /// The line that the instruction at an offset comes from.
    pub(super) fn at(&self, section: SectionId, offset: u64) -> Option<SourceLine> {
        let lines = self.info.as_ref()?.lines();
        let (file, line) = lines.row_at(section, offset)?;
        let mut files = self.files.borrow_mut();
        let name = files
            .entry(file)
            .or_insert_with(|| lines.file(file).map(Arc::from));
        let file = name.clone()?;
        // The compiler says so where code comes from no line.
        (line > 0).then_some(SourceLine { file, line })
    }

    /// The folder that the compiler ran in for the code at an offset.
    pub(super) fn folder(&self, section: SectionId, offset: u64) -> Option<String> {
        let lines = self.info.as_ref()?.lines();
        let (file, _) = lines.row_at(section, offset)?;
        lines.folder(file)
    }
}
