//! The breaker's machine and what is built on it.

mod board;
mod state;
