//! Notices a worker thread that no longer turns.
//!
//! Supervision can't help against a handler that blocks or spins: it holds the thread that would supervise it. So each worker beats
//! every 100 ms from a task, and a plain thread outside all runtimes looks whether it still does.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock::{Clock, millis};

/// Time between two beats of a worker.
pub const BEAT: Duration = Duration::from_millis(100);

/// What the watchdog saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// A worker has not turned for longer than the threshold. Told once per stall.
    Stalled {
        /// Name the worker was registered under.
        worker: String,
        /// Time since its last beat.
        silent: Duration,
    },
    /// A stalled worker turns again.
    Recovered {
        /// Name the worker was registered under.
        worker: String,
    },
}

#[derive(Debug)]
struct Beat {
    worker: String,
    /// Milliseconds since the watchdog's epoch.
    last: AtomicU64,
}

struct Watched {
    beat: Weak<Beat>,
    stalled: bool,
}

struct Shared {
    clock: Clock,
    epoch: tokio::time::Instant,
    threshold: Duration,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    watched: Vec<Watched>,
    stopped: bool,
}

/// Owns the watching thread, which ends when this is dropped.
pub struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog").field("threshold", &self.shared.threshold).finish_non_exhaustive()
    }
}

impl Watchdog {
    /// Starts the watching thread, which looks four times per `threshold` and calls `on_sighting` there.
    ///
    /// # Errors
    /// The operating system refuses another thread.
    pub fn start(
        clock: Clock,
        threshold: Duration,
        on_sighting: impl Fn(Sighting) + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            epoch: clock.now(),
            clock,
            threshold,
            state: Mutex::new(State::default()),
            wake: Condvar::new(),
        });
        let watching = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || watching.watch(on_sighting))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Registers a worker by name. It counts as beating from now on and is forgotten when the heartbeat is dropped.
    pub fn register(&self, worker: impl Into<String>) -> Heartbeat {
        let beat = Arc::new(Beat { worker: worker.into(), last: AtomicU64::new(self.shared.elapsed()) });
        self.shared.state.lock().watched.push(Watched { beat: Arc::downgrade(&beat), stalled: false });
        Heartbeat { beat, shared: Arc::clone(&self.shared) }
    }

    /// Returns the names of the workers that do not turn at present.
    pub fn stalled(&self) -> Vec<String> {
        let state = self.shared.state.lock();
        let names = state
            .watched
            .iter()
            .filter(|watched| watched.stalled)
            .filter_map(|watched| watched.beat.upgrade());
        names.map(|beat| beat.worker.clone()).collect()
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.state.lock().stopped = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            // The thread can only have ended badly if the callback panicked, which the panic hook has told already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn elapsed(&self) -> u64 {
        millis(self.clock.now().saturating_duration_since(self.epoch))
    }

    fn watch(&self, on_sighting: impl Fn(Sighting)) {
        let pause = (self.threshold / 4).max(Duration::from_millis(1));
        let mut state = self.state.lock();
        while !state.stopped {
            let sightings = self.look(&mut state);
            // The callback may ask this watchdog something, so the lock is not held meanwhile.
            drop(state);
            sightings.into_iter().for_each(&on_sighting);
            state = self.state.lock();
            if !state.stopped {
                self.wake.wait_for(&mut state, pause);
            }
        }
    }

    fn look(&self, state: &mut State) -> Vec<Sighting> {
        let now = self.elapsed();
        let mut sightings = Vec::new();
        state.watched.retain_mut(|watched| {
            let Some(beat) = watched.beat.upgrade() else { return false };
            let silent = Duration::from_millis(now.saturating_sub(beat.last.load(Ordering::Relaxed)));
            let stalled = silent > self.threshold;
            if stalled != watched.stalled {
                watched.stalled = stalled;
                let worker = beat.worker.clone();
                sightings.push(if stalled {
                    Sighting::Stalled { worker, silent }
                } else {
                    Sighting::Recovered { worker }
                });
            }
            true
        });
        sightings
    }
}

/// A worker's sign of life.
pub struct Heartbeat {
    beat: Arc<Beat>,
    shared: Arc<Shared>,
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat").field("worker", &self.beat.worker).finish_non_exhaustive()
    }
}

impl Heartbeat {
    /// Beats once.
    pub fn beat(&self) {
        self.beat.last.store(self.shared.elapsed(), Ordering::Relaxed);
    }

    /// Beats every [`BEAT`] for as long as the returned future is polled; spawn it on the worker's thread.
    pub async fn run(self) {
        let mut ticks = tokio::time::interval(BEAT);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.beat();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn silent_worker_is_reported_once_and_again_when_it_turns() {
        let (sender, sightings) = mpsc::sync_channel(16);
        let report = move |sighting| sender.send(sighting).expect("the test listens");
        let watchdog = Watchdog::start(Clock::system(), Duration::from_millis(20), report).expect("a thread");
        let heartbeat = watchdog.register("worker-0");
        let stalled = sightings.recv_timeout(PATIENCE).expect("a stall");
        assert!(
            matches!(&stalled, Sighting::Stalled { worker, silent } if worker == "worker-0" && *silent > Duration::from_millis(20))
        );
        assert_eq!(watchdog.stalled(), ["worker-0"]);
        // On a busy machine a single beat could be stale again before the watchdog looks.
        let recovered = loop {
            heartbeat.beat();
            if let Ok(sighting) = sightings.recv_timeout(Duration::from_millis(1)) {
                break sighting;
            }
        };
        assert_eq!(recovered, Sighting::Recovered { worker: "worker-0".to_owned() });
        drop(heartbeat);
        drop(watchdog);
        assert!(sightings.iter().count() <= 1, "a worker that has left is not watched");
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeat_task_beats_every_tenth_of_a_second() {
        let clock = Clock::system();
        let state = Mutex::new(State::default());
        let shared =
            Arc::new(Shared { epoch: clock.now(), clock, threshold: BEAT, state, wake: Condvar::new() });
        let beat = Arc::new(Beat { worker: "worker-0".to_owned(), last: AtomicU64::new(0) });
        let task = tokio::spawn(Heartbeat { beat: Arc::clone(&beat), shared }.run());
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        assert_eq!(beat.last.load(Ordering::Relaxed), 1_000);
        task.abort();
    }
}
