//! Trying again: what to try next, how long to wait, and how often a provider may be bothered.

mod budget;
mod planner;
mod verdict;

#[cfg(test)]
mod tests;

pub use budget::{RetryBudget, RetryBudgets};
pub use planner::{Candidate, Failed, PATIENCE, Planner, Refusal, Step, backoff};
