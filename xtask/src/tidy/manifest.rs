//! Who may depend on whom: the rules of docs/architecture.md that a `Cargo.toml` can break.

/// A package, and the packages it must not depend on (a last `*` stands for anything), with the reason.
const FORBIDDEN: [(&str, &str, &str); 5] = [
    (
        "xtask",
        "lp-*",
        "it runs our tools as programs, as a user does",
    ),
    (
        "lp-verify",
        "lp-diff",
        "a second opinion shares no code with the first",
    ),
    ("lp-klp", "lp-*", "the model stands alone"),
    (
        "lp-diff",
        "lp-build",
        "the differ is pure: two objects in, one out",
    ),
    (
        "lp-runtime",
        "lp-diff",
        "what touches live targets takes nothing apart",
    ),
];

/// Checks a package's manifest.
pub(super) fn check(package: &str, text: &str) -> Vec<String> {
    let manifest: toml::Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![format!("{package}/Cargo.toml: {error}")],
    };
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
    let tables = tables
        .iter()
        .filter_map(|table| manifest.get(*table)?.as_table());
    let names: Vec<&String> = tables.flat_map(toml::Table::keys).collect();
    let rules = FORBIDDEN.iter().filter(|(of, _, _)| *of == package);
    let broken = |(_, pattern, reason): &(&str, &str, &str)| {
        let name = names.iter().find(|name| matches(pattern, name))?;
        Some(format!(
            "{package}/Cargo.toml: must not depend on {name}: {reason}"
        ))
    };
    rules.filter_map(broken).collect()
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_forbidden_dependency_is_found_in_any_table() {
        assert_eq!(
            check("xtask", "[dev-dependencies]\nlp-klp = { path = \"x\" }\n").len(),
            1
        );
        assert_eq!(
            check("lp-verify", "[dependencies]\nlp-diff.workspace = true\n").len(),
            1
        );
        assert!(check("lp-verify", "[dependencies]\nlp-klp.workspace = true\n").is_empty());
    }
}
