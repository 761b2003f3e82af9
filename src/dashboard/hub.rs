//! The feed: everything computed once a second, sent to all viewers as what has changed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use sentinel_runtime::Phase;
use sentinel_store::WorkerStores;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, MissedTickBehavior};

use super::history::{History, Point};
use super::sections::{Fixed, Sections};
use super::watch::Watch;
use crate::gateway::Gateway;
use crate::gateway::events::Event;

/// Time between two frames.
const TICK: Duration = Duration::from_secs(1);
/// Age from which sections are computed anew for a viewer who has just come.
const STALE: Duration = Duration::from_millis(1500);
/// Frames that a slow viewer may lag behind before it gets a whole snapshot instead.
const MOST_FRAMES: usize = 8;
/// Viewers at once.
const MOST_VIEWERS: usize = 128;
/// How long one connection is served, so that a login that has ended is noticed. Browsers come back by themselves.
const MOST_TIME: Duration = Duration::from_secs(3600);
/// The last frame before a drain ends the feed.
const BYE: Bytes = Bytes::from_static(b"event: bye\ndata: {}\n\n");

/// All seats are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MOST_VIEWERS} dashboards are open already")]
pub struct Full;

/// Computes the feed and hands it out.
pub struct Hub {
    gateway: Arc<Gateway>,
    viewers: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    sections: Sections,
    fixed: Fixed,
    built: Option<Instant>,
    history: History,
    watch: Watch,
    seen: u64,
    /// Gone once the feed has ended.
    sender: Option<broadcast::Sender<Bytes>>,
}

impl Hub {
    /// Makes a feed that nobody follows yet.
    #[must_use]
    pub fn new(gateway: &Arc<Gateway>) -> Arc<Self> {
        Arc::new(Self {
            gateway: Arc::clone(gateway),
            viewers: AtomicUsize::new(0),
            state: Mutex::new(State {
                sections: Sections::new(),
                fixed: Fixed::default(),
                built: None,
                history: History::default(),
                watch: Watch::default(),
                seen: 0,
                sender: Some(broadcast::channel(MOST_FRAMES).0),
            }),
        })
    }

    /// Computes a frame every second until the process drains. Must be called inside a runtime.
    pub async fn run(self: Arc<Self>) {
        let stores = self.gateway.stores.worker();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = self.gateway.lifecycle.reached(Phase::Draining) => break,
                _ = ticks.tick() => {}
            }
            // A frame that cannot be computed must not end the feed.
            if std::panic::catch_unwind(AssertUnwindSafe(|| self.tick(&stores))).is_err() {
                tracing::error!("a frame of the dashboard's feed could not be computed");
            }
        }
        if let Some(sender) = self.state.lock().sender.take() {
            // Nobody may be listening.
            let _unheard = sender.send(BYE);
        }
    }

    fn tick(&self, stores: &WorkerStores) {
        let state = &mut *self.state.lock();
        state.watch.look(&self.gateway);
        let point = state.history.sample(&self.gateway);
        let events = self.gateway.events.after(state.seen);
        if let Some(newest) = events.last() {
            state.seen = newest.sequence;
        }
        let Some(sender) = state.sender.as_ref().filter(|sender| sender.receiver_count() > 0) else { return };
        let fresh = state.fixed.build(&self.gateway, stores);
        let changed: Sections = fresh
            .iter()
            .filter(|(name, json)| state.sections.get(*name) != Some(*json))
            .map(|(name, json)| (*name, json.clone()))
            .collect();
        state.sections = fresh;
        state.built = Some(self.gateway.clock.now());
        let frame = frame("delta", point_json(&point), &events, &changed);
        let _unheard = sender.send(frame);
    }

    /// Takes a seat. The first frame is a whole snapshot.
    ///
    /// # Errors
    /// [`Full`] when all seats are taken.
    pub fn watch(self: &Arc<Self>, stores: &WorkerStores) -> Result<Viewer, Full> {
        if self.viewers.fetch_add(1, Ordering::AcqRel) >= MOST_VIEWERS {
            self.viewers.fetch_sub(1, Ordering::AcqRel);
            return Err(Full);
        }
        let seat = Seat(Arc::clone(self));
        let now = self.gateway.clock.now();
        let state = &mut *self.state.lock();
        if state.built.is_none_or(|built| now.saturating_duration_since(built) > STALE) {
            state.sections = state.fixed.build(&self.gateway, stores);
            state.built = Some(now);
        }
        let receiver = state.sender.as_ref().map(broadcast::Sender::subscribe);
        let first = receiver.is_some().then(|| self.snapshot(state));
        Ok(Viewer { first, receiver, until: now + MOST_TIME, seat })
    }

    fn snapshot(&self, state: &State) -> Bytes {
        let points: Vec<String> = state.history.points().iter().map(point_json).collect();
        frame("snapshot", points.join(","), &self.gateway.events.after(0), &state.sections)
    }

    /// Returns how many browsers follow the feed.
    #[must_use]
    pub fn viewers(&self) -> usize {
        self.viewers.load(Ordering::Acquire)
    }
}

fn point_json(point: &Point) -> String {
    // Numbers always serialise.
    serde_json::to_string(point).unwrap_or_default()
}

/// Writes one event of the stream. JSON from `serde_json` holds no line break, so it is one `data:` line.
fn frame(event: &str, points: String, events: &[Event], sections: &BTreeMap<&'static str, String>) -> Bytes {
    let mut text = format!("event: {event}\ndata: {{\"points\":[{points}],\"events\":");
    text.push_str(&serde_json::to_string(events).unwrap_or_default());
    text.push_str(",\"sections\":{");
    for (index, (name, json)) in sections.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}\"{name}\":{json}");
    }
    text.push_str("}}\n\n");
    Bytes::from(text)
}

/// One browser that follows the feed. Dropping it gives the seat back.
pub struct Viewer {
    first: Option<Bytes>,
    receiver: Option<broadcast::Receiver<Bytes>>,
    until: Instant,
    seat: Seat,
}

impl Viewer {
    /// Waits for the next frame; `None` at the end.
    pub async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let receiver = self.receiver.as_mut()?;
        match tokio::time::timeout_at(self.until, receiver.recv()).await {
            Ok(Ok(frame)) => Some(frame),
            Ok(Err(RecvError::Lagged(_))) => {
                // What was missed cannot be sent again; a whole snapshot makes up for it.
                let state = self.seat.0.state.lock();
                self.receiver = state.sender.as_ref().map(broadcast::Sender::subscribe);
                Some(self.seat.0.snapshot(&state))
            }
            Ok(Err(RecvError::Closed)) | Err(_) => None,
        }
    }
}

struct Seat(Arc<Hub>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.viewers.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_line_of_json() {
        let sections = [("a", "{\"x\":1}".to_owned()), ("b", "[]".to_owned())].into();
        let text = frame("delta", "{\"t\":1}".to_owned(), &[], &sections);
        let text = std::str::from_utf8(&text).unwrap();
        let data =
            text.strip_prefix("event: delta\ndata: ").and_then(|rest| rest.strip_suffix("\n\n")).unwrap();
        let value: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"points": [{"t": 1}], "events": [], "sections": {"a": {"x": 1}, "b": []}})
        );
        assert!(!data.contains('\n'));
    }
}
