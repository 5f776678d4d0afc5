//! The binary that processes run: what it is called, its build-id, symbols and code.

use super::{parts, symbols};
use crate::fidelity::Target;
use anyhow::{Context, Result, bail, ensure};
use lp_diff::Flavour;
use lp_diff::process::interposed;
use lp_diff::symbols::SymbolTable;
use lp_klp::name::ObjName;
use object::{Object, ObjectKind, ObjectSymbol};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// An executable or a shared library.
#[derive(Debug)]
pub(super) struct Binary {
    pub(super) path: PathBuf,
    /// Its name in the patch.
    pub(super) object: ObjName,
    /// Its soname, or an executable's file name.
    pub(super) file: String,
    pub(super) soname: Option<String>,
    pub(super) build_id: String,
    pub(super) flavour: Flavour,
    /// What it has by name, from other libraries or its own: `stderr` is both, where it was copied.
    pub(super) dynamic: BTreeSet<String>,
    /// Where its symbols are; not known yet where it is stripped and only a build can tell.
    pub(super) symbols: Option<PathBuf>,
}

/// The binary with its symbols and code.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) binary: Binary,
    pub(super) symbols: SymbolTable,
    pub(super) target: Target,
    /// What the patched one exports, where there are others: they can mean that, and nothing else of it.
    pub(super) exports: BTreeSet<String>,
}

/// Opens the binaries, each with the debug file that has its build-id.
pub(super) fn open(paths: &[PathBuf], debug_files: &[PathBuf]) -> Result<Vec<Binary>> {
    if let ([path], [debug]) = (paths, debug_files) {
        return Ok(vec![Binary::open(path, Some(debug))?]);
    }
    let ids = debug_files.iter().map(|debug| symbols::debug_id(debug));
    let ids = ids.collect::<Result<Vec<_>>>()?;
    let mut used = BTreeSet::new();
    let mut binaries: Vec<Binary> = Vec::new();
    for path in paths {
        let mut binary = Binary::open(path, None)?;
        if let Some(at) = ids.iter().position(|id| hex(id) == binary.build_id) {
            binary = Binary::open(path, debug_files.get(at).map(PathBuf::as_path))?;
            used.insert(at);
        }
        if let Some(other) = binaries.iter().find(|other| other.object == binary.object) {
            bail!(
                "{} and {} are both called {} in processes: make a patch for each",
                other.path.display(),
                path.display(),
                binary.object
            );
        }
        binaries.push(binary);
    }
    let unused = (0..ids.len()).find(|at| !used.contains(at));
    if let Some(debug) = unused.and_then(|at| debug_files.get(at)) {
        bail!(
            "--debug-file {}: it is the debug file of none of the binaries: it has another build-id",
            debug.display()
        );
    }
    Ok(binaries)
}

impl Binary {
    fn open(path: &Path, debug: Option<&Path>) -> Result<Self> {
        let data = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let wrong = || format!("{} is no ELF file, or it is damaged", path.display());
        let file = object::File::parse(&*data).with_context(wrong)?;
        ensure!(
            file.architecture() == object::Architecture::X86_64,
            "{} is not for x86-64",
            path.display()
        );
        if !matches!(file.kind(), ObjectKind::Executable | ObjectKind::Dynamic) {
            bail!(
                "{} is neither an executable nor a shared library: give with --binary the file that processes run",
                path.display()
            );
        }
        let soname = parts::soname(&data);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = soname.clone().unwrap_or_else(|| name.into_owned());
        let build_id = file.build_id().ok().flatten().with_context(|| {
            format!(
                "{} has no build-id, by which a process's copy of it is known: link it with -Wl,--build-id",
                path.display()
            )
        })?;
        let dynamic = file.dynamic_symbols();
        let dynamic = dynamic.filter_map(|symbol| Some(symbol.name().ok()?.to_owned()));
        Ok(Self {
            path: path.to_owned(),
            object: ObjName::of_file(&name)?,
            file: name,
            soname,
            build_id: hex(build_id),
            flavour: Flavour::Process {
                interposed: interposed::names(&data),
            },
            dynamic: dynamic.collect(),
            symbols: symbols::find(path, &data, debug)?,
        })
    }

    /// With its symbols, which are in this file; `patched` is what the patched tree's build made in its place, where others may use it.
    pub(super) fn with_symbols(self, path: &Path, patched: Option<&Path>) -> Result<Running> {
        let data = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let target = Target::program(&self.path, path)?;
        Ok(Running {
            symbols: SymbolTable::from_elf(&*data)
                .with_context(|| format!("the symbols of {}", path.display()))?,
            target,
            exports: patched.map_or_else(|| Ok(BTreeSet::new()), exports)?,
            binary: Self {
                symbols: Some(path.to_owned()),
                ..self
            },
        })
    }
}

fn exports(path: &Path) -> Result<BTreeSet<String>> {
    let data = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = object::File::parse(&*data)
        .with_context(|| format!("{} is no ELF file", path.display()))?;
    let exported = file
        .dynamic_symbols()
        .filter(|symbol| !symbol.is_undefined());
    let names = exported.filter_map(|symbol| Some(symbol.name().ok()?.to_owned()));
    Ok(names.collect())
}

impl Running {
    /// Where the code of a function is, as the symbols say; nowhere from to where they do not say a size.
    pub(super) fn code_of(&self, name: &str, sympos: u32) -> Option<Range<u64>> {
        let data = fs::read(self.binary.symbols.as_ref()?).ok()?;
        let file = object::File::parse(&*data).ok()?;
        let named = file.symbols();
        let mut named: Vec<(u64, u64)> = named
            .filter(|symbol| symbol.name() == Ok(name) && !symbol.is_undefined())
            .map(|symbol| (symbol.address(), symbol.size()))
            .collect();
        named.sort_unstable();
        let (address, size) = *named.get(sympos.max(1) as usize - 1)?;
        Some(address..address.checked_add(size)?)
    }

    /// Size and hash of it; none where the size is not known.
    pub(super) fn old_code(&self, name: &str, sympos: u32) -> Option<(u64, String)> {
        let range = self.code_of(name, sympos)?;
        let size = range.end - range.start;
        let code = self.target.code(range.start, size);
        Some((size, hex(&Sha256::digest(code.filter(|_| size > 0)?))))
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
