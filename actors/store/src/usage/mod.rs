//! The ledger: what was used and what it cost, by day, provider, model and key.
//!
//! Rows keep tokens beside money and name the price that was applied, so that a correction of prices can be
//! applied to history. Totals are gathered in memory and written in groups.

mod query;
pub(crate) mod redis;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sentinel_domain::{NanoUsd, Usage};
use serde::{Deserialize, Serialize};

pub use query::{GroupBy, UsageGroup, UsageQuery};

use self::redis::RemoteUsage;
use crate::embedded::StateFile;
use crate::error::StoreError;
use crate::redis::Redis;

/// Settlements whose ids are remembered against being counted twice.
const REMEMBERED: usize = 65_536;
/// Distinct rows that may wait to be written.
const WAITING_ROWS: usize = 50_000;
/// Between two deliveries to Redis.
const DELIVER_EVERY: Duration = Duration::from_millis(250);

/// One settled call.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageEvent {
    /// Unique per settled call and made by the gateway: never the caller's request id, which a caller may reuse.
    pub id: u128,
    /// Days since 1970-01-01, UTC.
    pub day: u32,
    /// Who answered.
    pub provider: Arc<str>,
    /// The model that answered.
    pub model: Arc<str>,
    /// The virtual key's name; empty without one.
    pub key: Arc<str>,
    /// Tokens by kind.
    pub usage: Usage,
    /// The cost; `None` when the price is unknown.
    pub cost: Option<NanoUsd>,
    /// The applied price as [the catalogue] names it; empty when unknown.
    pub class: Arc<str>,
    /// What a cached answer did not cost again.
    pub saved: NanoUsd,
}

/// Where amounts are added up. The empty text stands for "none".
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey {
    /// Days since 1970-01-01, UTC.
    pub day: u32,
    /// Who answered.
    pub provider: Arc<str>,
    /// The model that answered.
    pub model: Arc<str>,
    /// The virtual key's name.
    pub key: Arc<str>,
    /// Version and variant of the applied price.
    pub class: Arc<str>,
}

/// Amounts of one row or group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Settled calls.
    pub requests: u64,
    /// Calls without a known price.
    pub unpriced: u64,
    /// Prompt tokens at the full price.
    pub input: u64,
    /// Prompt tokens read from the provider's cache.
    pub cache_read: u64,
    /// Prompt tokens written to the cache for five minutes.
    pub cache_write_5m: u64,
    /// Prompt tokens written to the cache for one hour.
    pub cache_write_1h: u64,
    /// Completion tokens.
    pub output: u64,
    /// Reasoning tokens, part of the completion.
    pub reasoning: u64,
    /// Cost in nano-dollars.
    pub cost_nano: i64,
    /// Nano-dollars not spent because the answer was cached.
    pub saved_nano: i64,
}

impl Totals {
    /// Adds `other`, saturating.
    pub fn add(&mut self, other: &Self) {
        let add = |sum: &mut u64, amount: u64| *sum = sum.saturating_add(amount);
        add(&mut self.requests, other.requests);
        add(&mut self.unpriced, other.unpriced);
        add(&mut self.input, other.input);
        add(&mut self.cache_read, other.cache_read);
        add(&mut self.cache_write_5m, other.cache_write_5m);
        add(&mut self.cache_write_1h, other.cache_write_1h);
        add(&mut self.output, other.output);
        add(&mut self.reasoning, other.reasoning);
        self.cost_nano = self.cost_nano.saturating_add(other.cost_nano);
        self.saved_nano = self.saved_nano.saturating_add(other.saved_nano);
    }

    /// Returns the tokens as a usage, for pricing them again.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            input: self.input,
            cache_read: self.cache_read,
            cache_write_5m: self.cache_write_5m,
            cache_write_1h: self.cache_write_1h,
            output: self.output,
            reasoning: self.reasoning,
        }
    }

    /// Returns the cost.
    #[must_use]
    pub fn cost(&self) -> NanoUsd {
        NanoUsd::new(self.cost_nano)
    }
}

impl UsageEvent {
    fn row(&self) -> (RowKey, Totals) {
        let key = RowKey {
            day: self.day,
            provider: Arc::clone(&self.provider),
            model: Arc::clone(&self.model),
            key: Arc::clone(&self.key),
            class: Arc::clone(&self.class),
        };
        let totals = Totals {
            requests: 1,
            unpriced: u64::from(self.cost.is_none()),
            input: self.usage.input,
            cache_read: self.usage.cache_read,
            cache_write_5m: self.usage.cache_write_5m,
            cache_write_1h: self.usage.cache_write_1h,
            output: self.usage.output,
            reasoning: self.usage.reasoning,
            cost_nano: self.cost.unwrap_or_default().nano(),
            saved_nano: self.saved.nano(),
        };
        (key, totals)
    }
}

/// Remembers the last ids, to drop a settlement that is delivered again.
#[derive(Debug, Default)]
struct Seen {
    set: ahash::HashSet<u128>,
    order: VecDeque<u128>,
}

impl Seen {
    /// Says whether the id is new.
    fn insert(&mut self, id: u128) -> bool {
        if !self.set.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
        true
    }
}

#[derive(Clone)]
enum Backend {
    Embedded(Arc<StateFile>),
    Redis(Redis, Arc<RemoteUsage>),
}

/// The part of a ledger that all workers of a process share.
#[derive(Default)]
pub(crate) struct Ledger {
    seen: Mutex<Seen>,
    remote: Arc<RemoteUsage>,
}

/// The ledger that the rest of the gateway writes to and queries: cheap to clone, one per worker.
#[derive(Clone)]
pub struct UsageStore {
    shared: Arc<Ledger>,
    backend: Backend,
}

impl UsageStore {
    /// Keeps the ledger in the embedded file.
    pub(crate) fn embedded(shared: Arc<Ledger>, file: Arc<StateFile>) -> Self {
        Self { shared, backend: Backend::Embedded(file) }
    }

    /// Keeps the ledger in Redis, written by [`UsageStore::run`].
    pub(crate) fn redis(shared: Arc<Ledger>, redis: Redis) -> Self {
        let remote = Arc::clone(&shared.remote);
        Self { shared, backend: Backend::Redis(redis, remote) }
    }

    /// Adds one settled call. Never waits; a call that was added before is ignored.
    pub fn record(&self, event: &UsageEvent) {
        if !self.shared.seen.lock().insert(event.id) {
            return;
        }
        let (key, totals) = event.row();
        match &self.backend {
            Backend::Embedded(file) => {
                file.add(|batch| gather(&mut batch.usage, key, &totals));
            }
            Backend::Redis(_, remote) => remote.add(key, &totals),
        }
    }

    /// Waits until everything recorded so far is stored.
    ///
    /// # Errors
    /// Why it is not; it is kept in memory and tried again.
    pub async fn flush(&self) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Embedded(file) => file.flush().await,
            Backend::Redis(redis, remote) => remote.flush(redis).await,
        }
    }

    /// Delivers to Redis until the future is dropped; returns at once for the embedded file, which has its own writer.
    pub(crate) async fn run(self) {
        let Backend::Redis(redis, remote) = &self.backend else { return };
        loop {
            tokio::time::sleep(DELIVER_EVERY).await;
            // A failure is counted by the connection and tried again.
            let _ = remote.flush(redis).await;
        }
    }

    /// Returns totals by the asked dimensions.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn query(&self, query: &UsageQuery) -> Result<Vec<UsageGroup>, StoreError> {
        let (since, until) = (query.since, query.until);
        let rows = match &self.backend {
            Backend::Embedded(file) => {
                let file = Arc::clone(file);
                blocking(move || file.usage(since, until)).await?
            }
            Backend::Redis(redis, remote) => remote.rows(redis, since, until).await?,
        };
        Ok(query.group(rows))
    }

    /// Applies new prices to stored rows: `price` gets a row and its tokens and says what they cost now. Returns how
    /// many rows changed. Rows for which it returns `None` keep their cost.
    ///
    /// A row is priced by the sum of its tokens, so it may differ from the sum of its calls' costs by the rounding of
    /// half a nano-dollar for each.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn reprice(
        &self,
        price: impl Fn(&RowKey, &Usage) -> Option<NanoUsd> + Send + 'static,
    ) -> Result<u64, StoreError> {
        let change = move |key: &RowKey, totals: &mut Totals| match price(key, &totals.usage()) {
            Some(cost) if cost.nano() != totals.cost_nano || totals.unpriced > 0 => {
                totals.cost_nano = cost.nano();
                totals.unpriced = 0;
                true
            }
            _ => false,
        };
        self.flush().await?;
        match &self.backend {
            Backend::Embedded(file) => {
                let file = Arc::clone(file);
                blocking(move || file.rewrite_usage(change)).await
            }
            Backend::Redis(redis, remote) => remote.reprice(redis, change).await,
        }
    }
}

/// Adds to a row that waits to be written. Past [`WAITING_ROWS`] the models are no longer told apart, so that made-up
/// names and a store that is out for days cost bounded memory and no money is lost sight of.
fn gather(rows: &mut ahash::HashMap<RowKey, Totals>, mut key: RowKey, totals: &Totals) {
    if rows.len() >= WAITING_ROWS && !rows.contains_key(&key) {
        key.model = "other".into();
    }
    rows.entry(key).or_default().add(totals);
}

/// Runs disk work on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
}
