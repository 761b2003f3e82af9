//! Why an actor could not be asked or told. Business errors travel in a message's own result, never here.

use thiserror::Error;

/// Why an ask brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum AskError {
    /// The actor's cap is reached; the message was refused before it was queued.
    #[error("actor is at its cap")]
    Full,
    /// The actor failed too often and waits for its next generation; the message was refused before it was queued.
    #[error("actor is down")]
    Down,
    /// No answer came within the deadline. The message may still have been handled.
    #[error("no answer within the deadline")]
    Deadline,
    /// The actor stopped, went down or failed with the message in its queue or in hand. The message may have been handled.
    #[error("actor closed before it answered")]
    Closed,
}

impl AskError {
    /// Says whether the message may have had an effect, so that only an idempotent message may be sent again.
    pub fn may_have_run(self) -> bool {
        matches!(self, Self::Deadline | Self::Closed)
    }
}

/// Why a message was not queued. It is certain that it was not handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum TellError {
    /// The queue holds as many messages as the actor's cap allows.
    #[error("actor is at its cap")]
    Full,
    /// The actor failed too often and waits for its next generation.
    #[error("actor is down")]
    Down,
    /// The actor was stopped.
    #[error("actor is stopped")]
    Closed,
}

impl From<TellError> for AskError {
    fn from(error: TellError) -> Self {
        match error {
            TellError::Full => Self::Full,
            TellError::Down => Self::Down,
            TellError::Closed => Self::Closed,
        }
    }
}
