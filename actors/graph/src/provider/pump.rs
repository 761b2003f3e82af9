//! The task of one streamed call: pulls the provider, decodes, and feeds a small queue that the client drains.
//!
//! It is a detached local task and no part of the actor, so that a thousand streams cost the actor nothing and outlive
//! its restarts. The queue is bounded: a client that does not read stops the provider, not the gateway's memory. Both
//! ways out are watched at every wait: the client that goes away, and the provider that falls silent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use sentinel_domain::outcome::FailureClass;
use sentinel_runtime::Clock;
use sentinel_wire::{StreamDecoder, StreamItem};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::call::{AnswerStream, StreamEvent};
use super::exchange::{Response, late};
use super::failure::{CallFailure, of_payload};

/// Events that may wait for the client.
const QUEUE: usize = 4;

/// Events that may be held back before the answer begins; real ones send one or two.
const HELD_LIMIT: usize = 64;

/// A stream whose head has arrived.
pub(super) struct Pump {
    pub(super) response: Response,
    /// Shared with the client's side, which asks it for usage and the like.
    pub(super) decoder: Arc<Mutex<StreamDecoder>>,
    pub(super) idle: Duration,
    pub(super) deadline: Instant,
    pub(super) clock: Clock,
    pub(super) cut: watch::Receiver<bool>,
    /// Found while waiting, not yet passed on.
    pub(super) peeked: Option<StreamItem>,
}

impl Pump {
    /// Reads up to the first meaningful event, so that a failure before it is an ordinary failed attempt.
    ///
    /// # Errors
    /// Whatever goes wrong until then.
    pub(super) async fn commit(&mut self, begin_by: Instant) -> Result<VecDeque<StreamEvent>, CallFailure> {
        let mut held = VecDeque::new();
        loop {
            while let Some(item) = self.item() {
                match item {
                    StreamItem::Chunk(chunk) => {
                        let meaningful = chunk.is_meaningful();
                        held.push_back(StreamEvent::Chunk(chunk));
                        if meaningful {
                            return Ok(held);
                        }
                    }
                    // An answer may be empty and complete all the same.
                    StreamItem::Done => {
                        held.push_back(StreamEvent::Done);
                        return Ok(held);
                    }
                    StreamItem::Failed(failure) => return Err(failure.into()),
                }
                if held.len() > HELD_LIMIT {
                    let message = "the provider sends events without ever beginning its answer";
                    return Err(CallFailure::new(FailureClass::Malformed, message));
                }
            }
            self.pull(Some(begin_by)).await?;
        }
    }

    fn item(&mut self) -> Option<StreamItem> {
        self.peeked.take().or_else(|| self.decoder.lock().next_item())
    }

    /// Makes the two ends of the queue through which the rest of the answer goes.
    pub(super) fn answer(&self, held: VecDeque<StreamEvent>) -> (AnswerStream, mpsc::Sender<StreamEvent>) {
        let (sender, events) = mpsc::channel(QUEUE);
        (AnswerStream { held, events, decoder: Arc::clone(&self.decoder), ended: false }, sender)
    }

    /// Passes on the rest of the answer until its end, its failure, or until nobody wants it any more.
    pub(super) async fn run(mut self, sender: mpsc::Sender<StreamEvent>) {
        loop {
            while let Some(item) = self.item() {
                let event = match item {
                    StreamItem::Chunk(chunk) => StreamEvent::Chunk(chunk),
                    StreamItem::Done => StreamEvent::Done,
                    StreamItem::Failed(failure) => StreamEvent::Failed(after_commit(failure.into())),
                };
                let last = !matches!(event, StreamEvent::Chunk(_));
                if self.deliver(&sender, event).await.is_err() || last {
                    return;
                }
            }
            let pulled = tokio::select! {
                biased;
                () = sender.closed() => return,
                pulled = self.pull(None) => pulled,
            };
            if let Err(failure) = pulled {
                let _ = self.deliver(&sender, StreamEvent::Failed(after_commit(failure))).await;
                return;
            }
        }
    }

    /// Gives an event to the client's side, however slow, within the request's deadline.
    async fn deliver(&mut self, sender: &mpsc::Sender<StreamEvent>, event: StreamEvent) -> Result<(), ()> {
        let event = match sender.try_send(event) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Full(event)) => event,
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(()),
        };
        // When the time is over or the gateway stops, the queue's end tells the client's side that it broke.
        tokio::select! {
            sent = sender.send(event) => sent.map_err(drop),
            () = sleep_until(self.deadline) => Err(()),
            _ = self.cut.wait_for(|cut| *cut) => Err(()),
        }
    }

    /// Waits until the decoder has something new, at most until the stream counts as silent, until `begin_by`, or until
    /// the deadline.
    async fn pull(&mut self, begin_by: Option<Instant>) -> Result<(), CallFailure> {
        let silent_at = self.clock.now() + self.idle;
        loop {
            let until = begin_by.map_or(silent_at, |by| by.min(silent_at)).min(self.deadline);
            let piece = tokio::select! {
                biased;
                piece = self.response.next() => piece,
                () = sleep_until(until) => {
                    return Err(match begin_by {
                        Some(by) if by <= silent_at => late(by, self.deadline),
                        _ if self.deadline <= silent_at => CallFailure::out_of_time(),
                        _ => CallFailure::new(
                            FailureClass::IdleTimeout,
                            "the provider fell silent in the middle of its answer",
                        ),
                    });
                }
                _ = self.cut.wait_for(|cut| *cut) => return Err(CallFailure::stopping()),
            };
            let mut decoder = self.decoder.lock();
            match piece {
                Some(Ok(bytes)) => {
                    let was_inside = decoder.is_mid_event();
                    decoder.feed(bytes);
                    self.peeked = decoder.next_item();
                    // Half an event is progress; a comment that only keeps the connection open is none.
                    if self.peeked.is_some() || was_inside || decoder.is_mid_event() {
                        return Ok(());
                    }
                }
                Some(Err(error)) => return Err(of_payload(&error)),
                None => {
                    decoder.finish();
                    return Ok(());
                }
            }
        }
    }
}

/// What the client has seen can't be taken back, so every failure of the provider counts as a broken stream now. Its
/// code and message stay.
fn after_commit(failure: CallFailure) -> CallFailure {
    match failure.class {
        FailureClass::Local | FailureClass::IdleTimeout => failure,
        _ => CallFailure { class: FailureClass::StreamBroken, ..failure },
    }
}
