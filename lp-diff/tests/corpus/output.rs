//! What holds for every object that is written, read again with other eyes than those that wrote it.

use crate::built::{self, Built};
use crate::parallel;
use object::elf;
use object::read::elf::{ElfFile64, Rela, SectionHeader, Sym};
use object::{Endianness, Object, ObjectSection, ObjectSymbol, RelocationTarget};
use std::collections::BTreeSet;
use std::process::Command;

type File<'d> = ElfFile64<'d, Endianness>;

/// Sections whose entries begin with the address of code, and the entry's size where all kernels agree on it.
const ABOUT_CODE: [(&str, Option<u64>); 16] = [
    (".altinstructions", None),
    ("__bug_table", None),
    ("__ex_table", None),
    ("__jump_table", None),
    (".static_call_sites", Some(8)),
    (".parainstructions", Some(16)),
    (".smp_locks", Some(4)),
    (".retpoline_sites", Some(4)),
    (".return_sites", Some(4)),
    (".call_sites", Some(4)),
    (".ibt_endbr_seal", Some(4)),
    (".cfi_sites", Some(4)),
    (".kcfi_traps", Some(4)),
    (".orc_unwind_ip", Some(4)),
    ("__mcount_loc", Some(8)),
    ("__patchable_function_entries", Some(8)),
];

fn each_written(check: impl Fn(&Built, &[u8]) + Sync) {
    parallel::map(built::all(), |built| {
        if let Some(object) = &built.diff().object {
            check(built, object);
        }
    });
}

fn parse<'d>(built: &Built, object: &'d [u8]) -> File<'d> {
    File::parse(object).unwrap_or_else(|error| panic!("{}: {error}", built.name()))
}

#[test]
fn entries_are_about_code_that_is_there() {
    each_written(|built, object| {
        let file = parse(built, object);
        for section in file.sections() {
            let name = section.name().expect("a name");
            let Some((_, len)) = ABOUT_CODE.iter().find(|(known, _)| *known == name) else {
                continue;
            };
            let what = format!("{} {name}", built.name());
            let relocs: Vec<_> = section.relocations().collect();
            assert!(!relocs.is_empty(), "{what}: a table about nothing");
            let starts: BTreeSet<u64> = match len {
                Some(len) => {
                    assert!(section.size().is_multiple_of(*len), "{what}: not whole");
                    (0..section.size()).step_by(*len as usize).collect()
                }
                None => BTreeSet::from([0]),
            };
            let is_code = |target: RelocationTarget| match target {
                RelocationTarget::Symbol(symbol) => {
                    let symbol = file.symbol_by_index(symbol).expect("a symbol");
                    symbol.section_index().is_some_and(|section| {
                        let section = file.section_by_index(section).expect("a section");
                        section.kind() == object::SectionKind::Text
                    })
                }
                _ => false,
            };
            for start in starts {
                let about = relocs.iter().find(|(offset, _)| *offset == start);
                let about = about.unwrap_or_else(|| panic!("{what}+{start:#x}: about nothing"));
                assert!(
                    is_code(about.1.target()),
                    "{what}+{start:#x}: not about code"
                );
            }
        }
    });
}

#[test]
fn headers_and_relocations_are_sound() {
    each_written(|built, object| {
        let file = parse(built, object);
        let (endian, data) = (file.endian(), file.data());
        let table = file.elf_section_table();
        let symbols = file.elf_symbol_table();
        let mut locals_end = false;
        for symbol in symbols.iter().skip(1) {
            let global = symbol.st_bind() != elf::STB_LOCAL;
            assert!(
                global || !locals_end,
                "{}: local behind global",
                built.name()
            );
            locals_end = global;
        }
        for header in table.iter() {
            let name = String::from_utf8_lossy(table.section_name(endian, header).expect("a name"));
            let what = format!("{} {name}", built.name());
            let flags = header.sh_flags(endian);
            assert_eq!(flags.0 & elf::SHF_GROUP.0, 0, "{what}");
            if flags.0 & elf::SHF_LINK_ORDER.0 != 0 {
                let code = table.section(header.link(endian));
                let code = code.expect("sh_link names a section").sh_flags(endian);
                assert_ne!(code.0 & elf::SHF_EXECINSTR.0, 0, "{what}: beside no code");
            }
            assert_ne!(header.sh_type(endian), elf::SHT_GROUP, "{what}");
            let Some((relas, _)) = header.rela(endian, data).expect("relocations") else {
                continue;
            };
            let target = header.info_link(endian);
            let target = table.section(target).expect("sh_info names a section");
            let alloc = target.sh_flags(endian).0 & elf::SHF_ALLOC.0;
            assert_ne!(alloc, 0, "{what}: relocations of what is not loaded");
            for rela in relas {
                assert!(rela.r_offset(endian) < target.sh_size(endian), "{what}");
                let symbol = rela
                    .symbol(endian, false)
                    .map(|index| symbols.symbol(index));
                if let Some(symbol) = symbol {
                    let symbol = symbol.expect("a symbol of the table");
                    let named = symbol.st_name(endian) != 0;
                    assert!(named || !symbol.is_undefined(endian), "{what}: nobody");
                }
            }
        }
    });
}

/// What the linker and the kernel go by stays as the compiler wrote it.
#[test]
fn sections_keep_their_kind() {
    const OURS: u64 = elf::SHF_GROUP.0
        | elf::SHF_LINK_ORDER.0
        | elf::SHF_MERGE.0
        | elf::SHF_STRINGS.0
        | elf::SHF_COMPRESSED.0;
    each_written(|built, object| {
        let (file, patched) = (parse(built, object), parse(built, &built.patched));
        for (name, len) in ABOUT_CODE {
            let Some(out) = file.section_by_name(name) else {
                continue;
            };
            let what = format!("{} {name}", built.name());
            let like = patched.sections().filter(|other| other.name() == Ok(name));
            let same = like.into_iter().any(|other| {
                let (a, b) = (out.elf_section_header(), other.elf_section_header());
                let endian = file.endian();
                a.sh_type(endian) == b.sh_type(endian)
                    && a.sh_flags(endian).0 & !OURS == b.sh_flags(endian).0 & !OURS
                    && a.sh_addralign(endian) == b.sh_addralign(endian)
            });
            assert!(same, "{what}: another type, other flags or alignment");
            assert!(len.is_none_or(|len| out.size() % len == 0), "{what}");
        }
    });
}

/// Where the kernel writes before a function, the function has room.
#[test]
fn room_for_patching_comes_before_its_function() {
    each_written(|built, object| {
        let file = parse(built, object);
        let tables = file.sections();
        let tables = tables.filter(|one| one.name() == Ok("__patchable_function_entries"));
        let entries = tables.flat_map(|table| {
            let header = table.elf_section_header();
            let link = header.sh_link(file.endian());
            table.relocations().map(move |(_, reloc)| (reloc, link))
        });
        for (reloc, link) in entries {
            let RelocationTarget::Symbol(symbol) = reloc.target() else {
                panic!("{}: room without a symbol", built.name());
            };
            let symbol = file.symbol_by_index(symbol).expect("a symbol");
            // A linker refuses a table that says this beside one that does not, and compilers' tables do.
            assert_eq!(
                symbol.section_index().map(|index| index.0),
                Some(link as usize),
                "{}: the table is not kept beside its function",
                built.name()
            );
            let room = symbol.address() as i64 + reloc.addend();
            let mut here = file.symbols().filter(|one| {
                one.section_index() == symbol.section_index()
                    && one.kind() == object::SymbolKind::Text
            });
            assert!(
                here.any(|one| (0..=16).contains(&(one.address() as i64 - room))),
                "{}: room at {room:#x}, far from all functions",
                built.name()
            );
            assert!(room >= 0, "{}: room outside the section", built.name());
        }
    });
}

#[test]
fn the_linker_takes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    each_written(|built, object| {
        let name = format!("{}-{}.o", built.case.name, built.compiler.name());
        let path = folder.path().join(name);
        std::fs::write(&path, object).expect("the output");
        let mut ld = Command::new("ld");
        ld.args(["-r", "--fatal-warnings", "-o"])
            .arg(path.with_extension("linked"));
        let output = ld.arg(&path).output().expect("ld runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", built.name());
    });
}
