//! The process's own life, and the count of what is still under way when it is to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;

/// Where the process stands in its life. The order is the order in which it is lived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Phase {
    /// Not yet able to answer.
    Starting = 0,
    /// Answers.
    Ready = 1,
    /// Reports itself as not ready but still answers, so that load balancers can turn away.
    LameDuck = 2,
    /// Refuses what is new and finishes what it has.
    Draining = 3,
    /// Done.
    Stopped = 4,
}

/// The process's phase, readable and movable by every thread; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    shared: Arc<LifecycleShared>,
}

#[derive(Debug, Default)]
struct LifecycleShared {
    phase: AtomicU8,
    changed: Notify,
}

impl Lifecycle {
    /// Starts in [`Phase::Starting`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the present phase.
    pub fn phase(&self) -> Phase {
        match self.shared.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            2 => Phase::LameDuck,
            3 => Phase::Draining,
            _ => Phase::Stopped,
        }
    }

    /// Moves forward to `next`; phases may be skipped. Returns `false`, and does nothing, when `next` is not ahead: nobody comes back
    /// from a drain.
    pub fn advance(&self, next: Phase) -> bool {
        let moved = self.shared.phase.fetch_max(next as u8, Ordering::AcqRel) < next as u8;
        if moved {
            self.shared.changed.notify_waiters();
        }
        moved
    }

    /// Says whether a load balancer should send requests.
    pub fn is_ready(&self) -> bool {
        self.phase() == Phase::Ready
    }

    /// Says whether requests that do arrive are answered.
    pub fn accepts(&self) -> bool {
        matches!(self.phase(), Phase::Ready | Phase::LameDuck)
    }

    /// Waits until `phase`, or a later one, is reached.
    pub async fn reached(&self, phase: Phase) {
        wait_for(&self.shared.changed, || self.phase() >= phase).await;
    }
}

/// Counts what is under way, up to a cap; cheap to clone and shared by every thread.
#[derive(Clone, Debug)]
pub struct Tracker {
    shared: Arc<TrackerShared>,
}

#[derive(Debug)]
struct TrackerShared {
    cap: usize,
    count: AtomicUsize,
    idle: Notify,
}

impl Tracker {
    /// Makes a tracker that admits `cap` at a time.
    pub fn new(cap: usize) -> Self {
        Self { shared: Arc::new(TrackerShared { cap, count: AtomicUsize::new(0), idle: Notify::new() }) }
    }

    /// Makes a tracker that only counts.
    pub fn unlimited() -> Self {
        Self::new(usize::MAX)
    }

    /// Counts one more, or returns `None` when the cap is reached.
    pub fn enter(&self) -> Option<Permit> {
        let shared = &self.shared;
        if shared.count.fetch_add(1, Ordering::AcqRel) >= shared.cap {
            shared.leave();
            return None;
        }
        Some(Permit { shared: Arc::clone(shared) })
    }

    /// Returns how many are under way.
    pub fn count(&self) -> usize {
        self.shared.count.load(Ordering::Acquire)
    }

    /// Waits until nothing is under way, at most for `deadline`. Returns whether that was reached.
    pub async fn wait_idle(&self, deadline: Duration) -> bool {
        tokio::time::timeout(deadline, wait_for(&self.shared.idle, || self.count() == 0)).await.is_ok()
    }
}

impl TrackerShared {
    fn leave(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.idle.notify_waiters();
        }
    }
}

/// One thing under way. Dropping it counts it out, on every way out.
#[derive(Debug)]
#[must_use = "a permit that is dropped counts itself out"]
pub struct Permit {
    shared: Arc<TrackerShared>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.leave();
    }
}

/// Waits until `done` holds, checking at each notification.
async fn wait_for(notify: &Notify, done: impl Fn() -> bool) {
    loop {
        let notified = notify.notified();
        tokio::pin!(notified);
        // Enabled before the check, so that a notification between the check and the wait is not missed.
        notified.as_mut().enable();
        if done() {
            return;
        }
        notified.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_only_go_forward() {
        let lifecycle = Lifecycle::new();
        // (phase to enter, whether it is entered, then: ready, accepts)
        let table = [
            (Phase::Starting, false, false, false),
            (Phase::Ready, true, true, true),
            (Phase::LameDuck, true, false, true),
            (Phase::Ready, false, false, true),
            (Phase::Stopped, true, false, false),
            (Phase::Draining, false, false, false),
        ];
        for (phase, entered, ready, accepts) in table {
            assert_eq!(lifecycle.advance(phase), entered, "{phase:?}");
            assert_eq!((lifecycle.is_ready(), lifecycle.accepts()), (ready, accepts), "{phase:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_phase_ends_when_a_later_one_is_reached() {
        let lifecycle = Lifecycle::new();
        let mover = lifecycle.clone();
        let (waited, ()) = tokio::join!(
            tokio::time::timeout(Duration::from_secs(1), lifecycle.reached(Phase::LameDuck)),
            async move {
                tokio::task::yield_now().await;
                mover.advance(Phase::Draining);
            }
        );
        assert_eq!(waited, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn tracker_admits_up_to_its_cap_and_tells_when_idle() {
        let tracker = Tracker::new(2);
        let (first, second) = (tracker.enter(), tracker.enter());
        assert!(first.is_some() && second.is_some());
        assert!(tracker.enter().is_none());
        assert_eq!(tracker.count(), 2, "a refusal leaves nothing behind");
        drop(first);
        assert!(tracker.enter().is_some());
        assert!(!tracker.wait_idle(Duration::from_secs(1)).await, "the second is still under way");
        let (idle, ()) = tokio::join!(tracker.wait_idle(Duration::from_secs(1)), async {
            tokio::task::yield_now().await;
            drop(second);
        });
        assert!(idle);
    }
}
