//! Findings as SARIF 2.1.0 (OASIS), for services that show them beside code.

use lp_verify::finding::{Finding, Severity};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) fn report(findings: &[Finding]) -> Value {
    let rules: BTreeSet<String> = findings
        .iter()
        .map(|finding| finding.promise.to_string())
        .collect();
    let rules: Vec<Value> = rules.into_iter().map(|id| json!({ "id": id })).collect();
    let results: Vec<Value> = findings.iter().map(result).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "lp-verify", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "results": results,
        }],
    })
}

fn result(finding: &Finding) -> Value {
    let level = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    json!({
        "ruleId": finding.promise.to_string(),
        "level": level,
        "message": { "text": finding.message },
        "locations": [{ "physicalLocation": { "artifactLocation": { "uri": finding.place } } }],
    })
}
