//! Patch files of C, made without lp-build: what the loader gets to see, written by hand.
//!
//! C names a symbol of the patched object `klp$OBJ$SYMBOL$POS`: `extern int klp$prog$counter$0;` is the one `counter` of
//! `prog`. Every other undefined symbol stays one, for the dynamic symbols of the process.

use crate::program::Folder;
use lp_klp::manifest::{Callbacks, FORMAT, Function, Manifest, Object, Target, TargetKind};
use lp_klp::name::{KlpRelaName, KlpSymName, ObjName, SHF_RELA_LIVEPATCH, SHN_LIVEPATCH, Sympos};
use lp_klp::note::{NOTE_SECTION, encode};
use object::build::elf::{Builder, Relocation, Section, SectionData, SectionId};
use object::elf;
use object::read::{Object as _, ObjectSection as _, ObjectSymbol as _};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// A manifest for a process that patches nothing yet.
pub(crate) fn manifest(name: &str) -> Manifest {
    Manifest {
        format: FORMAT,
        tool: "test".into(),
        name: name.into(),
        version: "1".into(),
        description: String::new(),
        target: Target {
            kind: TargetKind::Process,
            release: String::new(),
            build_id: String::new(),
            arch: "x86_64".into(),
        },
        replace: true,
        states: Vec::new(),
        kept_states: Vec::new(),
        objects: Vec::new(),
        shadow_ids: Vec::new(),
    }
}

/// What a manifest says of an object whose file this is, when these functions of it are replaced.
pub(crate) fn object_of(path: &Path, functions: &[&str]) -> Object {
    let bytes = std::fs::read(path).expect("the object's file can be read");
    let file = object::File::parse(&*bytes).expect("it is an ELF file");
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.expect("its name is text");
    let build_id = file.build_id().expect("its notes can be read");
    Object {
        name: ObjName::of_file(name).expect("its name is an object's"),
        file: name.into(),
        build_id: hex(build_id.expect("it has a build-id")),
        functions: functions
            .iter()
            .map(|name| function_of(&file, name))
            .collect(),
        callbacks: Callbacks::default(),
    }
}

fn function_of(file: &object::File<'_>, name: &str) -> Function {
    let is_it = |symbol: &object::Symbol<'_, '_>| symbol.name() == Ok(name);
    let symbol = file.symbols().chain(file.dynamic_symbols()).find(is_it);
    let symbol = symbol.expect("the object has the function");
    let section = symbol.section_index().expect("it is defined");
    let section = file.section_by_index(section).expect("in a section");
    let code = section.data_range(symbol.address(), symbol.size());
    let code = code.ok().flatten().expect("the file has its code");
    Function {
        name: name.into(),
        sympos: Sympos::UNIQUE,
        new_name: String::new(),
        old_size: symbol.size(),
        old_hash: hex(&Sha256::digest(code)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compiles a patch's C source, with these arguments for gcc, and makes a patch file of it.
pub(crate) fn make(folder: &Folder, source: &str, args: &[&str], manifest: &Manifest) -> Vec<u8> {
    let shape = ["-c", "-O2", "-ffunction-sections", "-fdata-sections"];
    let object = folder.compile("patch.o", source, &[&shape, args].concat());
    let object = std::fs::read(object).expect("gcc wrote it");
    of_object(&object, manifest)
}

/// Makes a patch file of an object.
pub(crate) fn of_object(object: &[u8], manifest: &Manifest) -> Vec<u8> {
    let mut builder = Builder::read(object).expect("gcc's object can be read");
    mark_symbols(&mut builder);
    move_relocations(&mut builder);
    let note = encode(manifest).expect("the manifest becomes a note");
    let section = builder.sections.add();
    section.name = NOTE_SECTION.into();
    section.sh_type = elf::SHT_NOTE;
    section.sh_flags = elf::SHF_ALLOC;
    section.sh_addralign = 4;
    section.data = SectionData::Note(note.into());
    let mut out = Vec::new();
    builder.write(&mut out).expect("the patch can be written");
    out
}

fn mark_symbols(builder: &mut Builder<'_>) {
    for symbol in &mut builder.symbols {
        let name = String::from_utf8_lossy(&symbol.name).into_owned();
        let mut parts = name.split('$').skip(1);
        let (true, Some(object), Some(of), Some(position)) = (
            name.starts_with("klp$"),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            continue;
        };
        let klp = format!(".klp.sym.{object}.{of},{position}");
        symbol.name = klp.into_bytes().into();
        symbol.st_shndx = elf::SymbolSection(SHN_LIVEPATCH);
    }
}

/// Moves relocations against livepatch symbols to sections of their own.
fn move_relocations(builder: &mut Builder<'_>) {
    let is_symtab = |section: &&Section<'_>| matches!(section.data, SectionData::Symbol);
    let symtab = builder.sections.iter().find(is_symtab).map(Section::id);
    let mut moved: BTreeMap<String, (SectionId, Vec<Relocation>)> = BTreeMap::new();
    for id in builder.sections.iter().map(Section::id).collect::<Vec<_>>() {
        let Some(target) = builder.sections.get(id).sh_info_section else {
            continue;
        };
        let section = builder.sections.get(target).name.to_string();
        let symbols = &builder.symbols;
        let object_of = |relocation: &Relocation| {
            let symbol = symbols.get(relocation.symbol?);
            let name = String::from_utf8_lossy(&symbol.name).into_owned();
            Some(name.parse::<KlpSymName>().ok()?.object)
        };
        let section_data = &mut builder.sections.get_mut(id).data;
        let SectionData::Relocation(relocations) = section_data else {
            continue;
        };
        for relocation in std::mem::take(relocations) {
            let Some(object) = object_of(&relocation) else {
                relocations.push(relocation);
                continue;
            };
            let section = section.clone();
            let name = KlpRelaName { object, section }.to_string();
            let entry = moved.entry(name).or_insert((target, Vec::new()));
            entry.1.push(relocation);
        }
    }
    for (name, (target, relocations)) in moved {
        let section = builder.sections.add();
        section.name = name.into_bytes().into();
        section.sh_type = elf::SHT_RELA;
        section.sh_flags =
            elf::SHF_ALLOC | elf::SHF_INFO_LINK | elf::SectionFlags(SHF_RELA_LIVEPATCH);
        section.sh_link_section = symtab;
        section.sh_info_section = Some(target);
        section.sh_addralign = 8;
        section.sh_entsize = 24;
        section.data = SectionData::Relocation(relocations);
    }
}

#[test]
fn a_patch_of_c_has_livepatch_symbols_and_relocations() {
    let folder = Folder::new();
    let prog = folder.server("prog", "void answer(const char *q, char *r) {}", &[]);
    let mut manifest = manifest("fix");
    manifest.objects = vec![object_of(&prog, &["answer"])];
    let source = "extern int klp$prog$counter$0; int value(void) { return klp$prog$counter$0; }";
    let patch = make(&folder, source, &["-fPIC"], &manifest);
    let file = object::File::parse(&*patch).expect("it is an ELF file");
    let section = file.section_by_name(".klp.rela.prog..text.value");
    assert!(section.is_some(), "the relocation has its own section");
    let names: Vec<_> = file.symbols().filter_map(|it| it.name().ok()).collect();
    assert!(names.contains(&".klp.sym.prog.counter,0"), "{names:?}");
    let note = file.section_by_name(NOTE_SECTION).expect("it has a note");
    let note = note.data().expect("the file has it");
    assert_eq!(lp_klp::note::decode(note).expect("a manifest"), manifest);
}
