//! What the planner does next, row by row, and what it never does on any path.

use std::time::Duration;

use proptest::prelude::*;
use sentinel_domain::error::{ApiError, ErrorCode};
use sentinel_domain::outcome::{FailureClass, SameTarget};
use sentinel_domain::policy::RetryPolicy;
use tokio::time::Instant;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const HALF: f64 = 0.5;

const POLICY: RetryPolicy = RetryPolicy {
    max_attempts: 3,
    budget: 0.2,
    base_delay: Duration::from_millis(250),
    max_delay: Duration::from_secs(8),
};

fn planner(providers: &[&str], now: Instant) -> Planner {
    let candidates =
        providers.iter().map(|provider| Candidate { provider: (*provider).into(), policy: POLICY });
    Planner::new(candidates, now + 600 * SECOND)
}

fn failure(class: FailureClass, wait: Option<Duration>) -> Failed {
    let error = ApiError::new(class.disposition().code, class.as_str());
    Failed { class, wait, error, other_credential: false }
}

fn unlimited(_: &str, _: u32) -> bool {
    true
}

fn call_at(planner: &mut Planner, now: Instant) -> usize {
    match planner.next(now, HALF, unlimited) {
        Step::Call { target } => {
            planner.started(target);
            target
        }
        other => panic!("expected a call, got {other:?}"),
    }
}

fn wait_at(planner: &mut Planner, now: Instant) -> (usize, Duration) {
    match planner.next(now, HALF, unlimited) {
        Step::Wait { target, delay } => (target, delay),
        other => panic!("expected a wait, got {other:?}"),
    }
}

fn end_at(planner: &mut Planner, now: Instant) -> ApiError {
    match planner.next(now, HALF, unlimited) {
        Step::GiveUp(error) => *error,
        other => panic!("expected the end, got {other:?}"),
    }
}

#[test]
fn another_target_is_tried_at_once_and_the_first_again_only_when_none_is_left() {
    let now = Instant::now();
    let mut planner = planner(&["a", "b"], now);
    assert_eq!(call_at(&mut planner, now), 0);
    planner.failed(0, failure(FailureClass::ServerError, None), now);
    assert_eq!(call_at(&mut planner, now), 1);
    planner.failed(1, failure(FailureClass::Overloaded, None), now);
    assert_eq!(wait_at(&mut planner, now), (0, Duration::from_millis(125)));
    planner.started(0);
    planner.failed(0, failure(FailureClass::ServerError, None), now);
    let error = end_at(&mut planner, now);
    assert_eq!((error.code, error.should_retry), (ErrorCode::UpstreamFailed, Some(false)));
    assert_eq!(planner.attempts(), 3);
}

#[test]
fn a_lone_target_gets_what_its_failure_deserves() {
    let ms = Duration::from_millis;
    let table = [
        // Failure, the provider's hint, the wait before the one retry.
        (FailureClass::Connect, None, Some(ms(125))),
        (FailureClass::Broken, None, Some(ms(125))),
        (FailureClass::ServerError, Some(SECOND), Some(SECOND)),
        (FailureClass::ServerError, Some(9 * SECOND), None),
        (FailureClass::Malformed, None, Some(ms(125))),
        (FailureClass::Transient, None, Some(ms(125))),
        (FailureClass::RateLimited, Some(2 * SECOND), Some(2 * SECOND)),
        (FailureClass::RateLimited, Some(3 * SECOND), None),
        (FailureClass::RateLimited, Some(Duration::ZERO), Some(ms(125))),
        (FailureClass::RateLimited, None, None),
        (FailureClass::FirstByteTimeout, None, None),
        (FailureClass::IdleTimeout, None, None),
        (FailureClass::Tls, None, None),
        (FailureClass::Auth, None, None),
        (FailureClass::Quota, None, None),
        (FailureClass::Rejected, None, None),
        (FailureClass::Redirect, None, None),
        (FailureClass::StreamBroken, None, None),
        (FailureClass::ClientGone, None, None),
        (FailureClass::Local, None, None),
    ];
    for (class, hint, expected) in table {
        let now = Instant::now();
        let mut planner = planner(&["a"], now);
        call_at(&mut planner, now);
        planner.failed(0, failure(class, hint), now);
        match (planner.next(now, HALF, unlimited), expected) {
            (Step::Wait { delay, .. }, Some(wait)) => assert_eq!(delay, wait, "{class:?} {hint:?}"),
            (Step::GiveUp(_), None) => {}
            (step, _) => panic!("{class:?} {hint:?}: {step:?}"),
        }
    }
}

#[test]
fn a_throttled_target_is_left_at_once_when_there_is_another() {
    let now = Instant::now();
    let mut planner = planner(&["a", "b"], now);
    call_at(&mut planner, now);
    planner.failed(0, failure(FailureClass::RateLimited, Some(SECOND)), now);
    assert_eq!(call_at(&mut planner, now), 1);
    planner.failed(1, failure(FailureClass::RateLimited, Some(7 * SECOND)), now);
    let error = end_at(&mut planner, now + SECOND / 2);
    assert_eq!(error.code, ErrorCode::UpstreamRateLimited);
    assert_eq!(error.retry_after, Some(SECOND), "the sooner of the two, at least a second");
    assert_eq!(error.should_retry, None);
}

#[test]
fn a_callers_mistake_ends_it_with_other_targets_left() {
    for class in [FailureClass::Rejected, FailureClass::ClientGone, FailureClass::StreamBroken] {
        let now = Instant::now();
        let mut planner = planner(&["a", "b"], now);
        call_at(&mut planner, now);
        planner.failed(0, failure(class, None), now);
        assert_eq!(end_at(&mut planner, now).code, class.disposition().code);
    }
}

#[test]
fn another_credential_is_tried_at_once_and_within_the_attempts() {
    let now = Instant::now();
    let mut planner = planner(&["a"], now);
    for _ in 0..3 {
        assert_eq!(call_at(&mut planner, now), 0);
        planner.failed(0, Failed { other_credential: true, ..failure(FailureClass::Auth, None) }, now);
    }
    let error = end_at(&mut planner, now);
    assert_eq!((error.code, error.should_retry), (ErrorCode::UpstreamAuth, Some(false)));
}

#[test]
fn refusals_without_any_call_say_what_is_the_matter_and_when_to_come_back() {
    let open = |seconds| (Refusal::Open, seconds);
    let cooling = |class, seconds| (Refusal::Cooldown(class), seconds);
    type Row<'a> = (&'a [(Refusal, u32)], ErrorCode, Option<u32>, Option<bool>);
    let table: &[Row<'_>] = &[
        (&[open(7)], ErrorCode::CircuitOpen, Some(7), None),
        (&[open(100)], ErrorCode::CircuitOpen, Some(100), Some(false)),
        (&[open(7), open(3)], ErrorCode::AllTargetsUnavailable, Some(3), None),
        (&[(Refusal::Full, 1)], ErrorCode::Overloaded, Some(1), None),
        (&[(Refusal::Unavailable, 1)], ErrorCode::Overloaded, Some(1), None),
        (&[cooling(FailureClass::RateLimited, 9)], ErrorCode::UpstreamRateLimited, Some(9), None),
        (&[cooling(FailureClass::Quota, 200)], ErrorCode::UpstreamQuota, Some(200), Some(false)),
        (&[cooling(FailureClass::Auth, 20)], ErrorCode::UpstreamAuth, None, Some(false)),
        (&[cooling(FailureClass::ServerError, 4)], ErrorCode::AllTargetsUnavailable, Some(4), None),
        (&[cooling(FailureClass::Quota, 200), open(2)], ErrorCode::AllTargetsUnavailable, Some(2), None),
        (&[], ErrorCode::AllTargetsUnavailable, Some(1), None),
    ];
    for (refusals, code, retry_after, should_retry) in table {
        let now = Instant::now();
        let mut planner = planner(&vec!["a"; refusals.len()], now);
        for (index, (refusal, seconds)) in refusals.iter().enumerate() {
            assert!(matches!(planner.next(now, HALF, unlimited), Step::Call { target } if target == index));
            planner.refused(index, *refusal, now + SECOND * *seconds);
        }
        let error = end_at(&mut planner, now);
        let seen = (error.code, error.retry_after, error.should_retry);
        assert_eq!(seen, (*code, retry_after.map(|seconds| SECOND * seconds), *should_retry), "{refusals:?}");
        assert_eq!(planner.attempts(), 0);
    }
}

#[test]
fn a_real_failure_is_told_rather_than_a_refusal_or_an_unsuitable_target() {
    let now = Instant::now();
    let mut planner = planner(&["a", "b", "c"], now);
    planner.refused(0, Refusal::Open, now + 5 * SECOND);
    planner.unsuitable(2, ApiError::new(ErrorCode::UnsupportedParameter, "no").param("logprobs"));
    assert_eq!(call_at(&mut planner, now), 1);
    planner.failed(1, failure(FailureClass::FirstByteTimeout, None), now);
    assert_eq!(end_at(&mut planner, now).code, ErrorCode::UpstreamTimeout);
}

#[test]
fn a_request_that_no_target_can_express_is_told_so() {
    let now = Instant::now();
    let mut planner = planner(&["a"], now);
    planner.unsuitable(0, ApiError::new(ErrorCode::UnsupportedParameter, "no").param("logprobs"));
    let error = end_at(&mut planner, now);
    assert_eq!((error.code, error.param.as_deref()), (ErrorCode::UnsupportedParameter, Some("logprobs")));
}

#[test]
fn a_target_whose_breaker_opens_during_the_wait_is_not_called_again() {
    let now = Instant::now();
    let mut planner = planner(&["a"], now);
    call_at(&mut planner, now);
    planner.failed(0, failure(FailureClass::Overloaded, None), now);
    wait_at(&mut planner, now);
    planner.refused(0, Refusal::Open, now + 10 * SECOND);
    let error = end_at(&mut planner, now);
    assert_eq!((error.code, error.retry_after), (ErrorCode::UpstreamOverloaded, Some(10 * SECOND)));
}

#[test]
fn a_wait_that_would_pass_the_deadline_fails_now() {
    let now = Instant::now();
    let candidate = Candidate { provider: "a".into(), policy: POLICY };
    let mut planner = Planner::new([candidate], now + SECOND);
    call_at(&mut planner, now);
    planner.failed(0, failure(FailureClass::ServerError, Some(SECOND)), now);
    assert_eq!(end_at(&mut planner, now).code, ErrorCode::UpstreamFailed);
    assert_eq!(end_at(&mut planner, now + SECOND).code, ErrorCode::RequestTimeout);
}

#[test]
fn only_a_second_call_to_the_same_provider_is_paid_for_and_double_after_a_timeout() {
    let now = Instant::now();
    let paid_for = |providers: &[&str], class| {
        let mut planner = planner(providers, now);
        call_at(&mut planner, now);
        planner.failed(0, failure(class, None), now);
        let mut paid = Vec::new();
        let step = planner.next(now, HALF, |provider, cost| {
            paid.push((provider.to_owned(), cost));
            false
        });
        (paid, matches!(step, Step::GiveUp(_)))
    };
    assert_eq!(paid_for(&["a", "b"], FailureClass::ServerError), (vec![], false));
    assert_eq!(paid_for(&["a"], FailureClass::ServerError), (vec![("a".into(), 1)], true));
    assert_eq!(paid_for(&["a", "a"], FailureClass::FirstByteTimeout), (vec![("a".into(), 2)], true));
}

#[test]
fn back_off_doubles_up_to_its_maximum_and_is_jittered_from_zero() {
    let longest: Vec<_> = (0..7).map(|doublings| backoff(&POLICY, doublings, 1.0).as_millis()).collect();
    assert_eq!(longest, [250, 500, 1000, 2000, 4000, 8000, 8000]);
    assert_eq!(backoff(&POLICY, 60, 0.0), Duration::ZERO);
}

fn class() -> impl Strategy<Value = FailureClass> {
    prop::sample::select(FailureClass::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever fails, refuses or is unsuitable: it ends, within the attempts and the deadline, a target is called
    /// again only if its failure allows that, once, and never after a timeout.
    #[test]
    fn it_always_ends_within_its_bounds(
        providers in prop::collection::vec(0usize..3, 0..6),
        max_attempts in 0u32..6,
        events in prop::collection::vec((0u8..10, class(), prop::option::of(0u64..20), any::<bool>(), 0u64..3_000), 60),
        seed in any::<u64>(),
        affordable in 0u32..6,
    ) {
        let random = crate::random::Random::seeded(seed);
        let policy = RetryPolicy { max_attempts, ..POLICY };
        let candidates = providers
            .iter()
            .map(|index| Candidate { provider: ["a", "b", "c"][*index].into(), policy });
        let start = Instant::now();
        let deadline = start + 30 * SECOND;
        let mut planner = Planner::new(candidates, deadline);
        let (mut now, mut purse) = (start, affordable);
        let mut calls = vec![Vec::<(FailureClass, bool)>::new(); providers.len()];
        let mut ended = false;
        for (what, class, wait, other_credential, took) in events {
            let step = planner.next(now, random.draw(), |_, cost| {
                let enough = purse >= cost;
                purse -= if enough { cost } else { 0 };
                enough
            });
            let (target, waited) = match step {
                Step::GiveUp(_) => {
                    ended = true;
                    break;
                }
                Step::Call { target } => (target, Duration::ZERO),
                Step::Wait { target, delay } => (target, delay),
            };
            prop_assert!(now + waited < deadline);
            now += waited;
            match what {
                0 => planner.refused(target, Refusal::Open, now + SECOND),
                1 if calls[target].is_empty() => {
                    planner.unsuitable(target, ApiError::new(ErrorCode::UnsupportedParameter, ""));
                }
                _ => {
                    planner.started(target);
                    if let Some((before, other_credential)) = calls[target].last() {
                        let allowed = before.disposition().same_target;
                        prop_assert!(*other_credential || allowed != SameTarget::No, "{before:?}");
                        prop_assert!(*other_credential || calls[target].len() == 1);
                        prop_assert!(*other_credential || allowed == SameTarget::Once || providers.len() == 1);
                    }
                    // Only what concerns one credential can be helped by another.
                    let credential = matches!(
                        class,
                        FailureClass::Auth | FailureClass::Quota | FailureClass::RateLimited
                    ) && other_credential;
                    calls[target].push((class, credential));
                    now += Duration::from_millis(took);
                    let failed = Failed { other_credential: credential, ..failure(class, wait.map(Duration::from_secs)) };
                    planner.failed(target, failed, now);
                }
            }
            prop_assert!(planner.attempts() <= max_attempts.max(1));
        }
        prop_assert!(ended, "it went on for 60 steps");
        prop_assert_eq!(planner.attempts() as usize, calls.iter().map(Vec::len).sum::<usize>());
    }
}
