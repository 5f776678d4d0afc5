//! A report as lines of text: what was decided and how the output reaches what it does not hold.
//!
//! Offsets, sizes of code and the order of things are the compiler's business and are left out.

use lp_diff::Outcome;
use object::{Object, ObjectSection, ObjectSymbol};

/// The lines of a report.
pub(crate) fn render(outcome: &Outcome) -> String {
    let report = &outcome.report;
    let functions = report.functions.iter().map(|function| {
        assert!(!function.why.is_empty(), "{} has no reason", function.name);
        format!(
            "function {} {:?} {:?}",
            function.name, function.status, function.sympos
        )
    });
    let data = report.data.iter().map(|datum| {
        format!(
            "data {} {} writable={}",
            datum.name, datum.size, datum.writable
        )
    });
    let callbacks = report
        .callbacks
        .iter()
        .map(|callback| format!("callback {} {}", callback.kind, callback.function));
    let states = report.states.iter().map(|state| {
        let upgrades = if state.upgrades { " upgrades" } else { "" };
        format!("state {} {} {}{upgrades}", state.id, state.name, state.size)
    });
    let shadow_ids = report.shadow_ids.iter();
    let refusals = report.refusals.iter().map(|refusal| {
        assert!(!refusal.message.is_empty(), "{refusal:?}");
        let place = refusal.place.split("+0x").next().unwrap_or_default();
        format!("refused {} {place}", refusal.code)
    });
    let layout = report.layout.iter().map(|change| {
        assert!(!change.used_by.is_empty(), "{change:?}");
        let allowed = if change.allowed { "allowed " } else { "" };
        format!("layout {allowed}{}: {}", change.name, change.summary())
    });
    let warnings = report.warnings.iter().map(|warning| {
        assert!(!warning.message.is_empty(), "{warning:?}");
        format!("warning {} {}", warning.code, warning.place)
    });
    let reaches = outcome.object.iter().flat_map(|object| undefined(object));
    let reaches = reaches.map(|name| format!("reaches {name}"));
    let namespaces = report.namespaces.iter();
    let namespaces = namespaces.map(|namespace| format!("imports {namespace}"));
    let tables = outcome.object.iter().flat_map(|object| tables(object));
    let mut text = format!("{:?}\n", report.verdict);
    for mut lines in [
        functions.collect::<Vec<String>>(),
        data.collect(),
        callbacks.collect(),
        states.collect(),
        shadow_ids.map(|id| format!("shadow id {id:#x}")).collect(),
        report
            .notes
            .iter()
            .map(|note| format!("note {note}"))
            .collect(),
        layout.collect(),
        refusals.collect(),
        warnings.collect(),
        reaches.collect(),
        tables.collect(),
        namespaces.collect(),
    ] {
        lines.sort();
        lines.iter().for_each(|line| text += &format!("{line}\n"));
    }
    text
}

/// The tables about code in an object, with their bytes, which are the source's business.
fn tables(object: &[u8]) -> Vec<String> {
    const TABLES: [&str; 14] = [
        ".altinstructions",
        ".call_sites",
        ".cfi_sites",
        ".ibt_endbr_seal",
        ".kcfi_traps",
        ".parainstructions",
        ".retpoline_sites",
        ".return_sites",
        ".smp_locks",
        ".static_call_sites",
        "__bug_table",
        "__ex_table",
        "__jump_table",
        "__patchable_function_entries",
    ];
    let file = object::File::parse(object).expect("our own output");
    file.sections()
        .filter_map(|section| Some((section.name().ok()?.to_owned(), section.size())))
        .filter(|(name, _)| TABLES.contains(&name.as_str()))
        .map(|(name, size)| format!("table {name} {size}"))
        .collect()
}

fn undefined(object: &[u8]) -> Vec<String> {
    let file = object::File::parse(object).expect("our own output");
    file.symbols()
        .filter(|symbol| symbol.is_undefined())
        .map(|symbol| symbol.name().expect("a name").to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}
