//! Scores JSON lines `{"id","text","role"?}` from standard input: one line `{"id","injection":{…}}` each on standard output.

use std::io::{self, BufRead, BufWriter, Write};

use sentinel_guard::injection::{InjectionConfig, InjectionDetector, SourceRole};

fn main() -> io::Result<()> {
    let detector = InjectionDetector::new(InjectionConfig::default());
    let mut out = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let row: serde_json::Value = serde_json::from_str(&line?)?;
        let field = |name: &str| row.get(name).and_then(|value| value.as_str());
        let role = SourceRole::from_message_role(field("role").unwrap_or("user"));
        let assessment = detector.score(role, field("text").unwrap_or_default());
        let reasons: Vec<_> = assessment
            .reasons
            .iter()
            .map(|reason| serde_json::json!({"rule": reason.rule.name(), "view": reason.view.name()}))
            .collect();
        let result = serde_json::json!({
            "id": row.get("id"),
            "injection": {
                "score": assessment.score,
                "verdict": assessment.verdict.name(),
                "reasons": reasons,
                "skipped": assessment.skipped.map(|skipped| skipped.name()),
            },
        });
        serde_json::to_writer(&mut out, &result)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}
