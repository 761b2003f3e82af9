//! The ledger on every backend.

use std::sync::Arc;

use sentinel_domain::{NanoUsd, Usage};

use super::{Bench, for_every_backend};
use crate::usage::{GroupBy, RowKey, Totals, UsageEvent, UsageGroup, UsageQuery};

for_every_backend! {
    totals_are_grouped_and_ranged;
    a_call_is_counted_once;
    history_is_priced_again;
}

fn event(id: u128, day: u32, provider: &str, model: &str, key: &str, cost: Option<i64>) -> UsageEvent {
    UsageEvent {
        id,
        day,
        provider: provider.into(),
        model: model.into(),
        key: key.into(),
        usage: Usage {
            input: 10,
            cache_read: 1,
            cache_write_5m: 2,
            cache_write_1h: 3,
            output: 20,
            reasoning: 5,
        },
        cost: cost.map(NanoUsd::new),
        class: "v1".into(),
        saved: NanoUsd::new(7),
    }
}

async fn query(
    bench: &Bench,
    group_by: &[GroupBy],
    since: u32,
    until: u32,
    key: Option<&str>,
) -> Vec<UsageGroup> {
    let query = UsageQuery { group_by: group_by.to_vec(), since, until, key: key.map(Arc::from) };
    bench.worker.usage.query(&query).await.unwrap()
}

async fn totals_are_grouped_and_ranged(bench: &Bench) {
    for (id, (day, model, key, cost)) in [
        (100, "m1", "a", Some(1)),
        (100, "m2", "a", Some(10)),
        (101, "m1", "b", None),
        (102, "m1", "", Some(100)),
    ]
    .into_iter()
    .enumerate()
    {
        bench.worker.usage.record(&event(id as u128, day, "p", model, key, cost));
    }
    // At once: what is not written yet is part of the answer.
    let all = query(bench, &[], 100, 102, None).await;
    assert_eq!(all.len(), 1);
    let expected = Totals {
        requests: 4,
        unpriced: 1,
        input: 40,
        cache_read: 4,
        cache_write_5m: 8,
        cache_write_1h: 12,
        output: 80,
        reasoning: 20,
        cost_nano: 111,
        saved_nano: 28,
    };
    assert_eq!(all[0].totals, expected);
    bench.settle().await;
    assert_eq!(query(bench, &[], 100, 102, None).await, all, "the same once it is written");

    let costs = async |group_by: &[GroupBy], since, until, key| {
        query(bench, group_by, since, until, key)
            .await
            .into_iter()
            .map(|group| {
                let name =
                    group.day.map(|day| day.to_string()).or(group.model.map(|model| model.to_string()));
                (name.or(group.key.map(|key| key.to_string())).unwrap_or_default(), group.totals.cost_nano)
            })
            .collect::<Vec<_>>()
    };
    let text = |rows: &[(&str, i64)]| {
        rows.iter().map(|(name, cost)| ((*name).to_owned(), *cost)).collect::<Vec<_>>()
    };
    assert_eq!(costs(&[GroupBy::Model], 100, 102, None).await, text(&[("m1", 101), ("m2", 10)]));
    assert_eq!(costs(&[GroupBy::Day], 100, 102, None).await, text(&[("100", 11), ("101", 0), ("102", 100)]));
    assert_eq!(costs(&[GroupBy::Day], 101, 101, None).await, text(&[("101", 0)]));
    assert_eq!(costs(&[GroupBy::Key], 0, u32::MAX, Some("a")).await, text(&[("a", 11)]));
    assert_eq!(costs(&[GroupBy::Key], 0, u32::MAX, None).await, text(&[("", 100), ("a", 11), ("b", 0)]));
}

async fn a_call_is_counted_once(bench: &Bench) {
    for _ in 0..3 {
        bench.worker.usage.record(&event(7_000, 200, "p", "m", "k", Some(5)));
        bench.settle().await;
    }
    let all = query(bench, &[], 200, 200, None).await;
    assert_eq!((all[0].totals.requests, all[0].totals.cost_nano), (1, 5));
}

async fn history_is_priced_again(bench: &Bench) {
    bench.worker.usage.record(&event(8_000, 300, "p", "known", "k", Some(5)));
    bench.worker.usage.record(&event(8_001, 300, "p", "known", "k", None));
    bench.worker.usage.record(&event(8_002, 300, "p", "unknown", "k", None));
    let changed = bench
        .worker
        .usage
        .reprice(|row: &RowKey, usage: &Usage| {
            (row.day == 300 && &*row.model == "known").then(|| NanoUsd::new(usage.output.cast_signed() * 2))
        })
        .await
        .unwrap();
    assert_eq!(changed, 1);
    let groups = query(bench, &[GroupBy::Model], 300, 300, None).await;
    let totals: Vec<_> = groups
        .iter()
        .map(|group| (group.totals.cost_nano, group.totals.unpriced, group.totals.requests))
        .collect();
    assert_eq!(totals, [(80, 0, 2), (0, 1, 1)]);
}
