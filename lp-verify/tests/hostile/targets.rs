//! What is tried with hostile bytes: the fuzzer's targets, which the tests run too.
//!
//! Whatever the bytes are, each returns: no panic, no endless loop, and no more memory than the input's size allows.

use lp_klp::name::Sympos;
use lp_verify::installed::Installed;
use lp_verify::kernel::elf_file::ElfFile;
use lp_verify::kernel::{Binary, Kernel, kallsyms, symtab};
use lp_verify::reader::Module;
use lp_verify::reader::layout::Layout;
use lp_verify::{fleet, rules, sequence};
use std::path::Path;

/// A module: read, judged over itself and by itself, and asked what can follow it.
pub(crate) fn module(bytes: &[u8]) {
    let Ok(module) = Module::parse(Path::new("hostile.ko"), bytes, None) else {
        return;
    };
    let kernel = Kernel {
        vmlinux: binary(bytes),
        modules: None,
    };
    let _ = rules::check(&module, &Installed::default(), Some(&kernel));
    let installed = Installed::of_patches(vec![module.patch()]);
    let _ = rules::check(&module, &installed, None);
    let modules = [module.clone(), module];
    let _ = sequence::matrix(&modules, None);
    let _ = sequence::plan(&modules, (0, 1), None);
}

/// A kernel's file: its symbols, sites, exports and types.
pub(crate) fn kernel(bytes: &[u8]) {
    let _ = Layout::from_btf(bytes);
    let _ = kallsyms::decode(bytes);
    let symbol = kallsyms::Kallsym {
        address: 0x1000,
        kind: b'T',
        name: "start".to_owned(),
    };
    let _ = symtab::add(bytes.to_vec(), &[symbol]);
    let Some(binary) = binary(bytes) else {
        return;
    };
    for name in ["show", "printk", "start", "vermagic"] {
        for position in 0..3 {
            if let Ok(found) = binary.find(name, Sympos(position)) {
                let _ = binary.is_traceable(found);
                let _ = binary.hash(found, found.size);
                let _ = binary.hash(found, u64::MAX);
            }
        }
    }
}

fn binary(bytes: &[u8]) -> Option<Binary> {
    let file = ElfFile::of_bytes(bytes.to_vec()).ok()?;
    Binary::read(file).ok()
}

/// Inventories of many machines, judged for a module that is sound.
pub(crate) fn inventory(bytes: &[u8], new: &Module) {
    let _ = fleet::judge(new, bytes, None);
}
