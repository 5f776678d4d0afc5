//! The callbacks: those that the patched source declares (`LP_PRE_PATCH_CALLBACK` of `lp_patch.h`), and those that the
//! description names.
//!
//! The loader finds them by their symbols in the patch. A name in the description is that of a function that is new in one
//! of the sources. The tempting wrong way is to take any function of the name: one that the program has already would be
//! called there, not in the patch.

use crate::patch::callbacks::{Callbacks, Found};
use crate::patch::judged::Judged;
use crate::report::{RefusalReport, Report};
use lp_diff::report::Status;
use lp_klp::manifest;
use lp_klp::target::Callback;

/// The callbacks of each binary; what cannot be goes to the report. One that the description names is that of the binary with
/// its source.
pub(super) fn gather(
    described: &manifest::Callbacks,
    judged: &[Judged],
    report: &mut Report,
) -> Callbacks {
    // Two of a kind in the sources have been refused by now.
    let (mut callbacks, _) = Callbacks::gather(judged);
    let mut described = described.clone();
    for kind in Callback::ALL {
        let Some(name) = described.get_mut(kind).take() else {
            continue;
        };
        match new(&name, judged) {
            Some((unit, _)) if callbacks.of(&unit.object).any(|(one, _)| one == kind) => report.refusals.push(refusal(
                &name,
                format!("there is a {kind} callback in the sources already: a patch has one of each kind"),
            )),
            None => report.refusals.push(refusal(
                &name,
                format!(
                    "it is to be the {kind} callback, but no source has a new function of this name, or several have: \
                     give it a name of its own, and not `static`, so that the compiler keeps it"
                ),
            )),
            Some((unit, symbol)) => {
                let found = Found {
                    function: name,
                    alias: symbol.to_owned(),
                    source: unit.source.clone(),
                };
                report.refusals.extend(callbacks.add(&unit.object, kind, found));
            }
        }
    }
    callbacks
}

/// The symbol of the one new function of a name, and where it is.
fn new<'j>(name: &str, judged: &'j [Judged]) -> Option<(&'j Judged, &'j str)> {
    let of_unit = |unit: &'j Judged| unit.report.functions.iter().map(move |one| (unit, one));
    let mut new = judged.iter().flat_map(of_unit);
    let mut new = new
        .by_ref()
        .filter(|(_, one)| one.status == Status::New && one.name == name);
    let (unit, only) = new.next().filter(|_| new.next().is_none())?;
    Some((unit, &only.name))
}

fn refusal(name: &str, message: String) -> RefusalReport {
    RefusalReport {
        code: lp_diff::RefusalCode::Callback.to_string(),
        place: name.to_owned(),
        message,
        source: None,
    }
}
