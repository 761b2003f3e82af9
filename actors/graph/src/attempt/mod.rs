//! Answers one request from the best target that can: the loop of planning, admission, call and outcome.
//!
//! A library function of the pipeline and no actor: it holds nothing between requests, and dropping its future gives
//! everything back — the permit of the breaker as neutral, the call in flight by closing its connection.

mod run;

#[cfg(test)]
mod tests;

pub use run::{After, Answered, AttemptEvent, Caller, Deps, GaveUp, Job, Providers, run};
