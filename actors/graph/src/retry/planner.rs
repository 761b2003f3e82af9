//! Decides what to do next with one request: call a target, wait, or give up.
//!
//! A pure machine over an ordered list of candidates. It is told what happened ([`Planner::started`],
//! [`Planner::failed`], [`Planner::refused`], [`Planner::unsuitable`]) and asked for the next step.
//!
//! Another target is always preferred to the same one again: it costs the caller no wait, and a provider in trouble no
//! second call. Only when there is no other does a target get its one retry, after a back-off. Calls to different
//! providers are bounded by the number of attempts alone; a second call to the *same* provider is also paid from that
//! provider's retry budget.

use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::error::ApiError;
use sentinel_domain::outcome::{FailureClass, SameTarget};
use sentinel_domain::policy::RetryPolicy;
use tokio::time::Instant;

use super::verdict;

/// The longest wait that is worth sitting out for a throttling provider without an alternative.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// One place that can be called, best first.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Whose retry budget pays.
    pub provider: Arc<str>,
    /// How often, and with which back-off.
    pub policy: RetryPolicy,
}

/// A failed attempt.
#[derive(Debug, Clone)]
pub struct Failed {
    /// How it failed.
    pub class: FailureClass,
    /// How long the provider asks to be left alone.
    pub wait: Option<Duration>,
    /// What the client is told if nothing else works.
    pub error: ApiError,
    /// Set if the failure concerns one credential and the provider has another that is in order.
    pub other_credential: bool,
}

/// Why a candidate was not called at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its circuit breaker is open.
    Open,
    /// It has told us to wait, in this way.
    Cooldown(FailureClass),
    /// It has as many calls in flight as it may.
    Full,
    /// The part of the gateway that would call it is not there for the moment.
    Unavailable,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Call this candidate now.
    Call {
        /// Index of the candidate.
        target: usize,
    },
    /// Wait, then call this candidate.
    Wait {
        /// Index of the candidate.
        target: usize,
        /// How long to wait.
        delay: Duration,
    },
    /// Nothing is left to do; tell the client.
    GiveUp(Box<ApiError>),
}

/// What has happened to a candidate.
#[derive(Debug)]
pub(super) enum Standing {
    Untried,
    Failed { failure: Failed, at: Instant },
    Refused { refusal: Refusal, retry_at: Instant },
    Unsuitable(ApiError),
}

#[derive(Debug)]
pub(super) struct Slot {
    candidate: Candidate,
    calls: u32,
    /// Set once it has failed and then could not be called again.
    pub(super) blocked_until: Option<Instant>,
    pub(super) standing: Standing,
}

/// The plan of one request.
#[derive(Debug)]
pub struct Planner {
    slots: Vec<Slot>,
    deadline: Instant,
    attempts: u32,
    waits: u32,
    /// Index of the candidate whose attempt failed last.
    last: Option<usize>,
}

impl Planner {
    /// Plans over `candidates`, best first, within `deadline`.
    #[must_use]
    pub fn new(candidates: impl IntoIterator<Item = Candidate>, deadline: Instant) -> Self {
        let slots = candidates.into_iter().map(|candidate| Slot {
            candidate,
            calls: 0,
            blocked_until: None,
            standing: Standing::Untried,
        });
        Self { slots: slots.collect(), deadline, attempts: 0, waits: 0, last: None }
    }

    /// Returns the number of upstream calls so far.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Notes that a candidate is being called.
    pub fn started(&mut self, target: usize) {
        self.attempts = self.attempts.saturating_add(1);
        if let Some(slot) = self.slots.get_mut(target) {
            slot.calls = slot.calls.saturating_add(1);
        }
    }

    /// Notes how the call failed.
    pub fn failed(&mut self, target: usize, failure: Failed, now: Instant) {
        self.last = Some(target);
        self.stand(target, Standing::Failed { failure, at: now });
    }

    /// Notes that a candidate could not be called, and when it can be again.
    pub fn refused(&mut self, target: usize, refusal: Refusal, retry_at: Instant) {
        // What a real call said is worth more to the client than that there was no second one.
        if let Some(slot) = self.slots.get_mut(target) {
            match slot.standing {
                Standing::Failed { .. } => slot.blocked_until = Some(retry_at),
                _ => slot.standing = Standing::Refused { refusal, retry_at },
            }
        }
    }

    /// Notes that a candidate can't express this request at all.
    pub fn unsuitable(&mut self, target: usize, error: ApiError) {
        self.stand(target, Standing::Unsuitable(error));
    }

    /// Decides what to do at `now`. `random` comes from `[0, 1)`; `withdraw` spends a provider's retry budget.
    pub fn next(&mut self, now: Instant, random: f64, mut withdraw: impl FnMut(&str, u32) -> bool) -> Step {
        if now >= self.deadline {
            return Step::GiveUp(Box::new(verdict::deadline(self.attempts)));
        }
        if !self.may_go_on() {
            return self.give_up(now);
        }
        if let Some(target) = self.same_with_another_credential(&mut withdraw) {
            return Step::Call { target };
        }
        if let Some(target) = self.untried(&mut withdraw) {
            return Step::Call { target };
        }
        match self.once_more(now, random, &mut withdraw) {
            Some((target, delay)) => {
                self.waits = self.waits.saturating_add(1);
                Step::Wait { target, delay }
            }
            None => self.give_up(now),
        }
    }

    /// Some failures end the request whatever else there is to try.
    fn may_go_on(&self) -> bool {
        let Some(failure) = self.last_failure() else { return true };
        let disposition = failure.class.disposition();
        disposition.other_target || disposition.same_target != SameTarget::No
    }

    fn last_failure(&self) -> Option<&Failed> {
        match &self.slots.get(self.last?)?.standing {
            Standing::Failed { failure, .. } => Some(failure),
            _ => None,
        }
    }

    /// A refused key says nothing about the provider if there is another key.
    fn same_with_another_credential(&self, withdraw: &mut impl FnMut(&str, u32) -> bool) -> Option<usize> {
        let target =
            self.last.filter(|_| self.last_failure().is_some_and(|failure| failure.other_credential))?;
        let slot = self.slots.get(target).filter(|slot| slot.blocked_until.is_none())?;
        (self.has_attempts(slot) && self.pay(slot, withdraw)).then_some(target)
    }

    fn untried(&self, withdraw: &mut impl FnMut(&str, u32) -> bool) -> Option<usize> {
        self.slots.iter().position(|slot| {
            matches!(slot.standing, Standing::Untried) && self.has_attempts(slot) && self.pay(slot, withdraw)
        })
    }

    /// Finds a candidate that deserves its one retry, and the wait before it.
    fn once_more(
        &self,
        now: Instant,
        random: f64,
        withdraw: &mut impl FnMut(&str, u32) -> bool,
    ) -> Option<(usize, Duration)> {
        self.slots.iter().enumerate().find_map(|(target, slot)| {
            let Standing::Failed { failure, at } = &slot.standing else { return None };
            let hint = failure.wait.unwrap_or_default();
            let worth_it = match failure.class.disposition().same_target {
                SameTarget::No => false,
                SameTarget::Once => hint <= slot.candidate.policy.max_delay,
                SameTarget::IfAlone => {
                    self.slots.len() == 1 && failure.wait.is_some_and(|wait| wait <= PATIENCE)
                }
            };
            let hint_left = (*at + hint).saturating_duration_since(now);
            let delay = backoff(&slot.candidate.policy, self.waits, random).max(hint_left);
            let in_time = now + delay < self.deadline;
            let once = slot.calls == 1 && slot.blocked_until.is_none();
            (worth_it && once && in_time && self.has_attempts(slot) && self.pay(slot, withdraw))
                .then_some((target, delay))
        })
    }

    fn has_attempts(&self, slot: &Slot) -> bool {
        self.attempts < slot.candidate.policy.max_attempts.max(1)
    }

    /// Pays for a call: nothing for the first one to a provider, double after a timeout.
    fn pay(&self, slot: &Slot, withdraw: &mut impl FnMut(&str, u32) -> bool) -> bool {
        let provider = &slot.candidate.provider;
        let called_before =
            self.slots.iter().any(|other| other.calls > 0 && other.candidate.provider == *provider);
        let timed_out = self.last_failure().is_some_and(|failure| {
            matches!(failure.class, FailureClass::FirstByteTimeout | FailureClass::IdleTimeout)
        });
        !called_before || withdraw(provider, if timed_out { 2 } else { 1 })
    }

    fn give_up(&self, now: Instant) -> Step {
        let last = self.last.and_then(|index| self.slots.get(index));
        Step::GiveUp(Box::new(verdict::compose(&self.slots, last, self.attempts, now)))
    }

    fn stand(&mut self, target: usize, standing: Standing) {
        if let Some(slot) = self.slots.get_mut(target) {
            slot.standing = standing;
        }
    }
}

/// Draws a back-off with full jitter: anything from zero to the base doubled `doublings` times, capped.
#[must_use]
pub fn backoff(policy: &RetryPolicy, doublings: u32, random: f64) -> Duration {
    let longest = policy.base_delay.saturating_mul(1u32 << doublings.min(20)).min(policy.max_delay);
    longest.mul_f64(random.clamp(0.0, 1.0))
}
