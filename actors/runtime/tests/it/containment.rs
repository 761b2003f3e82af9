//! Panics where a second one could end the process: in drops, in hooks, in callbacks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use actix::{Actor, Context, Handler, Message};
use sentinel_runtime::{
    ActorSpec, ActorState, Clock, DurableQueue, Intensity, Registry, StopOutcome, Supervisor,
};

/// Which of its ends an actor fails at.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Stopping,
    Drop,
}

struct BadEnd {
    end: End,
    armed: Arc<AtomicBool>,
}

impl Actor for BadEnd {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Context<Self>) {
        let fails = self.end == End::Stopping && self.armed.load(Ordering::Relaxed);
        assert!(!fails, "stopped failed on purpose");
    }
}

impl Drop for BadEnd {
    fn drop(&mut self) {
        let fails = self.end == End::Drop && self.armed.load(Ordering::Relaxed);
        assert!(!fails, "drop failed on purpose");
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Fail;

impl Handler<Fail> for BadEnd {
    type Result = ();

    fn handle(&mut self, _: Fail, _: &mut Context<Self>) {
        assert!(!self.armed.load(Ordering::Relaxed), "handler failed on purpose");
    }
}

/// A message that must not be dropped unhandled, and is.
#[derive(Message)]
#[rtype(result = "()")]
struct Brittle(Arc<AtomicUsize>);

impl Drop for Brittle {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        assert!(std::thread::panicking(), "message dropped");
    }
}

impl Handler<Brittle> for BadEnd {
    type Result = ();

    fn handle(&mut self, message: Brittle, _: &mut Context<Self>) {
        std::mem::forget(message);
    }
}

#[actix::test]
async fn failed_actor_that_fails_again_at_its_end_is_still_replaced() {
    tokio::time::pause();
    for end in [End::Stopping, End::Drop] {
        let registry = Registry::new(Clock::system());
        let armed = Arc::new(AtomicBool::new(true));
        let shared = Arc::clone(&armed);
        let spec = ActorSpec::new("bad");
        let factory = move || BadEnd { end, armed: Arc::clone(&shared) };
        let handle = Supervisor::root(&registry).supervise(spec, factory);
        assert!(handle.ask(Fail).await.is_err());
        armed.store(false, Ordering::Relaxed);
        assert_eq!(handle.ask(Fail).await, Ok(()));
        assert_eq!(handle.stats().restarts, 1);
    }
}

#[actix::test]
async fn each_queued_message_is_dropped_even_if_every_drop_panics() {
    tokio::time::pause();
    let registry = Registry::new(Clock::system());
    let armed = Arc::new(AtomicBool::new(true));
    let shared = Arc::clone(&armed);
    let factory = move || BadEnd { end: End::Stopping, armed: Arc::clone(&shared) };
    let intensity = Intensity {
        base_delay: Duration::from_secs(60),
        max_delay: Duration::from_secs(60),
        ..Intensity::default()
    };
    let handle = Supervisor::root(&registry).supervise(ActorSpec::new("bad").intensity(intensity), factory);
    for _ in 0..2 {
        assert!(handle.ask(Fail).await.is_err());
    }
    armed.store(false, Ordering::Relaxed);
    let dropped = Arc::new(AtomicUsize::new(0));
    for _ in 0..5 {
        handle.tell(Brittle(Arc::clone(&dropped))).expect("room");
    }
    assert_eq!((handle.state(), handle.stats().depth), (ActorState::BackingOff, 5));
    assert_eq!(handle.stop(Duration::from_millis(1)).await, StopOutcome::Cut);
    assert_eq!(dropped.load(Ordering::Relaxed), 5);
    assert_eq!((handle.state(), handle.stats().depth), (ActorState::Stopped, 0));
}

#[actix::test]
async fn critical_actor_that_goes_down_is_told_upwards_even_if_the_callback_panics() {
    tokio::time::pause();
    let registry = Registry::new(Clock::manual(5_000));
    let told = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    assert!(registry.on_escalation(move |escalation| {
        sink.lock().push(escalation.clone());
        assert!(sink.lock().is_empty(), "callback failed on purpose");
    }));
    assert!(!registry.on_escalation(|_| {}), "only the first callback counts");
    let armed = Arc::new(AtomicBool::new(true));
    let intensity = Intensity { max_restarts: 0, ..Intensity::default() };
    let spec = ActorSpec::new("audit").critical().intensity(intensity);
    let handle = Supervisor::root(&registry)
        .supervise(spec, move || BadEnd { end: End::Stopping, armed: Arc::clone(&armed) });
    assert!(handle.ask(Fail).await.is_err());
    assert_eq!(handle.settled().await, ActorState::Down);
    let told = told.lock();
    assert_eq!(told.len(), 1);
    let escalation = told.first().expect("one");
    assert_eq!(escalation.actor, "audit");
    assert_eq!(
        escalation.failure.as_ref().map(|failure| failure.message.as_str()),
        Some("handler failed on purpose")
    );
}

#[test]
fn poisonous_durable_becomes_a_dead_letter_without_aborting() {
    let letters = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let sink = Arc::clone(&letters);
    let queue = DurableQueue::new(8, 3, move |letter| {
        sink.lock().push((letter.id, letter.attempts, *letter.value));
        assert!(sink.lock().is_empty(), "dead-letter callback failed on purpose");
    });
    let mut durable = queue.reserve().expect("room").fill(7_u64);
    for attempt in 1..=3 {
        let handle = std::panic::AssertUnwindSafe(move || {
            durable.attempt();
            let _in_hand = durable;
            assert!(attempt == 0, "handler failed on purpose");
        });
        assert!(std::panic::catch_unwind(handle).is_err());
        let Some(back) = queue.drain(10).pop() else { break };
        assert_eq!(back.attempts(), attempt);
        assert!(attempt < 3, "the third failure is the last");
        durable = back;
    }
    assert_eq!(*letters.lock(), vec![(0, 3, 7)]);
    assert_eq!((queue.dead_letters(), queue.outstanding(), queue.waiting()), (1, 0, 0));
}
