//! The actors themselves and the graph that wires them.

pub mod breaker;
pub mod random;
pub mod retry;
pub mod routing;
pub mod target;
