//! Log lines: text for people or JSON for machines, written without blocking a worker.
//!
//! A writer thread drains a bounded queue; when the sink is stuck, lines are dropped and counted rather than a
//! request held up.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::settings::{LogFormat, Telemetry};

/// Lines that may wait for the sink.
const QUEUE_LINES: usize = 8192;

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Returns how many log lines were dropped since the start because the sink was stuck.
#[must_use]
pub fn dropped_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Starts logging to standard error. Does nothing if a subscriber is installed already.
pub fn start(settings: &Telemetry) {
    let Ok(filter) = settings.log_level.parse::<Targets>() else { return };
    let writer = Queue::start();
    let layer = match settings.log_format {
        LogFormat::Json => {
            fmt::layer().json().flatten_event(true).with_current_span(true).with_writer(writer).boxed()
        }
        LogFormat::Text => fmt::layer().with_ansi(false).with_writer(writer).boxed(),
    };
    // A second start (tests, reload) keeps the first subscriber.
    let _already = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
}

#[derive(Clone)]
struct Queue(SyncSender<Vec<u8>>);

impl Queue {
    fn start() -> Self {
        let (sender, receiver) = sync_channel::<Vec<u8>>(QUEUE_LINES);
        let spawned = std::thread::Builder::new().name("sentinel-log".into()).spawn(move || {
            for line in receiver {
                // A closed standard error leaves nobody to tell.
                let _unheard = io::stderr().write_all(&line);
            }
        });
        if spawned.is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Self(sender)
    }
}

/// Collects one line and hands it over when the formatter is done with it.
struct Line {
    buffer: Vec<u8>,
    queue: SyncSender<Vec<u8>>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let line = std::mem::take(&mut self.buffer);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.queue.try_send(line) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Line;

    fn make_writer(&'a self) -> Self::Writer {
        Line { buffer: Vec::with_capacity(256), queue: self.0.clone() }
    }
}
