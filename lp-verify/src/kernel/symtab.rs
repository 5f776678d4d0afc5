//! A symbol table for a linked ELF file that has none.
//!
//! Everything of the file stays where it is; the table, its names and new section headers are put behind it. A symbol is as
//! large as the way to the next address that has one, in its section: no larger can it be, and where it is code, what is
//! too much is what fills the gap.

use super::kallsyms::{self, Kallsym};
use goblin::elf::section_header::{
    SHF_ALLOC, SHF_EXECINSTR, SHN_ABS, SHT_STRTAB, SHT_SYMTAB, SectionHeader,
};
use goblin::elf::sym::{STB_GLOBAL, STB_LOCAL, STB_WEAK, STT_FUNC, STT_OBJECT};
use std::collections::HashSet;
use std::io;

/// The name of the section with the symbols' names, which tells such a file from one that has its symbols from a linker.
pub const STRINGS: &str = ".strtab.kallsyms";
const HEADER: usize = 64;
const ENTRY: u64 = 24;

/// The file with these symbols, which are by address.
///
/// # Errors
/// Where it is no 64-bit ELF file with section names.
pub fn add(mut file: Vec<u8>, symbols: &[Kallsym]) -> io::Result<Vec<u8>> {
    let wrong = || io::Error::other("its section headers are damaged");
    let elf = goblin::elf::Elf::parse(&file).map_err(io::Error::other)?;
    let mut sections = elf.section_headers.clone();
    let names_at = usize::from(elf.header.e_shstrndx);
    let names = sections.get(names_at).ok_or_else(wrong)?.file_range();
    let mut names = file
        .get(names.unwrap_or_default())
        .ok_or_else(wrong)?
        .to_vec();
    let (table, strings, locals) = table(symbols, &sections);
    let link = sections.len() as u32 + 1;
    let new = |name: u32, sh_type: u32| SectionHeader {
        sh_name: name as usize,
        sh_type,
        sh_addralign: 8,
        ..SectionHeader::new()
    };
    let symtab = SectionHeader {
        sh_link: link,
        sh_info: locals,
        sh_entsize: ENTRY,
        ..new(name(&mut names, ".symtab")?, SHT_SYMTAB)
    };
    let strtab = new(name(&mut names, STRINGS)?, SHT_STRTAB);
    sections.extend([symtab, strtab]);
    let count = u16::try_from(sections.len()).map_err(io::Error::other)?;
    let contents = [
        (names_at, names),
        (link as usize - 1, table),
        (link as usize, strings),
    ];
    for (index, content) in contents {
        let section = sections.get_mut(index).ok_or_else(wrong)?;
        (section.sh_offset, section.sh_size) = (append(&mut file, &content), content.len() as u64);
    }
    let headers: Vec<u8> = sections.iter().flat_map(header).collect();
    let at = append(&mut file, &headers);
    file.get_mut(0x28..0x30)
        .ok_or_else(wrong)?
        .copy_from_slice(&at.to_le_bytes());
    file.get_mut(0x3c..0x3e)
        .ok_or_else(wrong)?
        .copy_from_slice(&count.to_le_bytes());
    Ok(file)
}

/// Puts content behind the file; where it begins.
fn append(file: &mut Vec<u8>, content: &[u8]) -> u64 {
    file.resize(file.len().next_multiple_of(8), 0);
    let at = file.len() as u64;
    file.extend_from_slice(content);
    at
}

/// Puts a text into a table of strings; where it begins.
fn name(strings: &mut Vec<u8>, text: &str) -> io::Result<u32> {
    let at = u32::try_from(strings.len()).map_err(io::Error::other)?;
    strings.extend_from_slice(text.as_bytes());
    strings.push(0);
    Ok(at)
}

/// The table, its names, and how many of its entries are local, which come first.
fn table(symbols: &[Kallsym], sections: &[SectionHeader]) -> (Vec<u8>, Vec<u8>, u32) {
    let (mut locals, mut globals) = (vec![0; ENTRY as usize], Vec::new());
    let mut strings = vec![0];
    let sections = loaded(sections);
    let several = several(symbols);
    for (symbol, next) in symbols.iter().zip(nexts(symbols)) {
        let section = section_of(symbol.address, &sections);
        let size = section.map_or(0, |(_, section)| {
            let end = section.sh_addr.saturating_add(section.sh_size);
            next.min(end).saturating_sub(symbol.address)
        });
        let is_code = section.is_some_and(|(_, it)| it.sh_flags & u64::from(SHF_EXECINSTR) != 0);
        let kind = if is_code { STT_FUNC } else { STT_OBJECT };
        let bind = bind(symbol, &several);
        // More than 4 GiB of names there cannot be: the image that they come from is smaller.
        let at = name(&mut strings, &symbol.name).unwrap_or_default();
        let index = section.map_or(SHN_ABS as u16, |(index, _)| index);
        let part = if bind == STB_LOCAL {
            &mut locals
        } else {
            &mut globals
        };
        part.extend(at.to_le_bytes());
        part.extend([bind << 4 | kind, 0]);
        part.extend(index.to_le_bytes());
        part.extend(symbol.address.to_le_bytes());
        part.extend(size.to_le_bytes());
    }
    let count = locals.len() as u64 / ENTRY;
    locals.append(&mut globals);
    (locals, strings, count as u32)
}

/// As `nm` writes it: lower case is local, but for weak ones. What is absolute (a per-CPU variable, `make_percpus_absolute`,
/// scripts/kallsyms.c, 6.1) or of no known kind does not say: where its name is the only one, who asks for a global one can mean no other.
fn bind(symbol: &Kallsym, several: &HashSet<&str>) -> u8 {
    match symbol.kind {
        b'w' | b'W' | b'v' | b'V' => STB_WEAK,
        b'A' | kallsyms::UNKNOWN if several.contains(symbol.name.as_str()) => STB_LOCAL,
        b'A'..=b'Z' | kallsyms::UNKNOWN => STB_GLOBAL,
        _ => STB_LOCAL,
    }
}

/// Names that more than one symbol has.
fn several(symbols: &[Kallsym]) -> HashSet<&str> {
    let mut known = HashSet::new();
    let names = symbols.iter().map(|symbol| symbol.name.as_str());
    names.filter(|name| !known.insert(*name)).collect()
}

/// For each symbol the next address that has one.
fn nexts(symbols: &[Kallsym]) -> Vec<u64> {
    let mut nexts = vec![u64::MAX; symbols.len()];
    let mut known: Option<(u64, u64)> = None;
    for (symbol, next) in symbols.iter().zip(&mut nexts).rev() {
        *next = match known {
            Some((address, next)) if address == symbol.address => next,
            Some((address, _)) => address,
            None => u64::MAX,
        };
        known = Some((symbol.address, *next));
    }
    nexts
}

/// The sections that are in memory, by address.
fn loaded(sections: &[SectionHeader]) -> Vec<(u16, &SectionHeader)> {
    let all = (0..).zip(sections);
    let is_loaded = |(_, it): &(u16, &SectionHeader)| it.sh_flags & u64::from(SHF_ALLOC) != 0;
    let mut loaded: Vec<_> = all.filter(is_loaded).collect();
    loaded.sort_by_key(|(_, section)| section.sh_addr);
    loaded
}

/// The section that an address is in, or at the end of.
fn section_of<'s>(
    address: u64,
    loaded: &[(u16, &'s SectionHeader)],
) -> Option<(u16, &'s SectionHeader)> {
    let behind = loaded.partition_point(|(_, section)| section.sh_addr <= address);
    let before = loaded.get(..behind)?.iter().rev();
    let (index, section) = *before.take(2).find(|(_, section)| section.sh_size > 0)?;
    (address - section.sh_addr <= section.sh_size).then_some((index, section))
}

/// A section header as the file has it.
fn header(section: &SectionHeader) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    let halves = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
    let words = [
        halves(section.sh_name as u32, section.sh_type),
        section.sh_flags,
        section.sh_addr,
        section.sh_offset,
        section.sh_size,
        halves(section.sh_link, section.sh_info),
        section.sh_addralign,
        section.sh_entsize,
    ];
    for (place, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *place = word.to_le_bytes();
    }
    bytes
}
