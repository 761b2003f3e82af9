//! The breaker's phases, and what can be shown about it.

use sentinel_domain::outcome::FailureClass;
use tokio::time::Instant;

use super::window::Counts;

/// What the breaker does with the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Admits everything and watches the results.
    Closed,
    /// Admits a few probes and lets their results decide.
    HalfOpen,
    /// Admits nothing.
    Open,
}

impl Phase {
    /// Every phase, for metrics.
    pub const ALL: [Self; 3] = [Self::Closed, Self::HalfOpen, Self::Open];

    /// Returns a stable name for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }

    /// Returns the value of the gauge `sentinel_circuit_breaker_state`: 0 closed, 1 half-open, 2 open.
    #[must_use]
    pub const fn gauge(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }
}

/// What an operator wants, whatever the results say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Override {
    /// Refuse every call.
    Open,
    /// Admit every call.
    Closed,
}

/// A change of phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The phase before.
    pub from: Phase,
    /// The phase after.
    pub to: Phase,
}

/// What can be shown about a breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerView {
    /// What it does with the next call.
    pub phase: Phase,
    /// Set while an operator holds it: what for, and until when.
    pub forced: Option<(Override, Instant)>,
    /// When it opened, while open.
    pub opened_at: Option<Instant>,
    /// When the next probe is admitted at the soonest, while open.
    pub next_probe: Option<Instant>,
    /// Results in the window.
    pub counts: Counts,
    /// Failures in a row.
    pub consecutive_failures: u32,
    /// The newest failure and when it was recorded.
    pub last_failure: Option<(FailureClass, Instant)>,
}
