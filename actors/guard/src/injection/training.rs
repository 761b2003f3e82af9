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
    let mut readings = vec![(View::Text, identifiers(&canon.text, flags))];
    if canon.hidden.len() >= 8 {
        readings.push((View::Hidden, identifiers(&canonicalise(&canon.hidden).text, flags)));
    }
    for (view, plain) in views::derive(&canon.text, &Survey::of(&canon.text)) {
        readings.push((view, identifiers(&canonicalise(&plain).text, flags)));
    }
    readings
}

/// The same for each window of a text that is read as data; none for a short text.
#[must_use]
pub fn window_features(text: &str) -> Vec<Vec<u32>> {
    let canon = canonicalise(text);
    let flags = (canon.invisible > 0, canon.mixed > 0);
    windows(&canon.text).map(|window| identifiers(window, flags)).collect()
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

fn identifiers(text: &str, (invisible, mixed): (bool, bool)) -> Vec<u32> {
    let mut list = List { seen: Seen::new(), identifiers: Vec::new() };
    ngrams::extract(text, &mut list);
    lexicon::extract(text, &lexicon().events(text), &mut list);
    Survey::of(text).extract(text, &mut list);
    if invisible {
        list.hit(INVISIBLE);
    }
    if mixed {
        list.hit(MIXED);
    }
    list.identifiers
}
