//! `--html`: the page for who reviews a patch.

use crate::options::options;
use crate::{folder, write};
use lp_build::fidelity::Fidelity;
use lp_build::kernel::judge::review::page;
use lp_build::patch::judged::Judged;
use lp_diff::show::Wanted;
use lp_diff::{Config, Exports, SymbolTable, diff_and_show};
use lp_klp::name::ObjName;
use std::path::Path;
use std::process::Command;

const LIMITED: &str =
    "#include \"../outside.h\"\nint limit(int n)\n{\n\treturn n > 10 ? 10 : SECRET(n);\n}\n";
const SAME: &str = "int same(int n)\n{\n\treturn n + 1;\n}\n";

fn compile(tree: &Path, file: &str) -> Vec<u8> {
    let (source, object) = (tree.join(file), tree.join(file).with_extension("o"));
    let compiled = Command::new("gcc")
        .args([
            "-g",
            "-O2",
            "-fcf-protection=none",
            "-pg",
            "-mfentry",
            "-mcmodel=kernel",
            "-fno-pic",
        ])
        .args(["-ffunction-sections", "-fdata-sections", "-c", "-o"])
        .arg(&object)
        .arg(&source)
        .status();
    assert!(compiled.expect("gcc").success());
    std::fs::read(&object).expect("an object")
}

fn judged(orig: &Path, patched: &Path, file: &str) -> Judged {
    let (before, after) = (compile(orig, file), compile(patched, file));
    let config = Config {
        flavour: Default::default(),
        object: ObjName::vmlinux(),
        entry_sizes: Default::default(),
        unit: file.replace('/', "."),
        places: Default::default(),
        overridden: Default::default(),
        allow_layout_change: Default::default(),
    };
    let symbols = SymbolTable::from_elf(&*before).expect("symbols");
    let (outcome, shown) = diff_and_show(
        &before,
        &after,
        &symbols,
        &Exports::default(),
        &config,
        &Wanted::default(),
    )
    .expect("a diff");
    Judged {
        source: file.to_owned(),
        object: ObjName::vmlinux(),
        fidelity: Fidelity {
            functions: Vec::new(),
            places: Default::default(),
        },
        report: outcome.report,
        diff: outcome.object,
        shown: Some(shown),
        unproven: Vec::new(),
        sealed: Vec::new(),
    }
}

#[test]
fn the_page_shows_both_versions_of_what_changed_and_nothing_from_outside_the_trees() {
    let work = folder(&[(
        "outside.h",
        "#define SECRET(n) \\\n\t(n) /* of another's file */\n",
    )]);
    let (orig, patched) = (work.path().join("orig"), work.path().join("patched"));
    for (tree, limit) in [(&orig, "10"), (&patched, "16")] {
        write(tree, "limit.c", &LIMITED.replace("10", limit));
        write(tree, "same.c", SAME);
    }
    let units = [
        judged(&orig, &patched, "limit.c"),
        judged(&orig, &patched, "same.c"),
    ];
    let options = options(&[
        "--patched",
        "new",
        "--html",
        "page.html",
        "--version",
        "<2>",
        "-o",
        "fix.ko",
    ])
    .expect("options");
    let html = page(&options, &units, (&orig, &patched)).expect("a page");
    for shown in [
        "fix &lt;2&gt; for 6.1.0-53-amd64",
        "limit.c:4",
        "n &gt; 10",
        "n &gt; 16",
    ] {
        assert!(html.contains(shown), "no `{shown}` in {html}");
    }
    for hidden in ["same.c", "of another", "http:", "https:", "<2>"] {
        assert!(!html.contains(hidden), "`{hidden}` in {html}");
    }
}
