//! What an author says with the headers of `templates/` and in `livepatch.toml`, shown on the example.

use crate::lab::{Lab, Patch, run, said};
use lp_klp::name::Sympos;
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
        !second.report.contains("which server does not use so far"),
        "{}",
        second.report
    );
}

#[test]
fn a_callback_by_name_is_a_new_function() {
    let makefile = "CFLAGS = -O2\nprog: main.o work.o\n\t$(CC) -o $@ $^\n";
    let main = "int work(int); int main(int argc, char **argv) { return work(argc); }\n";
    let work = "int work(int x) { return x * 5; }\n";
    let after = "int limit_check(void) { return 0; } int work(int x) { return x * 7; }\n";
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
