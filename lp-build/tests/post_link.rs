//! What the livepatch core finds in a module after the last step.

use lp_build::module::klp_rela::When;
use lp_build::module::post_link::{self, PostLinkError};
use object::elf;
use object::read::elf::{FileHeader, Rela, SectionHeader, Sym};
use std::path::Path;
use std::process::Command;

/// One relocation: offset, type, symbol name, symbol section index, addend.
type Fact = (u64, u32, String, u16, i64);

/// One section, as `readelf -SW` and `readelf -rW` would tell.
#[derive(Debug)]
struct Facts {
    name: String,
    flags: u64,
    info: String,
    relocations: Vec<Fact>,
}

/// Assembles a text; `gcc` is what builds kernels, so it is there.
fn assemble(text: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (source, object) = (dir.path().join("a.s"), dir.path().join("a.o"));
    std::fs::write(&source, text).unwrap();
    compile(&source, &object);
    std::fs::read(object).unwrap()
}

fn compile(source: &Path, object: &Path) {
    let status = Command::new("gcc")
        .arg("-c")
        .arg("-o")
        .arg(object)
        .arg(source)
        .status()
        .unwrap();
    assert!(status.success());
}

/// All sections of an object, by the object crate's low-level reader, which shares nothing with its builder.
fn facts(data: &[u8]) -> Vec<Facts> {
    let header = elf::FileHeader64::<object::LittleEndian>::parse(data).unwrap();
    let endian = header.endian().unwrap();
    let sections = header.sections(endian, data).unwrap();
    let symbols = sections.symbols(endian, data, elf::SHT_SYMTAB).unwrap();
    let name = |index: usize| {
        let section = sections.section(object::SectionIndex(index)).unwrap();
        String::from_utf8(sections.section_name(endian, section).unwrap().to_vec()).unwrap()
    };
    let mut facts = Vec::new();
    for (index, section) in sections.enumerate().skip(1) {
        let relas = section
            .rela(endian, data)
            .unwrap()
            .map_or(&[][..], |(relas, _)| relas);
        let relocation = |rela: &elf::Rela64<object::LittleEndian>| {
            let symbol = symbols.symbol(rela.symbol(endian, false).unwrap()).unwrap();
            let text =
                String::from_utf8(symbols.symbol_name(endian, symbol).unwrap().to_vec()).unwrap();
            let shndx = symbol.st_shndx(endian).0;
            (
                rela.r_offset(endian),
                rela.r_type(endian, false).0,
                text,
                shndx,
                rela.r_addend(endian),
            )
        };
        let info = if section.sh_type(endian) == elf::SHT_RELA {
            name(section.sh_info(endian) as usize)
        } else {
            String::new()
        };
        facts.push(Facts {
            name: name(index.0),
            flags: section.sh_flags(endian).0,
            info,
            relocations: relas.iter().map(relocation).collect(),
        });
    }
    facts
}

fn find<'a>(facts: &'a [Facts], name: &str) -> Option<&'a Facts> {
    facts.iter().find(|section| section.name == name)
}

const MIXED: &str = r#"
    .section .text.show,"ax",@progbits
    .globl show
    .type show,@function
show:
    call ".klp.sym.vmlinux.helper.isra.0,2"
    call printk
    call ".klp.sym.nf_tables.walk,0"
    movq ".klp.sym.vmlinux.table,0"+8(%rip), %rax
    ret
    .size show, .-show
    .section .text.tail,"ax",@progbits
tail:
    jmp ".klp.sym.vmlinux.helper.isra.0,2"
    .section __jump_table,"aw",@progbits
    .quad ".klp.sym.vmlinux.key,0"-.
    .section .modinfo,"a",@progbits
    .asciz "livepatch=Y"
    .section .note.livepatch,"a",@note
    .balign 4
    .long 10, 2, 1
    .asciz "livepatch"
    .balign 4
    .ascii "{}\0\0"
    .section .debug_info,"",@progbits
    .quad ".klp.sym.vmlinux.table,0"
"#;

fn run(object: &[u8]) -> Result<Vec<u8>, PostLinkError> {
    post_link::run(object, When::Early)
}

#[test]
fn before_5_8_tables_may_not_refer_to_what_is_not_exported() {
    let text = ".section __jump_table,\"aw\"\n.quad \".klp.sym.vmlinux.key,0\"\n";
    let object = assemble(text);
    assert!(run(&object).is_ok());
    let error = post_link::run(&object, When::Late).unwrap_err();
    assert!(
        matches!(error, PostLinkError::Unexported { ref symbol, .. } if symbol == "key"),
        "{error}"
    );
}

#[test]
fn relocations_move_to_a_section_per_object_and_section() {
    let out = run(&assemble(MIXED)).unwrap();
    let facts = facts(&out);
    let vmlinux = find(&facts, ".klp.rela.vmlinux..text.show").unwrap();
    let helper = ".klp.sym.vmlinux.helper.isra.0,2".to_owned();
    let table = ".klp.sym.vmlinux.table,0".to_owned();
    assert_eq!(
        vmlinux.relocations,
        [
            (1, 4, helper.clone(), 0xff20, -4),
            (0x12, 2, table, 0xff20, 4)
        ]
    );
    assert_eq!(vmlinux.flags, 0x0010_0000 | 0x2 | 0x40);
    assert_eq!(vmlinux.info, ".text.show");
    let module = find(&facts, ".klp.rela.nf_tables..text.show").unwrap();
    assert_eq!(
        module.relocations,
        [(0xb, 4, ".klp.sym.nf_tables.walk,0".to_owned(), 0xff20, -4)]
    );
    assert_eq!(
        find(&facts, ".klp.rela.vmlinux.__jump_table")
            .unwrap()
            .relocations
            .len(),
        1
    );
}

#[test]
fn ordinary_relocations_stay_and_empty_sections_go() {
    let out = run(&assemble(MIXED)).unwrap();
    let facts = facts(&out);
    assert_eq!(
        find(&facts, ".rela.text.show").unwrap().relocations,
        [(6, 4, "printk".to_owned(), 0, -4)]
    );
    assert!(find(&facts, ".rela.text.tail").is_none());
    assert_eq!(
        find(&facts, ".klp.rela.vmlinux..text.tail")
            .unwrap()
            .relocations
            .len(),
        1
    );
}

#[test]
fn debug_information_is_left_alone() {
    let out = run(&assemble(MIXED)).unwrap();
    let facts = facts(&out);
    assert_eq!(
        find(&facts, ".rela.debug_info").unwrap().relocations.len(),
        1
    );
    assert!(find(&facts, ".klp.rela.vmlinux..debug_info").is_none());
}

#[test]
fn all_else_keeps_its_place_and_bytes() {
    let before = assemble(MIXED);
    let after = run(&before).unwrap();
    let contents = |data: &[u8]| -> Vec<(String, u64, Vec<u8>)> {
        use object::{Object, ObjectSection, SectionFlags};
        let file = object::File::parse(data).unwrap();
        let kept = file
            .sections()
            .filter(|section| !section.name().unwrap().contains(".rela"));
        let kept = kept.filter(|section| {
            !["symtab", "strtab"]
                .iter()
                .any(|end| section.name().unwrap().ends_with(end))
        });
        kept.map(|section| {
            let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
                panic!("an ELF file")
            };
            (
                section.name().unwrap().to_owned(),
                sh_flags.0,
                section.data().unwrap().to_vec(),
            )
        })
        .collect()
    };
    assert_eq!(contents(&before), contents(&after));
}

#[test]
fn equal_input_gives_equal_bytes() {
    let object = assemble(MIXED);
    assert_eq!(run(&object).unwrap(), run(&object).unwrap());
}

#[test]
fn without_livepatch_symbols_nothing_changes() {
    let object = assemble("call printk\n");
    assert_eq!(run(&object).unwrap(), object);
}

#[test]
fn malformed_symbols_are_errors() {
    for wrong in [
        ".klp.sym.vmlinux.foo",
        ".klp.sym.vmlinux.foo,x",
        ".klp.sym.foo,1",
        ".klp.sym..foo,1",
    ] {
        let error = run(&assemble(&format!("call \"{wrong}\"\n"))).unwrap_err();
        assert!(
            matches!(error, PostLinkError::Symbol(_)),
            "{wrong}: {error}"
        );
    }
}

#[test]
fn a_defined_livepatch_symbol_is_an_error() {
    let error = run(&assemble("\".klp.sym.vmlinux.foo,1\": ret\n")).unwrap_err();
    assert!(matches!(error, PostLinkError::Defined(_)), "{error}");
}

#[test]
fn a_modules_static_key_comes_too_late_for_the_jump_table() {
    let text = ".section __jump_table,\"aw\",@progbits\n.quad \".klp.sym.nf_tables.key,0\"-.\n";
    let error = run(&assemble(text)).unwrap_err();
    assert!(
        matches!(error, PostLinkError::Late { ref symbol, .. } if symbol == "key"),
        "{error}"
    );
}

#[test]
fn damaged_objects_are_errors_and_never_panic() {
    let object = assemble(MIXED);
    for size in 0..object.len() {
        assert!(run(&object[..size]).is_err(), "{size}");
    }
    let mut seed = 7u64;
    let mut random = move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    for _ in 0..5000 {
        let mut damaged = object.clone();
        for _ in 0..=random() % 3 {
            let at = random() % damaged.len();
            damaged[at] = random() as u8;
        }
        let _ = run(&damaged);
    }
}
