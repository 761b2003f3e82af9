//! A thousand kills under load: nobody hangs, only the caller of a panicking handler is told `Closed`, nothing accepted is lost.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use actix::Arbiter;
use futures_util::future::join_all;
use parking_lot::Mutex;
use sentinel_runtime::{ActorSpec, AskError, Clock, Fault, Handle, Intensity, Registry, Supervisor};

use crate::ledger::{Append, Echo, Ledger, Store};

const NAME: &str = "worker-0/ledger";

/// Restarts quickly and never gives up, so that a thousand kills fit into a test.
fn spec() -> ActorSpec {
    let max_delay = Duration::from_millis(2);
    let base_delay = Duration::from_millis(1);
    let intensity = Intensity { max_restarts: usize::MAX, base_delay, max_delay, ..Intensity::default() };
    ActorSpec::new("ledger").cap(256).deadline(Duration::from_secs(2)).intensity(intensity)
}

#[derive(Clone)]
struct Load {
    store: Store,
    handle: Handle<Ledger>,
    over: Arc<AtomicBool>,
    next: Arc<AtomicU64>,
    accepted: Arc<Mutex<HashSet<u64>>>,
    answered: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

impl Load {
    fn new(store: Store, handle: Handle<Ledger>) -> Self {
        Self {
            store,
            handle,
            over: Arc::default(),
            next: Arc::default(),
            accepted: Arc::default(),
            answered: Arc::default(),
            closed: Arc::default(),
        }
    }

    /// One client: reserves a slot, asks, and records what was answered, until the test is over.
    async fn client(self) {
        while !self.over.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(8)).await;
            let Some(slot) = self.store.queue.reserve() else { continue };
            let value = self.next.fetch_add(1, Ordering::Relaxed);
            match self.handle.ask(Echo(value)).await {
                Ok(answer) => {
                    assert_eq!(answer, value);
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    self.accepted.lock().insert(value);
                    // Refused or not: once the slot is filled the value can't be lost.
                    let _ = self.handle.tell(Append(slot.fill(value)));
                }
                Err(AskError::Closed) => {
                    self.closed.fetch_add(1, Ordering::Relaxed);
                }
                Err(AskError::Full) => {}
                Err(error) => unreachable!("{error}"),
            }
        }
    }

    /// Kills the actor `kills` times, each after it has recovered from the one before, and returns how many had a message in hand.
    async fn kill(&self, registry: &Registry, kills: u64) -> usize {
        let mut in_hand = 0;
        for kill in 0..kills {
            let restarts = self.handle.stats().restarts;
            let fault = match kill % 4 {
                0 => Some(Fault::Handler),
                1 => Some(Fault::Future),
                2 => Some(Fault::Started),
                _ => None,
            };
            match fault {
                Some(fault) => assert_eq!(registry.inject_panic(NAME, fault), Ok(())),
                // The commit may run in the handler of an append, whose caller does not wait.
                None => self.store.fail_commit.store(true, Ordering::Relaxed),
            }
            in_hand += usize::from(fault == Some(Fault::Handler));
            while self.handle.stats().restarts == restarts {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // Room for one commit: a store whose every commit is killed writes nothing, rightly.
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
        in_hand
    }

    async fn verify(&self, registry: &Registry, in_hand: usize) {
        while self.store.queue.outstanding() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let accepted = self.accepted.lock();
        let written = self.store.written.lock();
        let lost = accepted.iter().filter(|value| !written.contains_key(value)).count();
        let strangers = written.keys().filter(|value| !accepted.contains(value)).count();
        let closed = self.closed.load(Ordering::Relaxed);
        assert_eq!((lost, strangers, self.store.queue.dead_letters()), (0, 0, 0));
        assert!(closed <= in_hand, "{closed} closed, but only {in_hand} had a message in hand");
        assert!(
            self.store.queue.redelivered() > 0 && accepted.len() > 1_000,
            "the load was too thin to prove anything"
        );
        let stats = self.handle.stats();
        assert_eq!((stats.depth, stats.in_flight), (0, 0));
        assert!(registry.is_green());
    }
}

#[actix::test]
async fn thousand_kills_lose_nothing_and_the_tree_is_green_again() {
    tokio::time::pause();
    let store = Store::new(4_096);
    let registry = Registry::with_chaos(Clock::system());
    let handle = Supervisor::worker(&registry, 0).supervise(spec(), store.factory());
    let load = Load::new(store, handle);
    let clients: Vec<_> = (0..64).map(|_| actix_rt::spawn(load.clone().client())).collect();
    let in_hand = load.kill(&registry, 1_000).await;
    load.over.store(true, Ordering::Relaxed);
    for client in join_all(clients).await {
        client.expect("no client failed");
    }
    assert!(load.handle.stats().restarts >= 1_000);
    load.verify(&registry, in_hand).await;
}

#[actix::test]
async fn kills_on_another_thread_lose_nothing_either() {
    let store = Store::new(4_096);
    let registry = Registry::with_chaos(Clock::system());
    let arbiter = Arbiter::new();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let (supervisor, factory) = (Supervisor::worker(&registry, 0), store.factory());
    arbiter.spawn_fn(move || {
        let _ = sender.send(supervisor.supervise(spec(), factory));
    });
    let load = Load::new(store, receiver.await.expect("the arbiter runs"));
    let clients: Vec<_> = (0..64).map(|_| actix_rt::spawn(load.clone().client())).collect();
    let in_hand = load.kill(&registry, 100).await;
    load.over.store(true, Ordering::Relaxed);
    for client in join_all(clients).await {
        client.expect("no client failed");
    }
    load.verify(&registry, in_hand).await;
    arbiter.stop();
    assert_eq!(arbiter.join().ok(), Some(()));
    assert_eq!(load.handle.ask(Echo(0)).await, Err(AskError::Closed), "the thread is gone and says so");
    assert!(!registry.is_green(), "nobody asked for its end");
}
