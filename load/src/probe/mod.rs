//! Load probes: the client in front of the gateway.
//!
//! Measures what ready-made tools leave out: the time to the first token, the gaps between events, arrival at a fixed
//! rate (so that a slow server cannot slow the measuring down), readers that never read, clients that leave, and CPU
//! time and memory of the processes under load. Raw HTTP/1.1 over tokio on one thread.

mod client;
mod drive;
mod histogram;
mod message;
mod process;
mod report;

use std::net::SocketAddr;
use std::time::Duration;

pub use drive::run;
pub use histogram::{Histogram, Summary};
pub use message::Chat;
pub use process::{ProcessReport, Watched};
pub use report::Report;
use thiserror::Error;

/// When a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// After so many requests.
    Requests(u64),
    /// When this time is over; requests under way are finished.
    Elapsed(Duration),
}

/// One run of the probe.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where to connect.
    pub addr: SocketAddr,
    /// The path, with its query.
    pub path: String,
    /// Header lines to add, `name: value`.
    pub headers: Vec<String>,
    /// The body of a POST; `None` sends a GET.
    pub body: Option<String>,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// Requests a second over all connections; `None` sends as fast as answers come (closed loop).
    pub rate: Option<f64>,
    /// When to stop.
    pub until: Until,
    /// Load before anything is measured.
    pub warm_up: Duration,
    /// The longest wait for one answer.
    pub timeout: Duration,
    /// Additional connections that send one request and never read.
    pub never_read: usize,
    /// Additional clients that send one request, read its first bytes and leave.
    pub leave: usize,
    /// Processes to measure.
    pub watched: Vec<Watched>,
}

/// Why a run cannot start.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The runtime of the probe cannot be built.
    #[error("cannot start the probe: {0}")]
    Runtime(#[from] std::io::Error),
    /// Nothing answers at the address.
    #[error("no connection to {0}")]
    Unreachable(SocketAddr),
    /// The plan asks for nothing.
    #[error("a plan needs at least one connection and a positive rate")]
    Empty,
}
