//! What a symbol's name says once the compiler's numbering is taken off it.
//!
//! A compiler numbers static locals (`count.12`), clones (`f.constprop.3`, `f.llvm.8461`) and unique ids in the order
//! in which it meets them, so the same thing has another number in the other build. The tempting wrong way is to
//! treat two names that differ in numbers as the same thing: it only makes them candidates.

/// The name without the numbers that the compiler chose.
///
/// `count.12` → `count`, `f.isra.0.cold` → `f.isra.cold`, `__UNIQUE_ID_x276` → `__UNIQUE_ID_x`.
pub fn canonical(name: &str) -> String {
    let mut parts = name.split('.');
    // A leading dot (`.LC0`) makes the first part empty: nothing to take off.
    let first = parts.next().unwrap_or_default();
    if let Some(id) = first.strip_prefix("__BTF_ID__") {
        // A counter, which resolve_btfids does not read either.
        return format!(
            "__BTF_ID__{}",
            id.trim_end_matches(|c: char| c.is_ascii_digit())
        );
    }
    let mut out = match first.strip_prefix("__UNIQUE_ID_") {
        Some(rest) => format!(
            "__UNIQUE_ID_{}",
            rest.trim_end_matches(|c: char| c.is_ascii_digit())
        ),
        None => first.to_owned(),
    };
    let mut after_llvm = false;
    for part in parts {
        after_llvm = after_llvm || part == "llvm";
        if !after_llvm && !is_number(part) {
            out.push('.');
            out.push_str(part);
        }
    }
    out
}

/// Whether the name ends in a number of the compiler's: a static local, in gcc's spelling.
pub fn is_numbered(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(stem, last)| !stem.is_empty() && is_number(last))
}

/// The function a split-off part belongs to: `f.isra.0.cold` → `f.isra.0`; `None` for anything else.
pub fn cold_parent(name: &str) -> Option<&str> {
    let stem = match name.rsplit_once('.') {
        // gcc 8 numbers its cold parts.
        Some((stem, last)) if is_number(last) => stem,
        _ => name,
    };
    stem.strip_suffix(".cold")
}

/// The source function that a symbol's code comes from: everything before the first dot.
pub fn source_function(name: &str) -> &str {
    match name.find('.') {
        Some(0) | None => name,
        Some(dot) => &name[..dot],
    }
}

/// The function that a `__pfx_` or `__cfi_` symbol stands in front of.
pub fn prefixed_function(name: &str) -> Option<&str> {
    name.strip_prefix("__pfx_")
        .or_else(|| name.strip_prefix("__cfi_"))
}

/// Data that the compiler or a macro makes anew for each use, so that no two of them are ever the same object:
/// what matters of it is its content (`__func__`, `CSWTCH`) or nothing at all (`__warned`).
///
/// They are static locals, numbered by gcc (`__key.3`) and prefixed by clang (`f.__key`). A variable of the file that
/// happens to have such a name is state like any other.
pub fn is_per_use(name: &str, section: &str) -> bool {
    const PER_USE: [&str; 12] = [
        "__key",
        "__warned",
        "__already_done",
        "__func__",
        "__FUNCTION__",
        "__PRETTY_FUNCTION__",
        "_rs",
        "CSWTCH",
        "_entry",
        "_entry_ptr",
        "__msg",
        "__print_once",
    ];
    const PER_USE_SECTIONS: [&str; 7] = [
        ".data.once",
        ".data..once",
        ".data.unlikely",
        "__dyndbg",
        "__verbose",
        "__tracepoint_str",
        "__trace_printk_fmt",
    ];
    let is_known = |part: Option<&str>| part.is_some_and(|part| PER_USE.contains(&part));
    let gcc = is_numbered(name) && is_known(name.split('.').next());
    let clang = is_known(name.split('.').nth(1));
    let pooled = PER_USE_SECTIONS.contains(&section);
    gcc || clang || pooled || section.contains("__unnamed_") || section.contains(".Lubsan")
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_compiler_are_taken_off() {
        for (name, expected) in [
            ("count.12", "count"),
            ("f.isra.0.cold", "f.isra.cold"),
            ("f.llvm.8461", "f"),
            ("__UNIQUE_ID_ddebug276.5", "__UNIQUE_ID_ddebug"),
            ("plain", "plain"),
            ("v4", "v4"),
        ] {
            assert_eq!(canonical(name), expected);
        }
    }

    #[test]
    fn cold_parts_name_their_parent() {
        assert_eq!(cold_parent("f.isra.0.cold"), Some("f.isra.0"));
        assert_eq!(cold_parent("f.cold.7"), Some("f"));
        assert_eq!(cold_parent("f.part.0"), None);
    }
}
