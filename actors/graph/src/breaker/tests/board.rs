//! The board that the workers share, and the actor in front of it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sentinel_domain::outcome::FailureClass;
use sentinel_runtime::Clock;
use tokio::time::Instant;

use super::super::*;
use crate::random::Random;
use crate::target::TargetKey;

const SECOND: Duration = Duration::from_secs(1);
const MIDDLE: f64 = 0.5;

type Seen = Arc<Mutex<Vec<(String, Phase)>>>;

fn board() -> (BreakerBoard, Seen) {
    let seen = Seen::default();
    let note = Arc::clone(&seen);
    let observer: TransitionObserver =
        Arc::new(move |key, change| note.lock().push((key.to_string(), change.to)));
    (BreakerBoard::new(Clock::system(), Random::always(MIDDLE), observer), seen)
}

#[tokio::test(start_paused = true)]
async fn callers_mistakes_and_hang_ups_leave_every_breaker_closed() {
    let (board, seen) = board();
    let key = TargetKey::new("openai", "gpt-4o");
    for _ in 0..1000 {
        board.admit(&key).unwrap().fail(FailureClass::Rejected);
        board.admit(&key).unwrap().fail(FailureClass::ClientGone);
        drop(board.admit(&key).unwrap());
    }
    assert_eq!(board.view_of(&key).unwrap().breaker.phase, Phase::Closed);
    assert!(seen.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_trip_is_seen_by_every_worker_and_told_once() {
    let (board, seen) = board();
    let (key, other) = (TargetKey::new("openai", "gpt-4o"), TargetKey::new("openai", "gpt-4o-mini"));
    board.configure(&[], [key.clone()]);
    let worker = board.clone();
    for _ in 0..5 {
        worker.admit(&key).unwrap().fail(FailureClass::Connect);
    }
    let rejected = board.admit(&key).unwrap_err();
    assert_eq!(rejected, Rejected { retry_at: Instant::now() + 10 * SECOND, reason: RejectReason::Open });
    assert!(board.admit(&other).is_ok(), "another model of the provider is not concerned");
    tokio::time::advance(10 * SECOND).await;
    for _ in 0..3 {
        let _ = worker.admit(&key).unwrap().succeed();
    }
    let expected = [Phase::Open, Phase::HalfOpen, Phase::Closed];
    assert_eq!(*seen.lock(), expected.map(|phase| ("openai/gpt-4o".to_owned(), phase)));
}

#[tokio::test(start_paused = true)]
async fn a_cooldown_rejects_with_its_end_and_its_reason_while_the_breaker_stays_closed() {
    let (board, _) = board();
    let key = TargetKey::new("openai", "gpt-4o");
    board.admit(&key).unwrap().fail(FailureClass::RateLimited);
    assert_eq!(board.cool(&key, FailureClass::RateLimited, Some(2 * SECOND)), 2 * SECOND);
    assert_eq!(
        board.admit(&key).unwrap_err(),
        Rejected {
            retry_at: Instant::now() + 2 * SECOND,
            reason: RejectReason::Cooldown(FailureClass::RateLimited)
        }
    );
    assert_eq!(board.view_of(&key).unwrap().breaker.phase, Phase::Closed);
    tokio::time::advance(2 * SECOND).await;
    assert!(board.admit(&key).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_the_state_of_targets_whose_policy_is_the_same() {
    let (board, _) = board();
    let key = TargetKey::new("unknown", "m");
    for _ in 0..5 {
        board.admit(&key).unwrap().fail(FailureClass::Connect);
    }
    board.configure(&[], [key.clone()]);
    assert!(board.admit(&key).is_err());
    assert!(board.reset(&key));
    assert!(board.admit(&key).is_ok());
    assert!(!board.reset(&TargetKey::new("nobody", "m")));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_a_client_made_up_is_not_named_to_the_observer() {
    let (board, seen) = board();
    for _ in 0..5 {
        board.admit(&TargetKey::new("openai", "made-up")).unwrap().fail(FailureClass::Connect);
    }
    assert_eq!(*seen.lock(), [("openai/other".to_owned(), Phase::Open)]);
    assert!(!board.view()[0].configured);
}

#[actix_rt::test]
async fn the_actor_admits_obeys_the_operator_and_survives_a_restart() {
    let (board, _) = board();
    let registry = sentinel_runtime::Registry::new(Clock::system());
    let supervisor = sentinel_runtime::Supervisor::worker(&registry, 0);
    let handle = BreakerHandle::start(&supervisor, board.clone(), Clock::system());
    let key = TargetKey::new("openai", "gpt-4o");
    for _ in 0..5 {
        handle.admit(&key).await.unwrap().fail(FailureClass::Connect);
    }
    assert_eq!(handle.admit(&key).await.unwrap_err().reason, RejectReason::Open);
    assert!(registry.restart("worker-0/breaker"));
    assert_eq!(handle.admit(&key).await.unwrap_err().reason, RejectReason::Open, "the truth is shared");
    assert!(handle.operate(&key, Order::Force(Override::Closed, 60 * SECOND)).await);
    assert!(handle.admit(&key).await.is_ok());
    assert!(handle.operate(&key, Order::Reset).await);
    assert_eq!(board.view_of(&key).unwrap().breaker.forced, None);
    assert!(!handle.operate(&TargetKey::new("openai", "unheard-of"), Order::Reset).await);
}

#[actix_rt::test]
async fn an_actor_that_cannot_be_asked_counts_as_an_open_breaker() {
    let (board, _) = board();
    let registry = sentinel_runtime::Registry::new(Clock::system());
    let supervisor = sentinel_runtime::Supervisor::worker(&registry, 0);
    let handle = BreakerHandle::start(&supervisor, board, Clock::system());
    handle.stop(SECOND).await;
    let rejected = handle.admit(&TargetKey::new("openai", "gpt-4o")).await.unwrap_err();
    assert_eq!(rejected.reason, RejectReason::Unavailable);
}
