//! Functions of the running system that must not be called through a pointer.
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
