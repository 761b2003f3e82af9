//! The connection to Redis: one per worker, made in the background, with a deadline and a breaker of our own.
//!
//! The client library's own reconnecting manager was measured to hold every call for its whole back-off once the
//! server is gone, so connections are kept here: a task per worker connects with bounded back-off, drops a
//! connection that stopped answering, and pings while the breaker is open. A call never waits for any of that: without a
//! usable connection it fails at once, and the caller falls back.

mod keeper;
pub(crate) mod leases;
mod link;
pub(crate) mod script;
mod state;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, Value};
use sentinel_domain::Secret;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout};

use self::leases::LeaseBook;
use self::link::{Link, Target};
use self::script::{LuaScript, Run};
use self::state::{Change, State};
use crate::error::StoreError;
use crate::health::StoreHealth;

/// Deferred operations that may wait on one worker. Past it they are dropped and their leases run out instead.
const DEFERRED: usize = 4096;
/// Bytes that they may hold together; answers for the cache are the large ones.
const DEFERRED_BYTES: usize = 16 * 1024 * 1024;

/// What all workers of the process share about one Redis.
pub struct RedisShared {
    target: Target,
    timeout: Duration,
    secrets: Vec<Secret>,
    state: State,
    /// Tells this process's leases from those of every other.
    instance: String,
    next_lease: AtomicU64,
    pub(crate) leases: LeaseBook,
}

impl RedisShared {
    /// Reads the address. Connects to nothing.
    ///
    /// # Errors
    /// [`StoreError::Config`] if the address cannot be used; its text does not quote the address.
    pub fn new(url: &Secret, timeout: Duration) -> Result<Arc<Self>, StoreError> {
        Ok(Arc::new(Self {
            target: Target::parse(url, timeout)?,
            timeout,
            secrets: link::secrets_of(url),
            state: State::new(Instant::now()),
            instance: format!("{:016x}", rand::random::<u64>()),
            next_lease: AtomicU64::new(1),
            leases: LeaseBook::default(),
        }))
    }

    /// Returns the state for health pages and metrics.
    #[must_use]
    pub fn health(&self) -> StoreHealth {
        self.state.health(Instant::now())
    }

    pub(crate) fn lease_id(&self) -> String {
        format!("{}-{:x}", self.instance, self.next_lease.fetch_add(1, Ordering::Relaxed))
    }

    /// Replaces every password in a text that came from outside.
    fn scrub(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.expose(), "***"))
    }

    fn log(&self, change: Option<Change>) {
        match change {
            Some(Change::Down) => tracing::warn!(error = self.state.last_error(), "redis is unavailable"),
            Some(Change::Up) => tracing::info!("redis is available"),
            Some(Change::ReadOnly) => tracing::warn!(error = self.state.last_error(), "redis refuses writes"),
            Some(Change::Writable) => tracing::info!("redis takes writes again"),
            None => {}
        }
    }
}

struct Inner {
    shared: Arc<RedisShared>,
    link: ArcSwapOption<Link>,
    /// Wakes the keeper when the connection is lost.
    lost: Notify,
    deferred: mpsc::Sender<Deferred>,
    /// Bytes that wait in that queue.
    deferred_bytes: AtomicUsize,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.link.load().is_some() {
            self.shared.state.disconnected();
        }
    }
}

/// An operation that nobody waits for.
pub(crate) struct Deferred {
    script: &'static LuaScript,
    run: Run,
}

/// One worker's connection. Clones share it.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

impl Redis {
    /// Starts the tasks that keep this worker's connection; they end when the last clone is dropped. Returns at once.
    ///
    /// Must be called inside the worker's tokio runtime: the connection is driven by it.
    #[must_use]
    pub fn start(shared: Arc<RedisShared>) -> Self {
        let (deferred, queue) = mpsc::channel(DEFERRED);
        let inner = Arc::new(Inner {
            shared,
            link: ArcSwapOption::empty(),
            lost: Notify::new(),
            deferred,
            deferred_bytes: AtomicUsize::new(0),
        });
        tokio::spawn(keeper::keep(Arc::downgrade(&inner)));
        tokio::spawn(keeper::drain(Arc::downgrade(&inner), queue));
        Self(inner)
    }

    /// Returns what the workers share.
    #[must_use]
    pub fn shared(&self) -> &Arc<RedisShared> {
        &self.0.shared
    }

    /// Says whether a call would be tried now.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.0.shared.state.is_up() && self.0.link.load().is_some()
    }

    pub(crate) fn count_fallback(&self) {
        self.0.shared.state.count_fallback();
    }

    /// Runs one reading command.
    pub(crate) async fn read<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let link = self.usable_link()?;
        let value = self.deadline(&link, link.run(command)).await?;
        self.convert(value)
    }

    /// Runs a script, teaching it to the server first if it must.
    pub(crate) async fn script<T: FromRedisValue>(
        &self,
        script: &LuaScript,
        run: &Run,
    ) -> Result<T, StoreError> {
        let link = self.usable_link()?;
        let attempt = async {
            match link.run(&script.by_digest(run)).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    link.run(&script.by_text(run)).await
                }
                outcome => outcome,
            }
        };
        let value = self.deadline(&link, attempt).await?;
        self.0.shared.log(self.0.shared.state.wrote());
        self.convert(value)
    }

    /// Queues a script that nobody waits for; says whether there was room.
    pub(crate) fn defer(&self, script: &'static LuaScript, run: Run) -> bool {
        let size = run.size();
        if self.0.deferred_bytes.fetch_add(size, Ordering::Relaxed) + size <= DEFERRED_BYTES
            && self.0.deferred.try_send(Deferred { script, run }).is_ok()
        {
            return true;
        }
        self.0.deferred_bytes.fetch_sub(size, Ordering::Relaxed);
        false
    }

    /// Waits until a call would be tried.
    ///
    /// # Errors
    /// The last failure, if that takes longer than `patience`.
    pub async fn ready(&self, patience: Duration) -> Result<(), StoreError> {
        let ready = async {
            while !self.is_usable() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(patience, ready).await.map_err(|_| StoreError::Unavailable(self.0.shared.state.last_error()))
    }

    fn usable_link(&self) -> Result<Arc<Link>, StoreError> {
        if !self.0.shared.state.is_up() {
            return Err(self.unavailable());
        }
        self.0.link.load_full().ok_or_else(|| self.unavailable())
    }

    /// Returns the error of a call that is not tried.
    pub(crate) fn unavailable(&self) -> StoreError {
        StoreError::Unavailable(self.0.shared.state.last_error())
    }

    async fn deadline(
        &self,
        link: &Arc<Link>,
        call: impl Future<Output = Result<Value, RedisError>>,
    ) -> Result<Value, StoreError> {
        let shared = &self.0.shared;
        match timeout(shared.timeout, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.judge(link, &error)),
            Err(_) => {
                // A connection that is late once may be about to send anything, and slowly; a fresh one is cheap.
                self.drop_link(link);
                Err(self.fail(format!("no answer within {:?}", shared.timeout)))
            }
        }
    }

    fn convert<T: FromRedisValue>(&self, value: Value) -> Result<T, StoreError> {
        T::from_redis_value(value).map_err(|error| {
            let text = self.0.shared.scrub(&error.to_string());
            self.0.shared.state.damaged(&text);
            StoreError::Damaged(text)
        })
    }

    fn judge(&self, link: &Arc<Link>, error: &RedisError) -> StoreError {
        let shared = &self.0.shared;
        let text = shared.scrub(&error.to_string());
        match error.code().unwrap_or_default() {
            code @ ("OOM" | "READONLY" | "MISCONF" | "NOPERM" | "NOREPLICAS") => {
                shared.log(shared.state.refused(&text, code == "READONLY", Instant::now()));
                StoreError::Refused(text)
            }
            "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "NOAUTH" | "WRONGPASS" | "TRYAGAIN" | "BUSY" => {
                self.fail(text)
            }
            code if !code.is_empty() => {
                shared.state.damaged(&text);
                StoreError::Damaged(text)
            }
            _ => {
                self.drop_link(link);
                self.fail(text)
            }
        }
    }

    fn fail(&self, text: String) -> StoreError {
        let shared = &self.0.shared;
        shared.log(shared.state.failed(&text, Instant::now()));
        StoreError::Unavailable(text)
    }

    fn drop_link(&self, link: &Arc<Link>) {
        let current = self.0.link.load();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
            let before = self.0.link.compare_and_swap(&current, None);
            if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, link)) {
                self.0.shared.state.disconnected();
                self.0.lost.notify_one();
            }
        }
    }
}
