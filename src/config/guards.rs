//! `[guard.pii]` and `[guard.injection]`: their names, defaults, ranges and explanations.

use std::time::Duration;

use super::section::{Notes, Section};
use super::tree::Node;

const SECOND: Duration = Duration::from_secs(1);

/// What a guard does with what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuardMode {
    /// Nothing is looked at.
    Off,
    /// Findings are counted and recorded.
    Detect,
    /// Findings are replaced by placeholders.
    Redact,
    /// The request is refused.
    Block,
}

/// What happens when a guard cannot run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardFailure {
    /// The built-in engine alone decides.
    Native,
    /// The request is refused.
    Block,
}

/// `[guard.pii]`
#[derive(Debug, Clone)]
pub struct PiiSettings {
    /// What is done with findings in requests.
    pub mode: GuardMode,
    /// What is done with findings in answers that are not the caller's own values.
    pub response_mode: GuardMode,
    /// Whether the caller's own values are put back into the answer.
    pub restore: bool,
    /// Entities looked for.
    pub entities: Vec<String>,
    /// Least score of a finding.
    pub threshold: f64,
    /// Texts that are never findings.
    pub allow: Vec<String>,
    /// Own patterns: entity name and regular expression.
    pub patterns: Vec<(String, String)>,
    /// Address of a Presidio analyzer; empty for none.
    pub presidio_url: String,
    /// Longest wait for Presidio.
    pub presidio_timeout: Duration,
    /// What happens when Presidio fails.
    pub on_failure: GuardFailure,
}

/// `[guard.injection]`
#[derive(Debug, Clone)]
pub struct InjectionSettings {
    /// What is done when the score reaches the threshold.
    pub mode: GuardMode,
    /// Score, 0-1, from which a text counts as an injection.
    pub threshold: f64,
}

/// Reads `[guard]` with its two tables.
pub fn guard(path: String, node: Node, notes: &mut Notes) -> (PiiSettings, InjectionSettings) {
    let mut s = Section::new(path, node, notes);
    let (pii_path, pii_node) = s.table("pii");
    let (injection_path, injection_node) = s.table("injection");
    let pii = pii(pii_path, pii_node, s.notes());
    let injection = injection(injection_path, injection_node, s.notes());
    s.finish();
    (pii, injection)
}

fn pii(path: String, node: Node, notes: &mut Notes) -> PiiSettings {
    let mut s = Section::new(path, node, notes);
    let modes = [
        ("redact", GuardMode::Redact),
        ("off", GuardMode::Off),
        ("detect", GuardMode::Detect),
        ("block", GuardMode::Block),
    ];
    let mode = s.choice("mode", &modes, "What is done with personal data and secrets in requests.");
    let response_modes = [
        ("detect", GuardMode::Detect),
        ("off", GuardMode::Off),
        ("redact", GuardMode::Redact),
        ("block", GuardMode::Block),
    ];
    let response_mode = s.choice(
        "response_mode",
        &response_modes,
        "What is done with those in answers that are not the caller's own.",
    );
    let restore = s.flag("restore", true, "Puts the caller's own values back into the answer.");
    let entities = s.texts(
        "entities",
        &["default"],
        "\"default\" (those that need no context word), \"all\", or names of entities.",
    );
    let threshold = s.decimal("threshold", 0.5, 0.0..=1.0, "Least score of a finding.");
    let allow = s.texts("allow", &[], "Exact texts that are never findings.");
    let mut patterns = Vec::new();
    for (path, node) in s.tables("patterns") {
        let mut p = Section::new(path, node, s.notes());
        let name = p.text("entity", "", "Name shown for the finding.");
        let regex = p.text("regex", "", "Regular expression, linear time, bounded length.");
        p.finish();
        patterns.push((name, regex));
    }
    let presidio_url =
        s.text("presidio_url", "", "Address of a Presidio analyzer that is asked as well; empty: none.");
    if !presidio_url.is_empty() {
        // Saying so is better than guarding less than was asked for.
        s.problem(
            "presidio_url",
            &super::tree::Origin::Default,
            "a second engine is not part of this version yet; leave it empty to use the built-in one",
        );
    }
    let presidio_timeout = s.duration(
        "presidio_timeout",
        SECOND,
        Duration::from_millis(10)..=60 * SECOND,
        "Longest wait for Presidio.",
    );
    let on_failure = s.choice(
        "on_failure",
        &[("native", GuardFailure::Native), ("block", GuardFailure::Block)],
        "When Presidio fails: the built-in engine alone, or refuse.",
    );
    s.finish();
    PiiSettings {
        mode,
        response_mode,
        restore,
        entities,
        threshold,
        allow,
        patterns,
        presidio_url,
        presidio_timeout,
        on_failure,
    }
}

fn injection(path: String, node: Node, notes: &mut Notes) -> InjectionSettings {
    let mut s = Section::new(path, node, notes);
    let modes = [("detect", GuardMode::Detect), ("off", GuardMode::Off), ("block", GuardMode::Block)];
    let mode = s.choice("mode", &modes, "What is done when the score reaches the threshold.");
    let threshold = s.decimal("threshold", 0.8, 0.0..=1.0, "Score from which a text counts as an injection.");
    s.finish();
    InjectionSettings { mode, threshold }
}
