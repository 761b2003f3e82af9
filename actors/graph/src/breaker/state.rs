//! The circuit breaker as a pure machine: no clock, no lock, no randomness of its own.
//!
//! Closed counts results in a sliding window. Open refuses until its time is over. Half-open admits a few probes whose
//! results decide. Every change of phase begins a new *epoch*; a result that was admitted in an older epoch says
//! nothing about the present and is dropped.

use std::time::Duration;

use sentinel_domain::outcome::{BreakerMark, FailureClass};
use sentinel_domain::policy::BreakerPolicy;
use tokio::time::Instant;

use super::phase::{BreakerView, Override, Phase, Transition};
use super::window::Window;

/// How long a probe may stay without a result before it counts as a failure.
///
/// Without a lease a probe whose result is lost would hold its permit for ever, and the breaker would never close.
pub const PERMIT_LEASE: Duration = Duration::from_secs(60);

/// How long the breaker has to stay closed before the next open time starts from its base again.
pub const FORGIVEN_AFTER: Duration = Duration::from_secs(300);

/// When to come back if the probes are all taken: their results are usually known by then.
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// Proof of an admission; hand it back with the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    epoch: u64,
    /// Set for a probe: which lease it holds.
    lease: Option<u64>,
}

impl Ticket {
    /// Says whether this call is one of the few that decide whether the breaker closes.
    #[must_use]
    pub const fn is_probe(self) -> bool {
        self.lease.is_some()
    }
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    id: u64,
    ends: Instant,
}

#[derive(Debug, Clone)]
enum Inner {
    Closed { since: Instant },
    Open { since: Instant, until: Instant },
    HalfOpen { leases: Vec<Lease>, successes: u32 },
}

/// The machine.
#[derive(Debug)]
pub struct BreakerState {
    policy: BreakerPolicy,
    inner: Inner,
    epoch: u64,
    next_lease: u64,
    window: Window,
    consecutive: u32,
    /// How often the open time is doubled.
    exponent: u32,
    forced: Option<(Override, Instant)>,
    last_failure: Option<(FailureClass, Instant)>,
    transitions: Vec<Transition>,
}

impl BreakerState {
    /// Makes a closed breaker. Zeros in the policy are taken as ones, so that it can always open and close.
    #[must_use]
    pub fn new(policy: BreakerPolicy, now: Instant) -> Self {
        Self {
            window: Window::new(policy.window, now),
            policy,
            inner: Inner::Closed { since: now },
            epoch: 0,
            next_lease: 0,
            consecutive: 0,
            exponent: 0,
            forced: None,
            last_failure: None,
            transitions: Vec::new(),
        }
    }

    /// Admits a call or says when to come back.
    ///
    /// # Errors
    /// The soonest time at which a call can be admitted.
    pub fn admit(&mut self, now: Instant, random: f64) -> Result<Ticket, Instant> {
        self.settle(now, random);
        match self.forced {
            Some((Override::Open, until)) => return Err(until),
            Some((Override::Closed, _)) => return Ok(Ticket { epoch: self.epoch, lease: None }),
            None => {}
        }
        let probes = self.probes();
        match &mut self.inner {
            Inner::Closed { .. } => Ok(Ticket { epoch: self.epoch, lease: None }),
            Inner::Open { until, .. } => Err(*until),
            Inner::HalfOpen { leases, successes } => {
                let taken = u32::try_from(leases.len()).unwrap_or(u32::MAX).saturating_add(*successes);
                if taken >= probes {
                    let lease_ends = leases.iter().map(|lease| lease.ends).min();
                    return Err(lease_ends.unwrap_or(now + PROBE_WAIT).min(now + PROBE_WAIT));
                }
                self.next_lease += 1;
                leases.push(Lease { id: self.next_lease, ends: now + PERMIT_LEASE });
                Ok(Ticket { epoch: self.epoch, lease: Some(self.next_lease) })
            }
        }
    }

    /// Takes the result of an admitted call. `class` is kept to be shown; it is `None` for a success.
    pub fn record(
        &mut self,
        ticket: Ticket,
        mark: BreakerMark,
        class: Option<FailureClass>,
        now: Instant,
        random: f64,
    ) {
        self.settle(now, random);
        if ticket.epoch != self.epoch || self.forced.is_some() {
            return;
        }
        let probes = self.probes();
        match &mut self.inner {
            // Nothing is admitted while open, so nothing of this epoch can come back.
            Inner::Open { .. } => {}
            Inner::Closed { .. } => match mark {
                BreakerMark::Neutral => {}
                BreakerMark::Success => {
                    self.consecutive = 0;
                    self.window.success(now);
                }
                BreakerMark::Failure => self.fail_closed(class, now, random),
            },
            Inner::HalfOpen { leases, successes } => {
                // A probe whose lease is over has counted already.
                let Some(position) = leases.iter().position(|lease| Some(lease.id) == ticket.lease) else {
                    return;
                };
                leases.swap_remove(position);
                match mark {
                    BreakerMark::Neutral => {}
                    BreakerMark::Success => {
                        *successes += 1;
                        if *successes >= probes {
                            self.close(now);
                        }
                    }
                    BreakerMark::Failure => {
                        self.note(class, now);
                        self.reopen(now, random);
                    }
                }
            }
        }
    }

    /// Takes the death of a stream whose beginning was recorded as a success: the success turns into a failure.
    pub fn record_death(&mut self, ticket: Ticket, class: FailureClass, now: Instant, random: f64) {
        self.settle(now, random);
        if ticket.epoch != self.epoch || self.forced.is_some() {
            return;
        }
        match self.inner {
            Inner::Open { .. } => {}
            Inner::Closed { .. } => {
                self.window.retract_success(now);
                self.fail_closed(Some(class), now, random);
            }
            Inner::HalfOpen { .. } => {
                self.note(Some(class), now);
                self.reopen(now, random);
            }
        }
    }

    /// Obeys an operator until `until`, whatever the results say meanwhile.
    ///
    /// What was learnt before is dropped. Afterwards a breaker that was held open lets probes through first.
    pub fn force(&mut self, wanted: Override, until: Instant, now: Instant, random: f64) {
        self.settle(now, random);
        let before = self.phase();
        self.epoch += 1;
        self.window.clear(now);
        self.consecutive = 0;
        self.inner = match wanted {
            Override::Open => Inner::Open { since: now, until },
            Override::Closed => Inner::Closed { since: now },
        };
        self.forced = Some((wanted, until));
        self.changed(before);
    }

    /// Forgets everything, an operator's wish included, and closes.
    pub fn reset(&mut self, now: Instant) {
        let before = self.phase();
        self.forced = None;
        self.exponent = 0;
        self.last_failure = None;
        self.begin_closed(now);
        self.changed(before);
    }

    /// Returns what can be shown at `now`.
    pub fn view(&mut self, now: Instant, random: f64) -> BreakerView {
        self.settle(now, random);
        let (opened_at, next_probe) = match self.inner {
            Inner::Open { since, until } => (Some(since), Some(until)),
            Inner::Closed { .. } | Inner::HalfOpen { .. } => (None, None),
        };
        BreakerView {
            phase: self.phase(),
            forced: self.forced,
            opened_at,
            next_probe,
            counts: self.window.counts(now),
            consecutive_failures: self.consecutive,
            last_failure: self.last_failure,
        }
    }

    /// Returns the phase as of the last call.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self.inner {
            Inner::Closed { .. } => Phase::Closed,
            Inner::Open { .. } => Phase::Open,
            Inner::HalfOpen { .. } => Phase::HalfOpen,
        }
    }

    /// Hands over the changes of phase since the last call of this function.
    pub fn take_transitions(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.transitions)
    }

    /// Makes true what time alone has changed: forced or open time over, leases over.
    fn settle(&mut self, now: Instant, random: f64) {
        if self.forced.is_some_and(|(_, until)| now >= until) {
            self.forced = None;
        }
        match &self.inner {
            Inner::Open { until, .. } if now >= *until => {
                let before = self.phase();
                self.epoch += 1;
                self.inner = Inner::HalfOpen { leases: Vec::new(), successes: 0 };
                self.changed(before);
            }
            Inner::HalfOpen { leases, .. } if leases.iter().any(|lease| now >= lease.ends) => {
                self.note(Some(FailureClass::FirstByteTimeout), now);
                self.reopen(now, random);
            }
            _ => {}
        }
    }

    fn fail_closed(&mut self, class: Option<FailureClass>, now: Instant, random: f64) {
        self.note(class, now);
        self.consecutive = self.consecutive.saturating_add(1);
        self.window.failure(now);
        let counts = self.window.counts(now);
        let by_rate = counts.calls() >= self.policy.minimum_calls.max(1)
            && counts.failure_rate() >= self.policy.failure_rate;
        if by_rate || self.consecutive >= self.policy.consecutive_failures.max(1) {
            if let Inner::Closed { since } = self.inner
                && now.saturating_duration_since(since) >= FORGIVEN_AFTER
            {
                self.exponent = 0;
            }
            self.open(now, random);
        }
    }

    fn reopen(&mut self, now: Instant, random: f64) {
        self.exponent = self.exponent.saturating_add(1);
        self.open(now, random);
    }

    fn open(&mut self, now: Instant, random: f64) {
        let before = self.phase();
        self.epoch += 1;
        self.inner = Inner::Open { since: now, until: now + self.open_time(random) };
        self.changed(before);
    }

    fn close(&mut self, now: Instant) {
        let before = self.phase();
        self.begin_closed(now);
        self.changed(before);
    }

    fn begin_closed(&mut self, now: Instant) {
        self.epoch += 1;
        self.window.clear(now);
        self.consecutive = 0;
        self.inner = Inner::Closed { since: now };
    }

    /// Doubles the base, spreads it by a fifth either way and keeps it between base and maximum.
    fn open_time(&self, random: f64) -> Duration {
        let base = self.policy.open_for.max(Duration::from_millis(1));
        let longest = self.policy.open_for_max.max(base);
        let doubled = base.saturating_mul(1u32 << self.exponent.min(20)).min(longest);
        doubled.mul_f64(0.8 + 0.4 * random.clamp(0.0, 1.0)).clamp(base, longest)
    }

    fn note(&mut self, class: Option<FailureClass>, now: Instant) {
        if let Some(class) = class {
            self.last_failure = Some((class, now));
        }
    }

    fn probes(&self) -> u32 {
        self.policy.half_open_probes.max(1)
    }

    fn changed(&mut self, from: Phase) {
        let to = self.phase();
        if from != to {
            self.transitions.push(Transition { from, to });
        }
    }
}
