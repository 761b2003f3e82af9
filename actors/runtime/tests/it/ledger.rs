//! A consumer of durable messages that commits in batches, as the audit and cost actors do.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message};
use parking_lot::Mutex;
use sentinel_runtime::{Durable, DurableQueue};

/// What survives every incarnation.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) queue: DurableQueue<u64>,
    /// How often each value was written; the store merges repeats by value.
    pub(crate) written: Arc<Mutex<HashMap<u64, usize>>>,
    /// Makes the next commit panic after half of its batch is written.
    pub(crate) fail_commit: Arc<AtomicBool>,
}

impl Store {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            queue: DurableQueue::new(capacity, 5, |_| {}),
            written: Arc::default(),
            fail_commit: Arc::default(),
        }
    }

    pub(crate) fn factory(&self) -> impl FnMut() -> Ledger + Send + use<> {
        let store = self.clone();
        move || Ledger { store: store.clone(), batch: Vec::new(), suspects: VecDeque::new() }
    }
}

pub(crate) struct Ledger {
    store: Store,
    batch: Vec<Durable<u64>>,
    suspects: VecDeque<Durable<u64>>,
}

impl Ledger {
    /// Takes back what a failed incarnation had; what it was working on is handled apart from the rest.
    fn take_back(&mut self) {
        let (suspects, fresh): (Vec<_>, Vec<_>) =
            self.store.queue.drain(1_024).into_iter().partition(|entry| entry.attempts() > 0);
        self.suspects.extend(suspects);
        self.batch.extend(fresh);
    }

    fn commit(&mut self) {
        self.take_back();
        while let Some(mut suspect) = self.suspects.pop_front() {
            suspect.attempt();
            self.write(&suspect, true);
            suspect.ack();
        }
        let mut batch = std::mem::take(&mut self.batch);
        batch.iter_mut().for_each(Durable::attempt);
        let half = batch.len() / 2;
        for (index, entry) in batch.iter().enumerate() {
            self.write(entry, index >= half);
        }
        batch.into_iter().for_each(Durable::ack);
    }

    fn write(&self, entry: &Durable<u64>, may_fail: bool) {
        let fails = may_fail && self.store.fail_commit.swap(false, Ordering::Relaxed);
        assert!(!fails, "commit failed on purpose");
        *self.store.written.lock().entry(**entry).or_default() += 1;
    }
}

impl Actor for Ledger {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        self.take_back();
        context.run_interval(Duration::from_millis(5), |ledger, _| ledger.commit());
    }
}

/// Writes a value, exactly as often as it takes.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Append(pub(crate) Durable<u64>);

impl Handler<Append> for Ledger {
    type Result = ();

    fn handle(&mut self, message: Append, _: &mut Context<Self>) {
        self.batch.push(message.0);
        if self.batch.len() >= 32 {
            self.commit();
        }
    }
}

/// Answers with its own value.
#[derive(Message)]
#[rtype(result = "u64")]
pub(crate) struct Echo(pub(crate) u64);

impl Handler<Echo> for Ledger {
    type Result = u64;

    fn handle(&mut self, message: Echo, _: &mut Context<Self>) -> u64 {
        message.0
    }
}
