//! The features of a text as identifiers, for the trainer only.
//!
//! The training script asks this crate for features instead of computing its own, so that what was trained and what
//! is scored cannot drift apart.

use super::canon::canonicalise;
use super::detector::windows;
use super::lexicon::{self, lexicon};
use super::ngrams;
use super::shape::{INVISIBLE, MIXED, Survey};
use super::space::{Seen, Sink};
use super::views::{self, View};

/// Distinct feature identifiers of each reading of `text`; the first reading is the text itself.
#[must_use]
pub fn features(text: &str) -> Vec<(View, Vec<u32>)> {
    let canon = canonicalise(text);
    let flags = (canon.invisible > 0, canon.mixed > 0);
    let read = |text: &str| identifiers(text, &lexicon().events(text), flags);
    let mut readings = vec![(View::Text, read(&canon.text))];
    if canon.hidden.len() >= 8 {
        readings.push((View::Hidden, read(&canonicalise(&canon.hidden).text)));
    }
    for (view, plain) in views::derive(&canon.text, &Survey::of(&canon.text)) {
        readings.push((view, read(&canonicalise(&plain).text)));
    }
    readings
}

/// The same for each window of a text that is read as data; none for a short text.
#[must_use]
pub fn window_features(text: &str) -> Vec<Vec<u32>> {
    let canon = canonicalise(text);
    let flags = (canon.invisible > 0, canon.mixed > 0);
    let events = lexicon().events(&canon.text);
    windows(&canon.text)
        .map(|range| {
            let events = lexicon::within(&events, &range);
            identifiers(canon.text.get(range).unwrap_or_default(), &events, flags)
        })
        .collect()
}

struct List {
    seen: Seen,
    identifiers: Vec<u32>,
}

impl Sink for List {
    fn hit(&mut self, id: u32) {
        if self.seen.insert(id) {
            self.identifiers.push(id);
        }
    }
}

fn identifiers(text: &str, events: &[lexicon::Event], (invisible, mixed): (bool, bool)) -> Vec<u32> {
    let mut list = List { seen: Seen::new(), identifiers: Vec::new() };
    ngrams::extract(text, &mut list);
    lexicon::extract(text, events, &mut list);
    Survey::of(text).extract(text, &mut list);
    if invisible {
        list.hit(INVISIBLE);
    }
    if mixed {
        list.hit(MIXED);
    }
    list.identifiers
}
