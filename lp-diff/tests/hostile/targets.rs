//! What is tried with hostile bytes: the fuzzer's targets, which the tests run too.
//!
//! Whatever the bytes are, each returns: no panic, no endless loop, and no more memory than the input's size allows.

use lp_diff::dwarf::DebugInfo;
use lp_diff::object::Object;
use lp_diff::show::html::{self, Unit};
use lp_diff::show::text::{Style, render};
use lp_diff::show::{SourceLine, Wanted};
use lp_diff::{Config, EntrySizes, Exports, SymbolTable, diff, diff_and_show};
use lp_klp::name::ObjName;

/// The parser, and all that is read of an object without another one.
pub(crate) fn object(bytes: &[u8]) {
    let _ = EntrySizes::from_elf(bytes);
    let _ = SymbolTable::from_elf(bytes);
    let Ok(object) = Object::parse(bytes) else {
        return;
    };
    for (_, section) in object.sections() {
        for reloc in section.relocs.iter() {
            let _ = object.symbol(reloc.symbol);
        }
    }
    if let Some(debug) = DebugInfo::load(&object) {
        read_debug(&object, &debug);
    }
}

/// Asks the debug information about the first bytes of each section.
fn read_debug(object: &Object<'_>, debug: &DebugInfo<'_>) {
    for (id, section) in object.sections().filter(|(_, section)| section.is_alloc()) {
        for offset in 0..=section.size.min(64) {
            let _ = debug.lines().at(id, offset);
            let _ = debug.frames(id, offset);
            let _ = debug.variable_at(id, offset);
        }
        let _ = debug.lines().rows(id, 0, section.size).count();
    }
}

/// The whole differ, for the kernel image and for a module.
pub(crate) fn pair(orig: &[u8], patched: &[u8]) {
    let symbols = SymbolTable::from_elf(orig).unwrap_or_default();
    for target in ["vmlinux", "some_module"] {
        if let Some(config) = config(target) {
            let _ = diff(orig, patched, &symbols, &Exports::default(), &config);
        }
    }
}

/// Both versions of what changed, on a wide terminal, on a narrow one, and as a page.
pub(crate) fn show(orig: &[u8], patched: &[u8]) {
    let symbols = SymbolTable::from_elf(orig).unwrap_or_default();
    let Some(config) = config("vmlinux") else {
        return;
    };
    let (exports, wanted) = (Exports::default(), Wanted::default());
    let Ok((outcome, shown)) = diff_and_show(orig, patched, &symbols, &exports, &config, &wanted)
    else {
        return;
    };
    let sources = |patched: bool, line: &SourceLine| patched.then(|| line.to_string());
    for (width, color) in [(160, true), (40, false)] {
        let style = Style {
            width,
            color,
            context: 2,
        };
        let _ = render(&mut std::io::sink(), &shown, style, &sources);
    }
    let unit = Unit {
        name: "x".into(),
        report: &outcome.report,
        shown: &shown,
        sources: &sources,
    };
    let page = html::page("x", &[unit], 2);
    assert!(page.is_ok(), "every view has a page: {:?}", page.err());
}

fn config(target: &str) -> Option<Config> {
    Some(Config {
        flavour: Default::default(),
        object: target.parse::<ObjName>().ok()?,
        entry_sizes: entry_sizes(),
        unit: "x".into(),
        places: Default::default(),
        overridden: Default::default(),
        allow_layout_change: Default::default(),
    })
}

/// Two objects in one input: the first's length in 4 bytes, little endian, then both.
pub(crate) fn split(input: &[u8]) -> (&[u8], &[u8]) {
    let (len, rest) = input.split_at(input.len().min(4));
    let len = len.try_into().map_or(0, u32::from_le_bytes) as usize;
    rest.split_at(len.min(rest.len()))
}

/// Sizes of Linux 6.1 on x86-64: with them more of a damaged section is read.
fn entry_sizes() -> EntrySizes {
    let mut sizes = EntrySizes::default();
    for (name, bytes) in [
        ("alt_instr", 14),
        ("bug_entry", 12),
        ("exception_table_entry", 12),
        ("jump_entry", 16),
        ("static_call_site", 8),
        ("paravirt_patch_site", 16),
        ("orc_entry", 6),
    ] {
        sizes.set(name, bytes);
    }
    sizes
}
