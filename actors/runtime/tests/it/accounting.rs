//! Whatever happens to an actor, its counters come back to zero.

use std::time::Duration;

use actix::System;
use proptest::prelude::*;
use sentinel_runtime::{ActorSpec, ActorState, Clock, Fault, Intensity, Registry, Supervisor};

use crate::failing::{Count, Freeze, PanicInFuture, PanicInHandler, Script, Slow};

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask,
    AskAndLeave,
    AskSlowly(u64),
    Tell,
    TellPanic,
    TellPanicLater,
    Freeze(u64),
    Restart,
    FailStart,
    Pass(u64),
    Yield,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Ask),
        2 => Just(Step::AskAndLeave),
        2 => (0_u64..100).prop_map(Step::AskSlowly),
        4 => Just(Step::Tell),
        2 => Just(Step::TellPanic),
        2 => Just(Step::TellPanicLater),
        1 => (0_u64..60).prop_map(Step::Freeze),
        1 => Just(Step::Restart),
        1 => Just(Step::FailStart),
        1 => (0_u64..40).prop_map(Step::Pass),
        2 => Just(Step::Yield),
    ]
}

async fn run(steps: Vec<Step>) {
    tokio::time::pause();
    let registry = Registry::with_chaos(Clock::system());
    let script = Script::default();
    let intensity = Intensity { max_restarts: 3, ..Intensity::default() };
    let spec = ActorSpec::new("failing").cap(4).deadline(Duration::from_millis(50)).intensity(intensity);
    let handle = Supervisor::root(&registry).supervise(spec, script.factory());
    let mut asks = Vec::new();
    for step in steps {
        match step {
            Step::Ask => {
                let handle = handle.clone();
                asks.push(actix_rt::spawn(async move { handle.ask(Count).await.ok() }));
            }
            Step::AskAndLeave => {
                let mut ask = Box::pin(handle.ask(Count));
                let _ = futures_util::poll!(&mut ask);
            }
            Step::AskSlowly(millis) => {
                let handle = handle.clone();
                let slow = Slow(Duration::from_millis(millis));
                asks.push(actix_rt::spawn(async move { handle.ask(slow).await.is_ok().then_some(0) }));
            }
            Step::Tell => {
                let _ = handle.tell(Count);
            }
            Step::TellPanic => {
                let _ = handle.tell(PanicInHandler);
            }
            Step::TellPanicLater => {
                let _ = handle.tell(PanicInFuture);
            }
            Step::Freeze(millis) => {
                let _ = handle.tell(Freeze(Duration::from_millis(millis)));
            }
            Step::Restart => assert!(registry.restart("failing")),
            Step::FailStart => assert_eq!(registry.inject_panic("failing", Fault::Started), Ok(())),
            Step::Pass(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Step::Yield => tokio::task::yield_now().await,
        }
        let stats = handle.stats();
        assert!(stats.depth <= stats.cap && stats.in_flight <= stats.cap, "{stats:?}");
    }
    for ask in asks {
        assert!(ask.await.is_ok(), "no ask hangs or fails its caller");
    }
    // Tells that make it panic wait out a downed actor's pause, so it may take several generations to get through them all.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(31)).await;
    }
    let stats = handle.stats();
    assert_eq!((stats.state, stats.depth, stats.in_flight), (ActorState::Running, 0, 0));
    assert!(handle.ask(Count).await.is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn depth_and_in_flight_stay_within_the_cap_and_return_to_zero(steps in prop::collection::vec(step(), 0..60)) {
        System::new().block_on(run(steps));
    }
}
