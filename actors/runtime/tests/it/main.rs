//! Behaviour of the runtime from outside, in one binary.

mod failing;
mod supervision;
