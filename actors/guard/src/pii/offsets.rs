//! Byte offsets as code-point offsets, the unit of everything printed.

use serde::Serialize;

use super::candidate::Finding;
use super::entity::Entity;

/// A finding in code points, as `sentinel scan` prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CodePointFinding {
    /// What it is.
    pub entity: Entity,
    /// First code point.
    pub start: usize,
    /// One past the last code point.
    pub end: usize,
    /// Confidence, 0 to 1, in steps of a thousandth.
    pub score: f64,
}

/// Converts findings that are in order and without overlaps, in one walk over the text.
#[must_use]
pub fn to_code_points(text: &str, findings: &[Finding]) -> Vec<CodePointFinding> {
    let mut at_byte = 0;
    let mut at_point = 0;
    let mut advance = |byte: usize| {
        at_point += text.get(at_byte..byte).map_or(0, |part| part.chars().count());
        at_byte = byte;
        at_point
    };
    findings
        .iter()
        .map(|finding| CodePointFinding {
            entity: finding.entity.clone(),
            start: advance(finding.start),
            end: advance(finding.end),
            score: (f64::from(finding.score) * 1000.0).round() / 1000.0,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_count_code_points() {
        let text = "żółw a@b.de 😀 c@d.fr";
        let find = |value: &str| {
            let start = text.find(value).unwrap();
            Finding { entity: Entity::EmailAddress, start, end: start + value.len(), score: 0.5 }
        };
        let points = to_code_points(text, &[find("a@b.de"), find("c@d.fr")]);
        assert_eq!((points[0].start, points[0].end), (5, 11));
        assert_eq!((points[1].start, points[1].end), (14, 20));
    }
}
