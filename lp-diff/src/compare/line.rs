//! Recognises code that differs in nothing but source line numbers.
//!
//! `__LINE__` ends up as a constant argument of a call (`__might_sleep(file, line)`, a formatted
//! `"failed at %s (%d)"`), so code below an edit differs although nobody changed it. A constant is taken for a line
//! number only if another argument of that call is the name of a source file or of the function, if the line table
//! says on both sides that just this call is written there, and if all of them tell one story: in each file, later
//! lines stay later. Without such a name (`ext4_journal_start()`) it must be the line of the call instruction itself, or one
//! on which the call goes on, as far below it as before, and the lines around it must have moved by just as much. What is said of a call's line holds for the call of each inlined
//! function that it came out of: a macro often hands `__LINE__` to an inline function, which hands it on. Without debug
//! information only a constant right behind a file's name is believed; behind a function's name comes a timeout as well.
//! The tempting wrong ways are a list of known callees, which is never complete, and to believe any changed constant,
//! which would lose a fix.

use super::Comparer;
use crate::arch::{ChangedConstant, Way};
use crate::bundle::{Bundle, BundleId, Kind};
use crate::dwarf::DebugInfo;
use crate::object::SectionId;
use crate::reference::{Target, View};
use std::collections::{BTreeMap, BTreeSet};

/// The most lines that a `__LINE__` among a call's arguments is below the line of the call. clang's is the last line of a macro's arguments.
const SPAN: u64 = 12;

/// A line number in a source file, before and after.
#[derive(Debug)]
struct Shift {
    file: String,
    orig: u64,
    patched: u64,
}

/// The functions that differ in nothing but line numbers.
#[derive(Debug, Default)]
pub(super) struct LineShifts {
    /// Each function's twin and its lines.
    shifts: BTreeMap<BundleId, (BundleId, Vec<Shift>)>,
}

impl LineShifts {
    /// Collects a function if line numbers are all that differs in its instructions.
    pub(super) fn collect(&mut self, comparer: &Comparer<'_, '_>, twin: BundleId, id: BundleId) {
        let (old, new) = (comparer.orig.bytes_of(twin), comparer.patched.bytes_of(id));
        let constants = comparer.arch.changed_constants(old, new);
        let constants = constants.unwrap_or_default();
        let shifts: Option<Vec<Shift>> = constants
            .iter()
            .map(|constant| shift(comparer, (twin, id), constant))
            .collect();
        if let Some(shifts) = shifts.filter(|shifts| !shifts.is_empty()) {
            self.shifts.insert(id, (twin, shifts));
        }
    }

    /// Whether a function was collected.
    pub(super) fn has(&self, id: BundleId) -> bool {
        self.shifts.contains_key(&id)
    }

    /// Whether none was.
    pub(super) fn is_empty(&self) -> bool {
        self.shifts.is_empty()
    }

    /// Keeps those whose pair of original and patched function is wanted.
    pub(super) fn retain(&mut self, wanted: impl Fn((BundleId, BundleId)) -> bool) {
        self.shifts.retain(|id, (twin, _)| wanted((*twin, *id)));
    }

    /// The functions whose line numbers agree with those of all others in their files.
    pub(super) fn agreed(&self) -> BTreeSet<BundleId> {
        let mut files: BTreeMap<&str, BTreeSet<(u64, u64)>> = BTreeMap::new();
        for shift in self.shifts.values().flat_map(|(_, shifts)| shifts) {
            let lines = files.entry(&shift.file).or_default();
            lines.insert((shift.orig, shift.patched));
        }
        let in_order = |lines: &BTreeSet<(u64, u64)>| {
            let mut pairs = lines.iter().zip(lines.iter().skip(1));
            pairs.all(|(one, next)| one.0 < next.0 && one.1 < next.1)
        };
        let agrees = |shift: &Shift| files.get(&*shift.file).is_some_and(in_order);
        let agreed = self
            .shifts
            .iter()
            .filter(|(_, (_, shifts))| shifts.iter().all(agrees));
        agreed.map(|(id, _)| *id).collect()
    }
}

/// The line numbers that a constant stands for, if it is one.
fn shift(
    comparer: &Comparer<'_, '_>,
    (twin, id): (BundleId, BundleId),
    constant: &ChangedConstant,
) -> Option<Shift> {
    let mut ways = constant.ways.iter();
    ways.find_map(|way| shift_on(comparer, (twin, id), constant, way))
}

/// The same, for the call at the end of one way.
fn shift_on(
    comparer: &Comparer<'_, '_>,
    (twin, id): (BundleId, BundleId),
    constant: &ChangedConstant,
    way: &Way,
) -> Option<Shift> {
    if !is_call(comparer, id, way) {
        return None;
    }
    let names = names(comparer, id, way);
    let file = match (comparer.orig_debug.get(), comparer.patched_debug.get()) {
        (Some(orig), Some(patched)) => {
            let old = CallLines::read(orig, comparer.orig, twin, way);
            let new = CallLines::read(patched, comparer.patched, id, way);
            let is_clang = orig.is_clang() && patched.is_clang();
            let mut named = names.iter();
            let by_name = named.find_map(|(_, name)| at_call(&old, &new, name, constant, is_clang));
            by_name.or_else(|| of_itself(&old, &new, constant))?
        }
        (None, None) => {
            let mut named = names.into_iter();
            named.find_map(|(argument, name)| match name {
                Name::File(file) if constant.argument == Some(argument + 1) => Some(file),
                _ => None,
            })?
        }
        _ => return None,
    };
    Some(Shift {
        file,
        orig: constant.orig,
        patched: constant.patched,
    })
}

/// A file and a line of it.
type Line = (String, u64);

/// Where an instruction is written: in the function itself, in what is inlined there, and so on inwards.
type Levels = Vec<Line>;

/// The lines of the code that loads a constant, and of that from the branch before the call to its end: what is run between
/// the two can be of any line.
struct CallLines {
    /// Of each row of the line table, by its offset in the section. Several can have one: the code is of the last.
    rows: Vec<(u64, Levels)>,
    /// Of the call instruction.
    call: Levels,
}

impl CallLines {
    fn read(debug: &DebugInfo<'_>, view: &View<'_>, id: BundleId, way: &Way) -> Self {
        let bundle = view.bundles.get(id);
        let lines = debug.lines();
        let levels = |offset: u64, (file, line)| {
            let line = (lines.file(file)?, u64::from(line));
            Some((offset, levels(debug, (bundle.section, offset), line)))
        };
        let last_piece = pieces(bundle, way).skip(1).last();
        let ends = pieces(bundle, way).take(1).chain(last_piece);
        let rows = ends.flat_map(|(from, to)| {
            let rows = lines.rows(bundle.section, from, to);
            rows.filter_map(move |row| Some((row.offset.max(from), row.line?)))
        });
        let rows = rows.filter_map(|(offset, line)| levels(offset, line));
        let end = way.last().map_or(0, |(_, end)| *end);
        let last = (bundle.start + end).saturating_sub(1);
        let call = lines.row_at(bundle.section, last);
        let call = call.and_then(|line| levels(last, line));
        Self {
            rows: rows.collect(),
            call: call.unwrap_or_default().1,
        }
    }

    /// All of them, at all levels.
    fn all(&self) -> impl Iterator<Item = &Line> {
        self.rows.iter().flat_map(|(_, levels)| levels)
    }

    /// The lines of a file at a level, counted from the call's. What is written further out stays at its own.
    fn around(&self, level: usize, file: &str) -> BTreeSet<i64> {
        let Some((_, origin)) = self.call.get(level) else {
            return BTreeSet::new();
        };
        let of_code = self.rows.chunk_by(|(one, _), (next, _)| one == next);
        let of_code = of_code.filter_map(|rows| rows.last());
        of_code
            .filter_map(|(_, levels)| levels.get(level).or(levels.last()))
            .filter(|(there, _)| is_same_file(there, file))
            .map(|(_, line)| *line as i64 - *origin as i64)
            .collect()
    }
}

/// Where the instruction at an offset of a section is written, whose row of the line table says `own`.
fn levels(debug: &DebugInfo<'_>, (section, offset): (SectionId, u64), own: Line) -> Levels {
    let frames = debug.frames(section, offset);
    let calls = frames.into_iter().rev().filter_map(|frame| frame.call);
    let calls = calls.map(|call| (call.file, u64::from(call.line)));
    calls.chain([own]).collect()
}

/// The file of a call that is told nothing but its own line, or that of the inlined function that makes it, if all that
/// is written around it moved by as much.
fn of_itself(old: &CallLines, new: &CallLines, constant: &ChangedConstant) -> Option<String> {
    constant.argument?;
    let mut levels = old.call.iter().zip(&new.call).enumerate();
    levels.find_map(|(level, ((file, was), (other, is)))| {
        let below = constant.orig.checked_sub(*was);
        let is_line =
            below.is_some_and(|below| below <= SPAN) && constant.patched.checked_sub(*is) == below;
        let moved = is_same_file(file, other) && old.around(level, file) == new.around(level, file);
        (is_line && moved).then(|| file.clone())
    })
}

/// The file in which the call is written on the very lines that the constants say.
fn at_call(
    old: &CallLines,
    new: &CallLines,
    name: &Name,
    constant: &ChangedConstant,
    is_clang: bool,
) -> Option<String> {
    let span = if is_clang { SPAN } else { 0 };
    let is_at = |lines: &CallLines, file: &str, line: Option<u64>| {
        let mut there = lines.all().filter(|(_, there)| Some(*there) == line);
        there.any(|(there, _)| is_same_file(there, file))
    };
    let files = old.all().map(|(file, _)| file);
    let mut files = files.filter(|file| name.is_in(file));
    files
        .find(|file| {
            (0..=span).any(|below| {
                is_at(old, file, constant.orig.checked_sub(below))
                    && is_at(new, file, constant.patched.checked_sub(below))
            })
        })
        .cloned()
}

/// What an argument says of a place in the source.
#[derive(Debug)]
enum Name {
    /// `__FILE__`.
    File(String),
    /// `__func__`.
    Function,
}

impl Name {
    /// Whether the place can be in a file of the line table, whose root can be another folder.
    fn is_in(&self, file: &str) -> bool {
        match self {
            Name::File(name) => is_same_file(name, file),
            Name::Function => true,
        }
    }
}

/// Whether two paths can be of one file, whatever folder they count from: the trees of the two objects are two.
fn is_same_file(a: &str, b: &str) -> bool {
    let ends = |long: &str, short: &str| {
        long.strip_suffix(short)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
    };
    ends(a, b) || ends(b, a)
}

/// Whether what takes a constant goes elsewhere: a jump within the function takes no arguments.
fn is_call(comparer: &Comparer<'_, '_>, id: BundleId, way: &Way) -> bool {
    let view = comparer.patched;
    let bundle = view.bundles.get(id);
    pieces(bundle, way).last().is_some_and(|(from, to)| {
        let last = view.refs_in(bundle.section, from, to).last();
        let is_relocated = last.is_some_and(|last| last.offset + 4 >= to);
        // Nothing else in the piece goes elsewhere.
        is_relocated || calls_pointer(comparer, id, way)
    })
}

/// Whether the call at the end of a way goes through a pointer.
fn calls_pointer(comparer: &Comparer<'_, '_>, id: BundleId, way: &Way) -> bool {
    let code = comparer.patched.bytes_of(id);
    let offset = |at: &u64| usize::try_from(*at).ok();
    let last = way
        .last()
        .and_then(|(from, to)| code.get(offset(from)?..offset(to)?));
    last.is_some_and(|code| comparer.arch.calls_pointer(code))
}

/// The pieces of a way, as offsets in the section of the function.
fn pieces(bundle: Bundle, way: &Way) -> impl Iterator<Item = (u64, u64)> {
    let place = move |(from, to): &(u64, u64)| (bundle.start + from, bundle.start + to);
    way.iter().map(place)
}

/// The arguments of the call that name a place in the source, by number.
fn names(comparer: &Comparer<'_, '_>, id: BundleId, way: &Way) -> Vec<(usize, Name)> {
    let view = comparer.patched;
    let bundle = view.bundles.get(id);
    let refs = pieces(bundle, way).flat_map(|(from, to)| {
        let refs = view.refs_in(bundle.section, from, to);
        refs.map(move |reference| (from - bundle.start, reference))
    });
    let named = refs.filter_map(|(start, reference)| {
        let Target::Bundle { id: name, offset } = reference.target else {
            return None;
        };
        let name = source_name(view, (name, offset), view.name(id))?;
        let field = reference.offset - bundle.start;
        let argument = comparer.arch.argument_at(view.bytes_of(id), start, field)?;
        Some((argument, name))
    });
    named.collect()
}

/// What a string says of a place in `function`; clang puts `__func__` among the strings.
fn source_name(view: &View<'_>, (id, offset): (BundleId, i64), function: &str) -> Option<Name> {
    let name = crate::name::source_function(view.name(id));
    match view.bundles.get(id).kind {
        Kind::PerUse => matches!(name, "__func__" | "__FUNCTION__" | "__PRETTY_FUNCTION__")
            .then_some(Name::Function),
        Kind::String => {
            let text = view.bytes_of(id).get(usize::try_from(offset).ok()?..)?;
            let text = std::str::from_utf8(text.strip_suffix(b"\0")?).ok()?;
            let is_function = text == crate::name::source_function(function);
            is_function
                .then_some(Name::Function)
                .or_else(|| is_file_name(text).then(|| Name::File(text.to_owned())))
        }
        _ => None,
    }
}

/// `mm/slub.c`, or a whole path: what folders are called somewhere is anybody's choice.
pub(super) fn is_file_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./+".contains(&byte);
    let is_source = text.ends_with(".c") || text.ends_with(".h");
    let (folder, name) = text.rsplit_once('/').unwrap_or(("", text));
    let is_path = text.starts_with('/') && !folder.contains(char::is_control);
    is_source && name.len() > 2 && name.bytes().all(legal) && (is_path || folder.bytes().all(legal))
}
