//! Which functions are called through a pointer, and which of the running system must not be.
//!
//! With indirect branch tracking such a call must land on ENDBR64, with kCFI the hash of the function's type must stand
//! in front of it. For a static function that only calls reach compilers emit neither. Where a fix is the first to take
//! its address, the patched object has both, the running system does not, and the first call would be the end of it. The
//! list of what the kernel sealed (`.ibt_endbr_seal`) does not tell: what never had an ENDBR64 is not on it.

use crate::arch::Arch;
use crate::bundle::{BundleId, Kind};
use crate::compare::Comparer;
use crate::object::SectionId;
use crate::reference::{Ref, Target, View};
use crate::special::table::{Class, classify};
use std::collections::HashSet;

/// Whether a reference takes an address, rather than calling, reading or writing what is there.
pub fn is_address_taken(
    view: &View<'_>,
    arch: &dyn Arch,
    section: SectionId,
    reference: &Ref,
) -> bool {
    let section = view.object.section(section);
    let before = section.bytes(reference.offset.saturating_sub(2), reference.offset);
    arch.takes_address(reference.kind, before)
}

/// All addresses that are taken, as offsets in bundles. What describes code refers to all of it and does not count.
pub fn taken<'v>(
    view: &'v View<'_>,
    arch: &'v dyn Arch,
) -> impl Iterator<Item = (BundleId, i64)> + 'v {
    let sections = view.object.sections();
    let bodies = sections.filter(|(_, section)| matches!(classify(*section), Class::Body));
    bodies.flat_map(move |(id, section)| {
        let refs = view.refs_in(id, 0, section.size);
        refs.filter_map(move |reference| match reference.target {
            Target::Bundle { id: target, offset }
                if is_address_taken(view, arch, id, &reference) =>
            {
                Some((target, offset))
            }
            _ => None,
        })
    })
}

/// The functions whose entry is among these addresses: who has it may call them at any time, or compare it.
pub fn pointed_to(view: &View<'_>, arch: &dyn Arch) -> HashSet<BundleId> {
    let taken = taken(view, arch).filter(|(id, offset)| {
        view.bundles.get(*id).kind == Kind::Function && *offset == entry(view, *id)
    });
    taken.map(|(id, _)| id).collect()
}

/// What a function lacks where it runs, that it has in the patched object because of this reference to its entry.
pub fn lacks(comparer: &Comparer<'_, '_>, user: BundleId, reference: &Ref) -> Option<&'static str> {
    let Target::Bundle { id, offset } = reference.target else {
        return None;
    };
    // Linux tracks no branches of processes.
    if comparer.flavour.is_process() {
        return None;
    }
    let (orig, patched) = (comparer.orig, comparer.patched);
    let twin = comparer.twins.orig(id)?;
    let section = patched.bundles.get(user).section;
    let is_pointer = patched.bundles.get(id).kind == Kind::Function
        && offset == entry(patched, id)
        && is_address_taken(patched, comparer.arch, section, reference);
    if !is_pointer {
        return None;
    }
    let lands = |view, id| comparer.arch.lands(code(view, id));
    if lands(patched, id) && !lands(orig, twin) {
        return Some("an ENDBR64 at its entry");
    }
    (has_hash(patched, id) && !has_hash(orig, twin))
        .then_some("the hash of its type before its entry")
}

/// The offset of a function's entry in its bundle: what is in front of it (`__cfi_`, `__pfx_`) belongs to it.
fn entry(view: &View<'_>, id: BundleId) -> i64 {
    let bundle = view.bundles.get(id);
    let owner = bundle.owner.map(|owner| view.object.symbol(owner).value);
    owner.map_or(0, |value| value.wrapping_sub(bundle.start) as i64)
}

fn code<'v>(view: &'v View<'_>, id: BundleId) -> &'v [u8] {
    let entry = usize::try_from(entry(view, id)).ok();
    let code = entry.and_then(|entry| view.bytes_of(id).get(entry..));
    code.unwrap_or_default()
}

fn has_hash(view: &View<'_>, id: BundleId) -> bool {
    let mut symbols = view.bundles.symbols(id).iter();
    symbols.any(|symbol| view.object.symbol(*symbol).name().starts_with("__cfi_"))
}
