//! Every refusal and every warning has a section of its own in the patch author's guide, so that a message can point
//! there.

use lp_diff::RefusalCode;
use lp_diff::explain::warnings::WarningCode;
use serde::de::DeserializeOwned;

const GUIDE: &str = include_str!("../../docs/patch-author-guide.md");

/// All serialized names of an enum: serde lists them where it meets another one, so none can be forgotten here.
fn codes<T: DeserializeOwned>() -> Vec<String> {
    let Err(error) = serde_json::from_str::<T>("\"no such code\"") else {
        panic!("there is a code of that name");
    };
    let text = error.to_string();
    let (_, listed) = text.split_once("expected").expect("a list of codes");
    let codes = listed.split('`').skip(1).step_by(2);
    let codes: Vec<String> = codes.map(str::to_owned).collect();
    assert!(!codes.is_empty(), "{text}");
    codes
}

#[test]
fn every_code_is_in_the_guide() {
    let mut codes = codes::<RefusalCode>();
    codes.extend(self::codes::<WarningCode>());
    let missing: Vec<&String> = codes
        .iter()
        .filter(|code| !GUIDE.contains(&format!("\n### {code}\n")))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/patch-author-guide.md has no section `### CODE` that says what it means and what to do: {missing:?}"
    );
}
