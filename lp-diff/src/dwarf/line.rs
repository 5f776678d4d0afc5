//! Which source line each instruction comes from, by `.debug_line`.
//!
//! A unit's line program is run when a place in one of its sections is first asked for, and then kept. The relocations
//! of `.debug_line` say which sections a program is about before it is run, so that of a kernel image linked from
//! thousands of units only a few are read. Where a program is damaged, what it said until then counts. The tempting
//! wrong way is to look up units in `.debug_info` first: the line table alone answers.

use super::folder::Folders;
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
    compiled: OnceLock<BTreeMap<usize, Compiled<'o>>>,
}

#[derive(Debug)]
struct Program<'o> {
    offset: usize,
    run: OnceLock<Option<Table<'o>>>,
}

/// The folder that the compiler ran in, and the file it compiled.
type Compiled<'o> = (Option<Reader<'o>>, Option<Reader<'o>>);

/// What a program says when it is run.
#[derive(Debug)]
struct Table<'o> {
    header: LineProgramHeader<Reader<'o>>,
    folders: Folders,
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
            compiled: OnceLock::new(),
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

    /// The name of a file, from its tree's root.
    pub fn file(&self, id: FileId) -> Option<String> {
        let table = self.table(id.program)?;
        let (_, name) = table.folders.file(&self.dwarf, &table.header, id.file)?;
        Some(name)
    }

    /// The folder that a file's name counts from: its tree's root, or where the compiler ran.
    pub fn folder(&self, id: FileId) -> Option<String> {
        let table = self.table(id.program)?;
        let (folder, _) = table.folders.file(&self.dwarf, &table.header, id.file)?;
        Some(folder.to_owned())
    }

    fn tables(&self, section: SectionId) -> impl Iterator<Item = &[Row]> {
        let programs = self.by_section.get(&section).into_iter().flatten();
        programs.filter_map(move |program| Some(&self.table(*program)?.rows.get(&section)?[..]))
    }

    fn table(&self, program: u32) -> Option<&Table<'o>> {
        let at = self.programs.get(program as usize)?;
        at.run.get_or_init(|| self.run(program, at.offset)).as_ref()
    }

    /// The folder that the compiler ran in for a program, and the file it compiled; before DWARF 5 the unit alone says
    /// them.
    fn compiled(&self, program: usize) -> Compiled<'o> {
        let compiled = self.compiled.get_or_init(|| self.units());
        compiled.get(&program).cloned().unwrap_or_default()
    }

    fn units(&self) -> BTreeMap<usize, Compiled<'o>> {
        let mut units = BTreeMap::new();
        let mut headers = self.dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            if let Ok(unit) = self.dwarf.unit(header)
                && let Some(code) = unit.line_program
            {
                units.insert(code.header().offset().0, (unit.comp_dir, unit.name));
            }
        }
        units
    }

    fn run(&self, program: u32, offset: usize) -> Option<Table<'o>> {
        let lines = &self.dwarf.debug_line;
        let program_at =
            |folder, file| lines.program(DebugLineOffset(offset), 8, folder, file).ok();
        let mut code = program_at(None, None)?;
        if code.header().version() < 5 {
            let (folder, file) = self.compiled(offset);
            code = program_at(folder, file)?;
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
            folders: Folders::of(&self.dwarf, &header),
            header,
            rows: sorted,
        })
    }
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
