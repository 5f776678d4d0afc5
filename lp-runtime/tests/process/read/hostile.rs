//! A process's files may be anything: damaged ones are errors, or other objects, never a panic.

use crate::program::Folder;
use lp_runtime::process::read::dynamic::Dynamic;
use lp_runtime::process::read::elf::Elf;
use object::elf::PT_DYNAMIC;

#[test]
fn a_damaged_object_is_an_error_or_another_object_never_a_panic() {
    let folder = Folder::new();
    let map = folder.path("versions.map");
    std::fs::write(&map, "V1 { global: f; local: *; }; V2 { global: g; } V1;").expect("it is ours");
    let script = format!(
        "-Wl,--version-script={},--hash-style=gnu,-z,now,-s",
        map.display()
    );
    let source =
        "#include <stdio.h>\nint f(void) { return puts(\"f\"); } int g(void) { return f(); }";
    let bytes = std::fs::read(folder.library("lib.so", source, &[&script])).expect("it is there");
    let whole = Elf::of_bytes(bytes.clone()).expect("it is good");
    let dynamic = Dynamic::read(&whole, 0).expect("it is good");
    assert!(dynamic.has_versions() && dynamic.slots.len() > 2);
    let table = whole.segment(PT_DYNAMIC).expect("it has one");
    let table = table.offset as usize..(table.offset + table.file_size) as usize;
    // The headers and the tables that the dynamic section leads to, then the section itself.
    let text = whole.loads().find(|it| it.is_code()).expect("it has code");
    let mut damaged = bytes.clone();
    for at in (0..text.offset as usize).chain(table) {
        for value in [0xff, bytes[at] ^ 0x04] {
            damaged[at] = value;
            // Without sections the hash table says how many symbols there are.
            let mut bare = damaged.clone();
            bare[40..48].fill(0);
            for bytes in [damaged.clone(), bare] {
                let Ok(elf) = Elf::of_bytes(bytes) else {
                    continue;
                };
                let _ = elf.build_id();
                if let Ok(dynamic) = Dynamic::read(&elf, 0x7f00_0000_0000) {
                    let versions = dynamic.symbols.iter().filter_map(|it| dynamic.version(it));
                    assert!(versions.count() <= dynamic.symbols.len());
                    assert!(dynamic.named(b"f").count() <= dynamic.symbols.len());
                }
            }
        }
        damaged[at] = bytes[at];
    }
}
