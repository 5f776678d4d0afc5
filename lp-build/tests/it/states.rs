//! States that the module takes over with the author's steps.

use lp_build::cli::Template;
use lp_build::kernel::judge::states::{Found, States};
use lp_build::options::Identity;
use lp_diff::report::StateCode;
use lp_klp::name::ObjName;
use lp_klp::state::KlpState;
use std::path::Path;
use std::process::Command;

fn identity() -> Identity {
    Identity {
        name: "fix".parse().expect("a name"),
        version: String::new(),
        description: String::new(),
        replace: true,
        states: vec![KlpState {
            id: 7,
            version: 2,
            name: String::new(),
        }],
        shadows: Vec::new(),
    }
}

fn found(id: u64, source: &str) -> Found {
    Found {
        code: StateCode {
            id,
            name: "limit_state".into(),
            alias: format!("__lp_new.{id}"),
            size: 4,
            upgrades: false,
        },
        source: source.into(),
    }
}

#[test]
fn a_state_is_declared_and_kept_once_in_the_kernel() {
    let (kernel, module): (ObjName, ObjName) =
        (ObjName::vmlinux(), "zram".parse().expect("a name"));
    let mut states = States::default();
    let mut add = |object, id, source| {
        let refusal = states.add(object, found(id, source), &identity());
        refusal.map(|refusal| (refusal.code, refusal.message))
    };
    let refused = |refusal: Option<(String, String)>, why: &str| {
        let (code, message) = refusal.expect("a refusal");
        assert!(code == "state" && message.contains(why), "{message}");
    };
    refused(add(&module, 7, "drivers/z.c"), "belongs to zram");
    refused(add(&kernel, 8, "a.c"), "no [[state]] with id = 8");
    assert_eq!(add(&kernel, 7, "a.c"), None);
    refused(add(&kernel, 7, "b.c"), "in a.c already");
    assert_eq!(states.ops(7).as_deref(), Some("__lp_new.7"));
    assert_eq!(states.manifest()[0].size, 4);
}

#[test]
fn the_template_compiles_as_it_is() {
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../templates");
    let dir = tempfile::tempdir().expect("a folder");
    let source = dir.path().join("state.c");
    let kernel = "#define READ_ONCE(x) (*(volatile __typeof__(x) *)&(x))\n\
                  #define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))\n\
                  static int my_setting;\n";
    std::fs::write(&source, format!("{kernel}{}", Template::State.text())).expect("written");
    let compiled = Command::new("gcc")
        .args(["-fsyntax-only", "-Wall", "-Werror", "-idirafter"])
        .arg(templates)
        .arg(&source)
        .output()
        .expect("gcc");
    let errors = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{errors}");
}
