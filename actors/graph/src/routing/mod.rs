//! Which provider and model serve a request, and in which order they are tried.

mod latency;
mod strategy;
mod table;

#[cfg(test)]
mod tests;

pub use crate::target::OTHER;
pub use latency::{Latencies, LatencyAverage};
pub use strategy::Choice;
pub use table::{ListedModel, Owner, Resolved, RouteProblem, RouteTable, Target};
