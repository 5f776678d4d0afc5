//! The memory of a patch, mapped in the process and filled: its parts, where its callbacks are called from, and its file.

use sha2::{Digest, Sha256};

use lp_klp::manifest::Manifest;

use super::area::Area;
use super::call::{CallSite, STACK_SIZE, STUB};
use super::control::{AreaRecord, KeptFile};
use super::error::ProcessError;
use super::images::Images;
use super::journal::{Hands, Transaction};
use super::layout::PAGE;
use super::maps::Maps;
use super::patch_file::PatchFile;
use super::place::{Want, place};
use super::plan::Plan;

/// Maps the areas of a plan.
pub(super) fn map_parts(
    hands: &mut Hands<'_>,
    transaction: &mut Transaction<'_, '_>,
    plan: &Plan,
) -> Result<Vec<AreaRecord>, ProcessError> {
    let mut areas = Vec::new();
    for area in &plan.areas {
        let record = AreaRecord {
            address: area.address,
            size: area.bytes.len() as u64,
            protection: area.area,
        };
        transaction.map(hands, record)?;
        transaction.fill(hands, record, &area.bytes)?;
        areas.push(record);
    }
    Ok(areas)
}

/// Maps what callbacks are called from, when the patch has any: also those of objects that are not there yet.
pub(super) fn map_call(
    hands: &mut Hands<'_>,
    transaction: &mut Transaction<'_, '_>,
    manifest: &Manifest,
    images: &Images,
) -> Result<Option<(CallSite, [AreaRecord; 2])>, ProcessError> {
    if manifest.objects.iter().all(|it| it.callbacks.is_empty()) {
        return Ok(None);
    }
    // One page of text, one that is not mapped, then the stack.
    let size = 2 * PAGE + STACK_SIZE;
    let address = anywhere(hands, images, "the callbacks' stack", size)?;
    let text = AreaRecord {
        address,
        size: PAGE,
        protection: Area::Text,
    };
    let stack = AreaRecord {
        address: address + 2 * PAGE,
        size: STACK_SIZE,
        protection: Area::Data,
    };
    transaction.map(hands, text)?;
    transaction.fill(hands, text, &STUB)?;
    transaction.map(hands, stack)?;
    let call = CallSite {
        stub: text.address,
        stack_top: stack.address + stack.size,
    };
    Ok(Some((call, [text, stack])))
}

/// Keeps the patch's file in the process, where an object of it may come later, or come again: then any later loader has it, and it
/// is the one that was verified.
pub(super) fn map_file(
    hands: &mut Hands<'_>,
    transaction: &mut Transaction<'_, '_>,
    patch: &PatchFile,
    images: &Images,
) -> Result<Option<(KeptFile, AreaRecord)>, ProcessError> {
    let stays = |name| {
        let image = images.find(name).ok().flatten();
        image.is_some_and(|image| images.stays(image))
    };
    if patch.manifest.objects.iter().all(|it| stays(&it.name)) {
        return Ok(None);
    }
    let size = patch.bytes.len() as u64;
    let mapped = size.next_multiple_of(PAGE);
    let area = AreaRecord {
        address: anywhere(hands, images, "the patch's file", mapped)?,
        size: mapped,
        protection: Area::ReadOnly,
    };
    transaction.map(hands, area)?;
    transaction.fill(hands, area, &patch.bytes)?;
    let kept = KeptFile {
        address: area.address,
        size,
        sha256: hash(&patch.bytes),
    };
    Ok(Some((kept, area)))
}

/// SHA-256, hexadecimal.
pub(super) fn hash(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A place near the program, for no reason but order.
fn anywhere(
    hands: &Hands<'_>,
    images: &Images,
    what: &str,
    size: u64,
) -> Result<u64, ProcessError> {
    let near = images
        .executable()
        .map_or(0..0, |image| image.range.clone());
    let want = Want {
        object: what.into(),
        near,
        size,
        low: false,
    };
    let places = place(&Maps::read(hands.threads.pid())?, &[want])?;
    Ok(places.first().copied().unwrap_or(0))
}
