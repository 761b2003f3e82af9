//! Validated settings that the actors work by. Reading, defaults and complaints live in the configuration.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::money::NanoUsd;
use crate::secret::Secret;

/// Which wire format a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// OpenAI Chat Completions, and everything compatible.
    OpenAi,
    /// Anthropic Messages.
    Anthropic,
}

/// One configured upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderSpec {
    /// Unique name, used in routes, metrics and records.
    pub name: Arc<str>,
    /// Which wire format it speaks.
    pub kind: ProviderKind,
    /// Address without a trailing slash, such as `https://api.openai.com/v1`.
    pub base_url: String,
    /// Credentials, used in turn; empty for an upstream without any.
    pub api_keys: Vec<Secret>,
    /// The waits.
    pub timeouts: Timeouts,
    /// Calls in flight at once, all workers together.
    pub max_in_flight: usize,
    /// When and how often to try again.
    pub retry: RetryPolicy,
    /// When to stop calling it.
    pub breaker: BreakerPolicy,
}

/// Waits on one upstream call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until connected, name look-up and TLS included.
    pub connect: Duration,
    /// Until the first meaningful event of a stream, or the head of a whole answer.
    pub first_byte: Duration,
    /// Between two chunks.
    pub idle: Duration,
}

/// When and how often to try again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Upstream calls of one request, all targets together; at least 1.
    pub max_attempts: u32,
    /// Retries earned by each request, beside one a second.
    pub budget: f64,
    /// First back-off; doubles each time, and a random part of it is waited.
    pub base_delay: Duration,
    /// Longest back-off.
    pub max_delay: Duration,
}

/// When to stop calling a target, and when to try it again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerPolicy {
    /// Length of the sliding window.
    pub window: Duration,
    /// Calls in the window before the rate is looked at.
    pub minimum_calls: u32,
    /// Share of failures, 0-1, at which it opens.
    pub failure_rate: f64,
    /// Failures in a row at which it opens, whatever the window says.
    pub consecutive_failures: u32,
    /// First open time; doubles while probes fail.
    pub open_for: Duration,
    /// Longest open time.
    pub open_for_max: Duration,
    /// Probes admitted while half open, and successes needed to close.
    pub half_open_probes: u32,
}

/// How a route chooses among its targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// In the given order.
    #[default]
    Failover,
    /// By weight, at random; the others follow as fallbacks.
    Weighted,
    /// The cheapest by price first.
    Cheapest,
    /// The one with the shortest time to first token first.
    Fastest,
}

/// One place that a route can send a request to.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetSpec {
    /// Name of a configured provider.
    pub provider: Arc<str>,
    /// The provider's model; `None` passes the requested name on.
    pub model: Option<Arc<str>>,
    /// Share for [`Strategy::Weighted`]; at least 1.
    pub weight: u32,
    /// Replaces the provider's first-byte wait.
    pub first_byte_timeout: Option<Duration>,
    /// Replaces the provider's idle wait.
    pub idle_timeout: Option<Duration>,
}

/// A public model name with its targets.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteSpec {
    /// Exact name or glob with `*` and `?`.
    pub model: Arc<str>,
    /// How to choose.
    pub strategy: Strategy,
    /// Where to send, at least one.
    pub targets: Vec<TargetSpec>,
}

/// Limits of one caller. Zero means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CallerLimits {
    /// Requests per window.
    pub rpm: u64,
    /// Tokens per window.
    pub tpm: u64,
    /// Requests in flight at once.
    pub max_in_flight: u64,
}

/// Spending limits. `None` means no limit. Days and months are UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BudgetLimits {
    /// Per UTC day.
    pub day: Option<NanoUsd>,
    /// Per UTC month.
    pub month: Option<NanoUsd>,
}

/// Matches `text` against a pattern with `*` (any run) and `?` (any one character), in linear-ish time and no allocation.
#[must_use]
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stood, and how much of the text it has swallowed so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match (pattern.get(p), text.get(t)) {
            (Some(b'*'), _) => {
                star = Some((p, t));
                p += 1;
            }
            (Some(b'?'), Some(_)) => {
                p += 1;
                t += 1;
            }
            (Some(a), Some(b)) if a == b => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((star_p, star_t)) => {
                    star = Some((star_p, star_t + 1));
                    p = star_p + 1;
                    t = star_t + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_expected() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("*", "gpt-4o", true),
            ("gpt-*", "gpt-4o", true),
            ("gpt-*", "gpt", false),
            ("gpt-4?", "gpt-4o", true),
            ("gpt-4?", "gpt-4", false),
            ("*-mini", "gpt-4o-mini", true),
            ("*-mini", "gpt-4o-mini-x", false),
            ("a*b*c", "a-b-b-c", true),
            ("", "", true),
            ("", "x", false),
            ("o1", "o1", true),
            ("o1", "o11", false),
        ] {
            assert_eq!(glob_matches(pattern, text), matches, "{pattern} ~ {text}");
        }
    }
}
