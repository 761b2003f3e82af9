//! A handler that blocks its thread: what no supervision can help, and who notices.

use std::sync::mpsc;
use std::time::Duration;

use actix::{Actor, Arbiter, Context, Handler, Message};
use sentinel_runtime::{
    ActorSpec, AskError, Clock, Fault, Handle, Registry, Sighting, StopOutcome, Supervisor, Watchdog,
};

struct Blocker;

impl Actor for Blocker {
    type Context = Context<Self>;
}

/// Holds the thread until the sender is dropped.
#[derive(Message)]
#[rtype(result = "()")]
struct Block(mpsc::Receiver<()>);

impl Handler<Block> for Blocker {
    type Result = ();

    fn handle(&mut self, message: Block, _: &mut Context<Self>) {
        let _ = message.0.recv();
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Ping;

impl Handler<Ping> for Blocker {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) {}
}

#[actix::test]
async fn blocked_thread_is_noticed_its_callers_are_let_go_and_a_stop_says_that_it_is_stuck() {
    let (report, sightings) = mpsc::sync_channel(16);
    let on_sighting = move |sighting| drop(report.try_send(sighting));
    let watchdog =
        Watchdog::start(Clock::system(), Duration::from_millis(300), on_sighting).expect("a thread");
    let registry = Registry::with_chaos(Clock::system());
    let (supervisor, heartbeat) = (Supervisor::worker(&registry, 0), watchdog.register("worker-0"));
    let arbiter = Arbiter::new();
    let (sender, receiver) = tokio::sync::oneshot::channel::<Handle<Blocker>>();
    arbiter.spawn_fn(move || {
        actix_rt::spawn(heartbeat.run());
        drop(sender.send(supervisor.supervise(ActorSpec::new("blocker"), || Blocker)));
    });
    let handle = receiver.await.expect("the arbiter runs");
    assert_eq!(handle.ask(Ping).await, Ok(()));

    let (release, block) = mpsc::channel();
    handle.tell(Block(block)).expect("room");
    let patience = Duration::from_secs(20);
    assert!(matches!(sightings.recv_timeout(patience), Ok(Sighting::Stalled { .. })));
    assert_eq!(watchdog.stalled(), ["worker-0"]);
    assert_eq!(handle.ask_within(Ping, Duration::from_millis(10)).await, Err(AskError::Deadline));
    assert_eq!(registry.inject_panic("worker-0/blocker", Fault::Future), Ok(()));
    let undrained = registry.stop_all("worker-0", Duration::from_millis(10)).await;
    assert_eq!(undrained, [("worker-0/blocker".to_owned(), StopOutcome::Stuck)]);

    drop(release);
    assert!(matches!(sightings.recv_timeout(patience), Ok(Sighting::Recovered { .. })));
    arbiter.stop();
    assert!(arbiter.join().is_ok());
}
