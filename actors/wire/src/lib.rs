//! Vendor dialects: pure bytes to domain values and back.

mod json;
pub mod request;
pub mod sse;
pub mod text;

pub use request::{ChatRequest, Limits};
pub use text::{AnswerText, Role, SlotId, TextKind, TextSlot};
