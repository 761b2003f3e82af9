//! `sentinel scan`: the guards offline, JSON lines in and out.

use std::io::{BufRead, Write};

use sentinel_guard::injection::SourceRole;
use sentinel_guard::pii::{Origin, Vault, redact_findings, to_code_points};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::gateway::guards::Guards;

/// Longest line that is read, bytes.
const MOST_LINE: u64 = 64 << 20;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    id: Value,
    text: String,
    #[serde(default)]
    role: Option<String>,
}

/// Reads lines until the input ends, writing one for each.
///
/// # Errors
/// A line that is not an object with a text, named by its number; or the input or output breaks.
pub fn run(guards: &Guards, mut input: impl BufRead, mut output: impl Write) -> Result<(), String> {
    let mut number = 0_usize;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        number += 1;
        let read = std::io::Read::take(&mut input, MOST_LINE)
            .read_until(b'\n', &mut bytes)
            .map_err(|error| format!("cannot read: {error}"))?;
        if read == 0 {
            return output.flush().map_err(|error| format!("cannot write: {error}"));
        }
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_slice(&bytes).map_err(|error| format!("line {number}: {error}"))?;
        serde_json::to_writer(&mut output, &look(guards, &line))
            .map_err(|error| format!("cannot write: {error}"))?;
        output.write_all(b"\n").map_err(|error| format!("cannot write: {error}"))?;
    }
}

fn look(guards: &Guards, line: &Line) -> Value {
    let findings = guards.pii.scan(&line.text);
    let redacted =
        redact_findings(&line.text, &findings, &mut Vault::new(), Origin::Caller).text.into_owned();
    let role = SourceRole::from_message_role(line.role.as_deref().unwrap_or("user"));
    let assessment = guards.injection.score(role, &line.text);
    let pii: Vec<_> = to_code_points(&line.text, &findings)
        .into_iter()
        .map(|finding| json!({"entity": finding.entity.name(), "start": finding.start, "end": finding.end, "score": round(finding.score)}))
        .collect();
    let reasons: Vec<_> = assessment.reasons.iter().map(|reason| reason.rule.name()).collect();
    let mut injection = json!({
        "score": round(assessment.score.into()),
        "verdict": assessment.verdict.name(),
        "reasons": reasons,
    });
    if let (Some(skipped), Some(fields)) = (&assessment.skipped, injection.as_object_mut()) {
        fields.insert("skipped".to_owned(), skipped.name().into());
    }
    json!({ "id": line.id, "pii": pii, "redacted": redacted, "injection": injection })
}

/// Cuts a score to six places, so that output does not depend on the last bit.
fn round(score: f64) -> f64 {
    (score * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flags, from_text};

    fn scan(text: &str) -> Result<String, String> {
        let config = from_text(None, &std::collections::BTreeMap::new(), &Flags::default()).unwrap().config;
        let mut output = Vec::new();
        run(&Guards::new(&config).unwrap(), text.as_bytes(), &mut output)?;
        Ok(String::from_utf8(output).unwrap())
    }

    #[test]
    fn offsets_are_code_points() {
        let line = scan("{\"id\": 7, \"text\": \"ä anna@example.org\", \"other\": 1}\n").unwrap();
        let found: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&found["id"], &found["pii"][0]["start"], &found["pii"][0]["end"]),
            (&json!(7), &json!(2), &json!(18))
        );
        assert_eq!(found["redacted"], "ä [EMAIL_ADDRESS_1]");
        assert!(found["injection"]["score"].is_number());
    }

    #[test]
    fn a_bad_line_is_named() {
        assert!(scan("{\"text\": \"x\"}\nnonsense\n").unwrap_err().contains("line 2"));
    }
}
