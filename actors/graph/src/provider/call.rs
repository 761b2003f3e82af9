//! What a provider is asked, and what comes back.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use sentinel_domain::error::ErrorCode;
use sentinel_domain::policy::Timeouts;
use sentinel_domain::usage::Usage;
use sentinel_wire::{Chunk, Completion, Encoded, StreamDecoder, Track};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::failure::CallFailure;

/// One request to a provider, encoded in its dialect.
pub struct UpstreamCall {
    /// What to send. Headers are the dialect's own, never a client's.
    pub encoded: Encoded,
    /// Whether the answer comes as a stream of events.
    pub stream: bool,
    /// The waits of this target.
    pub timeouts: Timeouts,
    /// When the whole request has to be over.
    pub deadline: Instant,
}

impl UpstreamCall {
    pub(super) const fn accept(&self) -> &'static str {
        if self.stream { "text/event-stream" } else { "application/json" }
    }
}

impl fmt::Debug for UpstreamCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the body nor the headers: both may hold what must not be logged.
        f.debug_struct("UpstreamCall")
            .field("path", &self.encoded.path)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

/// A provider's answer.
#[derive(Debug)]
pub enum Reply {
    /// All of it.
    Whole(Box<Completion>),
    /// Its beginning, with the rest to come.
    Stream(AnswerStream),
}

/// Why a call was not answered.
#[derive(Debug)]
pub enum CallError {
    /// The provider was not called: it has as many calls in flight as it may.
    Full,
    /// The provider was not called: its actor can't be reached, or the gateway is stopping.
    Unavailable,
    /// The provider was called, and it failed.
    Failed(CallFailure),
}

/// One thing that happens in a stream.
#[derive(Debug)]
pub enum StreamEvent {
    /// A piece of the answer.
    Chunk(Chunk),
    /// The real end.
    Done,
    /// The stream died; nothing comes after this.
    Failed(CallFailure),
}

/// The answer of a stream from its first meaningful event on. Dropping it aborts the upstream call.
#[derive(Debug)]
pub struct AnswerStream {
    /// What was read before the answer began, in order, and the event that began it.
    pub(super) held: VecDeque<StreamEvent>,
    pub(super) events: mpsc::Receiver<StreamEvent>,
    pub(super) decoder: Arc<Mutex<StreamDecoder>>,
    pub(super) ended: bool,
}

impl AnswerStream {
    /// Returns the next event; `None` after [`StreamEvent::Done`] or [`StreamEvent::Failed`], one of which always comes.
    pub async fn next(&mut self) -> Option<StreamEvent> {
        if self.ended {
            return None;
        }
        let event = match self.held.pop_front() {
            Some(event) => event,
            // Without an end of its own the task has panicked or its thread has stopped.
            None => self.events.recv().await.unwrap_or_else(|| {
                let message = "the gateway stopped reading the provider's answer";
                StreamEvent::Failed(CallFailure::local(ErrorCode::Internal, message))
            }),
        };
        self.ended = !matches!(event, StreamEvent::Chunk(_));
        Some(event)
    }

    /// Returns the tokens that the provider has reported so far. Complete only after the real end.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.decoder.lock().usage()
    }

    /// Returns why the first choice ended, once it did.
    #[must_use]
    pub fn finish_reason(&self) -> Option<String> {
        self.decoder.lock().finish_reason().map(ToOwned::to_owned)
    }

    /// Returns the characters of text that have been read, for an answer without a report of its tokens. At most a few
    /// events more than were taken out with [`AnswerStream::next`].
    #[must_use]
    pub fn delivered_chars(&self) -> u64 {
        self.decoder.lock().delivered_chars()
    }

    /// Returns the model that answers, as the provider names it.
    #[must_use]
    pub fn model(&self) -> String {
        self.decoder.lock().model().to_owned()
    }

    /// Makes a chunk of this stream that carries `text`, for a guard that held it back and lets it go at the end.
    #[must_use]
    pub fn text_chunk(&self, track: Track, text: &str) -> Chunk {
        self.decoder.lock().text_chunk(track, text)
    }
}
