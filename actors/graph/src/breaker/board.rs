//! The breakers and cooldowns of all targets, shared by every worker: a trip seen by one is seen by all at once.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use sentinel_domain::outcome::{BreakerMark, FailureClass};
use sentinel_domain::policy::{BreakerPolicy, ProviderSpec};
use sentinel_runtime::Clock;
use tokio::time::Instant;

use super::cooldown::{Cooldown, Cooling};
use super::phase::{BreakerView, Override, Transition};
use super::state::{BreakerState, Ticket};
use crate::random::Random;
use crate::target::{OTHER, TargetKey, TargetMap};

/// Unconfigured targets that are remembered at once.
const UNCONFIGURED_TARGETS: usize = 1024;

/// Told of every change of phase, on the thread that caused it, with no lock held. An unconfigured model is named
/// [`OTHER`], so that the name is fit for a metric.
pub type TransitionObserver = Arc<dyn Fn(&TargetKey, Transition) + Send + Sync>;

/// Why a target is not to be called now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected {
    /// The soonest time at which a call can be admitted.
    pub retry_at: Instant,
    /// What stands in the way.
    pub reason: RejectReason,
}

/// What stands in the way of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectReason {
    /// The circuit breaker is open, or its probes are out.
    Open,
    /// The target has told us to wait; this is what it said.
    Cooldown(FailureClass),
    /// The actor that decides could not be asked, which is treated as an open breaker.
    Unavailable,
}

/// What can be shown about one target.
#[derive(Debug, Clone)]
pub struct TargetView {
    /// Which target.
    pub key: TargetKey,
    /// Whether it is in the configuration; the names of others may come from clients.
    pub configured: bool,
    /// Its breaker.
    pub breaker: BreakerView,
    /// Its cooldown, while one is going on.
    pub cooldown: Option<Cooling>,
}

struct Cell {
    key: TargetKey,
    policy: BreakerPolicy,
    guarded: Mutex<(BreakerState, Cooldown)>,
}

struct Shared {
    cells: TargetMap<Cell>,
    policies: ArcSwap<HashMap<Arc<str>, BreakerPolicy>>,
    random: Random,
    observer: TransitionObserver,
    clock: Clock,
}

/// All breakers and cooldowns. Clones share them.
#[derive(Clone)]
pub struct BreakerBoard(Arc<Shared>);

impl fmt::Debug for BreakerBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BreakerBoard")
    }
}

impl BreakerBoard {
    /// Makes an empty board.
    #[must_use]
    pub fn new(clock: Clock, random: Random, observer: TransitionObserver) -> Self {
        Self(Arc::new(Shared {
            cells: TargetMap::new(UNCONFIGURED_TARGETS),
            policies: ArcSwap::default(),
            random,
            observer,
            clock,
        }))
    }

    /// Takes the providers' policies and the configured targets, which are then always shown and never forgotten.
    ///
    /// On a reload a target whose policy is unchanged keeps its state.
    pub fn configure(&self, providers: &[ProviderSpec], targets: impl IntoIterator<Item = TargetKey>) {
        let policies = providers.iter().map(|spec| (Arc::clone(&spec.name), spec.breaker)).collect();
        self.0.policies.store(Arc::new(policies));
        let now = self.0.clock.now();
        self.0.cells.pin(targets, |key| Cell::new(key.clone(), self.policy(&key.provider), now));
    }

    /// Admits a call to a target, or says what stands in its way.
    ///
    /// # Errors
    /// [`Rejected`] while the target cools down or its breaker refuses.
    pub fn admit(&self, key: &TargetKey) -> Result<CallPermit, Rejected> {
        let (cell, now) = (self.cell(key), self.0.clock.now());
        let (result, transitions) = {
            let mut guard = cell.guarded.lock();
            let (breaker, cooldown) = &mut *guard;
            let result = match cooldown.active(now) {
                Some(Cooling { until, class }) => {
                    Err(Rejected { retry_at: until, reason: RejectReason::Cooldown(class) })
                }
                None => breaker
                    .admit(now, self.0.random.draw())
                    .map_err(|retry_at| Rejected { retry_at, reason: RejectReason::Open }),
            };
            (result, breaker.take_transitions())
        };
        self.announce(&cell.key, &transitions);
        let ticket = result?;
        Ok(CallPermit { board: self.clone(), cell, ticket, mark: BreakerMark::Neutral, class: None })
    }

    /// Leaves a target alone for as long as its failure asks for. Returns the wait.
    pub fn cool(&self, key: &TargetKey, class: FailureClass, hint: Option<Duration>) -> Duration {
        let wait = class.cooldown(hint);
        if !wait.is_zero() {
            self.cell(key).guarded.lock().1.extend(wait, class, self.0.clock.now());
        }
        wait
    }

    /// Holds a target's breaker open or closed for `time`, on an operator's word. Returns whether the target is known.
    pub fn force(&self, key: &TargetKey, wanted: Override, time: Duration) -> bool {
        let now = self.0.clock.now();
        self.operate(key, |breaker, _| breaker.force(wanted, now + time, now, self.0.random.draw()))
    }

    /// Forgets a target's failures, cooldown and forced state. Returns whether the target is known.
    pub fn reset(&self, key: &TargetKey) -> bool {
        let now = self.0.clock.now();
        self.operate(key, |breaker, cooldown| {
            breaker.reset(now);
            cooldown.clear();
        })
    }

    /// Shows every target, in the order of the names.
    #[must_use]
    pub fn view(&self) -> Vec<TargetView> {
        self.0.cells.all().into_iter().map(|(_, cell)| self.view_cell(&cell)).collect()
    }

    /// Shows one target, if it is known.
    #[must_use]
    pub fn view_of(&self, key: &TargetKey) -> Option<TargetView> {
        self.0.cells.get(key).map(|cell| self.view_cell(&cell))
    }

    fn view_cell(&self, cell: &Cell) -> TargetView {
        let now = self.0.clock.now();
        let (view, transitions) = {
            let mut guard = cell.guarded.lock();
            let breaker = guard.0.view(now, self.0.random.draw());
            let configured = self.0.cells.is_pinned(&cell.key);
            let view =
                TargetView { key: cell.key.clone(), configured, breaker, cooldown: guard.1.active(now) };
            (view, guard.0.take_transitions())
        };
        self.announce(&cell.key, &transitions);
        view
    }

    fn operate(&self, key: &TargetKey, change: impl FnOnce(&mut BreakerState, &mut Cooldown)) -> bool {
        let Some(cell) = self.0.cells.get(key) else { return false };
        let transitions = {
            let mut guard = cell.guarded.lock();
            let (breaker, cooldown) = &mut *guard;
            change(breaker, cooldown);
            breaker.take_transitions()
        };
        self.announce(key, &transitions);
        true
    }

    fn record(&self, cell: &Cell, change: impl FnOnce(&mut BreakerState, Instant, f64)) {
        let transitions = {
            let mut guard = cell.guarded.lock();
            change(&mut guard.0, self.0.clock.now(), self.0.random.draw());
            guard.0.take_transitions()
        };
        self.announce(&cell.key, &transitions);
    }

    fn cell(&self, key: &TargetKey) -> Arc<Cell> {
        let policy = self.policy(&key.provider);
        self.0.cells.get_or_insert(
            key,
            |cell| cell.policy == policy,
            || Cell::new(key.clone(), policy, self.0.clock.now()),
        )
    }

    fn policy(&self, provider: &str) -> BreakerPolicy {
        self.0.policies.load().get(provider).copied().unwrap_or(UNKNOWN_PROVIDER)
    }

    fn announce(&self, key: &TargetKey, transitions: &[Transition]) {
        if transitions.is_empty() {
            return;
        }
        let shown = if self.0.cells.is_pinned(key) {
            key.clone()
        } else {
            TargetKey { provider: Arc::clone(&key.provider), model: OTHER.into() }
        };
        for transition in transitions {
            (self.0.observer)(&shown, *transition);
        }
    }
}

/// Used for a provider that has left the configuration while a request still names it.
const UNKNOWN_PROVIDER: BreakerPolicy = BreakerPolicy {
    window: Duration::from_secs(30),
    minimum_calls: 10,
    failure_rate: 0.5,
    consecutive_failures: 5,
    open_for: Duration::from_secs(10),
    open_for_max: Duration::from_secs(120),
    half_open_probes: 3,
};

impl Cell {
    fn new(key: TargetKey, policy: BreakerPolicy, now: Instant) -> Self {
        Self { key, policy, guarded: Mutex::new((BreakerState::new(policy, now), Cooldown::default())) }
    }
}

/// One admitted call. Whoever drops it records what is known by then: nothing, unless a result was noted before.
///
/// So a permit that is lost in a panic, a disconnect or a full queue is given back as neutral, and never twice.
#[must_use = "dropping the permit at once records a neutral result"]
pub struct CallPermit {
    board: BreakerBoard,
    cell: Arc<Cell>,
    ticket: Ticket,
    mark: BreakerMark,
    class: Option<FailureClass>,
}

impl CallPermit {
    /// Says whether this call is a probe, whose result decides whether the breaker closes.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.ticket.is_probe()
    }

    /// Records that the target works. For a stream this is the moment at which its answer begins; keep the returned
    /// proof to report its death.
    pub fn succeed(mut self) -> Committed {
        self.mark = BreakerMark::Success;
        Committed { board: self.board.clone(), cell: Arc::clone(&self.cell), ticket: self.ticket }
    }

    /// Records a failure as the outcome table says.
    pub fn fail(mut self, class: FailureClass) {
        self.mark = class.disposition().breaker;
        self.class = (self.mark == BreakerMark::Failure).then_some(class);
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        let (ticket, mark, class) = (self.ticket, self.mark, self.class);
        self.board
            .record(&self.cell, |breaker, now, random| breaker.record(ticket, mark, class, now, random));
    }
}

impl fmt::Debug for CallPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallPermit").field("target", &self.cell.key).field("ticket", &self.ticket).finish()
    }
}

/// A call that was recorded as a success when its answer began.
pub struct Committed {
    board: BreakerBoard,
    cell: Arc<Cell>,
    ticket: Ticket,
}

impl Committed {
    /// Turns the success into a failure, because the stream died after its beginning.
    ///
    /// A class that says nothing about the target, such as a client that went away, changes nothing.
    pub fn died(self, class: FailureClass) {
        if class.disposition().breaker == BreakerMark::Failure {
            let ticket = self.ticket;
            self.board
                .record(&self.cell, |breaker, now, random| breaker.record_death(ticket, class, now, random));
        }
    }
}

impl fmt::Debug for Committed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committed").field("target", &self.cell.key).finish()
    }
}
