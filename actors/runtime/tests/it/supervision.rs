//! Restarts, intensity, generations and refusal.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use sentinel_runtime::{
    ActorSpec, ActorState, AskError, Clock, Fault, Handle, InjectError, Registry, StopOutcome, Supervisor,
    TellError,
};

use crate::failing::{Count, FailingActor, Freeze, PanicInFuture, PanicInHandler, Script, Slow};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn start(spec: ActorSpec, script: &Script) -> (Registry, Handle<FailingActor>) {
    tokio::time::pause();
    let registry = Registry::with_chaos(Clock::manual(1_700_000_000_000));
    let supervisor = Supervisor::worker(&registry, 0);
    let handle = supervisor.supervise(spec, script.factory());
    (registry, handle)
}

#[actix::test]
async fn handler_panic_costs_its_caller_only_and_the_queue_behind_it_is_served_fresh() {
    let script = Script::default();
    let (registry, handle) = start(ActorSpec::new("failing"), &script);
    assert_eq!(handle.ask(Count).await, Ok(1));
    let poison = handle.ask(PanicInHandler);
    let behind = join_all((0..10).map(|_| handle.ask(Count)));
    let (poison, behind) = tokio::join!(poison, behind);
    assert_eq!(poison, Err(AskError::Closed));
    assert_eq!(behind, (1..=10).map(Ok).collect::<Vec<_>>(), "a fresh actor counts from one");
    assert_eq!(script.built(), 2);
    let row = registry.get("worker-0/failing").expect("row");
    assert_eq!((row.restarts, row.state, row.depth, row.in_flight), (1, ActorState::Running, 0, 0));
    let failure = row.last_failure.expect("failure");
    assert_eq!(failure.message, "handler failed on purpose");
    assert_eq!(failure.at_unix_ms, 1_700_000_000_000);
}

#[actix::test]
async fn panic_in_a_context_future_restarts_without_losing_messages() {
    let script = Script::default();
    let (_, handle) = start(ActorSpec::new("failing"), &script);
    let (trigger, behind) =
        tokio::join!(handle.ask(PanicInFuture), join_all((0..10).map(|_| handle.ask(Count))));
    assert_eq!(trigger, Ok(()));
    assert_eq!(behind.into_iter().filter(Result::is_ok).count(), 10);
    assert_eq!(handle.ask(Count).await, Ok(1), "the state is fresh");
}

#[actix::test]
async fn panics_in_started_also_the_first_one_are_survived() {
    let script = Script::default();
    script.bad_starts.store(3, Ordering::Relaxed);
    let (_, handle) = start(ActorSpec::new("failing"), &script);
    assert_eq!(handle.ask(Count).await, Ok(1));
    assert_eq!(script.built(), 4);
}

#[actix::test]
async fn panicking_factory_backs_off_and_recovers() {
    let script = Script::default();
    script.bad_factory.store(true, Ordering::Relaxed);
    let (_, handle) = start(ActorSpec::new("failing").deadline(ms(10_000)), &script);
    let asked = handle.ask(Count);
    let mended = async {
        tokio::time::sleep(ms(35)).await;
        assert_eq!(handle.state(), ActorState::BackingOff);
        script.bad_factory.store(false, Ordering::Relaxed);
    };
    assert_eq!(tokio::join!(asked, mended).0, Ok(1));
}

#[actix::test]
async fn seventh_failure_in_the_window_takes_it_down_until_the_next_generation() {
    let script = Script::default();
    let (registry, handle) = start(ActorSpec::new("failing").deadline(ms(60_000)), &script);
    let begun = tokio::time::Instant::now();
    for _ in 0..6 {
        assert_eq!(handle.ask(PanicInHandler).await, Err(AskError::Closed));
    }
    let (last, queued) = tokio::join!(handle.ask(PanicInHandler), handle.ask(Count));
    assert_eq!(
        (last, queued),
        (Err(AskError::Closed), Err(AskError::Closed)),
        "nobody waits for a downed actor"
    );
    // Tokio's timer may round each of the five delays up by a millisecond.
    assert!((310..=315).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    assert_eq!(handle.state(), ActorState::Down);
    assert_eq!(handle.ask(Count).await, Err(AskError::Down));
    assert_eq!(handle.tell(Count), Err(TellError::Down));
    assert!(!registry.is_green());
    tokio::time::sleep(ms(29_900)).await;
    assert_eq!(handle.state(), ActorState::Down);
    tokio::time::sleep(ms(200)).await;
    assert_eq!(handle.ask(Count).await, Ok(1));
    assert!(registry.is_green());
    assert_eq!(registry.get("worker-0/failing").map(|row| row.generation), Some(1));
}

#[actix::test]
async fn cap_and_deadline_bound_every_ask() {
    let script = Script::default();
    let (_, handle) = start(ActorSpec::new("failing").cap(4).deadline(ms(50)), &script);
    handle.tell(Freeze(ms(200))).expect("room");
    tokio::task::yield_now().await;
    let asks = join_all((0..6).map(|_| handle.ask(Count))).await;
    assert_eq!(asks.iter().filter(|answer| **answer == Err(AskError::Deadline)).count(), 4);
    assert_eq!(asks.iter().filter(|answer| **answer == Err(AskError::Full)).count(), 2);
    assert_eq!(handle.stats().depth, 4, "late messages stay queued until they are reached");
    assert_eq!(handle.tell(Count), Err(TellError::Full));
    tokio::time::sleep(ms(300)).await;
    let stats = handle.stats();
    assert_eq!((stats.depth, stats.in_flight, stats.handled), (0, 0, 1), "and are skipped then");
}

#[actix::test]
async fn stop_drains_the_queue_and_refuses_what_is_new() {
    let script = Script::default();
    let (registry, handle) = start(ActorSpec::new("failing").deadline(ms(10_000)), &script);
    let work = join_all((0..5).map(|_| handle.ask(Slow(ms(100)))));
    let stop = async {
        tokio::task::yield_now().await;
        handle.stop(ms(1_000)).await
    };
    let (answers, outcome) = tokio::join!(work, stop);
    assert_eq!(outcome, StopOutcome::Drained);
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(handle.ask(Count).await, Err(AskError::Closed));
    assert_eq!(handle.tell(Count), Err(TellError::Closed));
    assert!(!registry.restart("worker-0/failing"));
}

#[actix::test]
async fn stop_cuts_off_what_does_not_drain() {
    let script = Script::default();
    let (_, handle) = start(ActorSpec::new("failing").deadline(ms(10_000)), &script);
    handle.tell(Freeze(ms(5_000))).expect("room");
    tokio::task::yield_now().await;
    let (answer, outcome) = tokio::join!(handle.ask(Count), handle.stop(ms(100)));
    assert_eq!((answer, outcome), (Err(AskError::Closed), StopOutcome::Cut));
    assert_eq!(handle.stats().depth, 0);
}

#[actix::test]
async fn operator_restart_brings_a_downed_actor_back_at_once() {
    let script = Script::default();
    let (registry, handle) = start(ActorSpec::new("failing"), &script);
    for _ in 0..7 {
        let _ = handle.ask(PanicInHandler).await;
    }
    assert_eq!(handle.settled().await, ActorState::Down);
    assert!(registry.restart("worker-0/failing"));
    assert!(!registry.restart("worker-0/nobody"));
    assert!(!registry.restart("worker-0"), "a supervisor is not an actor");
    tokio::time::sleep(ms(1)).await;
    assert_eq!(handle.ask(Count).await, Ok(1));
    // It is a new generation with a clean slate: the next failure does not take it down again.
    assert_eq!(handle.ask(PanicInHandler).await, Err(AskError::Closed));
    assert_eq!(handle.ask(Count).await, Ok(1));
    assert_eq!(registry.get("worker-0/failing").map(|row| row.generation), Some(1));
}

#[actix::test]
async fn faults_are_injected_by_name_only_where_enabled() {
    let script = Script::default();
    let (registry, handle) = start(ActorSpec::new("failing"), &script);
    for (fault, first) in
        [(Fault::Handler, Err(AskError::Closed)), (Fault::Future, Ok(1)), (Fault::Started, Ok(1))]
    {
        assert_eq!(handle.settled().await, ActorState::Running);
        let restarts = handle.stats().restarts;
        assert_eq!(registry.inject_panic("worker-0/failing", fault), Ok(()));
        assert_eq!(handle.ask(Count).await, first, "{fault:?}");
        assert!(handle.ask(Count).await.is_ok(), "{fault:?}");
        assert!(handle.stats().restarts > restarts, "{fault:?}");
    }
    assert_eq!(registry.inject_panic("nobody", Fault::Handler), Err(InjectError::NotFound));
    let plain = Registry::new(Clock::system());
    assert_eq!(plain.inject_panic("nobody", Fault::Handler), Err(InjectError::Disabled));
}

#[actix::test]
async fn flooded_actor_lets_the_other_tasks_of_its_thread_run() {
    let script = Script::default();
    let (_, handle) = start(ActorSpec::new("failing"), &script);
    assert_eq!(handle.ask(Count).await, Ok(1));
    for _ in 0..1_000 {
        handle.tell(Count).expect("room");
    }
    let mut turns = 0;
    while handle.stats().depth > 0 {
        tokio::task::yield_now().await;
        turns += 1;
    }
    assert!((10..=40).contains(&turns), "{turns} turns for 1,000 messages");
    assert_eq!(handle.ask(Count).await, Ok(1_002));
}

#[actix::test]
async fn stop_of_a_downed_actor_ends_at_once() {
    let script = Script::default();
    let (registry, handle) = start(ActorSpec::new("failing"), &script);
    for _ in 0..7 {
        assert!(handle.ask(PanicInHandler).await.is_err());
    }
    assert_eq!(handle.settled().await, ActorState::Down);
    let begun = tokio::time::Instant::now();
    assert_eq!(handle.stop(ms(10_000)).await, StopOutcome::Drained);
    assert!(begun.elapsed() < ms(10), "{:?}", begun.elapsed());
    assert!(registry.is_green());
}

#[actix::test]
async fn handler_that_asks_for_exclusive_time_gets_it() {
    let script = Script::default();
    let (_, handle) = start(ActorSpec::new("failing").deadline(ms(10_000)), &script);
    let begun = tokio::time::Instant::now();
    handle.tell(Freeze(ms(200))).expect("room");
    // Queued before the actor's first turn, so both are there when it begins.
    assert_eq!(handle.ask(Count).await, Ok(1));
    assert!(begun.elapsed() >= ms(200), "{:?}", begun.elapsed());
}
