//! Whether a process's main thread can ever be known to be outside of a function.
//!
//! The code that called `main` is at the end of its stack for as long as the process lives. Where that has no unwind
//! information, as in musl, which is built without, the stack has no end that can be proven, and the thread stays busy: all
//! trying would be in vain. So this is said at once.

use crate::process::prepare::plan::Refusal;
use crate::process::read::images::Images;
use crate::process::touch::unwind::UnwindTables;

/// What all C libraries call it.
const CALLS_MAIN: &str = "__libc_start_main";

/// The refusal, where the code that calls `main` is there and not covered. A program that starts in another way is tried.
pub(in crate::process) fn refusal(images: &Images, tables: &UnwindTables) -> Option<Refusal> {
    let found = images.iter().find_map(|image| {
        let mut dynamic = image.dynamic.named(CALLS_MAIN.as_bytes());
        let value = dynamic.find(|it| it.defined).map(|it| it.value);
        // In a static program it is a symbol like all others.
        let own = || {
            let table = image.symbols().ok()?;
            table
                .named(CALLS_MAIN.as_bytes())
                .first()
                .map(|it| it.value)
        };
        let value = value.or_else(own)?;
        Some((image, image.address(value)))
    });
    let (image, address) = found?;
    tables.object_at(address).is_none().then(|| Refusal::NoEnd {
        object: image.name.clone(),
    })
}
