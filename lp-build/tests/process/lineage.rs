//! One cumulative patch after the other, and what lp-verify says of them.

use crate::lab::{Lab, Patch, said};
use lp_klp::inventory::{FORMAT, InstalledPatch, Inventory, PresentObject, Process};
use lp_klp::manifest::{Target, TargetKind};
use lp_verify::finding::Finding;
use lp_verify::installed::Installed;
use lp_verify::reader::Module;
use lp_verify::rules;
use std::fs;
use std::path::Path;

const MAKEFILE: &str = "CFLAGS = -O2\nprog: main.o work.o\n\t$(CC) -o $@ $^\n";
const MAIN: &str = "int work(int); int idle(int); int main(int argc, char **argv) { return work(argc) + idle(argc); }\n";
const WORK: &str = "int work(int x) { return x * 5; }\nint idle(int x) { return x * 6; }\n";

fn lab(state: u32) -> Lab {
    let first = WORK.replace("* 5", "* 7");
    let mut lab = Lab::new(
        &[("Makefile", MAKEFILE), ("main.c", MAIN), ("work.c", WORK)],
        &[("work.c", &first)],
    );
    say(&mut lab, "one", state, &[]);
    lab
}

fn say(lab: &mut Lab, name: &str, state: u32, more: &[String]) {
    lab.options = vec![
        "--name".to_owned(),
        name.to_owned(),
        "--state".to_owned(),
        format!("9:{state}"),
    ];
    lab.options.extend_from_slice(more);
}

/// Keeps the first patch, and puts another source into the patched tree.
fn next(lab: &mut Lab, state: u32, source: &str, more: &[String]) {
    let first = lab.path("first.lp");
    fs::rename(lab.path("fix.lp"), &first).expect("the first patch");
    fs::write(lab.path("patched/work.c"), source).expect("a source");
    let previous = ["--previous".to_owned(), first.display().to_string()];
    say(lab, "two", state, &[&previous[..], more].concat());
}

#[test]
fn the_next_patch_carries_on_what_the_last_one_fixed() {
    let mut lab = lab(1);
    lab.patch("prog");
    let both = WORK.replace("* 5", "* 7").replace("* 6", "* 8");
    next(&mut lab, 2, &both, &[]);
    let report = lab.patch("prog").report;
    for line in [
        "from one to two",
        "carried on     work",
        "new            idle",
        "state 9 : version 1 -> 2",
    ] {
        assert!(report.contains(line), "{line}: {report}");
    }
}

#[test]
fn a_lost_fix_and_a_lost_state_are_refused() {
    let mut lab = lab(2);
    lab.patch("prog");
    let other = WORK.replace("* 6", "* 8");
    next(&mut lab, 1, &other, &[]);
    let refusal = lab.refusal("prog");
    assert!(
        refusal.contains("[lost-fix]") && refusal.contains("[state]"),
        "{refusal}"
    );
    assert!(refusal.contains("lp-ctl would refuse"), "{refusal}");
    let first = lab.path("first.lp").display().to_string();
    let words = ["--previous", &first, "--revert", "work"].map(str::to_owned);
    say(&mut lab, "two", 2, &words);
    let done = lab.lp_build(&lab.binary("prog"));
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
}

fn module(patch: &Patch) -> Module {
    Module::parse(Path::new("fix.lp"), patch.bytes(), None).expect("a patch")
}

fn errors(new: &Module, installed: &Installed) -> Vec<String> {
    let findings = rules::check(new, installed, None);
    let errors = findings.iter().filter(|finding| finding.is_error());
    errors.map(Finding::to_string).collect()
}

#[test]
fn a_patch_is_checked_against_a_process() {
    let lab = lab(1);
    let patch = lab.patch("prog");
    let (new, manifest) = (module(&patch), patch.manifest());
    assert_eq!(errors(&new, &Installed::default()), [""; 0]);
    let object = &manifest.objects[0];
    let process = |build_id: &str, patches: Vec<InstalledPatch>| {
        Installed::of_inventory(&Inventory {
            host: "web1".to_owned(),
            format: FORMAT,
            kernel: Target {
                kind: TargetKind::Process,
                release: String::new(),
                build_id: String::new(),
                arch: "x86_64".to_owned(),
            },
            process: Some(Process {
                pid: 17,
                program: "/usr/bin/prog".to_owned(),
                objects: vec![PresentObject {
                    name: object.name.clone(),
                    build_id: build_id.to_owned(),
                }],
            }),
            signatures: None,
            modules: Vec::new(),
            kprobes: None,
            patches,
        })
    };
    assert_eq!(
        errors(&new, &process(&object.build_id, Vec::new())),
        [""; 0]
    );
    let [other] = &errors(&new, &process("00ff", Vec::new()))[..] else {
        panic!("one error");
    };
    assert!(
        other.contains("with build-id 00ff") || other.contains("the process has 00ff"),
        "{other}"
    );
    let mut newer = manifest.clone();
    newer.name = "newer".to_owned();
    newer.states[0].version = 3;
    let installed = InstalledPatch {
        name: "newer".to_owned(),
        enabled: true,
        transition: false,
        replace: Some(true),
        objects: Vec::new(),
        manifest: Some(newer),
    };
    let [state] = &errors(&new, &process(&object.build_id, vec![installed]))[..] else {
        panic!("one error");
    };
    assert!(state.contains("lp-ctl would refuse"), "{state}");
    let kernel = Installed::of_inventory(&Inventory {
        process: None,
        ..inventory()
    });
    let [kind] = &errors(&new, &kernel)[..] else {
        panic!("one error");
    };
    assert!(kind.contains("that of a kernel"), "{kind}");
}

fn inventory() -> Inventory {
    Inventory {
        host: "web1".to_owned(),
        format: FORMAT,
        kernel: Target {
            kind: TargetKind::Kernel,
            release: "6.1.0".to_owned(),
            build_id: String::new(),
            arch: "x86_64".to_owned(),
        },
        process: None,
        signatures: None,
        modules: Vec::new(),
        kprobes: None,
        patches: Vec::new(),
    }
}

/// What the manifest names must be there.
#[test]
fn a_manifest_that_names_what_is_not_there_is_found() {
    let lab = lab(1);
    let patch = lab.patch("prog");
    let from = &b"\"new_name\":\""[..];
    let mut bytes = patch.bytes().to_vec();
    let at = bytes.windows(from.len()).position(|window| window == from);
    let at = at.expect("the manifest's text") + from.len();
    bytes[at] ^= 1;
    let forged = Module::parse(Path::new("fix.lp"), &bytes, None).expect("a patch");
    let [error] = &errors(&forged, &Installed::default())[..] else {
        panic!("one error: {:?}", errors(&forged, &Installed::default()));
    };
    assert!(error.contains("its code does not"), "{error}");
}
