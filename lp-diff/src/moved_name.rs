//! Names that other files use and that belong to something else now.
//!
//! A second name of a function (`__alias`) has its address and no site of its own for ftrace. Where it becomes a name
//! of another function, nothing in the code needs to differ, and yet everybody who calls it in the running system goes
//! where it led before. The tempting wrong way is to look at the first name of everything alone.

use crate::bundle::BundleId;
use crate::compare::Comparer;
use crate::reference::View;
use crate::refusal::{Refusal, RefusalCode};
use std::collections::HashMap;

/// A refusal for each such name.
pub fn refusals(comparer: &Comparer<'_, '_>) -> Vec<Refusal> {
    let theirs: HashMap<&str, BundleId> = names(comparer.orig).collect();
    let moved = names(comparer.patched).filter_map(|(name, id)| {
        let twin = *theirs.get(name)?;
        (comparer.twins.orig(id) != Some(twin)).then(|| {
            let (was, is) = (comparer.orig.name(twin), comparer.patched.name(id));
            Refusal::new(
                RefusalCode::MovedName,
                name,
                format!("it was a name of {was} and is one of {is}: who uses it in the running system goes on to {was}, and no patch can change that. Leave the name where it was, and make the change in {was}"),
            )
        })
    });
    let mut refusals: Vec<Refusal> = moved.collect();
    refusals.sort();
    refusals
}

/// The names that other files can use of something that has another name in front, or had.
fn names<'v, 'd>(view: &'v View<'d>) -> impl Iterator<Item = (&'d str, BundleId)> + 'v
where
    'd: 'v,
{
    view.bundles.iter().flat_map(move |(id, bundle)| {
        let symbols = view.bundles.symbols(id).iter();
        let named = symbols.map(|symbol| view.object.symbol(*symbol));
        let named = named.filter(move |symbol| !symbol.is_local() && !bundle.kind.is_by_content());
        named.map(move |symbol| (symbol.name(), id))
    })
}
