//! The decoder of a streamed answer, whichever provider sends it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use sentinel_domain::policy::ProviderKind;
use sentinel_domain::{FailureClass, Usage};
use smallvec::SmallVec;

use crate::anthropic::{self, AnthropicStream};
use crate::chunk::{Chunk, Place, Track, TrackKind};
use crate::dialect::Hints;
use crate::failure::UpstreamFailure;
use crate::json::Writer;
use crate::openai::{self, OpenAiStream};
use crate::sse::{SseDecoder, SseEvent};

/// What comes out of a stream.
#[derive(Debug, Clone)]
pub enum StreamItem {
    /// A chunk to send on.
    Chunk(Chunk),
    /// The answer is complete: `[DONE]` may be sent. Nothing follows.
    Done,
    /// The answer failed. Nothing follows.
    Failed(Box<UpstreamFailure>),
}

/// Turns the bytes of a provider's stream into chunks in the client's dialect.
///
/// Feed a piece, take items until there is none, feed the next; at the end of the bytes call
/// [`StreamDecoder::finish`] and take items once more. After `Done` or `Failed` everything else is dropped.
#[derive(Debug)]
pub struct StreamDecoder {
    kind: ProviderKind,
    max_event: usize,
    begun: bool,
    /// A whole answer in the place of a stream, as far as it has come.
    whole: Option<BytesMut>,
    sse: SseDecoder,
    dialect: DialectStream,
    state: StreamState,
}

#[derive(Debug)]
enum DialectStream {
    OpenAi(OpenAiStream),
    Anthropic(AnthropicStream),
}

/// What both dialects keep while a stream runs.
#[derive(Debug, Default)]
pub(crate) struct StreamState {
    pub(crate) hints: Hints,
    pub(crate) queue: VecDeque<StreamItem>,
    pub(crate) ended: bool,
    pub(crate) committed: bool,
    /// The head of every chunk: id, created, model.
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) usage: Option<Usage>,
    pub(crate) finish_reason: Option<String>,
    pub(crate) delivered_chars: u64,
}

impl StreamDecoder {
    pub(crate) fn new(kind: ProviderKind, hints: Hints, max_event: usize) -> Self {
        let dialect = match kind {
            ProviderKind::OpenAi => DialectStream::OpenAi(OpenAiStream::default()),
            ProviderKind::Anthropic => DialectStream::Anthropic(AnthropicStream::default()),
        };
        let state = StreamState {
            created: hints.created,
            model: hints.model.clone(),
            hints,
            ..StreamState::default()
        };
        Self { kind, max_event, begun: false, whole: None, sse: SseDecoder::new(max_event), dialect, state }
    }

    /// Gives it the next piece of the provider's bytes.
    pub fn feed(&mut self, piece: Bytes) {
        if self.state.ended {
            return;
        }
        if !self.begun
            && let Some(first) = piece.iter().find(|byte| !byte.is_ascii_whitespace())
        {
            self.begun = true;
            // No line of a stream begins like this: it is JSON, an error or an answer that is not streamed.
            self.whole = (*first == b'{').then(BytesMut::new);
        }
        match &mut self.whole {
            None => self.sse.feed(piece),
            Some(whole) if whole.len() + piece.len() <= self.max_event => whole.extend_from_slice(&piece),
            Some(_) => self.state.fail(oversize()),
        }
    }

    /// Returns the next item, or `None` when more bytes are needed or the stream is over.
    pub fn next_item(&mut self) -> Option<StreamItem> {
        loop {
            if let Some(item) = self.state.queue.pop_front() {
                return Some(item);
            }
            if self.state.ended {
                return None;
            }
            match self.sse.next_event() {
                Ok(Some(event)) => self.event(&event),
                Ok(None) => return None,
                Err(_) => self.state.fail(oversize()),
            }
        }
    }

    /// Tells it that the bytes have ended. What is still open is completed, or the answer counts as cut.
    pub fn finish(&mut self) {
        if let Some(whole) = self.whole.take().filter(|_| !self.state.ended) {
            return self.unstream(whole.freeze());
        }
        while !self.state.ended {
            match self.sse.finish() {
                Ok(Some(event)) => self.event(&event),
                Ok(None) => match &mut self.dialect {
                    DialectStream::OpenAi(stream) => stream.end_of_bytes(&mut self.state),
                    DialectStream::Anthropic(stream) => stream.end_of_bytes(&mut self.state),
                },
                Err(_) => self.state.fail(oversize()),
            }
        }
    }

    /// Takes a whole answer apart into one chunk, so that the client still gets the stream that it asked for.
    fn unstream(&mut self, body: Bytes) {
        let decoded = match self.kind {
            ProviderKind::OpenAi => openai::decode(200, body),
            ProviderKind::Anthropic => anthropic::decode(200, body, &self.state.hints),
        };
        match decoded {
            Ok(completion) => {
                let event = SseEvent { event: Bytes::new(), data: completion.as_chunk() };
                let mut stream = OpenAiStream::default();
                stream.event(&event, &mut self.state);
                if !self.state.ended {
                    stream.end_of_bytes(&mut self.state);
                }
            }
            Err(failure) => self.state.fail(failure),
        }
    }

    fn event(&mut self, event: &SseEvent) {
        match &mut self.dialect {
            DialectStream::OpenAi(stream) => stream.event(event, &mut self.state),
            DialectStream::Anthropic(stream) => stream.event(event, &mut self.state),
        }
    }

    /// Says whether the stream has ended, well or badly.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state.ended && self.state.queue.is_empty()
    }

    /// Says whether what has come so far ends in the middle of an event: a sign of life that a ping is not.
    #[must_use]
    pub fn is_mid_event(&self) -> bool {
        self.sse.is_mid_event()
    }

    /// Says whether anything of the answer has come out yet.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        self.state.committed
    }

    /// Returns the tokens that the provider has reported so far. Complete only after `Done`.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.state.usage
    }

    /// Returns why the first choice ended, once it did.
    #[must_use]
    pub fn finish_reason(&self) -> Option<&str> {
        self.state.finish_reason.as_deref()
    }

    /// Returns the characters of text, reasoning and arguments that have come out, for partial accounting.
    #[must_use]
    pub fn delivered_chars(&self) -> u64 {
        self.state.delivered_chars
    }

    /// Returns the id of the answer; empty before the first chunk.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.state.id
    }

    /// Returns the model that answers, as the provider names it once it has.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.state.model
    }

    /// Makes a chunk of this stream that carries `text`, for a guard that held it back and lets it go at the end.
    #[must_use]
    pub fn text_chunk(&self, track: Track, text: &str) -> Chunk {
        self.state.text_chunk(track, text)
    }
}

impl StreamState {
    /// Ends the stream with a failure. An answer that had begun is broken, whatever the provider calls it, unless
    /// its own class says more.
    pub(crate) fn fail(&mut self, failure: UpstreamFailure) {
        self.ended = true;
        self.queue.push_back(StreamItem::Failed(Box::new(failure)));
    }

    /// Ends the stream because its bytes ended too early.
    pub(crate) fn fail_truncated(&mut self) {
        let class = if self.committed { FailureClass::StreamBroken } else { FailureClass::Broken };
        self.fail(UpstreamFailure::local(
            class,
            "the provider's stream ended before the answer was complete",
        ));
    }

    pub(crate) fn done(&mut self) {
        self.ended = true;
        self.queue.push_back(StreamItem::Done);
    }

    pub(crate) fn push(&mut self, chunk: Chunk) {
        self.committed |= chunk.meaningful;
        let chars: usize = chunk.texts().map(|piece| piece.text.chars().count()).sum();
        self.delivered_chars = self.delivered_chars.saturating_add(chars as u64);
        self.queue.push_back(StreamItem::Chunk(chunk));
    }

    /// Begins a chunk: everything up to the choices.
    pub(crate) fn head(&self) -> Writer {
        let mut out = Writer::with_capacity(256);
        out.open_object().field("id", &self.id).field("object", "chat.completion.chunk");
        out.count_field("created", self.created).field("model", &self.model);
        out
    }

    /// Writes a chunk with one choice. `delta` writes the inside of its delta and may return the place of a text.
    pub(crate) fn chunk(
        &self,
        choice: u32,
        finish_reason: Option<&str>,
        delta: impl FnOnce(&mut Writer) -> Option<(TrackKind, std::ops::Range<usize>)>,
    ) -> Chunk {
        let mut out = self.head();
        out.key("choices").open_array().open_object().count_field("index", u64::from(choice));
        out.key("delta").open_object();
        let place = delta(&mut out);
        out.close_object().key("logprobs").null().key("finish_reason");
        match finish_reason {
            Some(reason) => drop(out.string(reason)),
            None => drop(out.null()),
        }
        out.close_object().close_array();
        if self.hints.include_usage {
            out.key("usage").null();
        }
        out.close_object();
        let places: SmallVec<[Place; 1]> =
            place.into_iter().map(|(kind, span)| Place { track: Track { choice, kind }, span }).collect();
        Chunk {
            json: out.finish(),
            meaningful: !places.is_empty() || finish_reason.is_some(),
            places,
            finish: finish_reason.is_some(),
            usage_only: false,
        }
    }

    pub(crate) fn text_chunk(&self, track: Track, text: &str) -> Chunk {
        self.chunk(track.choice, None, |out| {
            let span = match track.kind {
                TrackKind::Content => out.key("content").string(text),
                TrackKind::Refusal => out.key("refusal").string(text),
                TrackKind::Reasoning => out.key("reasoning_content").string(text),
                TrackKind::ToolArguments(index) => {
                    out.key("tool_calls").open_array().open_object().count_field("index", u64::from(index));
                    let span = out.key("function").open_object().key("arguments").string(text);
                    out.close_object().close_object().close_array();
                    span
                }
            };
            Some((track.kind, span))
        })
    }

    /// Writes the usage chunk, given the JSON of the usage object.
    pub(crate) fn usage_chunk(&self, usage: &str) -> Chunk {
        let mut out = self.head();
        out.key("choices").open_array().close_array().raw_field("usage", usage).close_object();
        Chunk {
            json: out.finish(),
            places: SmallVec::new(),
            meaningful: false,
            finish: false,
            usage_only: true,
        }
    }
}

fn oversize() -> UpstreamFailure {
    UpstreamFailure::local(FailureClass::Oversize, "the provider sent an event that is too large")
}
