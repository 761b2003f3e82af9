//! The tree as an operator sees it.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Handler, Message};
use parking_lot::Mutex;
use sentinel_runtime::{
    ActorSpec, ActorState, AskError, Clock, Handle, NodeKind, Registry, Supervisor, TellError,
};
use serde_json::json;

use crate::failing::{Count, FailingActor, PanicInHandler, Script};

#[actix::test]
async fn snapshot_serialises_as_the_admin_route_shows_it() {
    tokio::time::pause();
    let registry = Registry::new(Clock::manual(1_000));
    let _root = Supervisor::root(&registry);
    let worker = Supervisor::worker(&registry, 1);
    let handle = worker.supervise(ActorSpec::new("provider/openai").cap(512), Script::default().factory());
    assert!(handle.ask(PanicInHandler).await.is_err());
    assert_eq!(handle.ask(Count).await, Ok(1));
    tokio::time::advance(Duration::from_millis(40)).await;
    let rows = serde_json::to_value(registry.snapshot()).expect("plain data");
    let actor = json!({
        "name": "worker-1/provider/openai", "parent": "worker-1", "worker": 1, "kind": "actor", "state": "running",
        "critical": false, "mailbox_depth": 0, "in_flight": 0, "cap": 512, "handled": 1, "refused": 0, "restarts": 1,
        "generation": 0, "uptime_ms": 40,
        "last_failure": { "message": "handler failed on purpose", "location": null, "at_unix_ms": 1_000 },
    });
    assert_eq!(rows.pointer("/2"), Some(&actor), "{rows:#}");
    let shape: Vec<_> = registry.snapshot().into_iter().map(|row| (row.name, row.parent, row.kind)).collect();
    let expected = [
        ("root".to_owned(), None, NodeKind::Supervisor),
        ("worker-1".to_owned(), Some("root".to_owned()), NodeKind::Supervisor),
        ("worker-1/provider/openai".to_owned(), Some("worker-1".to_owned()), NodeKind::Actor),
    ];
    assert_eq!(shape, expected);
}

#[actix::test]
async fn second_actor_of_the_same_name_shows_and_a_stopped_one_makes_room() {
    tokio::time::pause();
    let registry = Registry::new(Clock::system());
    let worker = Supervisor::worker(&registry, 0);
    let start = || worker.supervise(ActorSpec::new("cache"), Script::default().factory());
    let (first, second) = (start(), start());
    assert_eq!((first.name(), second.name()), ("worker-0/cache", "worker-0/cache#2"));
    first.stop(Duration::from_secs(1)).await;
    assert_eq!(start().name(), "worker-0/cache");
    second.stop(Duration::from_secs(1)).await;
    registry.forget_stopped();
    assert!(registry.get("worker-0/cache#2").is_none());
}

#[actix::test]
async fn stop_all_takes_what_is_below_a_name_and_nothing_else() {
    tokio::time::pause();
    let registry = Registry::new(Clock::system());
    for index in [1, 10] {
        let worker = Supervisor::worker(&registry, index);
        let handle = worker.supervise(ActorSpec::new("cache"), Script::default().factory());
        assert_eq!(handle.ask(Count).await, Ok(1));
    }
    assert!(registry.stop_all("worker-1", Duration::from_secs(1)).await.is_empty());
    let states: Vec<_> = registry.snapshot().into_iter().map(|row| (row.name, row.state)).collect();
    let expected = [
        ("worker-1".to_owned(), ActorState::Stopped),
        ("worker-1/cache".to_owned(), ActorState::Stopped),
        ("worker-10".to_owned(), ActorState::Running),
        ("worker-10/cache".to_owned(), ActorState::Running),
    ];
    assert_eq!(states, expected);
    assert!(registry.is_green(), "stopped on purpose");
}

#[test]
fn plain_thread_reports_itself_and_escalates_when_it_is_critical() {
    let registry = Registry::new(Clock::manual(7));
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    registry.on_escalation(move |escalation| sink.lock().push(escalation.actor.clone()));
    let thread = registry.track_thread("audit-writer", "root", 65_536, true);
    thread.enter(ActorState::Running);
    thread.set_depth(3);
    thread.add_handled(500);
    thread.failed("could not write `secret`");
    let row = registry.get("audit-writer").expect("a row");
    assert_eq!((row.kind, row.depth, row.handled, row.restarts), (NodeKind::Thread, 3, 500, 1));
    assert_eq!(row.last_failure.map(|failure| failure.message).as_deref(), Some("could not write `…`"));
    assert!(told.lock().is_empty() && registry.is_green());
    thread.enter(ActorState::Down);
    assert_eq!(*told.lock(), ["audit-writer"]);
    assert!(!registry.is_green());
    drop(thread);
    assert!(registry.is_green(), "a thread that ended in order is not missed");
}

#[actix::test]
async fn unattended_handle_answers_as_an_actor_in_that_state_would() {
    tokio::time::pause();
    let spec = ActorSpec::new("nobody").cap(1).deadline(Duration::from_millis(10));
    let table = [
        (ActorState::Down, Err(AskError::Down), Err(TellError::Down)),
        (ActorState::Stopped, Err(AskError::Closed), Err(TellError::Closed)),
        (ActorState::Running, Err(AskError::Deadline), Err(TellError::Full)),
    ];
    for (state, asked, told) in table {
        let handle = Handle::<FailingActor>::unattended(&spec, state);
        assert_eq!((handle.ask(Count).await, handle.tell(Count)), (asked, told), "{state:?}");
    }
}

/// Reports to itself from a detached task.
struct Reporter {
    own: Handle<Reporter>,
    done: bool,
}

impl Actor for Reporter {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "bool")]
struct Work;

#[derive(Message)]
#[rtype(result = "()")]
struct Done;

impl Handler<Work> for Reporter {
    type Result = bool;

    fn handle(&mut self, _: Work, _: &mut Context<Self>) -> bool {
        let own = self.own.teller::<Done>();
        actix_rt::spawn(async move { own.tell(Done) });
        self.done
    }
}

impl Handler<Done> for Reporter {
    type Result = ();

    fn handle(&mut self, _: Done, _: &mut Context<Self>) {
        self.done = true;
    }
}

#[actix::test]
async fn actor_reports_to_itself_through_its_own_handle_also_after_a_restart() {
    tokio::time::pause();
    let registry = Registry::new(Clock::system());
    let supervisor = Supervisor::worker(&registry, 0);
    let factory = |own: &Handle<Reporter>| Reporter { own: own.clone(), done: false };
    let handle = supervisor.supervise_with(ActorSpec::new("reporter"), factory);
    for _ in 0..2 {
        assert_eq!(handle.ask(Work).await, Ok(false));
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(handle.ask(Work).await, Ok(true));
        handle.restart();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(handle.stats().restarts, 2);
}
