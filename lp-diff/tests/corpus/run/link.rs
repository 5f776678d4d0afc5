//! Prepares the objects of a case for one program: livepatch symbols become the original's, and the reference gets
//! names of its own.

use lp_diff::Report;
use lp_klp::name::KlpSymName;
use object::build::elf::{Builder, Section, SectionData};
use object::elf;
use object::{Object, ObjectSymbol};
use std::collections::BTreeMap;
use std::fmt::Write;

const SHT_LLVM_ADDRSIG: u32 = 0x6fff_4c03;

/// The original and the output, joined.
pub(super) struct Joined {
    pub(super) orig: Vec<u8>,
    pub(super) output: Vec<u8>,
    /// Assembly of the table of redirected functions.
    pub(super) table: String,
}

/// Gives the original's symbols that the output or the report names global second names, and the output those.
pub(super) fn join(orig: &[u8], output: &[u8], report: &Report) -> Result<Joined, String> {
    let output = read(output)?;
    let mut out = builder(&output)?;
    let mut wanted: BTreeMap<(String, u32), String> = BTreeMap::new();
    for symbol in out.symbols.iter_mut().filter(|one| one.section.is_none()) {
        let name = symbol.name.to_string();
        if let Ok(klp) = name.parse::<KlpSymName>() {
            let joined = joined_name(&klp.symbol, klp.sympos.0);
            wanted.insert((klp.symbol, klp.sympos.0), joined.clone());
            symbol.name = joined.into_bytes().into();
        }
    }
    let mut table = String::from(".section .data\n.globl redirects\nredirects:\n");
    for function in &report.functions {
        let (Some(sympos), Some(alias)) = (function.sympos, &function.alias) else {
            continue;
        };
        let joined = joined_name(&function.name, sympos);
        writeln!(table, ".quad \"{joined}\", \"{alias}\"").expect("a string");
        wanted.insert((function.name.clone(), sympos), joined);
    }
    table += ".quad 0, 0\n";
    Ok(Joined {
        orig: with_second_names(orig, &wanted)?,
        output: write(out)?,
        table,
    })
}

fn joined_name(name: &str, sympos: u32) -> String {
    format!("orig.{sympos}.{name}")
}

fn with_second_names(
    object: &[u8],
    wanted: &BTreeMap<(String, u32), String>,
) -> Result<Vec<u8>, String> {
    let object = read(object)?;
    let mut out = builder(&object)?;
    for ((name, sympos), second) in wanted {
        let named: Vec<_> = out
            .symbols
            .iter()
            .filter(|symbol| symbol.section.is_some() && symbol.name.to_string() == *name)
            .map(|symbol| (symbol.section, symbol.st_value, symbol.st_type()))
            .collect();
        // As the kernel counts: 0 is the only one, n the n-th.
        let (section, value, kind) = match (*sympos, &named[..]) {
            (0, [only]) => *only,
            (0, _) => return Err(format!("{} symbols are called {name}", named.len())),
            (n, _) => *named
                .get(n as usize - 1)
                .ok_or(format!("there is no symbol {name},{n}"))?,
        };
        let symbol = out.symbols.add();
        symbol.name = second.clone().into_bytes().into();
        symbol.section = section;
        symbol.st_value = value;
        symbol.set_st_info(elf::STB_GLOBAL, kind);
    }
    write(out)
}

/// The object with these global names changed, where it defines and where it uses them.
pub(super) fn prefix(object: &[u8], names: &[&str]) -> Result<Vec<u8>, String> {
    let object = read(object)?;
    let mut out = builder(&object)?;
    for symbol in &mut out.symbols {
        let name = symbol.name.to_string();
        if symbol.st_bind() != elf::STB_LOCAL && names.contains(&name.as_str()) {
            symbol.name = format!("source_{name}").into_bytes().into();
        }
    }
    write(out)
}

/// The global names that an object defines.
pub(super) fn globals(object: &[u8]) -> Vec<String> {
    let file = object::File::parse(object).expect("an object");
    file.symbols()
        .filter(|symbol| symbol.is_global() && !symbol.is_undefined())
        .map(|symbol| symbol.name().expect("a name").to_owned())
        .collect()
}

/// An object without what the linker does without and the builder does not know.
fn read(object: &[u8]) -> Result<Vec<u8>, String> {
    const TYPE: std::ops::Range<usize> = 4..8;
    let mut bytes = object.to_vec();
    let field = |at: usize| object.get(at..at + 8).map(|bytes| bytes.try_into());
    let table = match field(0x28) {
        Some(Ok(offset)) => u64::from_le_bytes(offset) as usize,
        _ => return Err("no object".to_owned()),
    };
    for header in bytes[table..].chunks_exact_mut(64) {
        // Which symbols have addresses that matter, for the linker of clang alone.
        if header[TYPE] == SHT_LLVM_ADDRSIG.to_le_bytes() {
            header[TYPE].copy_from_slice(&elf::SHT_PROGBITS.0.to_le_bytes());
        }
    }
    Ok(bytes)
}

fn builder(object: &[u8]) -> Result<Builder<'_>, String> {
    let mut out = Builder::read(object).map_err(|error| error.to_string())?;
    let holds = |section: &Section<'_>| matches!(section.data, SectionData::SectionString);
    if !out.sections.iter().any(holds) {
        // Clang keeps all names in one table.
        let section = out.sections.add();
        section.name = ".shstrtab".into();
        section.sh_type = elf::SHT_STRTAB;
        section.sh_addralign = 1;
        section.data = SectionData::SectionString;
    }
    Ok(out)
}

fn write(out: Builder<'_>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    out.write(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}
