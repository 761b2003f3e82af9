//! PII and prompt-injection engines, unary and streamed.

pub mod pii;
