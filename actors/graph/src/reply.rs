//! A handler's answer that is ready at once, or later.
//!
//! With the embedded store an answer needs no waiting, so it should not cost a task either; with Redis it does.

use std::future::Future;
use std::pin::Pin;

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Message, ResponseFuture};
use futures_util::FutureExt;

/// What a handler gives back.
pub enum Reply<T> {
    /// The answer itself.
    Now(T),
    /// Its future, which runs outside the actor, so that the actor takes the next message meanwhile.
    Later(ResponseFuture<T>),
}

impl<T> Reply<T> {
    /// Polls once; only what has to wait becomes a task.
    pub fn of(future: impl Future<Output = T> + 'static) -> Self {
        let mut future: Pin<Box<dyn Future<Output = T>>> = Box::pin(future);
        match future.as_mut().now_or_never() {
            Some(answer) => Self::Now(answer),
            None => Self::Later(future),
        }
    }
}

impl<A, M, T: 'static> MessageResponse<A, M> for Reply<T>
where
    A: Actor,
    M: Message<Result = T>,
{
    fn handle(self, _context: &mut A::Context, reply: Option<OneshotSender<T>>) {
        match self {
            // Nobody may wait any more; then the answer is dropped, which gives back whatever it holds.
            Self::Now(answer) => drop(reply.map(|reply| reply.send(answer))),
            Self::Later(future) => {
                actix_rt::spawn(async move {
                    let answer = future.await;
                    drop(reply.map(|reply| reply.send(answer)));
                });
            }
        }
    }
}
