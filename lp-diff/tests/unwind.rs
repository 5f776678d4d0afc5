//! What the unwinder is told about code that the differ adds.

use lp_diff::{Config, EntrySizes, Exports, SymbolTable, diff};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget};
use std::fs;
use std::path::Path;
use std::process::Command;

/// `lock` ends with another stack than it has where it jumps to `wait`. The numbers in `.orc_unwind` name the places.
const SOURCE: &str = r#"
	.section .sched.text,"ax",@progbits
	.type wait,@function
wait:	call slow
	ret
	.size wait, . - wait
	.globl lock
	.type lock,@function
lock:	call __fentry__
.ifdef PATCHED
	xor %edx, %edx
.endif
	sub $8, %rsp
inner:	call try
	test %eax, %eax
	jz none
	add $8, %rsp
leave:	jmp wait
none:	call none_left
	add $8, %rsp
	ret
	.size lock, . - lock
	.section .orc_unwind_ip,"a",@progbits
	.long wait - ., lock - ., inner - ., leave - ., none - .
	.section .orc_unwind,"a",@progbits
	.short 1,0,0, 2,0,0, 3,0,0, 4,0,0, 5,0,0
"#;

fn assemble(folder: &Path, patched: bool) -> Vec<u8> {
    let (source, object) = (folder.join("case.s"), folder.join("case.o"));
    fs::write(&source, SOURCE).expect("written");
    let define = patched.then_some("-Wa,--defsym,PATCHED=1");
    let mut gcc = Command::new("gcc");
    let gcc = gcc
        .arg("-c")
        .args(define)
        .arg("-o")
        .arg(&object)
        .arg(&source);
    assert!(gcc.status().expect("gcc runs").success());
    fs::read(object).expect("the object")
}

#[test]
fn a_stub_has_the_stack_of_the_branch_that_goes_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let (orig, patched) = (
        assemble(folder.path(), false),
        assemble(folder.path(), true),
    );
    let mut entry_sizes = EntrySizes::default();
    entry_sizes.set("orc_entry", 6);
    let config = Config {
        flavour: Default::default(),
        object: "vmlinux".parse().expect("a name"),
        entry_sizes,
        unit: "case".into(),
        places: Default::default(),
        overridden: Default::default(),
        allow_layout_change: Default::default(),
    };
    let symbols = SymbolTable::from_elf(&*orig).expect("symbols");
    let outcome = diff(&orig, &patched, &symbols, &Exports::default(), &config).expect("objects");
    let output = outcome
        .object
        .unwrap_or_else(|| panic!("{:?}", outcome.report.refusals));
    let file = object::File::parse(&*output).expect("our own output");
    let section = |name| {
        file.section_by_name(name)
            .unwrap_or_else(|| panic!("no {name}"))
    };
    let states = section(".orc_unwind").data().expect("bytes");
    let lock = file
        .symbols()
        .find(|symbol| symbol.name() == Ok("lock"))
        .expect("lock");
    let place = |target, addend: i64| match target {
        RelocationTarget::Symbol(id) => {
            let symbol = file.symbol_by_index(id).expect("a symbol");
            symbol.address() as i64 + addend - lock.address() as i64
        }
        _ => panic!("a relocation against no symbol"),
    };
    let mut told: Vec<(i64, u8)> = section(".orc_unwind_ip")
        .relocations()
        .map(|(offset, reloc)| {
            (
                place(reloc.target(), reloc.addend()),
                states[offset as usize / 4 * 6],
            )
        })
        .collect();
    told.sort_unstable();
    // The stub is the jump of 5 bytes at the function's end.
    assert_eq!(told.last(), Some(&(lock.size() as i64 - 5, 4)), "{told:?}");
    assert_eq!(
        told.iter().map(|(_, state)| *state).collect::<Vec<_>>(),
        [2, 3, 4, 5, 4]
    );
}
