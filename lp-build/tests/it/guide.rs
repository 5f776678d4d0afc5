//! Every refusal has a section of its own in the patch author's guide.

use std::collections::BTreeSet;

const GUIDE: &str = include_str!("../../../docs/patch-author-guide.md");

/// The files that refuse, whose texts of the form `some-code` are the codes.
const SOURCES: [&str; 10] = [
    include_str!("../../src/kernel/units/absent.rs"),
    include_str!("../../src/kernel/changed/followed.rs"),
    include_str!("../../src/kernel/changed/generated.rs"),
    include_str!("../../src/kernel/changed/kconfig.rs"),
    include_str!("../../src/kernel/changed/kinds.rs"),
    include_str!("../../src/kernel/units/rebuilt.rs"),
    include_str!("../../src/kernel/running/sealed.rs"),
    include_str!("../../src/kernel/units/mod.rs"),
    include_str!("../../src/patch/unproven.rs"),
    include_str!("../../src/process/pairs.rs"),
];

#[test]
fn every_refusal_is_in_the_guide() {
    let is_code = |text: &&str| {
        text.contains('-')
            && text
                .split('-')
                .all(|word| !word.is_empty() && word.bytes().all(|c| c.is_ascii_lowercase()))
    };
    let texts = SOURCES.iter().flat_map(|source| source.split('"'));
    let codes: BTreeSet<&str> = texts.filter(is_code).collect();
    assert!(
        codes.contains("not-reproduced") && codes.len() > 12,
        "{codes:?}"
    );
    let missing: Vec<&&str> = codes
        .iter()
        .filter(|code| !GUIDE.contains(&format!("\n### {code}\n")))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/patch-author-guide.md has no section `### CODE` that says what it means and what to do: {missing:?}"
    );
}
