//! What actix lacks: bounded handles, panic-proof supervision, durable envelopes, clock, drain.
//!
//! Actors are ordinary actix actors with ordinary [`actix::Handler`]s. What differs is how they are kept and reached: a [`Supervisor`]
//! builds them from a factory and a [`Handle`] is the only door to them.
//!
//! ```
//! use std::time::Duration;
//!
//! use actix::{Actor, Context, Handler, Message};
//! use sentinel_runtime::{ActorSpec, AskError, Clock, Durable, DurableQueue, Registry, Supervisor};
//!
//! struct Ledger { queue: DurableQueue<u64>, sum: u64 }
//! impl Actor for Ledger {
//!     type Context = Context<Self>;
//!     fn started(&mut self, _: &mut Context<Self>) {
//!         for entry in self.queue.drain(1_024) { self.book(entry); } // what a failed incarnation left behind
//!     }
//! }
//! impl Ledger {
//!     fn book(&mut self, mut entry: Durable<u64>) {
//!         entry.attempt(); // from here on a failure may be this entry's fault
//!         self.sum += *entry;
//!         entry.ack();
//!     }
//! }
//!
//! #[derive(Message)]
//! #[rtype(result = "()")]
//! struct Book(Durable<u64>);
//! impl Handler<Book> for Ledger {
//!     type Result = ();
//!     fn handle(&mut self, message: Book, _: &mut Context<Self>) { self.book(message.0); }
//! }
//!
//! #[derive(Message)]
//! #[rtype(result = "u64")]
//! struct Sum;
//! impl Handler<Sum> for Ledger {
//!     type Result = u64;
//!     fn handle(&mut self, _: Sum, _: &mut Context<Self>) -> u64 { self.sum }
//! }
//!
//! # actix::System::new().block_on(async {
//! let registry = Registry::new(Clock::system());          // one for the process, in main
//! let queue = DurableQueue::new(65_536, 5, |letter| tracing::error!(id = letter.id, "gave up on an entry"));
//!
//! // On each worker thread, once, kept in a `thread_local!` because the server calls its factory once per listener.
//! let supervisor = Supervisor::worker(&registry, 0);
//! let kept = queue.clone();
//! let spec = ActorSpec::new("ledger").cap(1_024).deadline(Duration::from_millis(250));
//! let ledger = supervisor.supervise(spec, move || Ledger { queue: kept.clone(), sum: 0 });
//!
//! let slot = queue.reserve().ok_or(AskError::Full)?;      // at admission; `None` means 503
//! let _ = ledger.tell(Book(slot.fill(40)));               // a refusal is no loss: the entry waits in `queue`
//! assert_eq!(ledger.ask(Sum).await?, 40);                 // Full, Down: at once; Deadline, Closed: it may have run
//!
//! let undrained = registry.stop_all("", Duration::from_secs(30)).await;  // at shutdown, after the last request
//! assert!(undrained.is_empty() && queue.outstanding() == 0);
//! # Ok::<(), AskError>(())
//! # }).unwrap();
//! ```
//!
//! # Guarantees
//!
//! **Order.** Messages of one handle, and of all clones of it, are handled in the order in which they were queued; between two threads
//! that is the order in which they took the queue's lock. Answers of asynchronous handlers may overtake each other. A durable message
//! that was redelivered comes later than it was sent.
//!
//! **Bounds.** A queue never holds more than `cap` messages and never more than `cap` asks wait for an answer. What is beyond is refused
//! in well under a microsecond, and so is everything while the actor is down. An ask ends within its deadline plus one turn of its
//! executor. At most 64 messages are handled before the thread's other tasks, timers and sockets get their turn. Work that a handler detaches
//! (`ResponseFuture`, spawned tasks) is the handler's own to bound.
//!
//! **Panics.** A panic in a handler, in a future of the context, in `started`, `stopping`, `stopped`, in the factory or in a drop ends the
//! incarnation, never the thread. The next incarnation comes from the factory; no state of the failed one is seen again. A second panic
//! *while the first unwinds* (the `Drop` of a message in hand or of a local value) aborts the process in any Rust program: such drops
//! must not panic. After `max_restarts` in `window` the actor is [`ActorState::Down`] for `revive_after`, then a new generation is
//! tried; a critical actor is also reported to [`Registry::on_escalation`].
//!
//! **What a failure costs.** The message in hand is lost and its caller gets [`AskError::Closed`]. Asks whose answer the context was still
//! working on (`ResponseActFuture`) get the same. Queued messages stay queued, in order. When an actor goes down, queued asks are
//! closed and queued tells wait for the next generation. A handle stays good throughout; an `Addr` got from `ctx.address()` does not
//! survive its incarnation.
//!
//! **What is not lost.** A [`Durable`] is acknowledged, waiting, held or a dead letter, and nothing else: a panic, a refused tell, a
//! closed queue or a cut-off stop give it back to its [`DurableQueue`], to be delivered again. So it may be handled more than once, and
//! its effect must be idempotent. It lives in memory: what the process's death may cost is what its consumer had not yet committed.
//!
//! **Leaving.** Dropping an ask's future before the actor reached the message takes the message back.
//!
//! **What supervision can't do.** A handler that blocks or spins holds its whole thread, the supervising future included: that is for the
//! [`Watchdog`] to notice. An actor that asks itself, or two that ask each other, wait for their deadlines. An actor ends with its
//! thread and is not green then.

mod clock;
mod durable;
mod envelope;
mod error;
mod handle;
mod intensity;
mod lifecycle;
pub mod panics;
mod pump;
mod registry;
mod status;
mod stop;
mod supervise;
mod supervisor;
mod teller;
mod tracked;
mod watchdog;

pub use clock::Clock;
pub use durable::{DeadLetter, Durable, DurableQueue, Slot};
pub use error::{AskError, TellError};
pub use handle::{ActorStats, Handle};
pub use intensity::{Intensity, RestartWindow, Verdict};
pub use lifecycle::{Lifecycle, Permit, Phase, Tracker};
pub use registry::{Escalation, Fault, InjectError, Registry, Row};
pub use status::{ActorState, Failure, NodeKind};
pub use stop::StopOutcome;
pub use supervisor::{ActorSpec, Supervisor};
pub use teller::Teller;
pub use tracked::TrackedThread;
pub use watchdog::{BEAT, Heartbeat, Sighting, Watchdog};
