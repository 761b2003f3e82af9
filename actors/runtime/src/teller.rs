//! A handle that does not name its actor.

use std::fmt;
use std::sync::Arc;

use crate::error::TellError;

type Tell<M> = dyn Fn(M) -> Result<(), TellError> + Send + Sync;

/// Tells one kind of message to an actor of an unnamed type, so that actors can meet without knowing each other.
pub struct Teller<M> {
    tell: Arc<Tell<M>>,
}

impl<M> Teller<M> {
    pub(crate) fn new(tell: impl Fn(M) -> Result<(), TellError> + Send + Sync + 'static) -> Self {
        Self { tell: Arc::new(tell) }
    }

    /// Sends a message without waiting for anything.
    ///
    /// # Errors
    /// As [`Handle::tell`](crate::Handle::tell).
    pub fn tell(&self, message: M) -> Result<(), TellError> {
        (self.tell)(message)
    }
}

impl<M> Clone for Teller<M> {
    fn clone(&self) -> Self {
        Self { tell: Arc::clone(&self.tell) }
    }
}

impl<M> fmt::Debug for Teller<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Teller").finish_non_exhaustive()
    }
}
