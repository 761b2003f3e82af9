//! The loop over scripted targets on a paused clock: who is called, how often, what is waited, what is recorded.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sentinel_domain::error::{ApiError, ErrorCode};
use sentinel_domain::outcome::FailureClass;
use sentinel_domain::policy::{
    BreakerPolicy, ProviderKind, ProviderSpec, RetryPolicy, RouteSpec, Strategy, TargetSpec, Timeouts,
};
use sentinel_runtime::{Clock, Registry, Supervisor};
use sentinel_wire::{ChatRequest, EncodeOptions, Limits};
use tokio::task::LocalSet;
use tokio::time::Instant;

use super::*;
use crate::breaker::{BreakerBoard, BreakerHandle, Phase};
use crate::provider::{CallError, CallFailure, UpstreamCall};
use crate::random::Random;
use crate::retry::RetryBudgets;
use crate::routing::{Choice, Latencies, RouteTable, Target};
use crate::target::TargetKey;

const SECOND: Duration = Duration::from_secs(1);

fn provider(name: &str, kind: ProviderKind) -> ProviderSpec {
    ProviderSpec {
        name: name.into(),
        kind,
        base_url: "http://127.0.0.1:1".into(),
        api_keys: vec![],
        timeouts: Timeouts { connect: 5 * SECOND, first_byte: 60 * SECOND, idle: 60 * SECOND },
        max_in_flight: 512,
        retry: RetryPolicy { max_attempts: 3, budget: 0.2, base_delay: SECOND / 4, max_delay: 8 * SECOND },
        breaker: BreakerPolicy {
            window: 30 * SECOND,
            minimum_calls: 10,
            failure_rate: 0.5,
            consecutive_failures: 5,
            open_for: 10 * SECOND,
            open_for_max: 120 * SECOND,
            half_open_probes: 3,
        },
    }
}

/// What the scripted targets answer, call by call; afterwards they always work.
#[derive(Default)]
struct Script {
    results: RefCell<VecDeque<Result<(), CallError>>>,
    calls: RefCell<Vec<String>>,
    takes: Duration,
    dead: Option<&'static str>,
}

impl Caller for Script {
    type Reply = ();

    async fn call(&self, target: &Target, _: UpstreamCall) -> Result<(), CallError> {
        self.calls.borrow_mut().push(target.key.to_string());
        tokio::time::sleep(self.takes).await;
        if self.dead == Some(&*target.key.provider) {
            return failing(FailureClass::Connect, None);
        }
        self.results.borrow_mut().pop_front().unwrap_or(Ok(()))
    }
}

fn failing(class: FailureClass, wait: Option<u64>) -> Result<(), CallError> {
    let error = ApiError::new(class.disposition().code, class.as_str());
    let wait = wait.map(Duration::from_secs);
    Err(CallError::Failed(CallFailure { class, wait, error, status: 0, other_credential: false }))
}

/// Everything the loop needs, over two targets `a/m` and `b/m`, or only the first.
struct Bench {
    breaker: BreakerHandle,
    budgets: RetryBudgets,
    latencies: Latencies,
    script: Script,
    targets: Vec<Target>,
    events: RefCell<Vec<String>>,
}

impl Bench {
    fn new(names: &[&str], script: Script) -> Self {
        let kind_of = |name: &str| {
            if name == "anthropic" { ProviderKind::Anthropic } else { ProviderKind::OpenAi }
        };
        let providers: Vec<_> = names.iter().map(|name| provider(name, kind_of(name))).collect();
        let clock = Clock::system();
        let board = BreakerBoard::new(clock.clone(), Random::always(0.5), Arc::new(|_, _| {}));
        board.configure(&providers, []);
        let budgets = RetryBudgets::default();
        budgets.configure(&providers, clock.now());
        let supervisor = Supervisor::worker(&Registry::new(clock.clone()), 0);
        let breaker = BreakerHandle::start(&supervisor, board, clock.clone());
        let targets = names.iter().map(|name| TargetSpec {
            provider: (*name).into(),
            model: None,
            weight: 1,
            first_byte_timeout: None,
            idle_timeout: None,
        });
        let route = RouteSpec { model: "m".into(), strategy: Strategy::Failover, targets: targets.collect() };
        let table = RouteTable::new(providers, vec![route], Arc::new(|_| None)).unwrap();
        let latencies = Latencies::default();
        let random = Random::always(0.5);
        let choice = Choice { now: clock.now(), random: &random, latencies: &latencies, price: &|_| None };
        let targets = table.resolve("m", &choice).unwrap().targets;
        Self { breaker, budgets, latencies, script, targets, events: RefCell::default() }
    }

    async fn run_with(&self, body: &str, deadline: Duration) -> Result<Answered<()>, GaveUp> {
        let request = ChatRequest::parse(Bytes::from(body.to_owned()), &Limits::default()).unwrap();
        let (clock, random) = (Clock::system(), Random::always(0.5));
        let options = EncodeOptions::default();
        let job = Job {
            request: &request,
            options: &options,
            targets: &self.targets,
            deadline: clock.now() + deadline,
        };
        let deps = Deps {
            breaker: &self.breaker,
            budgets: &self.budgets,
            latencies: &self.latencies,
            caller: &self.script,
            clock: &clock,
            random: &random,
        };
        run(&job, &deps, |event| {
            self.events.borrow_mut().push(match event {
                AttemptEvent::Skipped { target, refusal, .. } => format!("skip {target} {refusal:?}"),
                AttemptEvent::Unsuitable { target, error } => format!("unsuitable {target} {error}"),
                AttemptEvent::Started { target, attempt, after } => match after {
                    None => format!("call {target} as {attempt}"),
                    Some(After::Failed(before, _)) => format!("call {target} as {attempt} after {before}"),
                    Some(After::Skipped(before, _)) => format!("call {target} as {attempt} past {before}"),
                },
                AttemptEvent::Failed { target, failure, .. } => {
                    format!("fail {target} {}", failure.class.as_str())
                }
                AttemptEvent::Waiting { target, delay } => format!("wait {target} {}", delay.as_millis()),
                AttemptEvent::Committed { target, .. } => format!("done {target}"),
            });
        })
        .await
    }

    async fn run(&self) -> Result<Answered<()>, GaveUp> {
        self.run_with(r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#, 600 * SECOND).await
    }

    fn phase(&self, provider: &str) -> Phase {
        self.breaker.board().view_of(&TargetKey::new(provider, "m")).unwrap().breaker.phase
    }
}

fn script(results: impl IntoIterator<Item = Result<(), CallError>>) -> Script {
    Script { results: RefCell::new(results.into_iter().collect()), ..Script::default() }
}

/// Runs a test on a paused clock with a place for local tasks.
async fn local<F: Future>(test: F) -> F::Output {
    LocalSet::new().run_until(test).await
}

#[tokio::test(start_paused = true)]
async fn a_failed_target_is_followed_by_the_next_at_once() {
    local(async {
        let bench = Bench::new(&["a", "b"], script([failing(FailureClass::ServerError, None)]));
        let begun = Instant::now();
        let answered = bench.run().await.unwrap();
        assert_eq!((answered.target, answered.attempts), (1, 2));
        assert!(begun.elapsed() < SECOND / 10);
        let expected = ["call 0 as 1", "fail 0 server_error", "call 1 as 2 after 0", "done 1"];
        assert_eq!(*bench.events.borrow(), expected);
        assert!(bench.latencies.value(&TargetKey::new("b", "m")).is_some());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_lone_target_is_called_again_after_its_back_off() {
    local(async {
        let bench = Bench::new(&["a"], script([failing(FailureClass::Broken, None)]));
        let begun = Instant::now();
        assert_eq!(bench.run().await.unwrap().attempts, 2);
        assert!(begun.elapsed() >= SECOND / 8);
        let expected = ["call 0 as 1", "fail 0 broken", "wait 0 125", "call 0 as 2 after 0", "done 0"];
        assert_eq!(*bench.events.borrow(), expected);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_throttled_lone_target_is_waited_for_if_the_wait_is_short() {
    local(async {
        let bench = Bench::new(&["a"], script([failing(FailureClass::RateLimited, Some(2))]));
        let begun = Instant::now();
        bench.run().await.unwrap();
        assert!(begun.elapsed() >= 2 * SECOND && begun.elapsed() < 3 * SECOND);

        let bench = Bench::new(&["a"], script([failing(FailureClass::RateLimited, Some(9))]));
        let gave_up = bench.run().await.unwrap_err();
        let seen = (gave_up.error.code, gave_up.error.retry_after, gave_up.attempts, gave_up.target);
        assert_eq!(seen, (ErrorCode::UpstreamRateLimited, Some(9 * SECOND), 1, Some(0)));
        // While it cools down nobody calls it, and everybody is told the same.
        let gave_up = bench.run().await.unwrap_err();
        assert_eq!((gave_up.error.code, gave_up.attempts), (ErrorCode::UpstreamRateLimited, 0));
        assert_eq!(bench.script.calls.borrow().len(), 1);
        assert_eq!(bench.phase("a"), Phase::Closed);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_target_falls_to_probes_within_ten_calls_and_clients_see_no_error() {
    local(async {
        let bench = Bench::new(&["a", "b"], Script { dead: Some("a"), ..Script::default() });
        // Fifty requests a second for a minute.
        for _ in 0..3_000 {
            bench.run().await.expect("one target is healthy");
            tokio::time::advance(SECOND / 50).await;
        }
        let calls = bench.script.calls.borrow();
        let first_second = calls.iter().take(60).filter(|call| *call == "a/m").count();
        assert_eq!(first_second, 5, "it opens after five failures in a row");
        let dead = calls.iter().filter(|call| *call == "a/m").count();
        assert!(dead <= 5 + 4, "{dead}: probes after 10, 20, 40 s");
        assert_eq!(calls.len(), 3_000 + dead);
        assert_eq!((bench.phase("a"), bench.phase("b")), (Phase::Open, Phase::Closed));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_recovered_target_is_used_again_after_its_probes() {
    local(async {
        let results = (0..5).map(|_| failing(FailureClass::Overloaded, None));
        let bench = Bench::new(&["a"], script(results));
        for _ in 0..5 {
            let _ = bench.run().await;
        }
        assert_eq!(bench.phase("a"), Phase::Open);
        let gave_up = bench.run().await.unwrap_err();
        assert_eq!(gave_up.error.code, ErrorCode::CircuitOpen);
        let wait = gave_up.error.retry_after.unwrap();
        tokio::time::advance(wait).await;
        for _ in 0..3 {
            bench.run().await.unwrap();
        }
        assert_eq!(bench.phase("a"), Phase::Closed);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn all_targets_down_is_told_at_once_with_the_soonest_time() {
    local(async {
        let bench = Bench::new(&["a", "b"], script((0..20).map(|_| failing(FailureClass::Connect, None))));
        for _ in 0..10 {
            let _ = bench.run().await;
        }
        let begun = Instant::now();
        let gave_up = bench.run().await.unwrap_err();
        assert_eq!(gave_up.error.code, ErrorCode::AllTargetsUnavailable);
        assert!(gave_up.error.retry_after.unwrap() <= 10 * SECOND);
        assert!(begun.elapsed() < SECOND / 10);
        assert_eq!((gave_up.attempts, gave_up.target), (0, None));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn callers_mistakes_never_open_a_breaker_and_are_not_tried_elsewhere() {
    local(async {
        let results = (0..1_000).map(|_| failing(FailureClass::Rejected, None));
        let bench = Bench::new(&["a", "b"], script(results));
        for _ in 0..1_000 {
            let gave_up = bench.run().await.unwrap_err();
            assert_eq!((gave_up.error.code, gave_up.attempts), (ErrorCode::UpstreamRejected, 1));
        }
        assert_eq!(bench.phase("a"), Phase::Closed);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_in_mid_call_gives_the_permit_back_as_neutral() {
    local(async {
        let bench = Bench::new(&["a"], Script { takes: 60 * SECOND, ..Script::default() });
        for _ in 0..1_000 {
            let left = tokio::time::timeout(SECOND, bench.run()).await;
            assert!(left.is_err());
        }
        let view = bench.breaker.board().view_of(&TargetKey::new("a", "m")).unwrap();
        assert_eq!((view.breaker.phase, view.breaker.counts.calls()), (Phase::Closed, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_full_provider_is_passed_over_without_blame() {
    local(async {
        let bench = Bench::new(&["a", "b"], script([Err(CallError::Full)]));
        assert_eq!(bench.run().await.unwrap().target, 1);
        let expected = ["call 0 as 1", "skip 0 Full", "call 1 as 1 past 0", "done 1"];
        assert_eq!(*bench.events.borrow(), expected);
        let view = bench.breaker.board().view_of(&TargetKey::new("a", "m")).unwrap();
        assert_eq!(view.breaker.counts.calls(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_cannot_express_the_request_is_passed_over() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"n":2}"#;
    local(async {
        let bench = Bench::new(&["anthropic", "b"], Script::default());
        assert_eq!(bench.run_with(body, 600 * SECOND).await.unwrap().target, 1);
        let bench = Bench::new(&["anthropic"], Script::default());
        let gave_up = bench.run_with(body, 600 * SECOND).await.unwrap_err();
        let seen = (gave_up.error.code, gave_up.error.param.as_deref(), gave_up.attempts);
        assert_eq!(seen, (ErrorCode::UnsupportedParameter, Some("n"), 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_call_begins_after_the_deadline() {
    local(async {
        let results = (0..9).map(|_| failing(FailureClass::ServerError, None));
        let bench = Bench::new(&["a", "b"], Script { takes: 2 * SECOND, ..script(results) });
        let body = r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
        let gave_up = bench.run_with(body, 3 * SECOND).await.unwrap_err();
        assert_eq!((gave_up.error.code, gave_up.attempts), (ErrorCode::RequestTimeout, 2));
    })
    .await;
}
