//! The actors themselves and the graph that wires them.

pub mod attempt;
pub mod breaker;
pub mod provider;
pub mod random;
pub mod retry;
pub mod routing;
pub mod target;
