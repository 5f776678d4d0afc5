//! What a symbol's name says once the compiler's numbering is taken off it.
//!
//! A compiler numbers static locals (`count.12`), clones (`f.constprop.3`, `f.llvm.8461`) and unique ids in the order
//! in which it meets them, so the same thing has another number in the other build. The tempting wrong way is to
//! treat two names that differ in numbers as the same thing: it only makes them candidates.

use std::borrow::Cow;

/// The name without the numbers that the compiler chose.
///
/// `count.12` → `count`, `f.isra.0.cold` → `f.isra.cold`, `f.llvm.8461` → `f`, `__UNIQUE_ID_x276` → `__UNIQUE_ID_x`,
/// `__initcall__kmod_m__12_345_f6` → `__initcall__kmod_m__f6`.
pub fn canonical(name: &str, compiler: Compiler) -> Cow<'_, str> {
    let name = promoted(name);
    if compiler == Compiler::Clang && is_piece(name) {
        return Cow::Borrowed(name);
    }
    let counted = COUNTED.iter().any(|prefix| name.contains(prefix));
    let name = without_last_numbers(name);
    let mut parts = name.split('.');
    if !counted && !parts.clone().skip(1).any(is_number) {
        return Cow::Borrowed(name);
    }
    // A leading dot (`.LC0`) makes the first part empty: nothing to take off.
    let mut out = without_counter(parts.next().unwrap_or_default()).into_owned();
    for part in parts.filter(|part| !is_number(part)) {
        out.push('.');
        out.push_str(&without_counter(part));
    }
    Cow::Owned(out)
}

/// `count.12` → `count`.
fn without_last_numbers(mut name: &str) -> &str {
    while let Some((stem, last)) = name.rsplit_once('.')
        && is_number(last)
    {
        name = stem;
    }
    name
}

/// Which compiler wrote an object, as far as it spells names in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiler {
    /// gcc, and what is not known.
    Gcc,
    /// clang.
    Clang,
}

/// Whether clang made the datum from a part of a variable of the file, by number: `state.0` of `state`.
fn is_piece(name: &str) -> bool {
    name.split_once('.')
        .is_some_and(|(stem, rest)| !stem.is_empty() && is_number(rest))
}

/// What begins a name with a counter, or with counter and line, in it.
const COUNTED: [&str; 4] = ["__UNIQUE_ID_", "__BTF_ID__", "__initcall__", "__initstub__"];

fn without_counter(part: &str) -> Cow<'_, str> {
    let digits = |c: char| c.is_ascii_digit();
    // resolve_btfids does not read the counter either.
    if part.starts_with("__UNIQUE_ID_") || part.starts_with("__BTF_ID__") {
        return Cow::Borrowed(part.trim_end_matches(digits));
    }
    if !part.starts_with("__initcall__") && !part.starts_with("__initstub__") {
        return Cow::Borrowed(part);
    }
    // `__initcall__KMOD__COUNTER_LINE_FUNCTION` (include/linux/init.h, Linux 5.10).
    for (at, _) in part.match_indices("__").skip(1) {
        let rest = part[at + 2..].trim_start_matches(digits);
        let line = rest
            .strip_prefix('_')
            .filter(|_| rest.len() < part.len() - at - 2);
        let function = line.and_then(|line| line.trim_start_matches(digits).strip_prefix('_'));
        if let Some(function) = function {
            return Cow::Owned(format!("{}__{function}", &part[..at]));
        }
    }
    Cow::Borrowed(part)
}

/// The name as it was before link-time optimisation gave a local symbol a name of its own in the whole image.
fn promoted(name: &str) -> &str {
    const MARKS: [&str; 3] = [".llvm.", ".lto_priv.", ".__uniq."];
    let mut dots = name.match_indices('.').map(|(at, _)| at);
    dots.find(|at| *at > 0 && MARKS.iter().any(|mark| name[*at..].starts_with(mark)))
        .map_or(name, |at| &name[..at])
}

/// Whether link-time optimisation made the symbol visible to the whole image, which it is not in the source.
pub fn is_promoted(name: &str) -> bool {
    promoted(name).len() < name.len()
}

/// Whether a datum with this name is known by who uses it: a static variable of a function, `count.12` as gcc has it,
/// `f.count` or `f.count.12` as clang has it; or a compound literal.
pub fn is_static_local(name: &str, compiler: Compiler) -> bool {
    let name = promoted(name);
    let is_literal = name.starts_with(".compoundliteral");
    let has_stem = name
        .split_once('.')
        .is_some_and(|(stem, rest)| !stem.is_empty() && !rest.is_empty());
    is_literal || (has_stem && !(compiler == Compiler::Clang && is_piece(name)))
}

/// Whether a static local's name without numbers says which function declares it: `f.count`.
pub fn is_scoped(name: &str) -> bool {
    name.find('.').is_some_and(|at| at > 0)
}

/// The variable's own name: what follows the function's in a static local's name without numbers.
pub fn own_name(name: &str) -> &str {
    match name.split_once('.') {
        Some((function, own)) if !function.is_empty() => own,
        _ => name,
    }
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

/// Whether the code is a piece of its source function rather than a version of the whole.
pub fn is_part(name: &str) -> bool {
    name.split('.')
        .skip(1)
        .any(|part| matches!(part, "part" | "cold"))
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
pub fn is_per_use(name: &str, section: &str, compiler: Compiler) -> bool {
    const PER_USE: [&str; 15] = [
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
        // The initial value of a variable on the stack.
        "C",
        "_alloc_tag",
        "_alloc_tag_cntr",
    ];
    if !is_static_local(name, compiler) {
        return is_per_use_section(section);
    }
    let mut parts = name.split('.');
    let (first, second) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    // The flag of DO_ONCE guards an initialisation that must not be done again (include/linux/once.h).
    let once = first == "___done" || second == "___done";
    PER_USE.contains(&first)
        || PER_USE.contains(&second)
        || (first, second) == ("switch", "table")
        || (is_per_use_section(section) && !once)
}

/// Whether everything in a section is made for one use: one-time flags, records of debugging aids, what sanitizers
/// report, and data that has no name in the source.
pub fn is_per_use_section(section: &str) -> bool {
    const SECTIONS: [&str; 10] = [
        ".data.once",
        ".data..once",
        ".data.unlikely",
        ".data..unlikely",
        "__dyndbg",
        "__verbose",
        "__tracepoint_str",
        "__trace_printk_fmt",
        "_ftrace_annotated_branch",
        "_ftrace_branch",
    ];
    SECTIONS.contains(&section)
        || [".Lubsan", "__unnamed_", "..LASAN"]
            .iter()
            .any(|mark| section.contains(mark))
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
            ("f.constprop.0.isra.0.cold", "f.constprop.isra.cold"),
            ("f.__UNIQUE_ID_ddebug276", "f.__UNIQUE_ID_ddebug"),
            (
                "__initcall__kmod_ip_tables__345_1880_init6",
                "__initcall__kmod_ip_tables__init6",
            ),
            ("__initcall_init6", "__initcall_init6"),
            ("__initcall__", "__initcall__"),
            (".LC12", ".LC12"),
            ("__UNIQUE_ID_ddebug276.5", "__UNIQUE_ID_ddebug"),
            ("plain", "plain"),
            ("v4", "v4"),
        ] {
            assert_eq!(canonical(name, Compiler::Gcc), expected);
        }
    }

    #[test]
    fn static_locals_are_told_by_a_dot() {
        for (name, expected) in [
            ("count.12", true),
            ("f.count", true),
            ("f.count.3", true),
            ("count.llvm.8461", false),
            ("count", false),
            (".compoundliteral.3", true),
        ] {
            assert_eq!(is_static_local(name, Compiler::Gcc), expected, "{name}");
        }
    }

    #[test]
    fn what_clang_split_keeps_its_number() {
        assert_eq!(canonical("state.0", Compiler::Clang), "state.0");
        assert_eq!(canonical("f.count.3", Compiler::Clang), "f.count");
        assert!(!is_static_local("state.0", Compiler::Clang));
        assert!(!is_per_use("_rs.0", ".data._rs.0", Compiler::Clang));
    }

    #[test]
    fn flags_of_do_once_are_state() {
        assert!(is_per_use("__already_done.3", ".data..once", Compiler::Gcc));
        assert!(is_per_use("f.__key", ".bss.f.__key", Compiler::Gcc));
        assert!(!is_per_use("___done.3", ".data..once", Compiler::Gcc));
        assert!(!is_per_use("__key", ".bss.__key", Compiler::Gcc));
    }

    #[test]
    fn cold_parts_name_their_parent() {
        assert_eq!(cold_parent("f.isra.0.cold"), Some("f.isra.0"));
        assert_eq!(cold_parent("f.cold.7"), Some("f"));
        assert_eq!(cold_parent("f.part.0"), None);
    }
}
