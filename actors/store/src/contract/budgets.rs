//! Budgets on every backend.

use sentinel_domain::NanoUsd;
use sentinel_domain::policy::BudgetLimits;

use super::{Bench, NOW_MS, caller, eventually, for_every_backend};
use crate::WorkerStores;
use crate::budget::{Exceeded, Hold, PeriodKind, Periods, ReserveError, Scope};

const DAY_MS: u64 = 24 * 3600 * 1000;

for_every_backend! {
    a_budget_is_spent_and_resets_at_midnight;
    holds_count_until_settled_or_dropped;
    a_noted_cost_is_spent_on_drop;
    the_global_budget_releases_the_keys_hold;
    the_month_outlasts_the_day;
    a_budget_is_never_overrun_by_a_race;
}

fn usd(text: &str) -> NanoUsd {
    text.parse().unwrap()
}

fn day(text: &str) -> BudgetLimits {
    BudgetLimits { day: Some(usd(text)), month: None }
}

async fn reserve_at(
    worker: &WorkerStores,
    name: &str,
    limits: BudgetLimits,
    global: BudgetLimits,
    estimate: &str,
    now_ms: u64,
) -> Result<Hold, Exceeded> {
    let periods = Periods::at(now_ms);
    match worker.budgets.reserve(&caller(name), &limits, &global, usd(estimate), &periods).await {
        Ok(hold) => Ok(hold),
        Err(ReserveError::Exceeded(exceeded)) => Err(exceeded),
        Err(ReserveError::Unavailable(error)) => panic!("{error}"),
    }
}

async fn reserve(bench: &Bench, name: &str, limits: BudgetLimits, estimate: &str) -> Result<Hold, Exceeded> {
    reserve_at(&bench.worker, name, limits, BudgetLimits::default(), estimate, NOW_MS).await
}

async fn a_budget_is_spent_and_resets_at_midnight(bench: &Bench) {
    let hold = reserve(bench, "day", day("1"), "0.50").await.unwrap();
    hold.settle(usd("0.75"));
    bench.settle().await;
    // Something is left, so the next one is admitted whatever it is estimated at.
    reserve(bench, "day", day("1"), "0.50").await.unwrap().settle(usd("0.375"));
    bench.settle().await;
    let exceeded = reserve(bench, "day", day("1"), "0.01").await.unwrap_err();
    assert_eq!((exceeded.scope, exceeded.period), (Scope::Key, PeriodKind::Day));
    assert_eq!((exceeded.limit, exceeded.left), (usd("1"), NanoUsd::ZERO));
    assert_eq!(exceeded.resets_at_ms, Periods::at(NOW_MS).day_ends_ms);
    let tomorrow = NOW_MS + DAY_MS;
    let hold =
        reserve_at(&bench.worker, "day", day("1"), BudgetLimits::default(), "0.01", tomorrow).await.unwrap();
    drop(hold);
    assert!(reserve(bench, "another", day("1"), "1").await.is_ok(), "keys do not share");
    bench.settle().await;
}

async fn holds_count_until_settled_or_dropped(bench: &Bench) {
    let first = reserve(bench, "holds", day("1"), "0.60").await.unwrap();
    let second = reserve(bench, "holds", day("1"), "0.60").await.unwrap();
    let exceeded = reserve(bench, "holds", day("1"), "0.01").await.unwrap_err();
    assert_eq!(exceeded.left, NanoUsd::ZERO);
    assert!(bench.worker.budgets.held() >= usd("1.20"));
    drop(first);
    eventually("a dropped hold is released", async || {
        reserve(bench, "holds", day("1"), "0.01").await.is_ok()
    })
    .await;
    second.settle(usd("0.99"));
    bench.settle().await;
    let _last = reserve(bench, "holds", day("1"), "0.01").await.unwrap();
    assert!(reserve(bench, "holds", day("1"), "0.01").await.is_err());
}

async fn a_noted_cost_is_spent_on_drop(bench: &Bench) {
    let mut hold = reserve(bench, "noted", day("1"), "0.10").await.unwrap();
    hold.note(usd("2"));
    drop(hold);
    bench.settle().await;
    assert!(reserve(bench, "noted", day("1"), "0.01").await.is_err());
}

async fn the_global_budget_releases_the_keys_hold(bench: &Bench) {
    let with_global =
        async |name, estimate| reserve_at(&bench.worker, name, day("1"), day("2"), estimate, NOW_MS).await;
    let first = with_global("a", "2").await.unwrap();
    let exceeded = with_global("b", "0.5").await.unwrap_err();
    assert_eq!((exceeded.scope, exceeded.limit), (Scope::Global, usd("2")));
    drop(first);
    eventually("b holds nothing", async || match with_global("b", "1").await {
        Ok(hold) => {
            drop(hold);
            true
        }
        Err(_) => false,
    })
    .await;
    bench.settle().await;
}

async fn the_month_outlasts_the_day(bench: &Bench) {
    let limits = BudgetLimits { day: Some(usd("10")), month: Some(usd("1")) };
    reserve(bench, "month", limits, "1").await.unwrap().settle(usd("1"));
    bench.settle().await;
    let tomorrow = NOW_MS + DAY_MS;
    let exceeded =
        reserve_at(&bench.worker, "month", limits, BudgetLimits::default(), "1", tomorrow).await.unwrap_err();
    assert_eq!(exceeded.period, PeriodKind::Month);
    assert_eq!(exceeded.resets_at_ms, Periods::at(NOW_MS).month_ends_ms);
}

/// 64 clients on two daemons, each call estimated and charged 3 cents, on a budget of one dollar.
async fn a_budget_is_never_overrun_by_a_race(bench: &Bench) {
    let other = bench.second_daemon().await;
    let workers = [&bench.worker, other.as_ref().map_or(&bench.worker, |(_, worker)| worker)];
    let clients = (0..64).map(|client| {
        let worker = workers[client % 2];
        async move {
            let mut spent = NanoUsd::ZERO;
            for _ in 0..10 {
                let outcome =
                    reserve_at(worker, "race", day("1"), BudgetLimits::default(), "0.03", NOW_MS).await;
                if let Ok(hold) = outcome {
                    tokio::task::yield_now().await;
                    hold.settle(usd("0.03"));
                    spent += usd("0.03");
                }
            }
            spent
        }
    });
    let spent: NanoUsd = futures_util::future::join_all(clients).await.into_iter().sum();
    // 34 calls of 3 cents: the last of them crosses the limit, and none follows it.
    assert_eq!(spent, usd("1.02"));
    for worker in workers {
        worker.flush().await.unwrap();
        assert_eq!(worker.budgets.held(), NanoUsd::ZERO);
    }
}
