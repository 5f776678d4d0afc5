//! Whether C++ exceptions may pass through an object's functions.
//!
//! Whoever throws looks for the frames' tables in the objects that the dynamic linker knows, and a patch is none of them: an
//! exception that comes to patched code ends the program. So an object that throws or catches is not patched. The tempting
//! wrong way is to look for landing pads in the patch alone: a function without them lets exceptions through.

use crate::process::read::image::Image;

/// What code that throws or catches refers to (Itanium C++ ABI, chapter 2).
const NAMES: [&str; 4] = [
    "__cxa_throw",
    "__cxa_rethrow",
    "__cxa_begin_catch",
    "__gxx_personality_v0",
];

/// Whether the object's code throws or catches.
pub(super) fn pass_through(image: &Image) -> bool {
    let dynamic = |name: &&str| image.dynamic.named(name.as_bytes()).next().is_some();
    // A static program has no dynamic symbols, but what it needs is in it.
    let own = |name: &&str| {
        let table = image.symbols();
        table.is_ok_and(|table| !table.named(name.as_bytes()).is_empty())
    };
    NAMES.iter().any(|name| dynamic(name) || own(name))
}
