//! Ends an actor in good order, from any thread.

use std::time::Duration;

use crate::status::{ActorState, Status, command};

/// How a stop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopOutcome {
    /// The queue was empty and no ask waited when the actor ended.
    Drained,
    /// The deadline came first; what was still queued was dropped.
    Cut,
    /// The actor does not yield its thread, so it could not even be cut off.
    Stuck,
}

/// Time that a cut-off actor gets to notice it.
const CUT_GRACE: Duration = Duration::from_millis(500);

/// Stops the actor behind `status`, from any thread.
pub(crate) async fn stop(status: &Status, deadline: Duration) -> StopOutcome {
    let stopped = || status.wait_until(|state| state == ActorState::Stopped);
    status.command(command::STOP);
    if tokio::time::timeout(deadline, stopped()).await.is_ok() {
        return StopOutcome::Drained;
    }
    status.command(command::KILL);
    if tokio::time::timeout(CUT_GRACE, stopped()).await.is_ok() {
        StopOutcome::Cut
    } else {
        StopOutcome::Stuck
    }
}
