//! What the running kernel's own image says: its banner, its build-id, the code at a symbol.
//!
//! A debug vmlinux has hundreds of megabytes: only the parts that are asked for are read.

use anyhow::{Context, Result, bail, ensure};
use lp_klp::name::Sympos;
use object::read::{ReadCache, ReadRef};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// What a vmlinux says of itself.
#[derive(Debug, Clone)]
pub struct Image {
    /// `linux_banner`, without its newline.
    pub banner: String,
    /// The GNU build-id, hexadecimal, empty if there is none.
    pub build_id: String,
}

/// The code that a patch replaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldCode {
    /// Bytes.
    pub size: u64,
    /// SHA-256, hexadecimal.
    pub hash: String,
}

/// A file of which only what is asked for is read.
pub(super) type Cache = ReadCache<BufReader<File>>;

pub(super) fn open(path: &Path) -> Result<Cache> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    Ok(ReadCache::new(BufReader::new(file)))
}

pub(super) fn parse<'a, R: ReadRef<'a>>(data: R, path: &Path) -> Result<object::File<'a, R>> {
    object::File::parse(data)
        .with_context(|| format!("{} is not an ELF file, or it is damaged", path.display()))
}

/// The GNU build-id of a vmlinux or a module, empty if there is none.
pub fn build_id(path: &Path) -> Result<Vec<u8>> {
    let cache = open(path)?;
    let file = parse(&cache, path)?;
    let id = file.build_id().ok().flatten();
    Ok(id.unwrap_or_default().to_vec())
}

/// Reads banner and build-id of a vmlinux.
pub fn read(path: &Path) -> Result<Image> {
    let cache = open(path)?;
    let file = parse(&cache, path)?;
    let banner = file
        .symbols()
        .find(|symbol| symbol.name() == Ok("linux_banner"));
    let banner = banner.with_context(|| {
        format!(
            "{} has no symbol linux_banner: it is not a vmlinux with symbols, install the kernel's debug package",
            path.display()
        )
    })?;
    let bytes = bytes_at(&file, banner.address(), 512)
        .or_else(|| bytes_at(&file, banner.address(), banner.size()))
        .with_context(|| {
            format!(
                "{}: linux_banner points outside its section",
                path.display()
            )
        })?;
    let text: Vec<u8> = bytes
        .into_iter()
        .take_while(|&byte| byte != 0 && byte != b'\n')
        .collect();
    let build_id = file.build_id().ok().flatten().unwrap_or_default();
    Ok(Image {
        banner: String::from_utf8_lossy(&text).into_owned(),
        build_id: hex(build_id),
    })
}

fn bytes_at<'a, R: ReadRef<'a>>(
    file: &object::File<'a, R>,
    address: u64,
    size: u64,
) -> Option<Vec<u8>> {
    let inside = |section: &object::Section<'a, '_, R>| {
        let start = section.address();
        start <= address && address < start.saturating_add(section.size()) && start != 0
    };
    let section = file.sections().find(inside)?;
    Some(section.data_range(address, size).ok()??.to_vec())
}

/// Hashes the code of functions, each by its name and position, as the target's file holds it.
pub fn old_code(
    path: &Path,
    functions: &[(String, Sympos)],
) -> Result<HashMap<(String, Sympos), OldCode>> {
    let cache = open(path)?;
    let file = parse(&cache, path)?;
    let places = places(&file, functions.iter().map(|(name, _)| name.as_str()));
    functions
        .iter()
        .map(|key| {
            let places = places.get(key.0.as_str());
            let place = places.and_then(|places| pick(places, key.1));
            let place = place.with_context(|| {
                format!(
                    "{} has no function {} (position {})",
                    path.display(),
                    key.0,
                    key.1
                )
            })?;
            Ok((
                key.clone(),
                hash(&file, place).with_context(|| format!("function {}", key.0))?,
            ))
        })
        .collect()
}

/// Where the symbols of these names are, in the order in which the kernel counts them.
pub(super) fn places<'a, 'n, R: ReadRef<'a>>(
    file: &object::File<'a, R>,
    names: impl Iterator<Item = &'n str>,
) -> HashMap<&'n str, Vec<Place>> {
    let mut places: HashMap<&str, Vec<Place>> = names.map(|name| (name, Vec::new())).collect();
    for symbol in file.symbols() {
        let wanted = symbol.name().ok().and_then(|name| places.get_mut(name));
        if let (Some(places), Some(section)) = (wanted, symbol.section_index()) {
            let is_text = symbol.kind() == SymbolKind::Text;
            places.push(Place {
                section,
                address: symbol.address(),
                size: symbol.size(),
                is_text,
            });
        }
    }
    // Positions count in the order of kallsyms: addresses in vmlinux, the symbol table in a module.
    if file.kind() != object::ObjectKind::Relocatable {
        let all = places.values_mut();
        all.for_each(|places| places.sort_by_key(|place| place.address));
    }
    places
}

/// Where a symbol is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Its section.
    pub(super) section: object::SectionIndex,
    /// In a linked image its address, else its offset in the section.
    pub(super) address: u64,
    size: u64,
    is_text: bool,
}

/// The function that a position means.
pub(super) fn pick(places: &[Place], sympos: Sympos) -> Option<Place> {
    let index = usize::try_from(sympos.0.max(1)).ok()? - 1;
    places.get(index).copied().filter(|place| place.is_text)
}

fn hash<'a, R: ReadRef<'a>>(file: &object::File<'a, R>, place: Place) -> Result<OldCode> {
    let section = file.section_by_index(place.section)?;
    ensure!(place.size > 0, "its symbol has no size");
    let Some(code) = section.data_range(place.address, place.size)? else {
        bail!("its symbol points outside its section");
    };
    Ok(OldCode {
        size: place.size,
        hash: hex(&Sha256::digest(code)),
    })
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
