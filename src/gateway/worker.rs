//! The actors of one worker thread.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sentinel_graph::audit::AuditHandle;
use sentinel_graph::breaker::BreakerHandle;
use sentinel_graph::cost::CostHandle;
use sentinel_graph::limiter::LimiterHandle;
use sentinel_graph::provider::{ProviderHandle, SharedProvider};
use sentinel_runtime::Supervisor;
use sentinel_store::WorkerStores;

use super::Gateway;

/// Time beside the store's own deadline that an actor's answer is waited for.
const SLACK: Duration = Duration::from_millis(250);
/// Time for a provider's actor to end after its settings were replaced.
const RETIRE: Duration = Duration::from_secs(5);

static NEXT_INDEX: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The factory of the server's applications runs once per listener on each thread; the set must exist once.
    static SET: OnceCell<Worker> = const { OnceCell::new() };
}

/// This thread's actors. Clones share them.
#[derive(Clone)]
pub struct Worker(Rc<Set>);

/// What a worker thread owns.
pub struct Set {
    /// What all workers share.
    pub gateway: Arc<Gateway>,
    /// Handles to the stores.
    pub stores: WorkerStores,
    /// Admits requests.
    pub limiter: LimiterHandle,
    /// Decides which targets may be called.
    pub breaker: BreakerHandle,
    /// Holds and settles money.
    pub cost: CostHandle,
    /// Takes records.
    pub audit: AuditHandle,
    supervisor: Supervisor,
    providers: RefCell<HashMap<Arc<str>, (SharedProvider, ProviderHandle)>>,
}

impl Deref for Worker {
    type Target = Set;

    fn deref(&self) -> &Set {
        &self.0
    }
}

impl Worker {
    /// Returns this thread's set, made at the first call. Must be called inside the thread's runtime.
    #[must_use]
    pub fn of_this_thread(gateway: &Arc<Gateway>) -> Self {
        SET.with(|set| {
            // A process may run one gateway after another (tests do), and threads may be reused.
            let current = set.get_or_init(|| Self::start(gateway));
            if Arc::ptr_eq(&current.gateway, gateway) { current.clone() } else { Self::start(gateway) }
        })
    }

    fn start(gateway: &Arc<Gateway>) -> Self {
        let index = NEXT_INDEX.fetch_add(1, Ordering::Relaxed);
        let supervisor = Supervisor::worker(&gateway.registry, index);
        actix_rt::spawn(gateway.watchdog.register(format!("worker-{index}")).run());
        let stores = gateway.stores.worker();
        let deadline = gateway.live().config.store.redis_timeout + SLACK;
        let limiter = LimiterHandle::start(&supervisor, stores.limits.clone(), deadline);
        let breaker = BreakerHandle::start(&supervisor, gateway.breakers.clone(), gateway.clock.clone());
        let cost = CostHandle::start(&supervisor, stores.budgets.clone(), stores.usage.clone(), deadline);
        let audit = gateway.audit.worker(&supervisor);
        let worker = Self(Rc::new(Set {
            gateway: Arc::clone(gateway),
            stores,
            limiter,
            breaker,
            cost,
            audit,
            supervisor,
            providers: RefCell::default(),
        }));
        // Actors of configured providers exist from the start, so that the tree shows them before the first call.
        for shared in gateway.live().providers.values() {
            let _started = worker.provider(shared);
        }
        worker
    }

    /// Returns this thread's actor of a provider, made anew when its settings were replaced.
    #[must_use]
    pub fn provider(&self, shared: &SharedProvider) -> ProviderHandle {
        let name = &shared.spec().name;
        let mut providers = self.providers.borrow_mut();
        if let Some((known, handle)) = providers.get(name)
            && known.is_same(shared)
        {
            return handle.clone();
        }
        let handle = ProviderHandle::start(&self.supervisor, shared.clone(), self.gateway.clock.clone());
        if let Some((_, retired)) = providers.insert(Arc::clone(name), (shared.clone(), handle.clone())) {
            // Streams of the old one are tasks of their own and go on.
            actix_rt::spawn(async move { retired.stop(RETIRE).await });
        }
        handle
    }
}
