//! Can the livepatch core resolve what the module leaves to it?
//!
//! Mirrors `klp_apply_section_relocs` and `klp_resolve_symbols` (`kernel/livepatch/core.c`, 6.1), which stop the
//! loading with -EINVAL at the first of these.

use crate::finding::Finding;
use crate::promise::Promise::Relocations;
use crate::reader::{KlpSection, KlpSymbol, Module};
use lp_klp::name::{KlpRelaName, KlpSymName, ObjName};

/// Names and marks of all livepatch symbols and sections.
pub fn check(new: &Module) -> Vec<Finding> {
    let mut findings: Vec<_> = new.klp_symbols.iter().filter_map(symbol).collect();
    findings.extend(new.klp_sections.iter().flat_map(section));
    findings
}

fn symbol(symbol: &KlpSymbol) -> Option<Finding> {
    let message = match symbol.name.parse::<KlpSymName>() {
        Err(error) => error.to_string(),
        Ok(_) if symbol.is_marked => return None,
        Ok(_) => "it is not marked as livepatch symbol (SHN_LIVEPATCH): the last step of the build is missing".to_owned(),
    };
    Some(Finding::new(Relocations, symbol.name.clone(), message))
}

fn section(section: &KlpSection) -> Vec<Finding> {
    let finding = |message: String| Finding::new(Relocations, section.name.clone(), message);
    let name = match section.name.parse::<KlpRelaName>() {
        Ok(name) => name,
        Err(error) => return vec![finding(error.to_string())],
    };
    let mut findings = Vec::new();
    if !section.is_marked || !section.is_alloc {
        findings.push(finding(
            "its flags are not SHF_ALLOC and SHF_RELA_LIVEPATCH: it would not be applied"
                .to_owned(),
        ));
    }
    if name.section != section.target {
        findings.push(finding(format!(
            "it relocates '{}' and is named for '{}'",
            section.target, name.section
        )));
    }
    findings.extend(
        section
            .symbols
            .iter()
            .filter_map(|symbol| against(&name.object, symbol))
            .map(finding),
    );
    findings
}

/// What is wrong with a relocation of this object's section against a symbol.
fn against(object: &ObjName, symbol: &KlpSymbol) -> Option<String> {
    let text = &symbol.name;
    if !symbol.is_marked {
        return Some(format!(
            "it refers to '{text}', which is no livepatch symbol"
        ));
    }
    let name: KlpSymName = text.parse().ok()?;
    let late = name.object.is_vmlinux() && !object.is_vmlinux();
    late.then(|| format!("it refers to '{text}', but a module's section may not refer to vmlinux"))
}
