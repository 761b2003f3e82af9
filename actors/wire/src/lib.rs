//! Vendor dialects: pure bytes to domain values and back.
//!
//! The client speaks OpenAI Chat Completions. [`ChatRequest`] is what it sent, checked; [`dialect::encode`] turns it
//! into what a provider is sent; [`dialect::decode_unary`] and [`StreamDecoder`] turn what comes back into what the
//! client reads. Nothing here opens a socket, reads a clock or knows the configuration, and nothing here panics or
//! grows without bound, whatever the bytes.

mod anthropic;
mod chunk;
mod completion;
pub mod dialect;
mod failure;
mod headers;
mod json;
mod openai;
mod report;
mod request;
mod retry_after;
mod scrub;
pub mod sse;
mod stream;
mod text;

pub use chunk::{Chunk, ChunkText, Track, TrackKind};
pub use completion::Completion;
pub use dialect::{EncodeOptions, Encoded, Hints};
pub use failure::UpstreamFailure;
pub use headers::{Headers, NoHeaders};
pub use request::{ChatRequest, Limits};
pub use retry_after::wait_hint;
pub use stream::{StreamDecoder, StreamItem};
pub use text::{AnswerText, Role, SlotId, TextKind, TextSlot};
