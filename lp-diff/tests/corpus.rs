//! The rules of the differ, a folder each: `case.c` is compiled twice, the second time with `PATCHED` defined, and the
//! report must be the one in `report.txt`. `UPDATE_GOLDEN=1 cargo test -p lp-diff` rewrites the reports.

use lp_diff::{Config, EntrySizes, Exports, Outcome, SymbolTable, diff};
use lp_klp::name::ObjName;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the kernel's build gives every file, as far as it shapes sections and symbols.
const FLAGS: [&str; 13] = [
    "-c",
    "-O2",
    "-g",
    "-pg",
    "-mfentry",
    "-mrecord-mcount",
    "-fno-pie",
    "-mcmodel=kernel",
    "-mno-red-zone",
    "-fno-asynchronous-unwind-tables",
    "-fcf-protection=none",
    "-ffunction-sections",
    "-fdata-sections",
];

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases: Vec<PathBuf> = fs::read_dir(root)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    cases.sort();
    cases
}

fn compile(case: &Path, folder: &Path, patched: bool) -> Vec<u8> {
    let output = folder.join(if patched { "patched.o" } else { "orig.o" });
    let mut gcc = Command::new("gcc");
    gcc.args(FLAGS)
        .args(patched.then_some("-DPATCHED"))
        .arg("case.c")
        .arg("-o")
        .arg(&output)
        .current_dir(case);
    assert!(
        gcc.status().expect("gcc runs").success(),
        "{}: does not compile",
        case.display()
    );
    fs::read(output).expect("the object")
}

fn run(orig: &[u8], patched: &[u8]) -> Outcome {
    let symbols = SymbolTable::from_elf(orig).expect("the original's symbols");
    let exports =
        Exports::parse("0x00000001\t__fentry__\tvmlinux\tEXPORT_SYMBOL\t\n").expect("exports");
    let config = Config {
        object: ObjName::vmlinux(),
        entry_sizes: EntrySizes::default(),
        unit: "case".into(),
        places: Default::default(),
        overridden: Default::default(),
    };
    diff(orig, patched, &symbols, &exports, &config).expect("objects that gcc wrote")
}

/// The report, and how the output reaches what it does not hold.
fn render(outcome: &Outcome) -> String {
    let report = &outcome.report;
    let mut text = format!("{:?}\n", report.verdict);
    for function in &report.functions {
        // Offsets and instructions are the compiler's business; that there is a reason is ours.
        assert!(!function.why.is_empty(), "{} has no reason", function.name);
        writeln!(
            text,
            "function {} {:?} {:?}",
            function.name, function.status, function.sympos
        )
        .expect("a string");
    }
    for datum in &report.data {
        writeln!(
            text,
            "data {} {} writable={}",
            datum.name, datum.size, datum.writable
        )
        .expect("a string");
    }
    for callback in &report.callbacks {
        writeln!(text, "callback {} {}", callback.kind, callback.function).expect("a string");
    }
    for id in &report.shadow_ids {
        writeln!(text, "shadow id {id:#x}").expect("a string");
    }
    for note in &report.notes {
        writeln!(text, "note {note}").expect("a string");
    }
    for refusal in &report.refusals {
        writeln!(text, "refused {} {}", refusal.code, refusal.place).expect("a string");
    }
    if let Some(object) = &outcome.object {
        for name in lp_diff_undefined(object) {
            writeln!(text, "reaches {name}").expect("a string");
        }
    }
    text
}

fn lp_diff_undefined(object: &[u8]) -> Vec<String> {
    use object::{Object, ObjectSymbol};
    let file = object::File::parse(object).expect("our own output");
    let mut names: Vec<String> = file
        .symbols()
        .filter(|symbol| symbol.is_undefined())
        .map(|symbol| symbol.name().expect("a name").to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    names.sort();
    names
}

#[test]
fn every_case_reports_what_it_pins() {
    let scratch = tempfile::tempdir().expect("a folder");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for case in cases() {
        let (orig, patched) = (
            compile(&case, scratch.path(), false),
            compile(&case, scratch.path(), true),
        );
        let got = render(&run(&orig, &patched));
        let golden = case.join("report.txt");
        if update {
            fs::write(&golden, &got).expect("the golden report");
        } else if fs::read_to_string(&golden).unwrap_or_default() != got {
            wrong.push(format!("{}:\n{got}", case.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "reports differ (UPDATE_GOLDEN=1 accepts them):\n{}",
        wrong.join("\n")
    );
}

#[test]
fn an_object_equals_itself() {
    let scratch = tempfile::tempdir().expect("a folder");
    for case in cases() {
        let object = compile(&case, scratch.path(), true);
        let report = run(&object, &object).report;
        assert_eq!(
            report.verdict,
            lp_diff::Verdict::Same,
            "{}: {report:?}",
            case.display()
        );
    }
}

#[test]
fn same_input_gives_the_same_bytes() {
    let scratch = tempfile::tempdir().expect("a folder");
    for case in cases() {
        let (orig, patched) = (
            compile(&case, scratch.path(), false),
            compile(&case, scratch.path(), true),
        );
        assert_eq!(
            run(&orig, &patched).object,
            run(&orig, &patched).object,
            "{}",
            case.display()
        );
    }
}
