//! How an attempt at an upstream ended, and what follows from it.
//!
//! [`FailureClass`] is what the wire and the sockets can tell apart; [`FailureClass::disposition`] is the one table
//! that says what each means for retrying, for the other targets, for the circuit breaker, for the cooldown and for
//! the client. A caller's own mistake must never bench a healthy provider, so those rows are marked as successes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::ErrorCode;

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// No connection: refused, no route, no such host.
    Connect,
    /// The connection broke before a complete answer, or before the first event of a stream.
    Broken,
    /// The TLS handshake failed or the certificate is not valid.
    Tls,
    /// Nothing meaningful arrived in time; the provider may be working and billing.
    FirstByteTimeout,
    /// The stream fell silent after the answer had begun.
    IdleTimeout,
    /// The provider says that the request timed out or conflicts (408, 409).
    Transient,
    /// The provider's rate limit (429).
    RateLimited,
    /// The account's quota, credit or spend cap is used up (402, `insufficient_quota`).
    Quota,
    /// The provider failed: 500 and other 5xx, 520-526.
    ServerError,
    /// A gateway in front of the provider failed (502).
    BadGateway,
    /// The provider is overloaded (503, 529).
    Overloaded,
    /// The provider timed out inside (504).
    GatewayTimeout,
    /// The provider refused our credentials (401, 403).
    Auth,
    /// The provider refused the request itself (400, 404, 413, 422): the caller's mistake.
    Rejected,
    /// The provider wants to send us elsewhere (3xx).
    Redirect,
    /// The answer is no valid answer: HTML, broken JSON, wrong shape, cut.
    Malformed,
    /// The answer is larger than allowed.
    Oversize,
    /// The answer had begun and then failed: error event, break, silence, cut.
    StreamBroken,
    /// The client went away.
    ClientGone,
    /// The gateway itself refused: a limit, a shed, a guard, a deadline.
    Local,
}

/// Whether the same target may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameTarget {
    /// Never.
    No,
    /// Once, after a back-off.
    Once,
    /// Once, but only if there is no other target and the provider's wait is short.
    IfAlone,
}

/// What the circuit breaker is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerMark {
    /// The target works.
    Success,
    /// The target failed.
    Failure,
    /// Says nothing about the target; only the permit is given back.
    Neutral,
}

/// How long the target is left alone, apart from the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cooldown {
    /// Not at all.
    None,
    /// As long as the provider asked for; this long if it gave no hint.
    Hinted {
        /// Used without a hint.
        default: Duration,
    },
    /// As long as the provider asked for; not at all if it gave no hint.
    OnlyHinted,
    /// This long.
    Fixed(Duration),
}

/// The longest wait that a provider's hint can impose.
pub const LONGEST_COOLDOWN: Duration = Duration::from_secs(300);

/// What follows from a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disposition {
    /// Whether the same target may be tried again.
    pub same_target: SameTarget,
    /// Whether another target may be tried.
    pub other_target: bool,
    /// What the circuit breaker is told.
    pub breaker: BreakerMark,
    /// How long the target is left alone.
    pub cooldown: Cooldown,
    /// What the client is told if nothing else works.
    pub code: ErrorCode,
}

impl FailureClass {
    /// Every class, for tables and metrics.
    pub const ALL: [Self; 20] = [
        Self::Connect,
        Self::Broken,
        Self::Tls,
        Self::FirstByteTimeout,
        Self::IdleTimeout,
        Self::Transient,
        Self::RateLimited,
        Self::Quota,
        Self::ServerError,
        Self::BadGateway,
        Self::Overloaded,
        Self::GatewayTimeout,
        Self::Auth,
        Self::Rejected,
        Self::Redirect,
        Self::Malformed,
        Self::Oversize,
        Self::StreamBroken,
        Self::ClientGone,
        Self::Local,
    ];

    /// Returns a stable, low-cardinality name for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Broken => "broken",
            Self::Tls => "tls",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::Transient => "transient",
            Self::RateLimited => "rate_limited",
            Self::Quota => "quota",
            Self::ServerError => "server_error",
            Self::BadGateway => "bad_gateway",
            Self::Overloaded => "overloaded",
            Self::GatewayTimeout => "gateway_timeout",
            Self::Auth => "auth",
            Self::Rejected => "rejected",
            Self::Redirect => "redirect",
            Self::Malformed => "malformed",
            Self::Oversize => "oversize",
            Self::StreamBroken => "stream_broken",
            Self::ClientGone => "client_gone",
            Self::Local => "local",
        }
    }

    /// Returns how long the target is left alone after this failure, given the provider's hint; zero for not at all.
    #[must_use]
    pub fn cooldown(self, hint: Option<Duration>) -> Duration {
        let wait = match self.disposition().cooldown {
            Cooldown::None => Duration::ZERO,
            Cooldown::Hinted { default } => hint.unwrap_or(default),
            Cooldown::OnlyHinted => hint.unwrap_or_default(),
            Cooldown::Fixed(wait) => wait,
        };
        wait.min(LONGEST_COOLDOWN)
    }

    /// Returns what follows from this failure: one row of the outcome table.
    #[must_use]
    pub const fn disposition(self) -> Disposition {
        use BreakerMark::{Failure, Neutral, Success};
        use SameTarget::{IfAlone, No, Once};
        const fn row(
            same_target: SameTarget,
            other_target: bool,
            breaker: BreakerMark,
            cooldown: Cooldown,
            code: ErrorCode,
        ) -> Disposition {
            Disposition { same_target, other_target, breaker, cooldown, code }
        }
        const MINUTE: Cooldown = Cooldown::Fixed(Duration::from_secs(60));
        match self {
            Self::Connect | Self::Broken => {
                row(Once, true, Failure, Cooldown::None, ErrorCode::UpstreamFailed)
            }
            Self::Tls => row(No, true, Failure, MINUTE, ErrorCode::UpstreamFailed),
            // The provider may still be working on it and will bill it, so it is not asked twice.
            Self::FirstByteTimeout | Self::IdleTimeout => {
                row(No, true, Failure, Cooldown::None, ErrorCode::UpstreamTimeout)
            }
            Self::Transient => row(Once, true, Neutral, Cooldown::None, ErrorCode::UpstreamRejected),
            Self::RateLimited => row(
                IfAlone,
                true,
                Neutral,
                Cooldown::Hinted { default: Duration::from_secs(5) },
                ErrorCode::UpstreamRateLimited,
            ),
            Self::Quota => {
                row(No, true, Neutral, Cooldown::Fixed(LONGEST_COOLDOWN), ErrorCode::UpstreamQuota)
            }
            Self::ServerError | Self::BadGateway => {
                row(Once, true, Failure, Cooldown::OnlyHinted, ErrorCode::UpstreamFailed)
            }
            Self::Overloaded => row(Once, true, Failure, Cooldown::OnlyHinted, ErrorCode::UpstreamOverloaded),
            Self::GatewayTimeout => {
                row(Once, true, Failure, Cooldown::OnlyHinted, ErrorCode::UpstreamTimeout)
            }
            Self::Auth => row(No, true, Neutral, MINUTE, ErrorCode::UpstreamAuth),
            Self::Rejected => row(No, false, Success, Cooldown::None, ErrorCode::UpstreamRejected),
            Self::Redirect => row(No, true, Failure, Cooldown::None, ErrorCode::UpstreamInvalidResponse),
            Self::Malformed | Self::Oversize => {
                row(Once, true, Failure, Cooldown::None, ErrorCode::UpstreamInvalidResponse)
            }
            // What the client has seen cannot be taken back, so nothing is tried again.
            Self::StreamBroken => row(No, false, Failure, Cooldown::None, ErrorCode::UpstreamFailed),
            Self::ClientGone => row(No, false, Neutral, Cooldown::None, ErrorCode::ClientClosed),
            Self::Local => row(No, false, Neutral, Cooldown::None, ErrorCode::Overloaded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every class with its whole row, written down a second time so that a change has to be meant.
    #[test]
    fn the_outcome_table_is_as_decided() {
        use BreakerMark::{Failure, Neutral, Success};
        use ErrorCode as E;
        use FailureClass as F;
        use SameTarget::{IfAlone, No, Once};
        const NONE: Cooldown = Cooldown::None;
        const HINT: Cooldown = Cooldown::OnlyHinted;
        const WAIT: Cooldown = Cooldown::Hinted { default: Duration::from_secs(5) };
        const MINUTE: Cooldown = Cooldown::Fixed(Duration::from_secs(60));
        const LONGEST: Cooldown = Cooldown::Fixed(Duration::from_secs(300));
        let table = [
            // Class, same target, other target, breaker, cooldown, what the client is told.
            (F::Connect, Once, true, Failure, NONE, E::UpstreamFailed),
            (F::Broken, Once, true, Failure, NONE, E::UpstreamFailed),
            (F::Tls, No, true, Failure, MINUTE, E::UpstreamFailed),
            (F::FirstByteTimeout, No, true, Failure, NONE, E::UpstreamTimeout),
            (F::IdleTimeout, No, true, Failure, NONE, E::UpstreamTimeout),
            (F::Transient, Once, true, Neutral, NONE, E::UpstreamRejected),
            (F::RateLimited, IfAlone, true, Neutral, WAIT, E::UpstreamRateLimited),
            (F::Quota, No, true, Neutral, LONGEST, E::UpstreamQuota),
            (F::ServerError, Once, true, Failure, HINT, E::UpstreamFailed),
            (F::BadGateway, Once, true, Failure, HINT, E::UpstreamFailed),
            (F::Overloaded, Once, true, Failure, HINT, E::UpstreamOverloaded),
            (F::GatewayTimeout, Once, true, Failure, HINT, E::UpstreamTimeout),
            (F::Auth, No, true, Neutral, MINUTE, E::UpstreamAuth),
            (F::Rejected, No, false, Success, NONE, E::UpstreamRejected),
            (F::Redirect, No, true, Failure, NONE, E::UpstreamInvalidResponse),
            (F::Malformed, Once, true, Failure, NONE, E::UpstreamInvalidResponse),
            (F::Oversize, Once, true, Failure, NONE, E::UpstreamInvalidResponse),
            (F::StreamBroken, No, false, Failure, NONE, E::UpstreamFailed),
            (F::ClientGone, No, false, Neutral, NONE, E::ClientClosed),
            (F::Local, No, false, Neutral, NONE, E::Overloaded),
        ];
        assert_eq!(table.map(|row| row.0), FailureClass::ALL, "every class has its row");
        for (class, same_target, other_target, breaker, cooldown, code) in table {
            let expected = Disposition { same_target, other_target, breaker, cooldown, code };
            assert_eq!(class.disposition(), expected, "{class:?}");
        }
    }

    #[test]
    fn only_the_callers_own_mistake_counts_as_a_success() {
        for class in FailureClass::ALL {
            let success = class.disposition().breaker == BreakerMark::Success;
            assert_eq!(success, class == FailureClass::Rejected, "{class:?}");
        }
    }

    #[test]
    fn nothing_is_tried_again_after_a_timeout() {
        for class in [FailureClass::FirstByteTimeout, FailureClass::IdleTimeout] {
            assert_eq!(class.disposition().same_target, SameTarget::No);
        }
    }

    #[test]
    fn the_cooldown_follows_the_class_and_the_hint() {
        let table = [
            (FailureClass::RateLimited, None, 5),
            (FailureClass::RateLimited, Some(2), 2),
            (FailureClass::RateLimited, Some(0), 0),
            (FailureClass::RateLimited, Some(1_000_000_000), 300),
            (FailureClass::Quota, Some(1), 300),
            (FailureClass::Auth, None, 60),
            (FailureClass::Overloaded, None, 0),
            (FailureClass::Overloaded, Some(7), 7),
            (FailureClass::ServerError, Some(400), 300),
            (FailureClass::Connect, Some(9), 0),
            (FailureClass::Rejected, Some(9), 0),
        ];
        for (class, hint, seconds) in table {
            let wait = class.cooldown(hint.map(Duration::from_secs));
            assert_eq!(wait, Duration::from_secs(seconds), "{class:?} {hint:?}");
        }
    }

    #[test]
    fn serde_and_metric_names_agree() {
        for class in FailureClass::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
        }
    }
}
