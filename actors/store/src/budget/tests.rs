//! Conservation: whatever happens to a hold, nothing is lost, kept or counted twice.

use std::sync::Arc;

use proptest::prelude::*;
use sentinel_domain::NanoUsd;
use sentinel_domain::policy::BudgetLimits;

use super::{Accounts, BudgetStore, Periods, ReserveError};
use crate::contract::{NOW_MS, caller};

#[derive(Debug, Clone)]
enum Step {
    Reserve(i64),
    Settle(usize, i64),
    Note(usize, i64),
    Drop(usize),
    Panic(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let index = || any::<usize>();
    prop_oneof![
        4 => (0i64..100).prop_map(Step::Reserve),
        2 => (index(), 0i64..200).prop_map(|(index, nano)| Step::Settle(index, nano)),
        1 => (index(), 0i64..200).prop_map(|(index, nano)| Step::Note(index, nano)),
        1 => index().prop_map(Step::Drop),
        1 => index().prop_map(Step::Panic),
    ]
}

proptest! {
    #[test]
    fn reserved_is_settled_plus_released(limit in 1i64..1000, steps in proptest::collection::vec(step(), 0..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = BudgetStore::embedded(Accounts::in_memory());
        let limits = BudgetLimits { day: Some(NanoUsd::new(limit)), month: None };
        let periods = Periods::at(NOW_MS);
        // The model: what is spent, and per hold its amount and what it spends when it is dropped.
        let (mut spent, mut held) = (0, Vec::new());
        for step in steps {
            match step {
                Step::Reserve(amount) => {
                    let in_use: i64 = spent + held.iter().map(|(_, amount, _)| amount).sum::<i64>();
                    let outcome = runtime.block_on(store.reserve(
                        &caller("a"), &limits, &BudgetLimits::default(), NanoUsd::new(amount), &periods,
                    ));
                    match outcome {
                        Ok(hold) => {
                            prop_assert!(in_use < limit, "admitted with {in_use} of {limit} in use");
                            held.push((hold, amount, 0));
                        }
                        Err(ReserveError::Exceeded(exceeded)) => {
                            prop_assert!(in_use >= limit, "refused with {in_use} of {limit} in use");
                            prop_assert_eq!(exceeded.left, NanoUsd::ZERO);
                        }
                        Err(ReserveError::Unavailable(error)) => panic!("{error}"),
                    }
                }
                Step::Settle(index, nano) if !held.is_empty() => {
                    let (hold, _, _) = held.swap_remove(index % held.len());
                    hold.settle(NanoUsd::new(nano));
                    spent += nano;
                }
                Step::Note(index, nano) if !held.is_empty() => {
                    let index = index % held.len();
                    let (hold, _, known) = &mut held[index];
                    hold.note(NanoUsd::new(nano));
                    *known = nano;
                }
                Step::Drop(index) if !held.is_empty() => {
                    let (_, _, known) = held.swap_remove(index % held.len());
                    spent += known;
                }
                Step::Panic(index) if !held.is_empty() => {
                    let (hold, _, known) = held.swap_remove(index % held.len());
                    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                        let _hold = hold;
                        std::panic::resume_unwind(Box::new(()));
                    }));
                    prop_assert!(outcome.is_err());
                    spent += known;
                }
                Step::Settle(..) | Step::Note(..) | Step::Drop(_) | Step::Panic(_) => {}
            }
            let (day, month) = store.spent(&caller("a"), &periods);
            prop_assert_eq!((day.nano(), month.nano()), (spent, spent));
        }
        drop(held);
        prop_assert_eq!(store.held(), NanoUsd::ZERO);
    }
}

#[test]
fn threads_overrun_a_budget_by_one_request_at_most() {
    let store = BudgetStore::embedded(Accounts::in_memory());
    let limits = BudgetLimits { day: Some(NanoUsd::new(1_000)), month: None };
    let start = Arc::new(std::sync::Barrier::new(8));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (store, start) = (store.clone(), Arc::clone(&start));
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                start.wait();
                let mut spent = 0;
                for _ in 0..1_000 {
                    let (global, now) = (BudgetLimits::default(), Periods::at(NOW_MS));
                    let caller = caller("a");
                    let reserve = store.reserve(&caller, &limits, &global, NanoUsd::new(7), &now);
                    if let Ok(hold) = runtime.block_on(reserve) {
                        hold.settle(NanoUsd::new(7));
                        spent += 7;
                    }
                }
                spent
            })
        })
        .collect();
    let spent: i64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    // 143 x 7: the request that crosses the limit is the last one.
    assert_eq!(spent, 1_001);
}
