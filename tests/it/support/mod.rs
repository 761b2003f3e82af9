//! What every test needs: a daemon with scripted providers behind it, a raw client, and waiting without sleeping.

pub mod daemon;
pub mod http;
pub mod setup;

use std::sync::mpsc;
use std::time::{Duration, Instant};

pub use http::{Conn, Reply};
pub use setup::{Setup, World};

/// Longest time that anything which has to happen may take. Generous, since tests share the machine with builds.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Time between two looks at a condition.
const BETWEEN_LOOKS: Duration = Duration::from_millis(15);

/// Returns the time, for measuring how long something outside this process takes.
#[expect(
    clippy::disallowed_methods,
    reason = "the daemon under test is another process with a clock of its own"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// Lets time pass without spinning.
pub fn pause(duration: Duration) {
    let (_held, wait) = mpsc::channel::<()>();
    let _timed_out = wait.recv_timeout(duration);
}

/// Waits until `look` finds something.
///
/// # Panics
/// If it does not within [`PATIENCE`].
#[track_caller]
pub fn find<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    find_within(PATIENCE, what, look)
}

/// Waits until `look` finds something, for at most `limit`.
///
/// # Panics
/// If it does not.
#[track_caller]
pub fn find_within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < limit, "this never happened: {what}");
        pause(BETWEEN_LOOKS);
    }
}

/// Waits until something holds.
///
/// # Panics
/// If it does not within [`PATIENCE`].
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    find(what, || holds().then_some(()));
}

/// Runs one closure on each of `count` threads at once and returns what they return, in order.
pub fn at_once<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (work, barrier) = (&work, &std::sync::Barrier::new(count));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|index| {
                scope.spawn(move || {
                    barrier.wait();
                    work(index)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread of the test panicked")).collect()
    })
}
