//! The callbacks of a patch of several files.

use lp_build::patch::callbacks::{Callbacks, Found};
use lp_klp::name::ObjName;
use lp_klp::target::Callback;

fn found(function: &str, source: &str) -> Found {
    Found {
        function: function.into(),
        alias: format!("__lp_new.{function}"),
        source: source.into(),
    }
}

#[test]
fn an_object_has_one_of_each_kind_over_all_files() {
    let (kernel, module): (ObjName, ObjName) =
        (ObjName::vmlinux(), "zram".parse().expect("a name"));
    let mut all = Callbacks::default();
    for (object, kind, function) in [
        (&kernel, Callback::PrePatch, "take"),
        (&kernel, Callback::PostUnpatch, "give"),
        (&module, Callback::PrePatch, "zram_take"),
    ] {
        assert_eq!(all.add(object, kind, found(function, "a.c")), None);
    }
    let refusal = all.add(&kernel, Callback::PrePatch, found("take_too", "b.c"));
    let refusal = refusal.expect("a second one of the kind");
    assert_eq!(
        (refusal.code.as_str(), refusal.place.as_str()),
        ("callback", "b.c: take_too")
    );
    assert!(
        refusal.message.contains("take in a.c"),
        "{}",
        refusal.message
    );
    let names = all.manifest(&kernel);
    assert_eq!(names.pre_patch.as_deref(), Some("take"));
    assert_eq!(names.post_unpatch.as_deref(), Some("give"));
    assert_eq!((names.post_patch, names.pre_unpatch), (None, None));
    assert_eq!(
        all.manifest(&module).pre_patch.as_deref(),
        Some("zram_take")
    );
}
