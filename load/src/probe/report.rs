//! What a run measured, and its JSON form.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::client::{Exchange, ExchangeError};
use super::histogram::{Histogram, Summary};
use super::process::ProcessReport;

/// Everything counted while a run goes on.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) by_status: BTreeMap<u16, u64>,
    pub(crate) errors: BTreeMap<ExchangeError, u64>,
    pub(crate) latency: Histogram,
    pub(crate) from_schedule: Histogram,
    pub(crate) head: Histogram,
    pub(crate) first_event: Histogram,
    pub(crate) gaps: Histogram,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) unterminated: u64,
    pub(crate) reconnects: u64,
    pub(crate) left: u64,
}

impl Tally {
    /// Counts one exchange; `late_by` is how long after its scheduled time it was sent.
    pub(crate) fn count(&mut self, outcome: &Result<Exchange, ExchangeError>, late_by: Option<Duration>) {
        let exchange = match outcome {
            Ok(exchange) => exchange,
            Err(error) => {
                *self.errors.entry(*error).or_default() += 1;
                return;
            }
        };
        *self.by_status.entry(exchange.status).or_default() += 1;
        self.latency.record(exchange.total);
        if let Some(late_by) = late_by {
            self.from_schedule.record(exchange.total + late_by);
        }
        self.head.record(exchange.head_after);
        if let Some(after) = exchange.first_event_after {
            self.first_event.record(after);
        }
        self.bytes += exchange.bytes;
        self.reconnects += u64::from(exchange.reconnected);
        if exchange.is_stream {
            self.events += exchange.events;
            self.unterminated += u64::from(!exchange.is_terminated);
        }
    }

    fn answers(&self) -> u64 {
        self.by_status.values().sum()
    }

    pub(crate) fn report(self, elapsed: Duration, processes: BTreeMap<String, ProcessReport>) -> Report {
        let answers = self.answers();
        Report {
            seconds: elapsed.as_secs_f64(),
            answers,
            answers_per_second: answers as f64 / elapsed.as_secs_f64().max(1e-9),
            by_status: self.by_status,
            errors: self.errors.iter().map(|(error, count)| (error.to_string(), *count)).collect(),
            latency_us: self.latency.summary(),
            from_schedule_us: self.from_schedule.summary(),
            head_us: self.head.summary(),
            first_event_us: self.first_event.summary(),
            gap_us: self.gaps.summary(),
            events: self.events,
            bytes: self.bytes,
            unterminated_streams: self.unterminated,
            reconnects: self.reconnects,
            left: self.left,
            processes,
        }
    }

    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.answers(), self.events)
    }
}

/// The result of a run. Durations are microseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// How long the measured part took.
    pub seconds: f64,
    /// Whole answers of any status.
    pub answers: u64,
    /// Answers a second.
    pub answers_per_second: f64,
    /// Answers by status.
    pub by_status: BTreeMap<u16, u64>,
    /// Exchanges without whole answer, by kind.
    pub errors: BTreeMap<String, u64>,
    /// From the sending of a request to the last byte of its answer.
    pub latency_us: Summary,
    /// From the scheduled time of a request to the last byte, with a fixed rate only. The schedule has a resolution
    /// of a millisecond, so this is for saturation and not for small differences.
    pub from_schedule_us: Summary,
    /// From the sending of a request to the end of the answer's head.
    pub head_us: Summary,
    /// From the sending of a request to the end of a stream's first event.
    pub first_event_us: Summary,
    /// Between reads that completed an event of the same stream.
    pub gap_us: Summary,
    /// Events of all streams.
    pub events: u64,
    /// Bytes of all bodies.
    pub bytes: u64,
    /// Streams that ended without terminal event.
    pub unterminated_streams: u64,
    /// Kept connections that the server had closed.
    pub reconnects: u64,
    /// Clients that left on purpose.
    pub left: u64,
    /// The processes under load.
    pub processes: BTreeMap<String, ProcessReport>,
}
