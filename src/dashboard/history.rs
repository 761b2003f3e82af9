//! The last minutes, one point a second, so that a chart is full as soon as a page opens.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::gateway::Gateway;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::sketch::quantile_of;

/// Points kept: five minutes.
const MOST_POINTS: usize = 300;
/// Seconds that percentiles look back. One second of gentle traffic would be one request, not a percentile.
const WINDOW: usize = 15;
/// Requests of this route are the ones that people wait for.
const INFERENCE: &str = "/v1/chat/completions";

/// One second. Counts are those of the second, percentiles those of the last 15 s.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Point {
    /// When it ended, milliseconds since 1970.
    t: u64,
    /// Answered.
    ok: u64,
    /// Refused as wrong, forbidden or unpayable.
    refused: u64,
    /// Refused by a limit.
    limited: u64,
    /// Failed.
    failed: u64,
    /// Given up by the client.
    gone: u64,
    /// Requests in flight.
    active: usize,
    /// Streams in flight.
    streams: i64,
    /// Latency of whole requests, milliseconds.
    lat50: Option<f64>,
    lat95: Option<f64>,
    /// Time to first token, milliseconds.
    ttft50: Option<f64>,
    ttft95: Option<f64>,
    /// The gateway's own share, milliseconds.
    own95: Option<f64>,
    /// US dollars spent since the start.
    usd: f64,
    /// Tokens, in and out.
    tokens: u64,
    /// Answers from the cache, shared ones included.
    hits: u64,
    /// Requests that the cache could have answered.
    looks: u64,
}

/// Totals at one moment, to take differences of.
#[derive(Debug, Clone, Default)]
struct Totals {
    ok: u64,
    refused: u64,
    limited: u64,
    failed: u64,
    gone: u64,
    tokens: u64,
    hits: u64,
    looks: u64,
}

/// Bucket counts of the three sketches at one moment.
type Counts = [Vec<u64>; 3];

/// Remembers points.
#[derive(Debug, Default)]
pub(super) struct History {
    points: VecDeque<Point>,
    before: Option<Totals>,
    counts: VecDeque<Counts>,
}

impl History {
    /// Adds the point of the second that has just ended.
    pub(super) fn sample(&mut self, gateway: &Gateway) -> Point {
        let metrics = &gateway.metrics;
        let now = Totals::read(metrics);
        let before = self.before.replace(now.clone()).unwrap_or_else(|| now.clone());
        let counts =
            [metrics.latency.counts(), metrics.first_token.counts(), metrics.overhead_sketch.counts()];
        let at = |index: usize, share: f64| {
            let newest = counts.get(index)?;
            let oldest = self.counts.front().and_then(|oldest| oldest.get(index));
            let came: Vec<u64> = match oldest {
                Some(oldest) => {
                    newest.iter().zip(oldest).map(|(new, old)| new.saturating_sub(*old)).collect()
                }
                None => newest.clone(),
            };
            quantile_of(&came, share).map(|seconds| (seconds * 1e5).round() / 100.0)
        };
        let point = Point {
            t: gateway.clock.unix_ms(),
            ok: now.ok.saturating_sub(before.ok),
            refused: now.refused.saturating_sub(before.refused),
            limited: now.limited.saturating_sub(before.limited),
            failed: now.failed.saturating_sub(before.failed),
            gone: now.gone.saturating_sub(before.gone),
            active: gateway.in_flight.count(),
            streams: metrics.active_streams.get(),
            lat50: at(0, 0.5),
            lat95: at(0, 0.95),
            ttft50: at(1, 0.5),
            ttft95: at(1, 0.95),
            own95: at(2, 0.95),
            usd: Metrics::sum_by(&metrics.cost, "provider").values().sum(),
            tokens: now.tokens.saturating_sub(before.tokens),
            hits: now.hits.saturating_sub(before.hits),
            looks: now.looks.saturating_sub(before.looks),
        };
        if self.counts.len() >= WINDOW {
            self.counts.pop_front();
        }
        self.counts.push_back(counts);
        if self.points.len() >= MOST_POINTS {
            self.points.pop_front();
        }
        self.points.push_back(point.clone());
        point
    }

    /// Returns all points, oldest first.
    pub(super) fn points(&self) -> &VecDeque<Point> {
        &self.points
    }
}

impl Totals {
    fn read(metrics: &Metrics) -> Self {
        let by_status = Metrics::sum_where(&metrics.requests, "status", ("route", INFERENCE));
        let tokens = Metrics::sum_by(&metrics.tokens, "kind");
        let (hits, shared) = (metrics.cache_hits.get(), metrics.cache_coalesced.get());
        Self {
            tokens: whole(tokens.get("input")) + whole(tokens.get("output")),
            hits: hits + shared,
            looks: hits + shared + metrics.cache_misses.get(),
            ..Self::by_outcome(&by_status)
        }
    }

    fn by_outcome(by_status: &BTreeMap<String, f64>) -> Self {
        let mut totals = Self::default();
        for (status, count) in by_status {
            let sum = match status.as_bytes() {
                [b'2', ..] => &mut totals.ok,
                b"429" => &mut totals.limited,
                b"499" => &mut totals.gone,
                [b'4', ..] => &mut totals.refused,
                _ => &mut totals.failed,
            };
            *sum += whole(Some(count));
        }
        totals
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters of whole things")]
fn whole(value: Option<&f64>) -> u64 {
    value.copied().unwrap_or_default() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_fall_into_outcomes() {
        let counts = [("200", 5.0), ("402", 1.0), ("404", 1.0), ("429", 2.0), ("499", 3.0), ("502", 4.0)];
        let totals = Totals::by_outcome(&counts.map(|(status, count)| (status.to_owned(), count)).into());
        assert_eq!((totals.ok, totals.refused, totals.limited, totals.gone, totals.failed), (5, 2, 2, 3, 4));
    }
}
