//! The source line of each instruction, with each file's name held once.

use super::{FunctionPair, Row, SourceLine};
use crate::dwarf::LazyDebugInfo;
use crate::dwarf::line::FileId;
use crate::object::SectionId;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The lines of one object; none where it has no debug information.
pub(super) struct SourceLines<'o> {
    info: &'o LazyDebugInfo<'o>,
    files: RefCell<BTreeMap<FileId, Option<Arc<str>>>>,
}

impl<'o> SourceLines<'o> {
    /// The lines that debug information says.
    pub(super) fn of(info: &'o LazyDebugInfo<'o>) -> Self {
        Self {
            info,
            files: RefCell::default(),
        }
    }

    /// The line that the instruction at an offset comes from.
    pub(super) fn at(&self, section: SectionId, offset: u64) -> Option<SourceLine> {
        let lines = self.info.get()?.lines();
        let (file, line) = lines.row_at(section, offset)?;
        let mut files = self.files.borrow_mut();
        let name = files
            .entry(file)
            .or_insert_with(|| lines.file(file).map(Arc::from));
        let file = name.clone()?;
        // The compiler says so where code comes from no line.
        (line > 0).then(|| SourceLine {
            name: Arc::clone(&file),
            file,
            line,
        })
    }

    /// The folder that the compiler ran in for the code at an offset.
    pub(super) fn folder(&self, section: SectionId, offset: u64) -> Option<String> {
        let lines = self.info.get()?.lines();
        let (file, _) = lines.row_at(section, offset)?;
        lines.folder(file)
    }
}

/// Leaves out of names what all files of an object share: a tree that is compiled from elsewhere is named in full.
pub(super) fn shorten(functions: &mut [FunctionPair]) {
    let sides: [fn(&mut super::Aligned) -> Option<&mut Row>; 2] =
        [|row| row.orig.as_mut(), |row| row.patched.as_mut()];
    for side in sides {
        let mut files: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
        each_line(functions, side, |line| {
            files.insert(Arc::clone(&line.file), Arc::clone(&line.file));
        });
        let shared = shared_folder(files.keys().map(AsRef::as_ref)).len();
        for name in files.values_mut().filter(|name| name.starts_with('/')) {
            *name = Arc::from(&name[shared..]);
        }
        each_line(functions, side, |line| {
            line.name = Arc::clone(&files[&line.file]);
        });
    }
}

fn each_line(
    functions: &mut [FunctionPair],
    side: fn(&mut super::Aligned) -> Option<&mut Row>,
    mut visit: impl FnMut(&mut SourceLine),
) {
    let rows = functions.iter_mut().flat_map(|pair| &mut pair.rows);
    rows.filter_map(side)
        .filter_map(|row| row.source.as_mut())
        .for_each(&mut visit);
}

/// What all absolute names begin with, up to a slash.
fn shared_folder<'f>(files: impl Iterator<Item = &'f str>) -> &'f str {
    let shared = files
        .filter(|file| file.starts_with('/'))
        .reduce(|one, other| {
            let differs = one.bytes().zip(other.bytes()).position(|(a, b)| a != b);
            let end = differs.unwrap_or(one.len().min(other.len()));
            // A name is cut at a slash alone, which no other character's bytes hold.
            &one[..one.as_bytes()[..end]
                .iter()
                .rposition(|byte| *byte == b'/')
                .map_or(0, |at| at + 1)]
        });
    let shared = shared.unwrap_or_default();
    &shared[..shared.rfind('/').map_or(0, |at| at + 1)]
}

#[cfg(test)]
mod tests {
    use super::shared_folder;

    #[test]
    fn names_share_folders_not_letters() {
        let shared = |files: &[&'static str]| shared_folder(files.iter().copied());
        assert_eq!(shared(&["/t/net/tcp.c", "/t/net/tap.c", "x.c"]), "/t/net/");
        assert_eq!(
            shared(&["/t/net/tcp.c", "/t/new/tcp.c", "/t/net/a.c"]),
            "/t/"
        );
        assert_eq!(shared(&["/t/net/tcp.c"]), "/t/net/");
        assert_eq!(shared(&["a.c", "b.c"]), "");
        assert_eq!(shared(&["/a/\u{e4}.c", "/a/\u{e5}.c"]), "/a/");
    }
}
