//! `lp-ctl` on processes, as an operator calls it: who may vouch for a patch, and what is wrong with what was given.

use crate::patch::{make, manifest, object_of};
use crate::program::{Folder, Program};
use ed25519_dalek::pkcs8::EncodePublicKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::{Signer, SigningKey};
use lp_klp::inventory::Inventory;
use lp_klp::signature::{self, Signature, message};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAM: &str = r#"
    #include <stdio.h>
    __attribute__((noipa)) int one(int x) { return x + 1; }
    void answer(const char *q, char *r) { sprintf(r, "%d", one(1)); }
"#;

struct World {
    folder: Folder,
    program: Program,
    patch: PathBuf,
}

impl World {
    fn start() -> Self {
        Self::of(PROGRAM)
    }

    fn of(program: &str) -> Self {
        let folder = Folder::new();
        let path = folder.server("prog", program, &[]);
        let program = Program::start(&path);
        let mut manifest = manifest("fix");
        manifest.objects.push(object_of(&path, &["one"]));
        let bytes = make(
            &folder,
            "int one(int x) { return x + 100; }",
            &[],
            &manifest,
        );
        let patch = folder.path("fix.lp");
        fs::write(&patch, bytes).expect("the patch");
        fs::create_dir(folder.path("keys")).expect("a folder");
        mode(&folder.path("keys"), 0o755);
        Self {
            folder,
            program,
            patch,
        }
    }

    fn ctl(&self, words: &[&str]) -> Output {
        let pid = self.program.pid().to_string();
        ctl(&[words, &["--pid", &pid]].concat())
    }

    /// Loads the patch with the folder's keys.
    fn load(&self, more: &[&str]) -> Output {
        let keys = self.folder.path("keys").display().to_string();
        let patch = self.patch.display().to_string();
        self.ctl(&[&["load", &patch, "--keys", &keys], more].concat())
    }

    fn sign(&self, key: &SigningKey) {
        let patch = fs::read(&self.patch).expect("the patch");
        let signature = Signature {
            key: key.verifying_key().to_bytes(),
            signature: key.sign(&message(&patch)).to_bytes(),
        };
        fs::write(signature::path(&self.patch), signature.to_text()).expect("a signature");
    }

    fn trust(&self, key: &SigningKey) -> PathBuf {
        let pem = key.verifying_key().to_public_key_pem(LineEnding::LF);
        let path = self.folder.path("keys/release.pem");
        fs::write(&path, pem.expect("a key")).expect("a key");
        mode(&path, 0o644);
        path
    }
}

fn ctl(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lp-ctl"));
    command.args(words).output().expect("lp-ctl")
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// Ends with this code and says this.
fn says(done: &Output, code: i32, text: &str) {
    let said = [&done.stdout[..], &done.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(done.status.code(), Some(code), "{said}");
    assert!(said.contains(text), "{text}: {said}");
}

#[test]
fn only_what_a_trusted_key_signed_is_loaded() {
    let mut world = World::start();
    says(&world.load(&[]), 2, "the patch is not signed");
    world.sign(&key(1));
    says(&world.load(&[]), 2, "not among the trusted ones");
    world.trust(&key(1));
    says(&world.load(&[]), 0, "fix: loaded into process");
    assert_eq!(world.program.ask(""), "101");
    says(
        &world.ctl(&["unload", "fix"]),
        0,
        "fix: unloaded from process",
    );
    assert_eq!(world.program.ask(""), "2");
}

#[test]
fn the_operator_may_vouch_but_not_for_a_forgery() {
    let mut world = World::start();
    world.trust(&key(1));
    world.sign(&key(1));
    let mut bytes = fs::read(&world.patch).expect("the patch");
    bytes.push(0);
    fs::write(&world.patch, &bytes).expect("the patch");
    says(
        &world.load(&["--allow-unsigned"]),
        2,
        "is not of this patch",
    );
    fs::write(signature::path(&world.patch), "signed, really\n").expect("no signature");
    says(
        &world.load(&["--allow-unsigned"]),
        2,
        "not a livepatch signature",
    );
    fs::remove_file(signature::path(&world.patch)).expect("a file");
    says(
        &world.load(&["--allow-unsigned"]),
        0,
        "fix: loaded into process",
    );
    assert_eq!(world.program.ask(""), "101");
}

#[test]
fn keys_that_others_can_write_vouch_for_nothing() {
    let world = World::start();
    world.sign(&key(1));
    let file = world.trust(&key(1));
    mode(&file, 0o666);
    says(&world.load(&[]), 1, "can be written by others");
    mode(&file, 0o644);
    mode(&world.folder.path("keys"), 0o777);
    says(&world.load(&[]), 1, "can be written by others");
    mode(&world.folder.path("keys"), 0o755);
    fs::write(&file, "no key").expect("a file");
    says(&world.load(&[]), 1, "no Ed25519 public key");
}

#[test]
fn a_rehearsal_changes_nothing() {
    let mut world = World::start();
    let done = world.load(&["--allow-unsigned", "--dry-run"]);
    says(&done, 0, "fix: would go into process");
    assert_eq!(world.program.ask(""), "2");
    says(&world.ctl(&["list"]), 0, "no livepatch is installed");
    says(
        &world.load(&["--allow-unsigned"]),
        0,
        "fix: loaded into process",
    );
    let again = world.load(&["--allow-unsigned", "--dry-run"]);
    says(&again, 2, "patch fix is in the process already");
}

#[test]
fn the_inventory_is_what_lp_verify_reads() {
    let world = World::start();
    says(
        &world.load(&["--allow-unsigned"]),
        0,
        "fix: loaded into process",
    );
    let done = world.ctl(&["inventory"]);
    let inventory = Inventory::from_line(&done.stdout).expect("an inventory");
    let process = inventory.process.expect("it is of a process");
    assert_eq!(process.pid, world.program.pid());
    assert!(process.program.ends_with("/prog"), "{}", process.program);
    let own = process.objects.iter().find(|it| it.name.as_str() == "prog");
    assert_eq!(own.map(|it| it.build_id.len()), Some(40));
    let [patch] = &inventory.patches[..] else {
        panic!("one patch");
    };
    assert!(patch.enabled && !patch.transition);
    let manifest = patch.manifest.as_ref().expect("its manifest");
    assert_eq!(manifest.objects[0].functions[0].name, "one");
}

#[test]
fn what_is_no_target_is_refused() {
    let world = World::start();
    let patch = world.patch.display().to_string();
    let load = |pid: &str| ctl(&["load", &patch, "--allow-unsigned", "--pid", pid]);
    says(&load("2147483000"), 1, "no process 2147483000");
    says(&load("0"), 1, "");
    says(&load("-1"), 1, "");
    let path = world.folder.server("other", PROGRAM, &[]);
    let other = Program::start(&path);
    let other = other.pid().to_string();
    says(
        &load(&other),
        2,
        "it has none of the objects of patch fix (prog)",
    );
    let late = [
        "load",
        &patch,
        "--allow-unsigned",
        "--late",
        "--pid",
        &other,
    ];
    says(
        &ctl(&late),
        0,
        "prog is not loaded: its part of the patch waits",
    );
    says(
        &ctl(&["load", &patch]),
        1,
        "a patch for processes: say for which",
    );
    let all = ctl(&[
        "load",
        &patch,
        "--allow-unsigned",
        "--all",
        "/bin/nobody-runs-this",
    ]);
    says(&all, 1, "no process runs /bin/nobody-runs-this");
}

#[test]
fn what_is_no_patch_is_refused_before_the_process_is_touched() {
    let mut world = World::start();
    let whole = fs::read(&world.patch).expect("the patch");
    let wrong: [&[u8]; 4] = [b"", b"\x7fELF", &whole[..whole.len() / 2], &[0x5a; 4096]];
    for bytes in wrong {
        fs::write(&world.patch, bytes).expect("a file");
        let done = world.load(&["--allow-unsigned"]);
        says(&done, 1, "fix.lp");
    }
    fs::remove_file(&world.patch).expect("a file");
    says(&world.load(&["--allow-unsigned"]), 1, "fix.lp");
    assert_eq!(world.program.ask(""), "2");
    says(&world.ctl(&["list"]), 0, "no livepatch is installed");
}

/// Forks a child every few milliseconds that lives for a second.
const FORKS: &str = r#"
    #include <pthread.h>
    #include <signal.h>
    #include <stdio.h>
    #include <unistd.h>
    __attribute__((noipa)) int one(int x) { return x + 1; }
    static void *work(void *none) {
        for (;;) {
            if (fork() == 0) { usleep(1000000); _exit(one(0)); }
            usleep(10000);
        }
    }
    __attribute__((constructor)) static void start(void) {
        pthread_t thread;
        signal(SIGCHLD, SIG_IGN);
        pthread_create(&thread, NULL, work, NULL);
    }
    void answer(const char *q, char *r) { sprintf(r, "%d", one(1)); }
"#;

#[test]
fn children_that_come_and_go_meanwhile_are_none_that_were_missed() {
    let mut world = World::of(FORKS);
    let path = world.folder.path("prog").display().to_string();
    let patch = world.patch.display().to_string();
    let done = ctl(&["load", &patch, "--allow-unsigned", "--all", &path]);
    says(&done, 0, "loaded into process");
    assert_eq!(world.program.ask(""), "101");
    let done = ctl(&["list", "--all", &path]);
    says(&done, 0, "fix");
    let text = String::from_utf8_lossy(&done.stdout);
    let count = |what: &str| text.lines().filter(|line| line.contains(what)).count();
    assert_eq!(count("process "), count("enabled"), "{text}");
    assert!(count("enabled") > 1, "{text}");
    says(
        &ctl(&["unload", "fix", "--all", &path]),
        0,
        "unloaded from process",
    );
    assert_eq!(world.program.ask(""), "2");
}

/// Two processes of one program, of which one alone has the patch.
#[test]
fn a_process_that_is_as_wanted_is_no_failure_where_all_are_meant() {
    let mut world = World::start();
    let path = world.folder.path("prog");
    let mut other = Program::start(&path);
    let (path, patch) = (
        path.display().to_string(),
        world.patch.display().to_string(),
    );
    says(&world.load(&["--allow-unsigned"]), 0, "loaded into process");
    let load_all = ["load", &patch, "--allow-unsigned", "--all", &path];
    says(&ctl(&load_all), 0, "loaded into process");
    assert_eq!(
        (world.program.ask(""), other.ask("")),
        ("101".into(), "101".into())
    );
    says(&ctl(&load_all), 2, "is in the process already");
    says(&world.ctl(&["unload", "fix"]), 0, "unloaded");
    let unload_all = ["unload", "fix", "--all", &path];
    says(&ctl(&unload_all), 0, "unloaded from process");
    assert_eq!(
        (world.program.ask(""), other.ask("")),
        ("2".into(), "2".into())
    );
    says(&ctl(&unload_all), 1, "there is no patch fix");
}
