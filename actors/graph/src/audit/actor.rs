//! The actor that takes a worker's records to the trail.

use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message};
use parking_lot::Mutex;
use sentinel_domain::audit::AuditRecord;
use sentinel_runtime::{Durable, DurableQueue};
use sentinel_store::audit::{AuditHealth, AuditTrail, Receipt, Slot};
use tokio::sync::oneshot;

/// How often records that came back are looked for.
const REDELIVERY: Duration = Duration::from_millis(50);
/// Records that are taken back at once.
const DRAIN: usize = 1_024;

/// A record on its way, with the place that was taken for it.
pub(super) struct Parcel {
    pub(super) slot: Slot,
    /// Taken out by the append, which cannot fail.
    pub(super) content: Mutex<Option<Content>>,
}

/// What is appended, and who wants to know.
pub(super) struct Content {
    pub(super) record: AuditRecord,
    pub(super) waiter: oneshot::Sender<Receipt>,
}

/// Brings a record to the trail.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Append(pub(super) Durable<Parcel>);

/// Asks for everything appended so far to be on disk. The answer is what to wait for.
#[derive(Debug, Message)]
#[rtype(result = "Receipt")]
pub(super) struct Flush;

/// Asks for the trail's state.
#[derive(Debug, Message)]
#[rtype(result = "AuditHealth")]
pub(super) struct Observe;

/// Takes the records of one worker thread to the trail.
pub struct AuditWriter {
    trail: AuditTrail,
    queue: DurableQueue<Parcel>,
}

impl AuditWriter {
    pub(super) const fn new(trail: AuditTrail, queue: DurableQueue<Parcel>) -> Self {
        Self { trail, queue }
    }

    fn append(mut parcel: Durable<Parcel>) {
        parcel.attempt();
        let content = parcel.content.lock().take();
        if let Some(Content { record, waiter }) = content {
            // One who has stopped waiting does not need the receipt.
            let _ = waiter.send(parcel.slot.append(record));
        }
        parcel.ack();
    }

    fn redeliver(&self) {
        while self.queue.waiting() > 0 {
            for parcel in self.queue.drain(DRAIN) {
                Self::append(parcel);
            }
        }
    }
}

impl Actor for AuditWriter {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.redeliver();
        context.run_interval(REDELIVERY, |writer, _| writer.redeliver());
    }
}

impl Handler<Append> for AuditWriter {
    type Result = ();

    fn handle(&mut self, Append(parcel): Append, _: &mut Self::Context) {
        Self::append(parcel);
    }
}

impl Handler<Flush> for AuditWriter {
    type Result = actix::MessageResult<Flush>;

    fn handle(&mut self, Flush: Flush, _: &mut Self::Context) -> Self::Result {
        self.redeliver();
        actix::MessageResult(self.trail.flush())
    }
}

impl Handler<Observe> for AuditWriter {
    type Result = actix::MessageResult<Observe>;

    fn handle(&mut self, Observe: Observe, _: &mut Self::Context) -> Self::Result {
        actix::MessageResult(self.trail.health())
    }
}
