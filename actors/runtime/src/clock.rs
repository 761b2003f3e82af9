//! The only place that reads the time.
//!
//! Two times are needed and they must not be mixed: a monotonic one for deadlines, windows and back-off, which tests pause and advance
//! with tokio's clock, and the wall clock, which only labels records. Everything else takes `now` as an argument or asks a [`Clock`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Tells both times; cheap to clone and shared by every thread.
#[derive(Clone, Debug)]
pub struct Clock {
    wall: Wall,
}

#[derive(Clone, Debug)]
enum Wall {
    System,
    Manual { base_unix_ms: Arc<AtomicU64>, origin: Instant },
}

impl Clock {
    /// Reads the machine's clocks.
    pub fn system() -> Self {
        Self { wall: Wall::System }
    }

    /// Makes a clock for tests whose wall time starts at `unix_ms` (milliseconds since 1970) and from there follows the monotonic
    /// time, so that advancing a paused tokio clock moves both.
    pub fn manual(unix_ms: u64) -> Self {
        Self {
            wall: Wall::Manual { base_unix_ms: Arc::new(AtomicU64::new(unix_ms)), origin: Instant::now() },
        }
    }

    /// Returns the monotonic time.
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// Returns the wall time in milliseconds since 1970-01-01 UTC; 0 for a machine whose clock stands before that.
    pub fn unix_ms(&self) -> u64 {
        match &self.wall {
            Wall::System => millis(self.wall().duration_since(UNIX_EPOCH).unwrap_or_default()),
            Wall::Manual { base_unix_ms, origin } => base_unix_ms
                .load(Ordering::Relaxed)
                .saturating_add(millis(self.now().saturating_duration_since(*origin))),
        }
    }

    /// Returns the wall time.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may read the wall clock")]
    pub fn wall(&self) -> SystemTime {
        match &self.wall {
            Wall::System => SystemTime::now(),
            Wall::Manual { .. } => {
                UNIX_EPOCH.checked_add(Duration::from_millis(self.unix_ms())).unwrap_or(UNIX_EPOCH)
            }
        }
    }

    /// Moves a manual clock's wall time so that it reads `unix_ms` now, also backwards as a corrected machine clock would. Returns
    /// `false`, and does nothing, on the system clock.
    pub fn set_unix_ms(&self, unix_ms: u64) -> bool {
        match &self.wall {
            Wall::System => false,
            Wall::Manual { base_unix_ms, origin } => {
                let elapsed = millis(self.now().saturating_duration_since(*origin));
                base_unix_ms.store(unix_ms.saturating_sub(elapsed), Ordering::Relaxed);
                true
            }
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

/// Converts to whole milliseconds, saturating after 584 million years.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn manual_wall_time_follows_the_paused_clock_and_can_be_set() {
        let clock = Clock::manual(1_000);
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!(clock.unix_ms(), 1_250);
        assert!(clock.clone().set_unix_ms(9_000));
        assert_eq!(clock.unix_ms(), 9_000);
        assert_eq!(clock.wall(), UNIX_EPOCH + Duration::from_secs(9));
    }

    #[test]
    fn system_clock_cannot_be_set() {
        assert!(!Clock::system().set_unix_ms(0));
        assert!(Clock::system().unix_ms() > 1_600_000_000_000);
    }
}
