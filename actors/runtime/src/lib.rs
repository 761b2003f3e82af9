//! What actix lacks: bounded handles, panic-proof supervision, durable envelopes, clock, drain.

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
mod supervise;
mod supervisor;
mod watchdog;

pub use clock::Clock;
pub use durable::{DeadLetter, Durable, DurableQueue, Slot};
pub use error::{AskError, TellError};
pub use handle::{ActorStats, Handle, StopOutcome};
pub use intensity::{Intensity, RestartWindow, Verdict};
pub use lifecycle::{Lifecycle, Permit, Phase, Tracker};
pub use registry::{Escalation, Fault, InjectError, Registry, Row, TrackedThread};
pub use status::{ActorState, Failure, NodeKind};
pub use supervisor::{ActorSpec, Supervisor};
pub use watchdog::{BEAT, Heartbeat, Sighting, Watchdog};
