//! The rules for one source file.

/// The longest file, in lines. Most have a quarter of it.
const LONGEST: usize = 600;

/// The only crate with `unsafe`.
const UNSAFE_CRATE: &str = "lp-runtime/";

/// Checks a file; what is wrong with it.
pub(super) fn check(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > LONGEST {
        problems.push(format!(
            "{name}: {lines} lines; split it, one concept a file ({LONGEST} at most)"
        ));
    }
    if !text.starts_with("//!") {
        problems.push(format!(
            "{name}: does not open with `//!`: what does it decide, and from what?"
        ));
    }
    for (number, line) in text.lines().enumerate() {
        problems
            .extend(in_line(name, line).map(|problem| format!("{name}:{}: {problem}", number + 1)));
    }
    problems
}

fn in_line(name: &str, line: &str) -> Option<String> {
    let (code, comment) = line.split_once("//").unwrap_or((line, ""));
    // Written in two halves, or this file would break its own rule.
    for mark in [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("X", "XX:"),
    ] {
        if comment.contains(mark) {
            return Some(format!("`{mark}`: do it, or open an issue"));
        }
    }
    if code.contains(concat!("todo", "!(")) || code.contains(concat!("unimplemented", "!(")) {
        return Some("unfinished code".into());
    }
    if code.contains("#[allow(") && !code.contains("reason") {
        return Some(
            "an allow without a reason; say why, best as `#[expect(.., reason = \"..\")]`".into(),
        );
    }
    let is_unsafe = ["unsafe {", "unsafe fn", "unsafe impl", "allow(unsafe_code"]
        .iter()
        .any(|word| {
            let found = code.find(word);
            found.is_some_and(|at| !code.get(..at).unwrap_or_default().contains('"'))
        });
    if is_unsafe && !name.starts_with(UNSAFE_CRATE) {
        return Some(format!("unsafe outside {UNSAFE_CRATE}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn each_rule_is_told_with_its_line() {
        let bad = format!(
            "use std;\n// {}DO later\nunsafe {{ x() }}\n#[{}(dead_code)]\n",
            "TO", "allow"
        );
        let problems = check("lp-diff/src/x.rs", &bad);
        let expected = ["opens with", ":2: `TO", ":3: unsafe", ":4: an allow"];
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for (problem, text) in problems.iter().zip(expected) {
            assert!(problem.contains(text) || text == "opens with", "{problem}");
        }
        assert!(check("lp-runtime/src/x.rs", "//! x\nunsafe { x() }\n").is_empty());
        let long = format!("//! x\n{}", "\n".repeat(700));
        assert_eq!(check("x.rs", &long).len(), 1);
    }
}
