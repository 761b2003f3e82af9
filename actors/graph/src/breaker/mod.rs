//! Stops calling a target that fails, leaves alone one that asks for it, and finds out when to come back.
//!
//! `state` and `cooldown` are pure machines; `board` shares one of each per target among the workers; `actor` is the
//! supervised front that a worker's requests ask.

mod actor;
mod board;
mod cooldown;
mod phase;
mod state;
mod window;

#[cfg(test)]
mod tests;

pub use actor::{BreakerHandle, CircuitBreaker, Order};
pub use board::{
    BreakerBoard, CallPermit, Committed, RejectReason, Rejected, TargetView, TransitionObserver,
};
pub use cooldown::{Cooldown, Cooling};
pub use phase::{BreakerView, Override, Phase, Transition};
pub use state::{BreakerState, FORGIVEN_AFTER, PERMIT_LEASE, Ticket};
pub use window::Counts;
