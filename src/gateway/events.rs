//! What happened lately that an operator wants to know: a short, bounded memory for the dashboard's feed.
//!
//! It is for people who look, not for machines: counters and the audit trail hold the whole truth.

use std::collections::VecDeque;

use parking_lot::Mutex;
use sentinel_runtime::Clock;
use serde::Serialize;

/// Events remembered; a further one pushes the oldest out.
pub const MOST_EVENTS: usize = 200;
/// Longest text of an event, characters.
const MOST_TEXT: usize = 240;

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Things are as they should be, or have become so.
    Good,
    /// Worth knowing.
    Note,
    /// Something is wrong, and requests are still answered.
    Warn,
    /// Requests fail or records are lost.
    Bad,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Place in the order of events, from 1.
    pub sequence: u64,
    /// When it happened, milliseconds since 1970.
    pub at_unix_ms: u64,
    /// Which part of the gateway it is about: `breaker`, `failover`, `actor`, `store`, `audit`, `config`, `process`.
    pub kind: &'static str,
    /// How much it matters.
    pub level: Level,
    /// What it is about: a target, an actor, a store.
    pub subject: String,
    /// What happened, in words.
    pub text: String,
}

/// The newest events.
#[derive(Debug)]
pub struct Events {
    clock: Clock,
    inner: Mutex<(u64, VecDeque<Event>)>,
}

impl Events {
    /// Makes an empty memory.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, inner: Mutex::new((0, VecDeque::new())) }
    }

    /// Remembers an event.
    pub fn push(
        &self,
        kind: &'static str,
        level: Level,
        subject: impl Into<String>,
        text: impl Into<String>,
    ) {
        let shorten = |text: String| text.chars().take(MOST_TEXT).collect::<String>();
        let (subject, text) = (shorten(subject.into()), shorten(text.into()));
        let at_unix_ms = self.clock.unix_ms();
        let (sequence, events) = &mut *self.inner.lock();
        *sequence += 1;
        if events.len() >= MOST_EVENTS {
            events.pop_front();
        }
        events.push_back(Event { sequence: *sequence, at_unix_ms, kind, level, subject, text });
    }

    /// Returns the events after `sequence`, oldest first.
    #[must_use]
    pub fn after(&self, sequence: u64) -> Vec<Event> {
        self.inner.lock().1.iter().filter(|event| event.sequence > sequence).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_events_make_room() {
        let events = Events::new(Clock::manual(5));
        for number in 1..=MOST_EVENTS + 3 {
            events.push("config", Level::Note, "", number.to_string());
        }
        let all = events.after(0);
        assert_eq!(all.len(), MOST_EVENTS);
        assert_eq!(all.first().map(|event| (event.sequence, event.text.as_str())), Some((4, "4")));
        assert_eq!(events.after(MOST_EVENTS as u64 + 2).len(), 1);
    }

    #[test]
    fn long_texts_are_cut() {
        let events = Events::new(Clock::manual(5));
        events.push("config", Level::Bad, "ä".repeat(1000), "");
        assert_eq!(events.after(0).first().map(|event| event.subject.chars().count()), Some(MOST_TEXT));
    }
}
