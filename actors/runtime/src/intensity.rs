//! The pure restart window: how long to wait before a restart, and when to give up.
//!
//! No clock and no actor in here: the caller says when each failure happened, so that a table can test it.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Says how often an actor may be restarted before its supervisor gives up on this generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// Restarts allowed within `window`; the next failure gives up.
    pub max_restarts: usize,
    /// Length of the sliding window in which failures are counted.
    pub window: Duration,
    /// Delay before the second restart of a window; the first comes at once and each further one doubles.
    pub base_delay: Duration,
    /// Longest delay between two restarts.
    pub max_delay: Duration,
    /// Time spent down before a new generation is tried.
    pub revive_after: Duration,
}

impl Default for Intensity {
    fn default() -> Self {
        Self {
            max_restarts: 6,
            window: Duration::from_secs(5),
            base_delay: Duration::from_millis(10),
            max_delay: Duration::from_secs(5),
            revive_after: Duration::from_secs(30),
        }
    }
}

/// What a supervisor does about one failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Builds the actor anew after this delay (zero: at once).
    Restart(Duration),
    /// Takes the actor down until the next generation.
    GiveUp,
}

/// Counts the failures of one generation.
#[derive(Debug)]
pub struct RestartWindow {
    intensity: Intensity,
    failures: VecDeque<Instant>,
}

impl RestartWindow {
    /// Starts an empty window.
    pub fn new(intensity: Intensity) -> Self {
        Self { intensity, failures: VecDeque::new() }
    }

    /// Counts a failure at `now` and says what to do about it.
    ///
    /// The delay depends on the failures still inside the window, so an actor that has run well for a whole window starts again
    /// without delay. Memory is bounded by `max_restarts + 1` instants.
    pub fn record(&mut self, now: Instant) -> Verdict {
        while self
            .failures
            .front()
            .is_some_and(|&at| now.saturating_duration_since(at) >= self.intensity.window)
        {
            self.failures.pop_front();
        }
        let earlier = self.failures.len();
        if earlier >= self.intensity.max_restarts {
            return Verdict::GiveUp;
        }
        self.failures.push_back(now);
        Verdict::Restart(self.delay(earlier))
    }

    /// Forgets every failure, as a new generation does.
    pub fn reset(&mut self) {
        self.failures.clear();
    }

    fn delay(&self, earlier: usize) -> Duration {
        let Some(doublings) = earlier.checked_sub(1) else { return Duration::ZERO };
        let factor =
            u32::try_from(doublings).ok().and_then(|shift| 1_u32.checked_shl(shift)).unwrap_or(u32::MAX);
        self.intensity.base_delay.saturating_mul(factor).min(self.intensity.max_delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn delays_double_from_zero_and_the_seventh_failure_gives_up() {
        let start = Instant::now();
        let mut window = RestartWindow::new(Intensity::default());
        let verdicts: Vec<_> = (0..7).map(|step| window.record(start + ms(step * 50))).collect();
        let expected: Vec<_> = [0, 10, 20, 40, 80, 160]
            .map(|delay| Verdict::Restart(ms(delay)))
            .into_iter()
            .chain([Verdict::GiveUp])
            .collect();
        assert_eq!(verdicts, expected);
    }

    #[test]
    fn failures_older_than_the_window_are_forgotten() {
        // (milliseconds of each failure, verdict on the last one), with at most 2 restarts in 1 s.
        let table: &[(&[u64], Verdict)] = &[
            (&[0], Verdict::Restart(ms(0))),
            (&[0, 10], Verdict::Restart(ms(10))),
            (&[0, 10, 20], Verdict::GiveUp),
            (&[0, 10, 999], Verdict::GiveUp),
            (&[0, 10, 1_000], Verdict::Restart(ms(10))),
            (&[0, 10, 1_010], Verdict::Restart(ms(0))),
            (&[0, 10, 20, 30, 1_015], Verdict::Restart(ms(0))),
        ];
        for (failures, expected) in table {
            let start = Instant::now();
            let mut window =
                RestartWindow::new(Intensity { max_restarts: 2, window: ms(1_000), ..Intensity::default() });
            let verdicts: Vec<_> = failures.iter().map(|&at| window.record(start + ms(at))).collect();
            assert_eq!(verdicts.last(), Some(expected), "{failures:?}");
        }
    }

    #[test]
    fn delay_never_passes_the_maximum_however_many_failures() {
        let start = Instant::now();
        let mut window = RestartWindow::new(Intensity { max_restarts: 100, ..Intensity::default() });
        let verdicts: Vec<_> = (0..100).map(|_| window.record(start)).collect();
        assert_eq!(verdicts.last(), Some(&Verdict::Restart(Duration::from_secs(5))));
    }

    #[test]
    fn reset_starts_a_clean_generation() {
        let now = Instant::now();
        let mut window = RestartWindow::new(Intensity { max_restarts: 1, ..Intensity::default() });
        assert_eq!(window.record(now), Verdict::Restart(Duration::ZERO));
        assert_eq!(window.record(now), Verdict::GiveUp);
        window.reset();
        assert_eq!(window.record(now), Verdict::Restart(Duration::ZERO));
    }
}
