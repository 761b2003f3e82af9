//! Tables for the breaker's rules, and what holds on every path through it.

use std::time::Duration;

use proptest::prelude::*;
use sentinel_domain::outcome::BreakerMark::{Failure, Neutral, Success};
use sentinel_domain::outcome::{BreakerMark, FailureClass};
use sentinel_domain::policy::BreakerPolicy;
use tokio::time::Instant;

use super::super::*;
use crate::random::Random;

const SECOND: Duration = Duration::from_secs(1);
const MIDDLE: f64 = 0.5;

const POLICY: BreakerPolicy = BreakerPolicy {
    window: Duration::from_secs(30),
    minimum_calls: 10,
    failure_rate: 0.5,
    consecutive_failures: 5,
    open_for: Duration::from_secs(10),
    open_for_max: Duration::from_secs(120),
    half_open_probes: 3,
};

fn call(breaker: &mut BreakerState, mark: BreakerMark, now: Instant) {
    let ticket = breaker.admit(now, MIDDLE).expect("admitted");
    let class = (mark == Failure).then_some(FailureClass::ServerError);
    breaker.record(ticket, mark, class, now, MIDDLE);
}

fn opened(now: Instant) -> BreakerState {
    let mut breaker = BreakerState::new(POLICY, now);
    for _ in 0..5 {
        call(&mut breaker, Failure, now);
    }
    assert_eq!(breaker.phase(), Phase::Open);
    breaker
}

#[test]
fn breaker_opens_after_n_failures_in_a_row_and_not_before() {
    let now = Instant::now();
    let mut breaker = BreakerState::new(POLICY, now);
    for _ in 0..4 {
        call(&mut breaker, Failure, now);
    }
    call(&mut breaker, Success, now);
    for _ in 0..4 {
        call(&mut breaker, Failure, now);
        assert_eq!(breaker.phase(), Phase::Closed);
    }
    call(&mut breaker, Failure, now);
    assert_eq!(breaker.phase(), Phase::Open);
    assert_eq!(breaker.admit(now, MIDDLE), Err(now + 10 * SECOND));
}

#[test]
fn breaker_opens_at_the_failure_rate_once_there_are_enough_calls() {
    let table = [
        // Results in order, and whether the breaker is open after the last.
        ("fsfsfsfs", false), // half failed, but only eight calls
        ("fsfsfsfssf", true),
        ("sfsfsfsfss", false),    // four of ten
        ("ssssssfffff", true),    // five in a row; also eleven calls with less than half
        ("ssssssffff", false),    // four of ten, four in a row
        ("sssssffsffsff", false), // six of thirteen
        ("sssssffsffsfff", true), // seven of fourteen
    ];
    for (results, open) in table {
        let now = Instant::now();
        let mut breaker = BreakerState::new(POLICY, now);
        for result in results.chars() {
            call(&mut breaker, if result == 'f' { Failure } else { Success }, now);
        }
        assert_eq!(breaker.phase() == Phase::Open, open, "{results}");
    }
}

#[test]
fn failures_that_have_left_the_window_do_not_count() {
    let start = Instant::now();
    let mut breaker = BreakerState::new(POLICY, start);
    for result in [Failure, Failure, Failure, Failure, Success] {
        call(&mut breaker, result, start);
    }
    let later = start + 31 * SECOND;
    for result in [Failure, Failure, Failure, Failure, Success, Success, Success, Success, Success] {
        call(&mut breaker, result, later);
    }
    call(&mut breaker, Failure, later);
    assert_eq!(breaker.phase(), Phase::Open, "five of ten in the new window");
    assert_eq!(breaker.view(later, MIDDLE).counts, Counts { successes: 5, failures: 5 });
}

#[test]
fn half_open_admits_exactly_its_probes_and_closes_on_their_success() {
    let now = Instant::now();
    let mut breaker = opened(now);
    let later = now + 10 * SECOND;
    let tickets: Vec<_> = (0..3).map(|_| breaker.admit(later, MIDDLE).unwrap()).collect();
    assert!(tickets.iter().all(|ticket| ticket.is_probe()));
    assert!(breaker.admit(later, MIDDLE).is_err());
    for (index, ticket) in tickets.into_iter().enumerate() {
        assert_eq!(breaker.phase(), Phase::HalfOpen, "after {index}");
        breaker.record(ticket, Success, None, later, MIDDLE);
    }
    assert_eq!(breaker.phase(), Phase::Closed);
    assert_eq!(breaker.view(later, MIDDLE).counts.calls(), 0, "the past is forgotten");
    assert_eq!(
        breaker.take_transitions().iter().map(|change| change.to).collect::<Vec<_>>(),
        [Phase::Open, Phase::HalfOpen, Phase::Closed]
    );
}

#[test]
fn open_time_doubles_while_probes_fail_and_stops_at_its_maximum() {
    let mut now = Instant::now();
    let mut breaker = opened(now);
    for expected in [10, 20, 40, 80, 120, 120] {
        let until = breaker.admit(now, MIDDLE).unwrap_err();
        assert_eq!(until - now, expected * SECOND);
        now = until;
        call(&mut breaker, Failure, now);
    }
}

#[test]
fn open_time_is_spread_but_never_below_the_base_or_above_the_maximum() {
    for (random, first, second, last) in [(0.0, 10.0, 16.0, 96.0), (0.999_999, 12.0, 24.0, 120.0)] {
        let mut now = Instant::now();
        let mut breaker = BreakerState::new(POLICY, now);
        for _ in 0..5 {
            let ticket = breaker.admit(now, random).unwrap();
            breaker.record(ticket, Failure, None, now, random);
        }
        let mut lengths = Vec::new();
        for _ in 0..6 {
            let until = breaker.admit(now, random).unwrap_err();
            lengths.push((until - now).as_secs_f64());
            now = until;
            let ticket = breaker.admit(now, random).unwrap();
            breaker.record(ticket, Failure, None, now, random);
        }
        for (seen, expected) in [(lengths[0], first), (lengths[1], second), (lengths[5], last)] {
            assert!((seen - expected).abs() < 0.001, "{random}: {lengths:?}");
        }
    }
}

#[test]
fn the_doubling_is_forgiven_after_five_minutes_closed() {
    for (closed_for, expected) in [(299, 20), (300, 10)] {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        now += 10 * SECOND;
        call(&mut breaker, Failure, now);
        now += 20 * SECOND;
        for _ in 0..3 {
            call(&mut breaker, Success, now);
        }
        assert_eq!(breaker.phase(), Phase::Closed);
        now += closed_for * SECOND;
        for _ in 0..5 {
            call(&mut breaker, Failure, now);
        }
        assert_eq!(breaker.admit(now, MIDDLE), Err(now + expected * SECOND), "closed for {closed_for} s");
    }
}

#[test]
fn neutral_results_give_the_probe_back_and_change_nothing() {
    let now = Instant::now();
    let mut breaker = opened(now);
    let later = now + 10 * SECOND;
    for _ in 0..100 {
        call(&mut breaker, Neutral, later);
        assert_eq!(breaker.phase(), Phase::HalfOpen);
    }
    let mut closed = BreakerState::new(POLICY, now);
    for _ in 0..1000 {
        call(&mut closed, Neutral, now);
    }
    assert_eq!(closed.view(now, MIDDLE).counts.calls(), 0);
}

#[test]
fn a_probe_without_a_result_counts_as_a_failure_when_its_lease_ends() {
    let now = Instant::now();
    let mut breaker = opened(now);
    let probing = now + 10 * SECOND;
    let lost = breaker.admit(probing, MIDDLE).unwrap();
    assert_eq!(breaker.view(probing + PERMIT_LEASE - SECOND, MIDDLE).phase, Phase::HalfOpen);
    let expired = probing + PERMIT_LEASE;
    assert_eq!(breaker.view(expired, MIDDLE).phase, Phase::Open);
    // Its result, when it comes at last, is of an older epoch.
    let after = expired + 20 * SECOND;
    assert_eq!(breaker.view(after, MIDDLE).phase, Phase::HalfOpen);
    for _ in 0..3 {
        breaker.record(lost, Success, None, after, MIDDLE);
    }
    assert_eq!(breaker.phase(), Phase::HalfOpen);
}

#[test]
fn late_results_of_an_older_epoch_are_ignored() {
    let now = Instant::now();
    let mut breaker = BreakerState::new(POLICY, now);
    let late: Vec<_> = (0..20).map(|_| breaker.admit(now, MIDDLE).unwrap()).collect();
    for ticket in &late[..5] {
        breaker.record(*ticket, Failure, Some(FailureClass::Broken), now, MIDDLE);
    }
    assert_eq!(breaker.phase(), Phase::Open);
    let later = now + 10 * SECOND;
    for ticket in &late[5..] {
        breaker.record(*ticket, Success, None, later, MIDDLE);
    }
    assert_eq!(breaker.phase(), Phase::HalfOpen, "stale successes must not close it");
    for ticket in &late[5..] {
        breaker.record_death(*ticket, FailureClass::StreamBroken, later, MIDDLE);
    }
    assert_eq!(breaker.phase(), Phase::HalfOpen, "stale deaths must not open it");
    for _ in 0..3 {
        call(&mut breaker, Success, later);
    }
    for ticket in &late {
        breaker.record(*ticket, Failure, Some(FailureClass::Broken), later, MIDDLE);
    }
    assert_eq!(breaker.phase(), Phase::Closed, "stale failures must not open it again");
    assert_eq!(breaker.view(later, MIDDLE).counts.calls(), 0);
}

#[test]
fn streams_that_begin_and_then_die_open_the_breaker() {
    let now = Instant::now();
    let mut breaker = BreakerState::new(BreakerPolicy { failure_rate: 0.9, ..POLICY }, now);
    for begun in 0..10 {
        assert_eq!(breaker.phase(), Phase::Closed, "after {begun}");
        let ticket = breaker.admit(now, MIDDLE).unwrap();
        breaker.record(ticket, Success, None, now, MIDDLE);
        breaker.record_death(ticket, FailureClass::StreamBroken, now, MIDDLE);
    }
    assert_eq!(breaker.phase(), Phase::Open, "each death replaces its success");
}

#[test]
fn an_operator_forces_it_open_and_closed_until_the_time_is_over() {
    let now = Instant::now();
    let mut breaker = BreakerState::new(POLICY, now);
    breaker.force(Override::Open, now + 60 * SECOND, now, MIDDLE);
    assert_eq!(breaker.admit(now + 59 * SECOND, MIDDLE), Err(now + 60 * SECOND));
    assert!(breaker.admit(now + 60 * SECOND, MIDDLE).unwrap().is_probe(), "probes first");

    let mut breaker = opened(now);
    breaker.force(Override::Closed, now + 60 * SECOND, now, MIDDLE);
    for _ in 0..100 {
        call(&mut breaker, Failure, now + SECOND);
    }
    assert_eq!(breaker.phase(), Phase::Closed);
    let later = now + 60 * SECOND;
    for _ in 0..5 {
        call(&mut breaker, Failure, later);
    }
    assert_eq!(breaker.phase(), Phase::Open, "failures count again");
    breaker.reset(later);
    assert_eq!(breaker.view(later, MIDDLE).last_failure, None);
    assert_eq!(breaker.phase(), Phase::Closed);
}

#[test]
fn a_policy_of_zeros_still_opens_and_closes() {
    let zeros = BreakerPolicy {
        window: Duration::ZERO,
        minimum_calls: 0,
        failure_rate: 0.0,
        consecutive_failures: 0,
        open_for: Duration::ZERO,
        open_for_max: Duration::ZERO,
        half_open_probes: 0,
    };
    let now = Instant::now();
    let mut breaker = BreakerState::new(zeros, now);
    call(&mut breaker, Failure, now);
    assert_eq!(breaker.phase(), Phase::Open);
    call(&mut breaker, Success, now + SECOND);
    assert_eq!(breaker.phase(), Phase::Closed);
}

#[derive(Debug, Clone)]
enum Action {
    Admit,
    Record(usize, BreakerMark),
    Die(usize),
    Advance(u64),
    Force(bool, u64),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => Just(Action::Admit),
        4 => (any::<usize>(), prop_oneof![3 => Just(Failure), 2 => Just(Success), 1 => Just(Neutral)])
            .prop_map(|(which, mark)| Action::Record(which, mark)),
        1 => any::<usize>().prop_map(Action::Die),
        2 => (0u64..40_000).prop_map(Action::Advance),
        1 => (any::<bool>(), 1u64..100_000).prop_map(|(open, millis)| Action::Force(open, millis)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever happens in whatever order: open admits nothing, half-open never has more than its probes out, an open
    /// time stays within its bounds, neutral and stale results change nothing, and time alone brings probes.
    #[test]
    fn invariants_hold_on_every_path(actions in prop::collection::vec(action(), 1..200), seed in any::<u64>()) {
        let random = Random::seeded(seed);
        let mut now = Instant::now();
        let mut breaker = BreakerState::new(POLICY, now);
        // Tickets that are out, with the number of phase changes before them and the time of their admission.
        let mut out: Vec<(Ticket, usize, Instant)> = Vec::new();
        let (mut changes, mut forced_until) = (0, now);
        for action in actions {
            let before = breaker.view(now, random.draw());
            changes += breaker.take_transitions().len();
            match action {
                Action::Admit => match breaker.admit(now, random.draw()) {
                    Ok(ticket) => {
                        prop_assert_ne!(before.phase, Phase::Open);
                        prop_assert_eq!(ticket.is_probe(), before.phase == Phase::HalfOpen);
                        out.push((ticket, changes, now));
                    }
                    Err(retry_at) => {
                        prop_assert_ne!(before.phase, Phase::Closed);
                        prop_assert!(retry_at > now);
                    }
                },
                Action::Record(which, mark) if !out.is_empty() => {
                    let (ticket, epoch, _) = out.swap_remove(which % out.len());
                    breaker.record(ticket, mark, Some(FailureClass::ServerError), now, random.draw());
                    if mark == Neutral || epoch != changes {
                        prop_assert_eq!(breaker.phase(), before.phase);
                        prop_assert_eq!(breaker.view(now, 0.5).counts, before.counts);
                    }
                }
                Action::Die(which) if !out.is_empty() => {
                    let (ticket, epoch, _) = out.swap_remove(which % out.len());
                    breaker.record_death(ticket, FailureClass::StreamBroken, now, random.draw());
                    if epoch != changes {
                        prop_assert_eq!(breaker.phase(), before.phase);
                    }
                }
                Action::Record(..) | Action::Die(_) => {}
                Action::Advance(millis) => now += Duration::from_millis(millis),
                Action::Force(open, millis) => {
                    forced_until = now + Duration::from_millis(millis);
                    let wanted = if open { Override::Open } else { Override::Closed };
                    breaker.force(wanted, forced_until, now, random.draw());
                    // Forcing begins an epoch even without a change of phase.
                    out.clear();
                }
            }
            changes += breaker.take_transitions().len();
            let after = breaker.view(now, random.draw());
            changes += breaker.take_transitions().len();
            if after.phase == Phase::HalfOpen {
                let probes = out.iter().filter(|(ticket, epoch, _)| *epoch == changes && ticket.is_probe());
                prop_assert!(probes.count() <= 3);
            }
            if let (Some(opened_at), Some(next_probe), None) = (after.opened_at, after.next_probe, after.forced) {
                let length = next_probe - opened_at;
                prop_assert!(length >= POLICY.open_for && length <= POLICY.open_for_max, "{:?}", length);
                prop_assert!(next_probe > now);
            }
            if after.phase == Phase::Closed && after.forced.is_none() && forced_until <= now {
                prop_assert!(after.consecutive_failures < POLICY.consecutive_failures);
            }
        }
        // Liveness: left alone for long enough it admits again.
        let much_later = now + 200 * SECOND;
        let _ = breaker.view(much_later, 0.5);
        prop_assert!(breaker.admit(much_later + 200 * SECOND, 0.5).is_ok());
    }
}
