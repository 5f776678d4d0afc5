//! The unwind information of all code in a process, sorted by address, made before anything stops.
//!
//! It is read from the process's memory, where the loader mapped it: the file may be deleted, or another one by now, and the vdso
//! never had one. An object whose information cannot be read has none, and its code cannot be unwound.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use gimli::{
    BaseAddresses, CieOrFde, EhFrame, EhFrameHdr, EndianSlice, LittleEndian, Pointer, Register,
    UnwindContext, UnwindSection, UnwindTableRow,
};
use object::elf::{FileHeader64, PF_X, PT_GNU_EH_FRAME, PT_LOAD, ProgramHeader64};
use object::read::ReadCache;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSection};

use crate::process::read::maps::{Mapping, Maps};
use crate::process::read::memory::{ReadMemory, read_vec};

/// No object has so much of it.
const MAX_SECTION: u64 = 512 << 20;

/// ELF header and program headers are in the first page of what is mapped.
const HEAD: u64 = 4096;

/// The unwind information of a process.
#[derive(Debug, Clone, Default)]
pub struct UnwindTables {
    modules: Vec<Arc<Module>>,
    /// By ascending address, none inside another.
    entries: Vec<Entry>,
}

/// The frame description entry for a range of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    start: u64,
    end: u64,
    /// Which of the modules.
    pub(super) module: usize,
    /// Where in its section.
    offset: usize,
}

#[derive(Debug)]
struct Module {
    name: String,
    bytes: Vec<u8>,
    bases: BaseAddresses,
}

type Slice<'a> = EndianSlice<'a, LittleEndian>;

impl UnwindTables {
    /// Of all that is mapped in a process.
    pub fn read(pid: i32, maps: &Maps, memory: &dyn ReadMemory) -> Self {
        let mut tables = Self::default();
        let heads = maps.iter().filter(|it| it.perms.read && it.offset == 0);
        for mapping in heads.filter(|it| it.file.is_some() || it.path.as_os_str() == "[vdso]") {
            // What cannot be read adds nothing.
            if let Some((module, code)) = of_object(pid, mapping, memory) {
                tables.push(module, Some(&code));
            }
        }
        tables
    }

    /// Adds that of code which we placed: a whole `.eh_frame`, relocated, and its address.
    pub fn add(&mut self, name: &str, address: u64, eh_frame: Vec<u8>) {
        let module = Module {
            name: name.to_owned(),
            bytes: eh_frame,
            bases: BaseAddresses::default().set_eh_frame(address),
        };
        self.push(module, None);
    }

    /// How many functions are covered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The object that code belongs to, where it is known.
    pub fn object_at(&self, address: u64) -> Option<&str> {
        let module = self.modules.get(self.find(address)?.module)?;
        Some(&module.name)
    }

    /// Whether a function of which there is something known begins at an address.
    pub fn begins_at(&self, address: u64) -> bool {
        self.find(address).is_some_and(|it| it.start == address)
    }

    pub(super) fn find(&self, address: u64) -> Option<Entry> {
        let after = self.entries.partition_point(|it| it.start <= address);
        let entry = self.entries.get(after.checked_sub(1)?)?;
        (address < entry.end).then_some(*entry)
    }

    pub(super) fn section(&self, module: usize) -> EhFrame<Slice<'_>> {
        self.modules
            .get(module)
            .map_or_else(|| EhFrame::new(&[], LittleEndian), |it| it.section())
    }

    /// Looks at the row for an address: the row, whether its code is a signal trampoline, and the column of the return address.
    pub(super) fn with_row<R>(
        &self,
        entry: Entry,
        address: u64,
        look: impl FnOnce(&UnwindTableRow<usize>, bool, Register) -> R,
    ) -> Option<R> {
        let module = self.modules.get(entry.module)?;
        let section = module.section();
        let fde = section
            .fde_from_offset(&module.bases, entry.offset.into(), EhFrame::cie_from_offset)
            .ok()?;
        let mut context = UnwindContext::new();
        let row = fde
            .unwind_info_for_address(&section, &module.bases, &mut context, address)
            .ok()?;
        let column = fde.cie().return_address_register();
        Some(look(row, fde.is_signal_trampoline(), column))
    }

    fn push(&mut self, module: Module, code: Option<&[Range<u64>]>) {
        let number = self.modules.len();
        self.entries.extend(module.entries(number, code));
        self.modules.push(Arc::new(module));
        self.entries.sort_by_key(|it| (it.start, it.end));
        drop_overlapping(&mut self.entries);
    }
}

impl Module {
    fn section(&self) -> EhFrame<Slice<'_>> {
        let mut section = EhFrame::new(&self.bytes, LittleEndian);
        section.set_address_size(8);
        section
    }

    /// Its entries for this code, or for any, up to the first one that cannot be read.
    fn entries(&self, module: usize, code: Option<&[Range<u64>]>) -> Vec<Entry> {
        let section = self.section();
        let mut all = section.entries(&self.bases);
        let mut found = Vec::new();
        // Many entries share one CIE.
        let mut last = None;
        while let Ok(Some(entry)) = all.next() {
            let CieOrFde::Fde(partial) = entry else {
                continue;
            };
            let fde = partial.parse(|section, bases, offset| match &last {
                Some((at, cie)) if *at == offset => Ok(Clone::clone(cie)),
                _ => {
                    let cie = section.cie_from_offset(bases, offset)?;
                    last = Some((offset, cie.clone()));
                    Ok(cie)
                }
            });
            let Ok(fde) = fde else { break };
            let (start, end) = (fde.initial_address(), fde.end_address());
            let inside = |it: &Range<u64>| it.start <= start && end <= it.end;
            // Those of functions that the linker dropped begin at 0.
            if start < end && code.is_none_or(|code| code.iter().any(inside)) {
                found.push(Entry {
                    start,
                    end,
                    module,
                    offset: fde.offset(),
                });
            }
        }
        found
    }
}

/// Two entries for one address are none.
fn drop_overlapping(entries: &mut Vec<Entry>) {
    let mut bad = vec![false; entries.len()];
    let mut widest = 0;
    for at in 1..entries.len() {
        if entries[at].start < entries[widest].end {
            bad[at] = true;
            bad[widest] = true;
        }
        if entries[at].end > entries[widest].end {
            widest = at;
        }
    }
    let mut bad = bad.into_iter();
    entries.retain(|_| !bad.next().unwrap_or(false));
}

/// The unwind information of the object whose start is mapped here, and where its code is.
fn of_object(
    pid: i32,
    mapping: &Mapping,
    memory: &dyn ReadMemory,
) -> Option<(Module, Vec<Range<u64>>)> {
    let size = HEAD.min(mapping.range.end - mapping.range.start);
    let head = read_vec(memory, mapping.range.start, size, HEAD).ok()?;
    let header = FileHeader64::<Endianness>::parse(&*head).ok()?;
    let endian = header
        .endian()
        .ok()
        .filter(|it| *it == Endianness::Little)?;
    let segments = header.program_headers(endian, &*head).ok()?;
    let loads = || segments.iter().filter(|it| it.p_type(endian) == PT_LOAD);
    let first = loads().find(|it| it.p_offset(endian) == 0)?;
    let bias = mapping.range.start.wrapping_sub(first.p_vaddr(endian));
    let range = |it: &ProgramHeader64<Endianness>| {
        let start = bias.wrapping_add(it.p_vaddr(endian));
        start..start.saturating_add(it.p_memsz(endian))
    };
    let is_index = |it: &&ProgramHeader64<Endianness>| it.p_type(endian) == PT_GNU_EH_FRAME;
    let address = match segments.iter().find(is_index) {
        Some(index) => section_address(&range(index), memory)?,
        None => bias.wrapping_add(of_executable(pid, mapping)?),
    };
    let segment = loads().map(range).find(|it| it.contains(&address))?;
    let code = loads()
        .filter(|it| it.p_flags(endian).0 & PF_X.0 != 0)
        .map(range);
    let module = Module {
        name: mapping.path.to_string_lossy().into_owned(),
        bytes: read_vec(memory, address, segment.end - address, MAX_SECTION).ok()?,
        bases: BaseAddresses::default().set_eh_frame(address),
    };
    Some((module, code.collect()))
}

/// Where the sections of the executable's file say that `.eh_frame` is: a static program has no `.eh_frame_hdr`.
fn of_executable(pid: i32, mapping: &Mapping) -> Option<u64> {
    let file = File::open(format!("/proc/{pid}/exe")).ok()?;
    if Some(file.metadata().ok()?.ino()) != mapping.file.map(|it| it.inode) {
        return None;
    }
    let cache = ReadCache::new(file);
    let elf = ElfFile64::<Endianness, _>::parse(&cache).ok()?;
    Some(elf.section_by_name(".eh_frame")?.address())
}

/// Where `.eh_frame_hdr` says that `.eh_frame` is.
fn section_address(index: &Range<u64>, memory: &dyn ReadMemory) -> Option<u64> {
    let bytes = read_vec(memory, index.start, (index.end - index.start).min(16), 16).ok()?;
    let bases = BaseAddresses::default().set_eh_frame_hdr(index.start);
    let header = EhFrameHdr::new(&bytes, LittleEndian)
        .parse(&bases, 8)
        .ok()?;
    match header.eh_frame_ptr() {
        Pointer::Direct(address) => Some(address),
        Pointer::Indirect(_) => None,
    }
}
