//! What the ledger remembers and how it stays bounded.

use super::{REMEMBERED, RowKey, Seen, Totals, WAITING_ROWS, gather};

fn row(model: usize, key: &str) -> RowKey {
    RowKey {
        day: 1,
        provider: "p".into(),
        model: model.to_string().into(),
        key: key.into(),
        class: "c".into(),
    }
}

#[test]
fn only_so_many_ids_are_remembered() {
    let mut seen = Seen::default();
    let last = REMEMBERED as u128;
    for id in 0..=last {
        assert!(seen.insert(id));
    }
    assert!(!seen.insert(1) && !seen.insert(last));
    assert!(seen.insert(0), "the oldest has been forgotten");
    assert_eq!((seen.set.len(), seen.order.len()), (REMEMBERED, REMEMBERED));
}

#[test]
fn made_up_models_cost_bounded_memory_and_no_amount_is_lost() {
    let mut rows = ahash::HashMap::default();
    let one = Totals { requests: 1, cost_nano: 3, ..Totals::default() };
    for model in 0..WAITING_ROWS + 5_000 {
        gather(&mut rows, row(model, "a"), &one);
    }
    gather(&mut rows, row(0, "a"), &one);
    assert_eq!(rows.len(), WAITING_ROWS + 1, "one row more: the others together");
    assert_eq!(rows[&row(0, "a")].requests, 2, "known rows go on");
    let cost: i64 = rows.values().map(|totals| totals.cost_nano).sum();
    assert_eq!(cost, 3 * i64::try_from(WAITING_ROWS + 5_001).unwrap());
}
