//! What an author says with the headers of `templates/` and in `livepatch.toml`, shown on the example.

use crate::lab::{Lab, Patch, run, said};
use lp_klp::name::Sympos;
use lp_klp::signature::{self, Signature};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

struct Example {
    folder: TempDir,
    source: PathBuf,
}

impl Example {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let source = folder.path().join("source");
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/process-server");
        run(Command::new("cp").arg("-r").arg(example).arg(&source));
        run(Command::new("make").current_dir(&source));
        Self { folder, source }
    }

    fn patch(&self, fix: &str) -> Patch {
        let output = self.folder.path().join(format!("words-{fix}.lp"));
        let done = Command::new(env!("CARGO_BIN_EXE_lp-build"))
            .args(["process", "--orig"])
            .arg(&self.source)
            .arg("--patch")
            .arg(self.source.join(fix).join("fix.patch"))
            .args(["--build", "make", "--binary"])
            .arg(self.source.join("server"))
            .arg("-o")
            .arg(&output)
            .arg("--cache")
            .arg(self.folder.path().join("cache"))
            .output()
            .expect("lp-build");
        assert_eq!(done.status.code(), Some(0), "{}", said(&done));
        Patch::read(&output, &done)
    }
}

#[test]
fn the_example_has_callbacks_states_and_shadow_variables() {
    let example = Example::new();
    let (first, second) = (example.patch("fix-1"), example.patch("fix-2"));
    assert_eq!(
        first.functions(),
        ["protocol_answer", "store_set", "store_get"]
    );
    assert_eq!(second.functions(), first.functions());
    let manifest = first.manifest();
    assert_eq!(
        (manifest.name.as_str(), manifest.version.as_str()),
        ("words_fix_1", "1")
    );
    assert_eq!((manifest.states[0].id, manifest.states[0].version), (1, 1));
    assert_eq!(manifest.shadow_ids[0].id, 257);
    let object = first.object();
    assert_eq!(object.functions[0].sympos, Sympos(0));
    for name in [&object.callbacks.pre_patch, &object.callbacks.post_unpatch] {
        let name = name.as_deref().expect("a callback");
        assert!(first.defines(name), "{name}");
    }
    assert!(object.callbacks.post_patch.is_none());
    let outer = first.outer();
    for name in [
        ".klp.sym.server.entries,0",
        "__lp_shadow_root",
        "__lp_states",
    ] {
        assert!(outer.iter().any(|outer| outer == name), "{outer:?}");
    }
    assert_eq!(second.manifest().states[0].version, 2);
    assert!(
        !second
            .report
            .contains("which nothing in server uses so far"),
        "{}",
        second.report
    );
}

#[test]
fn a_callback_by_name_is_a_new_function() {
    let makefile = "CFLAGS = -O2\nprog: main.o work.o\n\t$(CC) -o $@ $^\n";
    let main = "int work(int); int main(int argc, char **argv) { return work(argc); }\n";
    let work = "int work(int x) { return x * 1000; }\n";
    let after = "int limit_check(void) { return 0; } int work(int x) { return x * 1007; }\n";
    let mut lab = Lab::new(
        &[("Makefile", makefile), ("main.c", main), ("work.c", work)],
        &[("work.c", after)],
    );
    let description = lab.path("livepatch.toml");
    lab.options = vec!["--describe".to_owned(), description.display().to_string()];
    fs::write(&description, "[callbacks]\npre_patch = \"limit_check\"\n").expect("a file");
    let patch = lab.patch("prog");
    let callbacks = patch.object().callbacks;
    assert_eq!(callbacks.pre_patch.as_deref(), Some("limit_check"));
    assert!(patch.defines("limit_check"));
    fs::remove_file(lab.path("fix.lp")).expect("the patch");
    fs::write(&description, "[callbacks]\npre_patch = \"work\"\n").expect("a file");
    let refusal = lab.refusal("prog");
    assert!(
        refusal.contains("work: it is to be the pre_patch callback"),
        "{refusal}"
    );
}

#[test]
fn a_signature_is_of_the_files_bytes() {
    let makefile = "CFLAGS = -O2\nprog: work.c\n\t$(CC) $(CFLAGS) -o $@ $^\n";
    let work = "int main(void) { return 5; }\n";
    let mut lab = Lab::new(
        &[("Makefile", makefile), ("work.c", work)],
        &[("work.c", &work.replace('5', "7"))],
    );
    let (key, public) = (lab.path("key.pem"), lab.path("key.der"));
    run(Command::new("openssl")
        .args(["genpkey", "-algorithm", "ed25519", "-out"])
        .arg(&key));
    run(Command::new("openssl")
        .args(["pkey", "-pubout", "-outform", "DER", "-in"])
        .arg(&key)
        .arg("-out")
        .arg(&public));
    lab.options = vec!["--sign".to_owned(), key.display().to_string()];
    let patch = lab.patch("prog");
    let text = fs::read_to_string(lab.path("fix.lp.sig")).expect("a signature");
    let signature = Signature::from_text(&text).expect("a signature");
    // The last 32 bytes of the DER form are the key itself (RFC 8410).
    assert!(fs::read(&public).expect("a key").ends_with(&signature.key));
    let (message, raw) = (lab.path("message"), lab.path("raw"));
    fs::write(&message, signature::message(patch.bytes())).expect("a file");
    fs::write(&raw, signature.signature).expect("a file");
    let verify = |message: &Path| {
        let mut openssl = Command::new("openssl");
        openssl
            .args([
                "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey",
            ])
            .arg(&public);
        openssl.arg("-in").arg(message).arg("-sigfile").arg(&raw);
        openssl.output().expect("openssl").status.success()
    };
    assert!(verify(&message));
    fs::write(&message, patch.bytes()).expect("a file");
    assert!(!verify(&message));
}
