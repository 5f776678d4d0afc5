//! Which source line each instruction comes from, by `.debug_line`.
//!
//! A unit's line program is run when a place in one of its sections is first asked for, and then kept. The relocations
//! of `.debug_line` say which sections a program is about before it is run, so that of a kernel image linked from
//! thousands of units only a few are read. Where a program is damaged, what it said until then counts. The tempting
//! wrong way is to look up units in `.debug_info` first: the line table alone answers.

use super::{Reader, debug_section, place};
use crate::object::{Object, SectionId};
use gimli::{DebugLineOffset, Dwarf, LineProgramHeader};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// A line of the source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourcePlace {
    /// As the compiler wrote it, the folder it ran in left out: `net/ipv4/tcp.c`.
    pub file: String,
    /// From 1.
    pub line: u32,
}

impl fmt::Display for SourcePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A source file, as an index that means something in one [`Lines`] alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    program: u32,
    file: u64,
}

/// From its offset on, code comes from this line, until the next row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Offset in the section.
    pub offset: u64,
    /// Its file and line, from 1; `None` where a sequence ends or the compiler names no line.
    pub line: Option<(FileId, u32)>,
}

/// The line tables of an object.
#[derive(Debug)]
pub struct Lines<'o> {
    object: &'o Object<'o>,
    dwarf: Arc<Dwarf<Reader<'o>>>,
    programs: Vec<Program<'o>>,
    /// The programs that are about a section, in order.
    by_section: BTreeMap<SectionId, Vec<u32>>,
    /// By program, the folder that the compiler ran in.
    folders: OnceLock<BTreeMap<usize, Reader<'o>>>,
}

#[derive(Debug)]
struct Program<'o> {
    offset: usize,
    run: OnceLock<Option<Table<'o>>>,
}

/// What a program says when it is run.
#[derive(Debug)]
struct Table<'o> {
    header: LineProgramHeader<Reader<'o>>,
    rows: BTreeMap<SectionId, Vec<Row>>,
}

impl<'o> Lines<'o> {
    /// Notes where each program begins and which sections it is about.
    pub(super) fn index(object: &'o Object<'o>, dwarf: &Arc<Dwarf<Reader<'o>>>) -> Self {
        let offsets = program_offsets(dwarf);
        let mut by_section: BTreeMap<SectionId, Vec<u32>> = BTreeMap::new();
        let section = debug_section(object, ".debug_line").map(|(section, _)| section);
        for reloc in section
            .into_iter()
            .flat_map(|section| section.relocs.iter())
        {
            let program = offsets.partition_point(|offset| *offset as u64 <= reloc.offset);
            let section = object.symbol(reloc.symbol).section();
            let (Some(program), Some(section)) = (program.checked_sub(1), section) else {
                continue;
            };
            let programs = by_section.entry(section).or_default();
            if programs.last() != Some(&(program as u32)) {
                programs.push(program as u32);
            }
        }
        let program = |offset| Program {
            offset,
            run: OnceLock::new(),
        };
        Self {
            object,
            dwarf: Arc::clone(dwarf),
            programs: offsets.into_iter().map(program).collect(),
            by_section,
            folders: OnceLock::new(),
        }
    }

    /// The line of the instruction at, or around, an offset of a section.
    pub fn at(&self, section: SectionId, offset: u64) -> Option<SourcePlace> {
        let (file, line) = self.row_at(section, offset)?;
        Some(SourcePlace {
            file: self.file(file)?,
            line,
        })
    }

    /// As [`Self::at`], the file as an index.
    pub fn row_at(&self, section: SectionId, offset: u64) -> Option<(FileId, u32)> {
        self.tables(section).find_map(|rows| {
            let after = rows.partition_point(|row| row.offset <= offset);
            rows[..after].last()?.line
        })
    }

    /// All rows about `start..end` of a section, the one that covers `start` included.
    pub fn rows(&self, section: SectionId, start: u64, end: u64) -> impl Iterator<Item = &Row> {
        self.tables(section).flat_map(move |rows| {
            let inside = rows.partition_point(|row| row.offset < start);
            let starts = rows.get(inside).is_some_and(|row| row.offset == start);
            let first = if starts {
                inside
            } else {
                inside.saturating_sub(1)
            };
            let last = rows.partition_point(|row| row.offset < end);
            &rows[first..last.max(first)]
        })
    }

    /// The name of a file.
    pub fn file(&self, id: FileId) -> Option<String> {
        let header = &self.table(id.program)?.header;
        file_name(&self.dwarf, header, id.file)
    }

    /// The folder that the compiler ran in when it read a file, from which relative names count.
    pub fn folder(&self, id: FileId) -> Option<String> {
        let program = self.programs.get(id.program as usize)?;
        let folder = self.compiled_in(program.offset)?;
        Some(String::from_utf8_lossy(folder.inner().slice()).into_owned())
    }

    fn tables(&self, section: SectionId) -> impl Iterator<Item = &[Row]> {
        let programs = self.by_section.get(&section).into_iter().flatten();
        programs.filter_map(move |program| Some(&self.table(*program)?.rows.get(&section)?[..]))
    }

    fn table(&self, program: u32) -> Option<&Table<'o>> {
        let at = self.programs.get(program as usize)?;
        at.run.get_or_init(|| self.run(program, at.offset)).as_ref()
    }

    /// The folder that the compiler ran in for a program; before DWARF 5 its unit alone says it.
    fn compiled_in(&self, program: usize) -> Option<Reader<'o>> {
        let folders = self.folders.get_or_init(|| self.folders());
        folders.get(&program).cloned()
    }

    fn folders(&self) -> BTreeMap<usize, Reader<'o>> {
        let mut folders = BTreeMap::new();
        let mut headers = self.dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            let Ok(unit) = self.dwarf.unit(header) else {
                continue;
            };
            if let (Some(code), Some(folder)) = (unit.line_program, unit.comp_dir) {
                folders.insert(code.header().offset().0, folder);
            }
        }
        folders
    }

    fn run(&self, program: u32, offset: usize) -> Option<Table<'o>> {
        let lines = &self.dwarf.debug_line;
        let program_at = |folder| lines.program(DebugLineOffset(offset), 8, folder, None).ok();
        let mut code = program_at(None)?;
        if code.header().version() < 5 {
            code = program_at(self.compiled_in(offset))?;
        }
        let header = code.header().clone();
        let mut sorted: BTreeMap<SectionId, Vec<Row>> = BTreeMap::new();
        let mut rows = code.rows();
        while let Ok(Some((_, row))) = rows.next_row() {
            let Some((section, offset)) = place(self.object, row.address()) else {
                continue;
            };
            let file = FileId {
                program,
                file: row.file_index(),
            };
            let line = row.line().and_then(|line| u32::try_from(line.get()).ok());
            sorted.entry(section).or_default().push(Row {
                offset,
                line: line
                    .filter(|_| !row.end_sequence())
                    .map(|line| (file, line)),
            });
        }
        for rows in sorted.values_mut() {
            // One sequence may begin where another ends.
            rows.sort_by_key(|row| (row.offset, row.line.is_some()));
        }
        Some(Table {
            header,
            rows: sorted,
        })
    }
}

/// The name of a line program's n-th file.
pub(super) fn file_name<'o>(
    dwarf: &Dwarf<Reader<'o>>,
    header: &LineProgramHeader<Reader<'o>>,
    index: u64,
) -> Option<String> {
    let file = header.file(index)?;
    let directory = (file.directory_index() != 0)
        .then(|| file.directory(header))
        .flatten();
    let text = |value| {
        let reader = dwarf.attr_line_string(value).ok()?;
        Some(String::from_utf8_lossy(reader.inner().slice()).into_owned())
    };
    let name = text(file.path_name())?;
    let directory = directory.and_then(text).unwrap_or_default();
    let compiled_in = header.directory(0).and_then(text).unwrap_or_default();
    Some(path(&compiled_in, &directory, &name))
}

/// Where the programs begin: each says how long it is.
fn program_offsets(dwarf: &Dwarf<Reader<'_>>) -> Vec<usize> {
    use gimli::{Reader as _, Section as _};
    let mut reader = dwarf.debug_line.reader().clone();
    let whole = reader.clone();
    let mut offsets = Vec::new();
    while !reader.is_empty() {
        offsets.push(reader.offset_from(&whole));
        let length = reader.read_initial_length();
        if length.and_then(|(length, _)| reader.skip(length)).is_err() {
            break;
        }
    }
    offsets
}

/// A path as a tree's own: the folder the compiler ran in and steps out of it left out.
fn path(compiled_in: &str, directory: &str, name: &str) -> String {
    let whole = if name.starts_with('/') || directory.is_empty() {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    };
    let inside = whole
        .strip_prefix(compiled_in)
        .filter(|_| !compiled_in.is_empty())
        .and_then(|rest| rest.strip_prefix('/'));
    let mut rest = inside.unwrap_or(&whole);
    while let Some(inner) = rest.strip_prefix("./").or(rest.strip_prefix("../")) {
        rest = inner;
    }
    rest.to_owned()
}
