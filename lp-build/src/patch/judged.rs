//! One object, judged: whether its original is the code that runs, and what of it changed.

use crate::fidelity::Fidelity;
use crate::report::RefusalReport;
use lp_diff::report::{Function, Report as DiffReport, Status};
use lp_diff::show::SideBySide;
use lp_klp::name::{ObjName, Sympos};

/// What became of a unit.
#[derive(Debug)]
pub struct Judged {
    /// Its source.
    pub source: String,
    /// The kernel, module, program or library that it is part of.
    pub object: ObjName,
    /// Whether its original is the code that runs.
    pub fidelity: Fidelity,
    /// What the diff found.
    pub report: DiffReport,
    /// The object with the new code, if there is any.
    pub diff: Option<Vec<u8>>,
    /// Both versions of what changed, if they are to be shown.
    pub shown: Option<SideBySide>,
    /// Functions that the patch relies on and that do not reproduce.
    pub unproven: Vec<RefusalReport>,
    /// Functions that nothing may point at, and the new code does.
    pub sealed: Vec<RefusalReport>,
}

impl Judged {
    /// The functions that the patch redirects.
    pub fn changed(&self) -> impl Iterator<Item = &Function> {
        let functions = self.report.functions.iter();
        functions.filter(|function| function.status == Status::Changed)
    }

    /// What the diff refuses.
    pub fn refusals(&self) -> Vec<RefusalReport> {
        let refusal = |refusal: &lp_diff::refusal::Refusal| RefusalReport {
            code: refusal.code.to_string(),
            place: format!("{}: {}", self.source, refusal.place),
            message: refusal.message.clone(),
            source: refusal.source.clone(),
        };
        self.report.refusals.iter().map(refusal).collect()
    }
}

/// Which of its name a function is; 0 where there is one.
pub fn sympos(function: &Function) -> Sympos {
    Sympos(function.sympos.unwrap_or_default())
}
