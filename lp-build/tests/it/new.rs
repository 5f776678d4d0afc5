//! What `lp-build new` makes, and what sizes may be given.

use crate::folder;
use lp_build::cli::{NewArgs, parse_size};
use lp_build::{describe, new};
use std::fs;

const TEMPLATE: &str = include_str!("../../../templates/livepatch.toml");

#[test]
fn a_new_patch_has_a_description_that_can_be_read() {
    let root = folder(&[]);
    let args = || NewArgs {
        name: "fix_it".to_owned(),
        within: root.path().to_owned(),
    };
    new::run(&args());
    let path = root.path().join("fix_it/livepatch.toml");
    let made = describe::read(&path).expect("a description");
    assert_eq!(made.name.as_deref(), Some("fix_it"));

    fs::write(&path, "mine").expect("a file");
    new::run(&args());
    assert_eq!(fs::read_to_string(&path).expect("a file"), "mine");
}

/// What is commented out is there to be used.
#[test]
fn all_that_its_comments_offer_is_understood() {
    let is_key = |line: &&str| line.starts_with("# [[") || line.split(' ').nth(2) == Some("=");
    let lines: Vec<&str> = TEMPLATE.lines().filter(is_key).collect();
    let offered: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("# "))
        .collect();
    let made = describe::parse(&offered.join("\n")).expect("a description");
    assert_eq!((made.states.len(), made.shadows.len()), (1, 1));
    assert_eq!(made.allow_layout_change, ["struct_name"]);
}

#[test]
fn sizes_are_counted_as_du_counts() {
    assert_eq!(parse_size("512"), Ok(512));
    assert_eq!(parse_size("3K"), Ok(3 << 10));
    assert_eq!(parse_size("10G"), Ok(10 << 30));
    assert_eq!(parse_size("1TiB"), Ok(1 << 40));
    for wrong in ["", "G", "10X", "-1", "1.5G", "99999999999T"] {
        assert!(parse_size(wrong).is_err(), "{wrong}");
    }
}
