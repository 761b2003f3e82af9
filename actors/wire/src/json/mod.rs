//! A JSON reader that keeps places instead of values.
//!
//! Most bytes that pass through the gateway must leave as they came: a request goes to the provider untouched, or
//! with one string replaced. [`Tape`] records where each value stands, so that reading a field costs no copy and an
//! edit ([`edit::Splices`]) changes exactly the bytes it names. The same single pass checks what a general
//! deserialiser leaves open: a field that stands twice at any depth, nesting, the number of values, lone surrogates.

mod edit;
mod scan;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub(crate) use edit::Splices;
pub(crate) use scan::{Fault, JsonError, Rules, Tape};
pub(crate) use value::{Kind, Value, unescape};
pub(crate) use write::Writer;
