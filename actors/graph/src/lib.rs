//! The actors themselves and the graph that wires them.

pub mod attempt;
pub mod audit;
pub mod breaker;
pub mod cost;
pub mod limiter;
pub mod provider;
pub mod random;
pub mod reply;
pub mod retry;
pub mod routing;
pub mod target;
