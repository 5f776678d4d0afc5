//! Processes that see other files, other numbers and other users than we do.

use super::{NEXT, fix, there_and_back};
use crate::program::{Folder, Program};
use rustix::process::geteuid;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

/// A user that owns nothing.
const NOBODY: u32 = 65_534;

/// A command that may change what it sees: as root, or in a user namespace where we are root.
fn unshare(args: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    if !geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(args);
    command
}

#[test]
fn a_program_in_another_root_folder_is_patched() {
    let folder = Folder::new();
    let path = folder.server("prog", NEXT, &["-static"]);
    let root = folder.path("root");
    fs::create_dir(&root).expect("a new folder");
    fs::copy(&path, root.join("moved")).expect("it is copied");
    let mut command = unshare(&["--root"]);
    let mut program = Program::spawn(command.arg(&root).arg("/moved"));
    let pid = program.pid();
    there_and_back(&mut program, pid, &fix(&folder, &root.join("moved")));
}

#[test]
fn a_program_that_only_its_own_mounts_have_is_patched() {
    let folder = Folder::new();
    let path = folder.server("prog", NEXT, &[]);
    let patch = fix(&folder, &path);
    fs::create_dir(folder.path("over")).expect("a new folder");
    let script = "mount -t tmpfs none over && cp prog over && exec over/prog";
    let mut command = unshare(&["--mount", "sh", "-c", script]);
    let mut program = Program::spawn(command.current_dir(folder.path("")));
    assert!(!folder.path("over/prog").exists());
    let pid = program.pid();
    there_and_back(&mut program, pid, &patch);
}

#[test]
fn a_program_that_has_another_number_for_itself_is_patched() {
    let folder = Folder::new();
    let path = folder.server("prog", NEXT, &[]);
    let mut command = unshare(&["--pid", "--fork", "--kill-child", "--mount-proc"]);
    let mut program = Program::spawn(command.arg(&path));
    let children = format!("/proc/{0}/task/{0}/children", program.pid());
    let children = fs::read_to_string(children).expect("it has one");
    let pid = children.trim().parse().expect("a number");
    there_and_back(&mut program, pid, &fix(&folder, &path));
}

#[test]
fn root_patches_a_program_of_another_user() {
    let folder = Folder::new();
    let path = folder.server("prog", NEXT, &[]);
    let everybody = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(""), everybody).expect("it is ours");
    let mut command = Command::new(&path);
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut program = Program::spawn(&mut command);
    let pid = program.pid();
    there_and_back(&mut program, pid, &fix(&folder, &path));
}

/// Runs lp-ctl from the folder, for a process, with what is before it.
fn lp_ctl(folder: &Folder, before: &[&str], args: &[&str], pid: i32) -> Output {
    let mut command = Command::new(before[0]);
    command.args(&before[1..]).arg(folder.path("lp-ctl"));
    command.args(args).args(["--pid", &pid.to_string()]);
    command.output().expect("it starts")
}

fn provide_lp_ctl(folder: &Folder) {
    let lp_ctl = Path::new(env!("CARGO_BIN_EXE_lp-ctl"));
    fs::copy(lp_ctl, folder.path("lp-ctl")).expect("it is copied");
    let everybody = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(""), everybody).expect("it is ours");
}

#[test]
fn nobody_patches_what_is_not_theirs() {
    let folder = Folder::new();
    provide_lp_ctl(&folder);
    let mut program = Program::start(&folder.server("prog", NEXT, &[]));
    // Whoever is not root cannot be somebody else, and asks for the first process.
    let (before, pid) = if geteuid().is_root() {
        let before = [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ];
        (before.to_vec(), program.pid())
    } else {
        (vec!["env"], 1)
    };
    for args in [["list"].as_slice(), &["unload", "fix"]] {
        let done = lp_ctl(&folder, &before, args, pid);
        let said = String::from_utf8_lossy(&done.stderr).into_owned()
            + &String::from_utf8_lossy(&done.stdout);
        assert!(!done.status.success(), "{said}");
        assert!(
            said.contains("cannot be") && said.contains("trace"),
            "{said}"
        );
    }
    assert_eq!(program.ask("1"), "2");
}

/// Root, but without the right to take a filter away: the process must be refused, since the filter would kill it.
#[test]
fn a_filter_that_kills_is_not_tried() {
    let folder = Folder::new();
    provide_lp_ctl(&folder);
    let path = folder.server("prog", super::conditions::FILTERED, &[]);
    let mut program = Program::start(&path);
    assert_eq!(program.ask("kill"), "killing");
    let mut manifest = crate::patch::manifest("fix");
    manifest
        .objects
        .push(crate::patch::object_of(&path, &["one"]));
    let patch = crate::patch::make(&folder, super::ONE, &[], &manifest);
    fs::write(folder.path("fix.lp"), patch).expect("it is written");
    let file = folder.path("fix.lp");
    let file = file.to_str().expect("its path is text");
    // Who is not root has no right to lose.
    let before: &[&str] = if geteuid().is_root() {
        &[
            "setpriv",
            "--bounding-set=-sys_admin",
            "--inh-caps=-sys_admin",
        ]
    } else {
        &["env"]
    };
    let done = lp_ctl(
        &folder,
        before,
        &["load", file, "--allow-unsigned"],
        program.pid(),
    );
    let said =
        String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout);
    assert!(!done.status.success(), "{said}");
    assert!(
        said.contains("seccomp") && said.contains("CAP_SYS_ADMIN"),
        "{said}"
    );
    assert_eq!(program.ask("1"), "2");
}
