//! One ELF object that is mapped in a process, and the file that it is from.
//!
//! The file is opened by what is mapped (`/proc/PID/map_files`, `/proc/PID/exe`), else by its path in the process's own
//! root, and is taken only where its build-id is the one in memory. So a library that was upgraded on disk, a deleted
//! program and a container's files are what they are. Where no file can be had, the object is put together from memory. The
//! tempting wrong way is to open the path that `maps` shows.

use crate::process::read::dynamic::Dynamic;
use crate::process::read::elf::{Elf, ElfError, build_id_in};
use crate::process::read::maps::{FileId, Mapping, Maps};
use crate::process::read::memory::{ReadMemory, read_vec};
use crate::process::read::symbols::{Found, Source, SymbolError, SymbolTable};
use lp_klp::name::{ObjName, Sympos};
use object::elf;
use std::cell::OnceCell;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes; notes that are loaded are a few hundred.
const LARGEST_NOTES: u64 = 1 << 16;
const PAGE: u64 = 4096;

/// Where an object's bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The very file that is mapped, or one with its build-id.
    File,
    /// The process's memory, as far as it is loaded: there are only dynamic symbols.
    Memory,
}

/// An ELF object that is mapped in a process.
#[derive(Debug)]
pub struct Image {
    /// The soname; of the executable, and of an object without one, the file's name.
    pub name: String,
    /// What patches call it; none where its name cannot be an object's.
    pub object: Option<ObjName>,
    /// Its path as the process saw it.
    pub path: PathBuf,
    /// The file by device and inode.
    pub file: FileId,
    /// Whether it is what the process executes, not a library.
    pub executable: bool,
    /// What is added to the file's addresses.
    pub bias: u64,
    /// The addresses that it has in the process, from the first to the last.
    pub range: Range<u64>,
    /// The build-id in memory.
    pub build_id: Option<Vec<u8>>,
    /// Where the rest comes from.
    pub origin: Origin,
    /// Its ELF file.
    pub elf: Elf,
    /// What the dynamic linker knows of it.
    pub dynamic: Dynamic,
    symbols: OnceCell<SymbolTable>,
    /// What a patch has of them.
    lent: OnceCell<SymbolTable>,
    /// Where the process's files are (`/proc/PID/root`).
    root: PathBuf,
}

impl Image {
    /// The object whose ELF header is in a mapping; none where the file is mapped, but not loaded as a program is. An address in
    /// what the kernel started is `started`.
    ///
    /// # Errors
    /// Where it is an object, but damaged.
    pub(in crate::process) fn of_mapping(
        pid: i32,
        header: &Mapping,
        maps: &Maps,
        memory: &dyn ReadMemory,
        started: u64,
    ) -> Result<Option<Self>, ElfError> {
        let base = header.range.start;
        let (Some(file), Ok(loaded)) = (header.file, Elf::headers_in_memory(memory, base)) else {
            return Ok(None);
        };
        let bias = loaded.bias(base);
        if !is_loaded(&loaded, bias, file, maps) {
            return Ok(None);
        }
        let span = loaded.span();
        let range = span.start.wrapping_add(bias)..span.end.wrapping_add(bias);
        let build_id = build_id_in_memory(&loaded, bias, memory);
        let started = range.contains(&started);
        let (elf, origin) = match open(pid, header, started, build_id.as_deref()) {
            Some(elf) => (elf, Origin::File),
            None => (Elf::of_memory(memory, base)?, Origin::Memory),
        };
        let dynamic = Dynamic::read(&elf, bias)?;
        let name = match dynamic.soname.as_deref() {
            Some(soname) => String::from_utf8_lossy(soname).into_owned(),
            None => file_name(&header.path),
        };
        Ok(Some(Self {
            object: ObjName::of_file(&name).ok(),
            name,
            path: header.path.clone(),
            file,
            executable: false,
            bias,
            range,
            build_id,
            origin,
            elf,
            dynamic,
            symbols: OnceCell::new(),
            lent: OnceCell::new(),
            root: format!("/proc/{pid}/root").into(),
        }))
    }

    /// From now on it is what the process executes: that goes by the file's name, whatever it calls itself.
    pub(in crate::process) fn set_executable(&mut self) {
        self.executable = true;
        self.name = file_name(&self.path);
        self.object = ObjName::of_file(&self.name).ok();
    }

    /// All its symbols, read when they are first asked for.
    ///
    /// # Errors
    /// Where the symbol table is damaged.
    pub fn symbols(&self) -> Result<&SymbolTable, ElfError> {
        let table = match self.symbols.get() {
            Some(table) => table,
            None => {
                let table = SymbolTable::of_image(self, &self.root)?;
                self.symbols.get_or_init(|| table)
            }
        };
        let lent = self.lent.get().filter(|_| table.source == Source::Dynamic);
        Ok(lent.unwrap_or(table))
    }

    /// Takes the symbols that a patch for this very build has, for where its own are stripped and not installed.
    ///
    /// # Errors
    /// Where the table is damaged.
    pub(in crate::process) fn lend(&self, symbols: &[u8], strings: &[u8]) -> Result<(), ElfError> {
        if self.lent.get().is_none() {
            let table = SymbolTable::of_bytes(symbols, strings.to_vec(), Source::Lent)?;
            self.lent.get_or_init(|| table);
        }
        Ok(())
    }

    /// The symbol that a patch means by a name and a position.
    ///
    /// # Errors
    /// Where there is none, or more than one.
    pub fn find(&self, name: &str, sympos: Sympos) -> Result<Found, SymbolError> {
        let symbols = self.symbols().map_err(|source| SymbolError::Unreadable {
            object: self.name.clone(),
            source,
        })?;
        symbols.find(&self.name, name, sympos)
    }

    /// An address in the process for one of the file.
    pub fn address(&self, value: u64) -> u64 {
        value.wrapping_add(self.bias)
    }

    /// The build-id as hexadecimal text; empty where there is none.
    pub fn build_id_text(&self) -> String {
        let id = self.build_id.as_deref().unwrap_or_default();
        id.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The addresses of its code in the process.
    pub fn text(&self) -> Vec<Range<u64>> {
        let code = self.elf.loads().filter(|segment| segment.is_code());
        let range = |start: u64, size: u64| start..start.saturating_add(size);
        code.map(|it| range(self.address(it.address), it.memory_size))
            .collect()
    }
}

/// Whether the code of a file is mapped where its header says, to be run. A file that a debugger reads is mapped, too.
fn is_loaded(elf: &Elf, bias: u64, file: FileId, maps: &Maps) -> bool {
    let has_code = elf.loads().any(|segment| segment.is_code());
    let mut counted = elf
        .loads()
        .filter(|it| it.file_size > 0 && (it.is_code() || !has_code));
    counted.all(|segment| {
        let address = segment.address.wrapping_add(bias);
        let mapping = maps
            .at(address)
            .filter(|mapping| mapping.file == Some(file));
        mapping.is_some_and(|mapping| {
            let offset = (address - mapping.range.start).checked_add(mapping.offset);
            offset == Some(segment.offset) && (mapping.perms.exec || !segment.is_code())
        })
    }) && elf.loads().next().is_some()
        && (bias.is_multiple_of(PAGE))
}

fn build_id_in_memory(elf: &Elf, bias: u64, memory: &dyn ReadMemory) -> Option<Vec<u8>> {
    let notes = elf.segments().iter().filter(|it| it.kind == elf::PT_NOTE.0);
    notes
        .filter_map(|segment| {
            let address = segment.address.wrapping_add(bias);
            let bytes = read_vec(memory, address, segment.memory_size, LARGEST_NOTES);
            build_id_in(&bytes.ok()?)
        })
        .next()
}

/// The file of a mapping, when one can be opened that is surely it.
fn open(pid: i32, header: &Mapping, started: bool, build_id: Option<&[u8]>) -> Option<Elf> {
    let Range { start, end } = &header.range;
    let mapped = PathBuf::from(format!("/proc/{pid}/map_files/{start:x}-{end:x}"));
    let exe = started.then(|| PathBuf::from(format!("/proc/{pid}/exe")));
    let by_path = in_root(&PathBuf::from(format!("/proc/{pid}/root")), &header.path);
    let mut candidates = [Some(mapped), exe, Some(by_path)].into_iter().flatten();
    candidates.find_map(|path| {
        let file = File::open(path).ok()?;
        let found = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let dev = (
            rustix::fs::major(found.dev()),
            rustix::fs::minor(found.dev()),
        );
        let inode = found.ino();
        let same_file = header.file == Some(FileId { dev, inode });
        let elf = Elf::of_file(file).ok()?;
        let found = elf.build_id().ok()?;
        // Some file systems show another device here than in `maps`: a build-id then says that it is the file.
        let same_build = found.as_deref() == build_id;
        (same_build && (same_file || build_id.is_some())).then_some(elf)
    })
}

/// A path of the process, seen from us.
pub(in crate::process) fn in_root(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
