//! Modules that cannot come back while the patch is on.
//!
//! Until Linux 6.3 the kernel left the relocations against a module's symbols in the patch when that module went, and refuses to
//! load it again, since it finds them filled in already (`klp_clear_object_relocs` in 6.3; "Skipping invalid relocation target").

use lp_klp::name::KlpRelaName;
use object::{Object, ObjectSection};
use std::collections::BTreeSet;

/// What to warn of, for a finished module and the kernel's release.
pub fn warning(module: &[u8], release: &str) -> Option<String> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next().and_then(|text| text.parse::<u32>().ok());
    if (number()?, number()?) >= (6, 3) {
        return None;
    }
    let file = object::File::parse(module).ok()?;
    let names = file.sections().filter_map(|section| {
        let name: KlpRelaName = section.name().ok()?.parse().ok()?;
        (!name.object.is_vmlinux()).then(|| name.object.to_string())
    });
    let modules: BTreeSet<String> = names.collect();
    let modules: Vec<String> = modules.into_iter().collect();
    (!modules.is_empty()).then(|| {
        format!(
            "a kernel before Linux 6.3 does not load {} again once it was unloaded while this patch is on: disable and \
             unload the patch first, and load it again afterwards",
            modules.join(" or ")
        )
    })
}
