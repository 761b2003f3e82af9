//! The detector: readings of a text, their evidence, one score, one verdict.

use std::ops::Range;

use smallvec::SmallVec;

use super::assessment::{Assessment, InjectionConfig, Skipped, SourceRole, Verdict};
use super::canon::canonicalise;
use super::lexicon::{self, Event, lexicon};
use super::model::{Kind, Model, Sum};
use super::ngrams;
use super::rules::{self, Reason, Rule};
use super::shape::{INVISIBLE, MIXED, Survey};
use super::space::Sink;
use super::views::{self, View};

/// Score from which a text is called suspicious.
const SUSPICIOUS: f32 = 0.5;
/// Most reasons reported for one text.
const MAX_REASONS: usize = 8;

/// Scores texts. Cheap to make and to share; holds no state of any text.
#[derive(Clone, Debug)]
pub struct InjectionDetector {
    config: InjectionConfig,
    conversation: Option<Model>,
    data: Option<Model>,
}

impl InjectionDetector {
    /// A detector with these thresholds, and the embedded weights.
    #[must_use]
    pub fn new(config: InjectionConfig) -> Self {
        lexicon();
        Self { config, conversation: Model::embedded(Kind::Conversation), data: Model::embedded(Kind::Data) }
    }

    /// Scores one text. Time is linear in the bytes read, which `max_bytes` bounds.
    #[must_use]
    pub fn score(&self, role: SourceRole, text: &str) -> Assessment {
        if role.is_trusted() {
            return Assessment { skipped: Some(Skipped::TrustedRole), ..Assessment::default() };
        }
        let Some(model) = (if role.is_data() { &self.data } else { &self.conversation }) else {
            return Assessment { skipped: Some(Skipped::NoModel), ..Assessment::default() };
        };
        let Some((head, tail)) = cut(text, self.config.max_bytes) else {
            return self.read(model, role, text);
        };
        let skipped = Skipped::Middle { bytes: text.len() - head.len() - tail.len() };
        let mut worst = self.read(model, role, head).max(self.read(model, role, tail));
        worst.skipped = Some(skipped);
        worst
    }

    /// Scores a conversation: its most suspect text. `skipped` tells of text that was cut, not of trusted roles.
    #[must_use]
    pub fn score_conversation<'a>(
        &self,
        texts: impl IntoIterator<Item = (SourceRole, &'a str)>,
    ) -> Assessment {
        let mut worst = Assessment::default();
        let mut skipped = None;
        for (role, text) in texts {
            let assessment = self.score(role, text);
            if assessment.skipped != Some(Skipped::TrustedRole) {
                skipped = skipped.or(assessment.skipped);
            }
            worst = worst.max(assessment);
        }
        worst.skipped = skipped;
        worst
    }

    fn threshold(&self, role: SourceRole) -> f32 {
        if role.is_data() { self.config.tool_threshold } else { self.config.threshold }
    }

    fn read(&self, model: &Model, role: SourceRole, text: &str) -> Assessment {
        let canon = canonicalise(text);
        let survey = Survey::of(&canon.text);
        let hidden = canon.invisible > 0 || canon.mixed > 0;
        let reading =
            Reading { model, data: role.is_data(), invisible: canon.invisible > 0, mixed: canon.mixed > 0 };
        let (mut score, events) = reading.of(&canon.text, &survey);
        let mut found: SmallVec<[(View, Vec<Event>); 2]> = SmallVec::new();
        found.push((View::Text, events));
        let mut decoded = None;
        let mut consider = |view: View, plain: &str| {
            let plain = canonicalise(plain);
            let (other, events) = reading.of(&plain.text, &Survey::of(&plain.text));
            if other > score {
                score = other;
                decoded = Some(view);
            }
            found.push((view, events));
        };
        if canon.hidden.len() >= 8 {
            consider(View::Hidden, &canon.hidden);
        }
        for (view, plain) in views::derive(&canon.text, &survey) {
            consider(view, &plain);
        }
        let verdict = match score {
            score if score >= self.threshold(role) => Verdict::Injection,
            score if score >= SUSPICIOUS.min(self.threshold(role)) => Verdict::Suspicious,
            _ => Verdict::Clean,
        };
        let reasons = if verdict == Verdict::Clean {
            SmallVec::new()
        } else {
            reasons(&found, role.is_data(), hidden, decoded)
        };
        Assessment { score, verdict, reasons, skipped: None }
    }
}

/// How the readings of one text are scored.
struct Reading<'a> {
    model: &'a Model,
    data: bool,
    invisible: bool,
    mixed: bool,
}

/// Bytes of one window of a long tool result.
const WINDOW: usize = 600;

impl Reading<'_> {
    fn of(&self, text: &str, survey: &Survey) -> (f32, Vec<Event>) {
        let events = lexicon().events(text);
        let mut score = self.evidence(text, &events, survey);
        if self.data {
            for range in windows(text) {
                let events = lexicon::within(&events, &range);
                let window = text.get(range).unwrap_or_default();
                score = score.max(self.evidence(window, &events, &Survey::of(window)));
            }
        }
        (self.model.calibrate(score), events)
    }

    fn evidence(&self, text: &str, events: &[Event], survey: &Survey) -> f32 {
        let mut sum = Sum::new(self.model);
        ngrams::extract(text, &mut sum);
        lexicon::extract(text, events, &mut sum);
        survey.extract(text, &mut sum);
        if self.invisible {
            sum.hit(INVISIBLE);
        }
        if self.mixed {
            sum.hit(MIXED);
        }
        sum.evidence()
    }
}

/// Overlapping pieces of a text that is longer than one of them, cut at character boundaries.
pub(crate) fn windows(text: &str) -> impl Iterator<Item = Range<usize>> {
    let step = WINDOW / 2;
    let count = if text.len() > WINDOW { text.len().div_ceil(step) - 1 } else { 0 };
    (0..count).map(move |at| boundary(text, at * step)..boundary(text, at * step + WINDOW))
}

/// The last character boundary that is not behind `at`.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Beginning and end of a text that is longer than `limit` bytes.
fn cut(text: &str, limit: usize) -> Option<(&str, &str)> {
    if text.len() <= limit {
        return None;
    }
    let head = boundary(text, limit / 4 * 3);
    let tail = boundary(text, text.len() - limit / 4).max(head);
    Some((text.get(..head)?, text.get(tail..)?))
}

fn reasons(
    found: &[(View, Vec<Event>)],
    data: bool,
    hidden: bool,
    decoded: Option<View>,
) -> SmallVec<[Reason; 4]> {
    let mut out: SmallVec<[Reason; 4]> = SmallVec::new();
    let mut add = |rule: Rule, view: View| {
        if out.len() < MAX_REASONS && !out.iter().any(|reason: &Reason| reason.rule == rule) {
            out.push(Reason { rule, view });
        }
    };
    if let Some(view) = decoded {
        add(Rule::EncodedText, view);
    }
    for (view, events) in found {
        rules::matches(events, data, |rule| add(rule, *view));
    }
    if hidden {
        add(Rule::HiddenCharacters, View::Text);
    }
    if out.is_empty() {
        out.push(Reason { rule: Rule::Wording, view: View::Text });
    }
    out.sort_by_key(|reason| reason.rule);
    out
}
