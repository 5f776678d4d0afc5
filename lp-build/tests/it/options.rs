//! The command line and the description as one.

use crate::{folder, message};
use clap::Parser;
use lp_build::cli::{Cli, Command};
use lp_build::options::{Options, Patched, interpret};

pub(crate) fn options(words: &[&str]) -> anyhow::Result<Options> {
    let always = [
        "lp-build",
        "kernel",
        "--orig",
        "tree",
        "--kernel",
        "6.1.0-53-amd64",
        "--cache",
        "cache",
    ];
    let cli = Cli::try_parse_from(always.iter().chain(words))?;
    let Command::Kernel(args) = cli.command else {
        anyhow::bail!("another command")
    };
    interpret(*args)
}

#[test]
fn an_option_wins_over_the_description() {
    let work = folder(&[
        ("fix.patch", ""),
        (
            "livepatch.toml",
            "version = \"1\"\ndescription = \"d\"\nreplace = false\n[[state]]\nid = 1\nversion = 1\n",
        ),
    ]);
    let patch = work.path().join("fix.patch").display().to_string();
    let read = options(&["--patch", &patch, "-o", "fix-it.ko"]).expect("options");
    assert_eq!(read.asked.identity.name.as_str(), "fix_it");
    assert_eq!(
        (
            read.asked.identity.version.as_str(),
            read.asked.identity.replace
        ),
        ("1", false)
    );
    assert_eq!(read.asked.identity.states.len(), 1);
    assert!(matches!(&read.patched, Patched::Patches(patches) if patches.len() == 1));

    let given = [
        "--patch",
        &patch,
        "-o",
        "fix-it.ko",
        "--version",
        "2",
        "--replace",
        "true",
        "--state",
        "9:1",
    ];
    let given = options(&given).expect("options");
    assert_eq!(
        (
            given.asked.identity.version.as_str(),
            given.asked.identity.replace
        ),
        ("2", true)
    );
    assert_eq!(
        given
            .asked
            .identity
            .states
            .iter()
            .map(|state| state.id)
            .collect::<Vec<_>>(),
        [9]
    );
    assert_eq!(given.asked.identity.description, "d");
}

#[test]
fn a_patch_replaces_unless_it_says_otherwise() {
    let read = options(&["--patched", "new", "-o", "fix.ko"]).expect("options");
    assert!(read.asked.identity.replace);
    assert!(
        !options(&["--patched", "new", "-o", "fix.ko", "--replace", "false"])
            .expect("options")
            .asked
            .identity
            .replace
    );
}

#[test]
fn names_and_outputs_belong_together() {
    for (words, expected) in [
        (vec!["-o", "fix.mod"], "must be named NAME.ko"),
        (vec!["-o", ".ko"], "must be named NAME.ko"),
        (
            vec!["-o", "fix.ko", "--name", "other"],
            "the patch's name is 'other'",
        ),
        (vec!["-o", "a.b.ko"], "cannot be a module's name"),
        (vec!["-o", "vmlinux.ko"], "cannot be named vmlinux"),
        (
            vec!["-o", "fix.ko", "--version", "1\u{0}"],
            "control character",
        ),
        (
            vec!["-o", "fix.ko", "--kernel", "../6.1"],
            "unexpected argument",
        ),
    ] {
        let words: Vec<&str> = ["--patched", "new"].into_iter().chain(words).collect();
        let said = message(options(&words));
        // Clap says of an option that is given twice that it cannot be.
        assert!(
            said.contains(expected) || said.contains("cannot be used multiple times"),
            "{words:?}: {said}"
        );
    }
    assert!(options(&["--patched", "new", "-o", "fix-it.ko", "--name", "fix_it"]).is_ok());
}

#[test]
fn a_tree_and_patches_exclude_each_other() {
    assert!(options(&["--patched", "new", "--patch", "x.patch", "-o", "fix.ko"]).is_err());
    assert!(options(&["-o", "fix.ko"]).is_err());
}

#[test]
fn a_build_folder_says_its_release() {
    let work = folder(&[("include/config/kernel.release", "6.1.5-own\n")]);
    let path = work.path().to_str().expect("a path");
    let read = |more: &[&str]| {
        let words = ["lp-build", "kernel", "--orig", "tree", "--patched", "new"];
        let words = words.iter().chain(&["-o", "fix.ko", "--cache", "cache"]);
        let cli = Cli::try_parse_from(words.chain(more))?;
        let Command::Kernel(args) = cli.command else {
            anyhow::bail!("another command")
        };
        interpret(*args)
    };
    let options = read(&["--build-dir", path]).expect("a build folder");
    assert_eq!(options.release, "6.1.5-own");
    assert!(read(&[]).is_err(), "no kernel at all");
    assert!(read(&["--build-dir", path, "--sysroot", "/"]).is_err());
    let nothing = read(&["--build-dir", "no-such-folder"]);
    assert!(message(nothing).contains("where the kernel was built"));
}
