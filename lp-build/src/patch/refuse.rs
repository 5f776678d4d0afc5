//! Whether a patch is refused: for what is in it, or as the one that follows another.

use super::judged::Judged;
use crate::lineage;
use crate::options::Asked;
use crate::progress::Progress;
use crate::report::{RefusalReport, Report};
use anyhow::Result;

/// Says warnings at once, and keeps them for the report.
pub fn warn(report: &mut Report, progress: &Progress, warnings: &[String]) {
    for warning in warnings {
        progress.warn(warning);
    }
    report.warnings.extend_from_slice(warnings);
}

/// Collects the refusals; what does not reproduce is only a warning where the person allows it. Says whether there is any.
pub fn refuse(asked: &Asked, judged: &[Judged], report: &mut Report, progress: &Progress) -> bool {
    let refusals = judged.iter().flat_map(Judged::refusals);
    report.refusals.extend(refusals);
    let sealed = judged.iter().flat_map(|unit| unit.sealed.iter().cloned());
    report.refusals.extend(sealed);
    let unproven = judged.iter().flat_map(|unit| unit.unproven.iter().cloned());
    if asked.allow_mismatch {
        let warnings: Vec<String> = unproven
            .map(|refusal| format!("{}: {}", refusal.place, refusal.message))
            .collect();
        warn(report, progress, &warnings);
    } else {
        report.refusals.extend(unproven);
    }
    !report.refusals.is_empty()
}

/// Whether anything that was judged stands in the way.
pub fn is_refused(asked: &Asked, judged: &[Judged]) -> bool {
    let stands = |unit: &Judged| {
        !unit.report.refusals.is_empty()
            || !unit.sealed.is_empty()
            || !asked.allow_mismatch && !unit.unproven.is_empty()
    };
    judged.iter().any(stands)
}

/// Whether the patch may not follow the one that it shall; how it follows goes into the report.
///
/// # Errors
/// Where that one cannot be read.
pub fn refuse_lineage(
    asked: &Asked,
    patch: &[u8],
    report: &mut Report,
    progress: &Progress,
) -> Result<bool> {
    let Some(previous) = &asked.previous else {
        return Ok(false);
    };
    let name = asked.identity.name.as_str();
    let lineage = lineage::check(previous, name, patch, &asked.revert)?;
    let warnings = lineage.warnings.iter();
    let warnings: Vec<String> = warnings
        .map(|warning| format!("{}: {}", warning.place, warning.message))
        .collect();
    warn(report, progress, &warnings);
    let refusals = lineage.refusals.iter().map(|refusal| RefusalReport {
        code: refusal.code.to_owned(),
        place: asked.place_of(refusal.state, &refusal.place),
        message: refusal.message.clone(),
        ..Default::default()
    });
    report.refusals.extend(refusals);
    let refused = !lineage.refusals.is_empty();
    report.lineage = Some(lineage);
    Ok(refused)
}
