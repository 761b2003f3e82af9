//! One chunk of a streamed answer in the client's dialect.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use sentinel_domain::NanoUsd;
use smallvec::SmallVec;

use crate::completion::with_cost;
use crate::json::{Rules, Splices, Tape, Value, unescape};
use crate::stream::StreamState;
use crate::text::TextKind;

/// Which of the texts that a stream carries side by side. A text guard keeps one state for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Track {
    /// Which choice.
    pub choice: u32,
    /// What it is.
    pub kind: TrackKind,
}

/// What a text of a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TrackKind {
    /// Message text.
    Content,
    /// The text of a refusal.
    Refusal,
    /// The model's reasoning, as `reasoning_content`.
    Reasoning,
    /// Arguments of the tool call at this index.
    ToolArguments(u32),
}

impl TrackKind {
    /// Returns the kind without the index of the call.
    #[must_use]
    pub const fn text_kind(self) -> TextKind {
        match self {
            Self::Content => TextKind::Content,
            Self::Refusal => TextKind::Refusal,
            Self::Reasoning => TextKind::Reasoning,
            Self::ToolArguments(_) => TextKind::ToolArguments,
        }
    }
}

/// A piece of one of the stream's texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkText<'a> {
    /// Position in the chunk, by which it is replaced.
    pub slot: usize,
    /// Which text it continues.
    pub track: Track,
    /// The piece, unescaped.
    pub text: Cow<'a, str>,
}

/// Where a piece of text stands in a chunk: the string with its quotes.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) track: Track,
    pub(crate) span: Range<usize>,
}

/// One chunk, ready to send as the data of one event.
#[derive(Debug, Clone)]
pub struct Chunk {
    pub(crate) json: Bytes,
    pub(crate) places: SmallVec<[Place; 1]>,
    pub(crate) meaningful: bool,
    pub(crate) finish: bool,
    pub(crate) usage_only: bool,
}

impl Chunk {
    /// Returns the JSON of the chunk.
    #[must_use]
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// Says whether it carries anything of the answer: text, a tool call, a refusal, reasoning, or an end. Sending it
    /// commits the gateway to this provider.
    #[must_use]
    pub fn is_meaningful(&self) -> bool {
        self.meaningful
    }

    /// Says whether a choice ends with it.
    #[must_use]
    pub fn is_finish(&self) -> bool {
        self.finish
    }

    /// Says whether it is the usage chunk that the client asked for.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        self.usage_only
    }

    /// Returns the pieces of text in it. Nearly always there is one, or none.
    pub fn texts(&self) -> impl Iterator<Item = ChunkText<'_>> {
        self.places.iter().enumerate().map(|(slot, place)| {
            let inner = place.span.start + 1..place.span.end.saturating_sub(1);
            let raw =
                self.json.get(inner).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
            let text = if memchr::memchr(b'\\', raw.as_bytes()).is_some() {
                Cow::Owned(unescape(raw))
            } else {
                Cow::Borrowed(raw)
            };
            ChunkText { slot, track: place.track, text }
        })
    }

    /// Returns the chunk with some of its pieces replaced, named by [`ChunkText::slot`].
    #[must_use]
    pub fn with_texts(mut self, replacements: &[(usize, String)]) -> Self {
        // One after the other, each moving the places behind it: there are hardly ever two.
        for (slot, text) in replacements {
            let Some(span) = self.places.get(*slot).map(|place| place.span.clone()) else { continue };
            let mut edits = Splices::default();
            edits.replace_string(span.clone(), text);
            let before = self.json.len();
            self.json = edits.apply(&self.json);
            let after = self.json.len();
            for place in &mut self.places {
                if place.span.start > span.start {
                    place.span = place.span.start + after - before..place.span.end + after - before;
                } else if place.span == span {
                    place.span.end = span.end + after - before;
                }
            }
        }
        self
    }

    /// Returns a chunk of the same stream that carries `text` and nothing else: no role, no name or id of a call, which a
    /// client would add to those that it has.
    ///
    /// For text that a guard held back and lets go on its own.
    #[must_use]
    pub fn bare(&self, track: Track, text: &str) -> Self {
        let mut state = StreamState::default();
        if let Ok(tape) = Tape::read(&self.json, Rules::ANSWER) {
            let root = tape.root(&self.json);
            state.id = root.text("id").unwrap_or_default().into_owned();
            state.model = root.text("model").unwrap_or_default().into_owned();
            state.created = root.get("created").and_then(|created| created.as_count()).unwrap_or_default();
        }
        state.text_chunk(track, text)
    }

    /// Returns the JSON with `cost_usd` at the top level: a number, or null when the price is unknown.
    #[must_use]
    pub fn with_cost(&self, cost: Option<NanoUsd>) -> Bytes {
        match Tape::read(&self.json, Rules::ANSWER) {
            Ok(tape) => with_cost(&self.json, tape.root(&self.json), cost),
            Err(_) => self.json.clone(),
        }
    }
}

/// Adds the place of a string value, unless it is none.
pub(crate) fn note(
    places: &mut SmallVec<[Place; 1]>,
    choice: u32,
    kind: TrackKind,
    value: Option<Value<'_>>,
) {
    if let Some(value) = value.filter(|value| value.as_str().is_some()) {
        places.push(Place { track: Track { choice, kind }, span: value.span() });
    }
}
