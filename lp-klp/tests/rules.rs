//! What the kernel refuses: tables it would misread, states a patch does not know.

use lp_klp::core::{KlpFunc, KlpObject, KlpPatch, PatchError};
use lp_klp::name::{ObjName, Sympos};
use lp_klp::state::{KlpState, get_prev_state, incompatibilities};

fn func(name: &str, sympos: u32) -> KlpFunc {
    KlpFunc {
        old_name: name.to_owned(),
        sympos: Sympos(sympos),
    }
}

fn state(id: u64, version: u32) -> KlpState {
    KlpState {
        id,
        version,
        name: String::new(),
    }
}

fn patch(name: &str, replace: bool, states: &[(u64, u32)], funcs: &[KlpFunc]) -> KlpPatch {
    KlpPatch {
        name: name.to_owned(),
        version: "1".to_owned(),
        replace,
        states: states
            .iter()
            .map(|&(id, version)| state(id, version))
            .collect(),
        objects: vec![KlpObject {
            name: ObjName::vmlinux(),
            funcs: funcs.to_vec(),
        }],
    }
}

/// Names of the installed patches whose states stop `new`.
fn stopped_by(new: &KlpPatch, installed: &[KlpPatch]) -> Vec<String> {
    incompatibilities(new, installed)
        .into_iter()
        .map(|found| found.installed)
        .collect()
}

#[test]
fn a_state_that_no_one_had_is_allowed() {
    assert!(
        stopped_by(
            &patch("new", true, &[(7, 1)], &[]),
            &[patch("old", true, &[], &[])]
        )
        .is_empty()
    );
}

#[test]
fn a_cumulative_patch_must_know_every_installed_state() {
    let old = [patch("old", true, &[(7, 1)], &[])];
    assert_eq!(stopped_by(&patch("new", true, &[], &[]), &old), ["old"]);
    assert!(stopped_by(&patch("new", false, &[], &[]), &old).is_empty());
}

#[test]
fn a_lower_version_is_refused_with_and_without_replace() {
    let old = [patch("old", true, &[(7, 3)], &[])];
    for replace in [false, true] {
        assert_eq!(
            stopped_by(&patch("new", replace, &[(7, 2)], &[]), &old),
            ["old"]
        );
        assert!(stopped_by(&patch("new", replace, &[(7, 3)], &[]), &old).is_empty());
        assert!(stopped_by(&patch("new", replace, &[(7, 4)], &[]), &old).is_empty());
    }
}

#[test]
fn every_installed_patch_is_asked() {
    let installed = [
        patch("a", true, &[(7, 3)], &[]),
        patch("b", false, &[(7, 1)], &[]),
        patch("c", false, &[(8, 2)], &[]),
    ];
    let found = incompatibilities(&patch("new", false, &[(7, 2), (8, 1)], &[]), &installed);
    let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "installed patch 'a' has state 7 version 3, the new patch knows only version 2",
            "installed patch 'c' has state 8 version 2, the new patch knows only version 1",
        ]
    );
}

#[test]
fn the_previous_state_is_the_newest_installed_one() {
    let installed = [
        patch("a", true, &[(7, 1)], &[]),
        patch("b", false, &[(7, 2)], &[]),
        patch("c", false, &[], &[]),
    ];
    assert_eq!(get_prev_state(&installed, 7), Some(&state(7, 2)));
    assert_eq!(get_prev_state(&installed, 9), None);
}

#[test]
fn a_replacing_patch_gives_nops_for_what_it_no_longer_patches() {
    let old = [patch(
        "old",
        true,
        &[],
        &[func("gone", 0), func("kept", 0), func("twin", 2)],
    )];
    let funcs = [func("kept", 1), func("twin", 1)];
    let nops = patch("new", true, &[], &funcs).nops(&old);
    assert_eq!(
        nops,
        [
            (ObjName::vmlinux(), func("gone", 0)),
            (ObjName::vmlinux(), func("twin", 2))
        ]
    );
    assert!(patch("new", false, &[], &funcs).nops(&old).is_empty());
}

#[test]
fn all_defects_are_told_at_once() {
    let long = "f".repeat(512);
    let mut wrong = patch(
        "p",
        true,
        &[(0, 1), (3, 1), (3, 2)],
        &[func("f", 0), func("f", 1), func("g", 1), func(&long, 0)],
    );
    wrong.objects.push(wrong.objects[0].clone());
    wrong.objects[1].funcs.clear();
    let defects = wrong.defects();
    assert_eq!(defects.len(), 5, "{defects:#?}");
    assert!(matches!(&defects[0], PatchError::DuplicateFunc { func, .. } if func == "f"));
    assert!(matches!(&defects[1], PatchError::FuncName { .. }));
    assert!(matches!(&defects[2], PatchError::DuplicateObject { .. }));
    assert!(matches!(&defects[3], PatchError::StateZero(_)));
    assert!(matches!(
        &defects[4],
        PatchError::DuplicateState { id: 3, .. }
    ));
}

#[test]
fn a_sound_patch_has_no_defects_and_an_empty_one_has() {
    let sound = patch("p", true, &[(1, 1)], &[func("twin", 1), func("twin", 2)]);
    assert_eq!(sound.defects(), []);
    let empty = KlpPatch {
        objects: Vec::new(),
        ..sound
    };
    let defects = empty.defects();
    assert_eq!(defects, [PatchError::NoObject("p".to_owned())]);
    assert!(!defects[0].is_refused(), "seen in Linux 6.1");
}
