//! PII and prompt-injection engines, unary and streamed.

pub mod injection;
pub mod pii;
