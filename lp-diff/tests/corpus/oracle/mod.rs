//! An oracle that knows the answer by construction: random programs, each with random edits of which it is known what
//! they change.
//!
//! Nothing of the differ is used to say what is expected. 60 pairs are tried, with compilers in turn;
//! `ORACLE_PAIRS=5000` tries more, `ORACLE_FIRST=n` begins with the n-th. Some of the outputs are run, see
//! [`crate::run`]. The tempting wrong way is to let random edits loose on sources and to look for crashes: a missed
//! change is silent.

mod edit;
mod model;
mod numbers;
mod source;

use crate::built::Built;
use crate::case::Case;
use crate::compiler::Compiler;
use crate::directive::Directives;
use crate::run::Proofs;
use edit::Expected;
use lp_diff::{Refusal, RefusalCode, Report, Status, Verdict};
use numbers::Numbers;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

/// One in so many outputs is run.
const RUN_ONE_IN: usize = 3;

#[test]
fn random_edits_change_what_they_must() {
    let number = |name: &str, default: usize| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let first = number("ORACLE_FIRST", 0);
    let pairs: Vec<usize> = (first..first + number("ORACLE_PAIRS", 60)).collect();
    let compilers: Vec<Compiler> = Compiler::ALL
        .into_iter()
        .filter(|one| one.is_available())
        .collect();
    let proofs = Proofs::new();
    let problems = crate::parallel::map(&pairs, |pair| {
        let compiler = compilers[pair % compilers.len()];
        check(*pair, compiler, &proofs).err()
    });
    let problems: Vec<String> = problems.into_iter().flatten().collect();
    let shown: Vec<String> = problems.iter().take(5).cloned().collect();
    assert!(
        problems.is_empty(),
        "{} of {}:\n{}",
        problems.len(),
        pairs.len(),
        shown.join("\n")
    );
}

fn check(pair: usize, compiler: Compiler, proofs: &Proofs) -> Result<(), String> {
    let mut numbers = Numbers::new(pair as u64);
    let orig = model::Program::random(&mut numbers);
    let (patched, expected) = edit::random(&orig, &mut numbers);
    let folder = tempfile::tempdir().expect("a folder");
    let text = "#ifdef PATCHED\n#include \"patched.h\"\n#else\n#include \"orig.h\"\n#endif\n";
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    write("case.c", text);
    write("orig.h", &source::text(&orig));
    write("patched.h", &source::text(&patched));
    let case = Case {
        name: format!("pair-{pair}"),
        folder: folder.path().to_owned(),
        source: "case.c",
        directives: Directives {
            run: source::calls(&orig),
            ..Directives::default()
        },
    };
    let case: &'static Case = Box::leak(Box::new(case));
    let result = Built::new(case, compiler).and_then(|built| {
        let outcome = built.diff();
        compare(&expected, &outcome.report)?;
        if pair.is_multiple_of(RUN_ONE_IN) && outcome.object.is_some() && expected.can_run {
            proofs.compare(&built)?;
        }
        Ok(())
    });
    result.map_err(|error| {
        let mut text = format!("pair {pair} with {}: {error}\n", compiler.name());
        for line in &expected.story {
            writeln!(text, "  edit: {line}").expect("a string");
        }
        if std::env::var_os("ORACLE_KEEP").is_some() {
            let kept = folder.keep();
            writeln!(text, "  in {}", kept.display()).expect("a string");
        }
        text
    })
}

fn compare(expected: &Expected, report: &Report) -> Result<(), String> {
    let names = |status: Status| -> BTreeSet<String> {
        let of_status = report.functions.iter().filter(|one| one.status == status);
        of_status.map(|one| one.name.clone()).collect()
    };
    let got = (report.verdict, names(Status::Changed), names(Status::New));
    let verdict = match (
        expected.refused,
        expected.changed.is_empty() && expected.new.is_empty(),
    ) {
        (true, _) => Verdict::Refused,
        (false, true) => Verdict::Same,
        (false, false) => Verdict::Written,
    };
    let wanted = (verdict, expected.changed.clone(), expected.new.clone());
    // What else is reported beside a refusal is for information.
    if got == wanted || (expected.refused && got.0 == Verdict::Refused) {
        return Ok(());
    }
    // Where a function has several of one name, what cannot be told apart may be refused.
    let is_ambiguous = |refusal: &Refusal| refusal.code == RefusalCode::StaticLocal;
    if expected.several_of_a_name && report.refusals.iter().any(is_ambiguous) {
        return Ok(());
    }
    let refusals: Vec<String> = report.refusals.iter().map(ToString::to_string).collect();
    Err(format!(
        "expected {wanted:?}\n  got {got:?}\n  {}",
        refusals.join("\n  ")
    ))
}
