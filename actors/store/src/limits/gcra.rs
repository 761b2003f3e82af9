//! The arithmetic of one rate limit: the generic cell rate algorithm in whole ticks.
//!
//! Kept apart from cells and clocks because the Lua script does the very same steps: both add and compare integers
//! below 2^53 (which Lua's doubles hold exactly), so both decide alike. All divisions happen here, in Rust.

use std::time::Duration;

/// Nanoseconds of a tick. An eighth of a microsecond keeps the rounding of one increment below 1 % up to 80,000 units a
/// second, and 35 years of ticks below 2^53.
const NANOS_PER_TICK: u64 = 125;

/// How far ahead the drain time of a bucket can be, in windows: one for the burst, one of debt after a settlement.
pub(crate) const MAX_DEBT_WINDOWS: u64 = 2;

/// One limit: so many units in one window, all of which may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Units in one window; never zero.
    pub(crate) limit: u64,
    /// The window in ticks; never zero.
    pub(crate) window: u64,
}

impl Rate {
    /// Takes a limit, or `None` where zero means that there is none.
    pub(crate) fn new(limit: u64, window: Duration) -> Option<Self> {
        let window = ticks(window).max(1);
        (limit > 0).then_some(Self { limit, window })
    }

    /// Returns the ticks that `units` take to drain, rounded up, so that rounding never admits more than the limit.
    pub(crate) fn increment(&self, units: u64) -> u64 {
        let exact = (u128::from(units) * u128::from(self.window)).div_ceil(u128::from(self.limit));
        u64::try_from(exact).unwrap_or(u64::MAX).min(self.window.saturating_mul(MAX_DEBT_WINDOWS))
    }

    /// Returns what a request for `units` is charged: never more than a full bucket, so that a request larger than
    /// the whole limit waits for a full bucket instead of for ever.
    pub(crate) fn charge(&self, units: u64) -> u64 {
        units.min(self.limit)
    }

    /// Returns the units still free when the bucket drains at `tat`.
    pub(crate) fn remaining(&self, tat: u64, now: u64) -> u64 {
        let free = self.window.saturating_sub(self.sane(tat, now).saturating_sub(now));
        u64::try_from(u128::from(free) * u128::from(self.limit) / u128::from(self.window)).unwrap_or(u64::MAX)
    }

    /// Charges `increment` to a bucket that drains at `tat`.
    ///
    /// # Errors
    /// The wait in ticks after which the same request fits.
    pub(crate) fn admit(&self, tat: u64, increment: u64, now: u64) -> Result<u64, u64> {
        let start = self.sane(tat, now).max(now);
        let after = start.saturating_add(increment);
        let over = after.saturating_sub(now).saturating_sub(self.window);
        if over == 0 { Ok(after) } else { Err(over) }
    }

    /// Returns a stored drain time, or `now` for one that no charge can have left: the clock has been set back, or the
    /// value is damaged. Forgiving what was used is better than locking the caller out.
    pub(crate) fn sane(&self, tat: u64, now: u64) -> u64 {
        if tat <= self.latest(now) { tat } else { now }
    }

    /// Returns the furthest drain time that charges can leave.
    fn latest(&self, now: u64) -> u64 {
        now.saturating_add(self.window.saturating_mul(MAX_DEBT_WINDOWS))
    }

    /// Corrects a bucket after the true amount is known.
    ///
    /// A refund gives back only what has not drained yet: `charged_until` is the drain time right after the charge,
    /// and the part of it before `now` has already been given back by time.
    pub(crate) fn settle(&self, tat: u64, charged: u64, actual: u64, charged_until: u64, now: u64) -> u64 {
        let tat = self.sane(tat, now);
        let (before, after) = (self.increment(charged), self.increment(actual));
        if after >= before {
            tat.max(now).saturating_add(after - before).min(self.latest(now))
        } else {
            let undrained = charged_until.saturating_sub(now);
            tat.saturating_sub((before - after).min(undrained))
        }
    }
}

/// Turns a duration into ticks.
pub(crate) fn ticks(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos() / u128::from(NANOS_PER_TICK)).unwrap_or(u64::MAX)
}

/// Turns ticks into a duration.
pub(crate) fn duration(ticks: u64) -> Duration {
    Duration::from_nanos(ticks.saturating_mul(NANOS_PER_TICK))
}
