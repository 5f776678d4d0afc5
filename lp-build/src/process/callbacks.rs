//! The callbacks: those that the patched source declares (`LP_PRE_PATCH_CALLBACK` of `lp_patch.h`), and those that the
//! description names.
//!
//! The loader finds them by their symbols in the patch. A name in the description is that of a function that is new in one
//! of the sources. The tempting wrong way is to take any function of the name: one that the program has already would be
//! called there, not in the patch.

use crate::patch::callbacks::Callbacks;
use crate::patch::judged::Judged;
use crate::report::{RefusalReport, Report};
use lp_diff::report::Status;
use lp_klp::manifest;
use lp_klp::target::Callback;

/// The symbols of all callbacks; what cannot be goes to the report.
pub(super) fn gather(
    described: &manifest::Callbacks,
    judged: &[Judged],
    report: &mut Report,
) -> manifest::Callbacks {
    // Two of a kind in the sources have been refused by now.
    let (declared, _) = Callbacks::gather(judged);
    let mut symbols = manifest::Callbacks::default();
    let objects: Vec<_> = declared.objects().cloned().collect();
    for (kind, found) in objects.iter().flat_map(|object| declared.of(object)) {
        *symbols.get_mut(kind) = Some(found.alias.clone());
    }
    let mut described = described.clone();
    for kind in Callback::ALL {
        let Some(name) = described.get_mut(kind).take() else {
            continue;
        };
        let known = symbols.get_mut(kind);
        match (symbol(&name, judged), &known) {
            (_, Some(_)) => report.refusals.push(refusal(
                &name,
                format!("there is a {kind} callback in the sources already: a patch has one of each kind"),
            )),
            (None, None) => report.refusals.push(refusal(
                &name,
                format!(
                    "it is to be the {kind} callback, but no source has a new function of this name, or several have: \
                     give it a name of its own, and not `static`, so that the compiler keeps it"
                ),
            )),
            (Some(symbol), None) => *known = Some(symbol),
        }
    }
    symbols
}

/// The symbol of the one new function of a name.
fn symbol(name: &str, judged: &[Judged]) -> Option<String> {
    let functions = judged.iter().flat_map(|unit| &unit.report.functions);
    let mut new = functions.filter(|one| one.status == Status::New && one.name == name);
    let only = new.next().filter(|_| new.next().is_none())?;
    Some(only.name.clone())
}

fn refusal(name: &str, message: String) -> RefusalReport {
    RefusalReport {
        code: lp_diff::RefusalCode::Callback.to_string(),
        place: name.to_owned(),
        message,
        source: None,
    }
}
