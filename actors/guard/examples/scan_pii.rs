//! Reads JSON lines `{"id","text"}` and prints the PII findings of each, offsets in code points.

#![expect(clippy::print_stdout, reason = "the output of a command-line example")]

use std::io::BufRead;

use sentinel_guard::pii::{PiiConfig, PiiEngine, to_code_points};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let entities = std::env::args().nth(1).unwrap_or_else(|| "all".to_owned());
    let entities = entities.split(',').map(str::to_owned).collect();
    let engine = PiiEngine::new(&PiiConfig { entities, ..PiiConfig::default() })?;
    for line in std::io::stdin().lock().lines() {
        let row: serde_json::Value = serde_json::from_str(&line?)?;
        let text = row.get("text").and_then(serde_json::Value::as_str).unwrap_or_default();
        let findings = to_code_points(text, &engine.scan(text));
        println!("{}", serde_json::json!({"id": row.get("id"), "pii": findings}));
    }
    Ok(())
}
