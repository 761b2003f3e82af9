//! The arithmetic, the cells under threads, and both stores deciding alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use sentinel_domain::ids::Caller;
use sentinel_domain::policy::CallerLimits;
use tokio::time::Instant;

use super::gcra::{self, Rate};
use super::{Embedded, LimitKind, redis};
use crate::contract::{Bench, caller};

const WINDOW: Duration = Duration::from_secs(60);

fn requests(rpm: u64) -> CallerLimits {
    CallerLimits { rpm, ..CallerLimits::default() }
}

#[test]
fn a_bucket_drains_at_its_rate() {
    let (start, limits) = (Instant::now(), requests(60));
    let cells = Embedded::new(100, start);
    let acquire = |after| Embedded::acquire(&cells, &caller("a"), &limits, WINDOW, 0, start + after);
    for _ in 0..60 {
        drop(acquire(Duration::ZERO).unwrap());
    }
    let limited = acquire(Duration::ZERO).unwrap_err();
    assert_eq!((limited.which, limited.retry_after), (LimitKind::Requests, Duration::from_secs(1)));
    assert_eq!(acquire(Duration::from_millis(400)).unwrap_err().retry_after, Duration::from_millis(600));
    let grant = acquire(Duration::from_secs(1)).unwrap();
    assert_eq!(grant.snapshot().requests.unwrap().reset, Duration::from_secs(60));
    // After a whole window everything is free, and no more than that.
    let mut admitted = 0;
    while acquire(Duration::from_secs(500)).is_ok() {
        admitted += 1;
    }
    assert_eq!(admitted, 60);
}

#[test]
fn a_clock_that_jumps_back_never_locks_a_caller_out() {
    let rate = Rate::new(10, WINDOW).unwrap();
    let hour = gcra::ticks(Duration::from_secs(3600));
    assert_eq!(rate.admit(hour, rate.increment(1), 0), Ok(rate.increment(1)));
    // What charges can leave is taken at its word.
    let debt = 2 * rate.window;
    assert_eq!(rate.admit(debt, rate.increment(1), 0), Err(rate.window + rate.increment(1)));
}

#[test]
fn a_refund_gives_back_only_what_has_not_drained() {
    let rate = Rate::new(60, WINDOW).unwrap();
    let second = gcra::ticks(Duration::from_secs(1));
    // 60 charged at 0; 30 s later half has drained, and 10 were used: 30 s worth is all there is to give back.
    let until = rate.admit(0, rate.increment(60), 0).unwrap();
    assert_eq!(rate.settle(until, 60, 10, until, 30 * second), 30 * second);
    // At once, the difference of 50 s comes back.
    assert_eq!(rate.settle(until, 60, 10, until, 0), 10 * second);
    // Long after, nothing: another charge of 60 at 100 s must not be cancelled by the first one's refund.
    let later = rate.admit(until, rate.increment(60), 100 * second).unwrap();
    assert_eq!(rate.settle(later, 60, 10, until, 100 * second), later);
}

#[test]
fn every_worker_hitting_one_caller_admits_the_limit_exactly() {
    let start = Instant::now();
    let cells = Embedded::new(100, start);
    let limits = CallerLimits { rpm: 5_000, tpm: 10_000_000, max_in_flight: 0 };
    let admitted = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (cells, admitted) = (Arc::clone(&cells), Arc::clone(&admitted));
            std::thread::spawn(move || {
                for _ in 0..2_000 {
                    if Embedded::acquire(&cells, &caller("a"), &limits, WINDOW, 100, start).is_ok() {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(admitted.load(Ordering::Relaxed), 5_000);
}

#[test]
fn slots_are_all_back_after_threads_took_and_dropped_them() {
    let start = Instant::now();
    let cells = Embedded::new(100, start);
    let limits = CallerLimits { max_in_flight: 3, ..CallerLimits::default() };
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let cells = Arc::clone(&cells);
            std::thread::spawn(move || {
                for _ in 0..1_000 {
                    drop(Embedded::acquire(&cells, &caller("a"), &limits, WINDOW, 0, start));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let held: Vec<_> =
        (0..3).map(|_| Embedded::acquire(&cells, &caller("a"), &limits, WINDOW, 0, start).unwrap()).collect();
    assert!(Embedded::acquire(&cells, &caller("a"), &limits, WINDOW, 0, start).is_err());
    drop(held);
}

#[test]
fn a_flood_of_callers_costs_bounded_memory_and_idle_ones_make_room() {
    let start = Instant::now();
    let cells = Embedded::new(640, start);
    let limits = CallerLimits { rpm: 10, max_in_flight: 5, ..CallerLimits::default() };
    let address = |number: u32| Caller::Address(std::net::Ipv4Addr::from(number).into());
    let held = Embedded::acquire(&cells, &caller("held"), &limits, WINDOW, 0, start).unwrap();
    let mut refused = 0;
    for number in 0..20_000 {
        refused += u32::from(Embedded::acquire(&cells, &address(number), &limits, WINDOW, 0, start).is_err());
    }
    assert!(cells.callers() <= 640 + 64, "{}", cells.callers());
    assert!(refused > 10_000, "those without a cell of their own share one: {refused}");
    let later = start + WINDOW * 3;
    for number in 0..200 {
        let outcome = Embedded::acquire(&cells, &address(1_000_000 + number), &limits, WINDOW, 0, later);
        assert!(outcome.is_ok(), "idle callers have made room");
    }
    // A caller with a request in flight keeps its cell, however long that takes.
    let more: Vec<_> = (0..4)
        .map(|_| Embedded::acquire(&cells, &caller("held"), &limits, WINDOW, 0, later).unwrap())
        .collect();
    assert!(Embedded::acquire(&cells, &caller("held"), &limits, WINDOW, 0, later).is_err());
    drop((held, more));
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Acquire(u64),
    Settle(usize, u64),
    Drop(usize),
}

fn trace() -> impl Strategy<Value = (CallerLimits, Vec<Step>)> {
    let limits = (0u64..20, 0u64..5_000, 0u64..5).prop_map(|(rpm, tpm, max_in_flight)| CallerLimits {
        rpm,
        tpm,
        max_in_flight,
    });
    let step = prop_oneof![
        2 => (0u64..20_000).prop_map(Step::Wait),
        5 => (0u64..3_000).prop_map(Step::Acquire),
        2 => (any::<usize>(), 0u64..6_000).prop_map(|(index, tokens)| Step::Settle(index, tokens)),
        2 => any::<usize>().prop_map(Step::Drop),
    ];
    (limits, proptest::collection::vec(step, 1..40))
}

proptest! {
    /// In no interval more is admitted than the burst and what the rate gives in it.
    #[test]
    fn no_interval_admits_more_than_burst_and_rate(
        limit in 1u64..50,
        gaps in proptest::collection::vec(0u64..20_000, 1..150),
    ) {
        let start = Instant::now();
        let cells = Embedded::new(10, start);
        let (mut now, mut admitted) = (start, Vec::new());
        for gap in gaps {
            now += Duration::from_millis(gap);
            if Embedded::acquire(&cells, &caller("a"), &requests(limit), WINDOW, 0, now).is_ok() {
                admitted.push(now);
            }
        }
        for (index, from) in admitted.iter().enumerate() {
            for (count, to) in admitted.iter().skip(index).enumerate() {
                let earned = (*to - *from).as_secs_f64() / WINDOW.as_secs_f64() * limit as f64;
                prop_assert!((count + 1) as f64 <= limit as f64 + earned + 1e-6);
            }
        }
    }
}

/// Replays random traces on the cells and on a real Redis, which is told the same time, and compares every answer.
#[tokio::test]
async fn redis_and_the_cells_decide_alike_on_random_traces() {
    let bench = Bench::redis().await;
    let connection = bench.worker.redis().unwrap();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for case in 0..200 {
        let (limits, steps) = trace().new_tree(&mut runner).unwrap().current();
        let name = caller(&format!("trace-{case}"));
        let start = Instant::now();
        let cells = Embedded::new(10, start);
        let mut now = Duration::ZERO;
        let mut held = Vec::new();
        for step in steps {
            match step {
                Step::Wait(milliseconds) => now += Duration::from_millis(milliseconds),
                Step::Acquire(tokens) => {
                    let local = Embedded::acquire(&cells, &name, &limits, WINDOW, tokens, start + now);
                    let remote =
                        redis::acquire_at(connection, &name, &limits, WINDOW, tokens, Some(gcra::ticks(now)))
                            .await
                            .unwrap();
                    match (local, remote) {
                        (Ok(local), Ok(remote)) => {
                            assert_eq!(local.snapshot(), remote.snapshot());
                            held.push((local, remote));
                        }
                        (Err(local), Err(remote)) => assert_eq!(local, remote),
                        (local, remote) => panic!("case {case}: {local:?} but {remote:?}"),
                    }
                }
                Step::Settle(index, tokens) if !held.is_empty() => {
                    let (mut local, remote) = held.swap_remove(index % held.len());
                    local.settle(tokens, start + now);
                    remote.finish_at(tokens, gcra::ticks(now)).await;
                }
                Step::Drop(index) if !held.is_empty() => {
                    let (local, remote) = held.swap_remove(index % held.len());
                    drop(local);
                    remote.release_at(gcra::ticks(now)).await;
                }
                Step::Settle(..) | Step::Drop(_) => {}
            }
        }
        for (_, remote) in held {
            remote.release_at(gcra::ticks(now)).await;
        }
    }
}
