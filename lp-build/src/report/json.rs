//! The report for machines: one JSON object.

use super::Report;

/// The report as JSON, with a final newline.
pub fn render(report: &Report) -> String {
    match serde_json::to_string_pretty(report) {
        Ok(json) => json + "\n",
        // Only a path that is not UTF-8 can get here.
        Err(error) => format!(
            "{}\n",
            serde_json::json!({ "verdict": "error", "error": error.to_string() })
        ),
    }
}
