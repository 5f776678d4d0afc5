//! The differential test's own parts, as far as they need no kernel.

use std::path::Path;

use lp_tests::differential::model::Model;
use lp_tests::differential::pool;
use lp_tests::differential::sequence;

#[test]
fn a_number_and_a_seed_are_always_the_same_sequence() {
    let pool = pool::pool().len();
    assert_eq!(sequence::random(1, 7, pool), sequence::random(1, 7, pool));
    assert_ne!(sequence::random(1, 7, pool), sequence::random(2, 7, pool));
}

#[test]
fn what_is_written_is_read_again() {
    for number in 0..200 {
        let written = sequence::random(3, number, pool::pool().len());
        let text = format!("# a comment\n{}", sequence::write(&written));
        assert_eq!(sequence::parse(&text).expect("a case"), written);
    }
    assert!(sequence::parse("lode 3").is_err());
    assert!(sequence::parse("load").is_err());
}

#[test]
fn kept_cases_can_be_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("differential/cases");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the folder") {
        let text = std::fs::read_to_string(entry.expect("a file").path()).expect("a text");
        assert!(!sequence::parse(&text).expect("a case").is_empty());
        count += 1;
    }
    assert!(count > 0);
}

/// The pool must be able to show what it is for: loads that work, and loads that do not.
#[test]
fn sequences_reach_far() {
    let pool = pool::pool();
    let (mut done, mut refused, mut busy) = (0, 0, 0);
    for number in 0..300 {
        let mut model = Model::new(pool.clone());
        for operation in sequence::random(1, number, pool.len()) {
            match model.step(operation).is_done() {
                true => done += 1,
                false => refused += 1,
            }
            busy += usize::from(model.installed().iter().any(|(_, transition)| *transition));
        }
    }
    assert!(
        done > 1000 && refused > 500 && busy > 50,
        "{done} done, {refused} refused, {busy} in transition"
    );
}
