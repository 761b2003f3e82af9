//! Listing: newest first, filtered, none twice and none missing while writing goes on.

use std::collections::BTreeSet;

use sentinel_domain::audit::AuditRecord;
use sentinel_store::audit::{AuditTrail, Cursor, Query, format_ms};

use crate::support::{START_MS, Wall, append, intent, record};

fn list(trail: &AuditTrail, mut query: Query) -> Vec<AuditRecord> {
    let mut found = Vec::new();
    loop {
        let page = trail.reader().page(&query).unwrap();
        assert!(page.rows.len() <= query.limit);
        found.extend(page.rows.iter().map(|row| row.record().unwrap()));
        match page.next_cursor {
            // As a client does it: through the text of the cursor.
            Some(cursor) => query.cursor = Some(Cursor::parse(&cursor.to_string()).unwrap()),
            None => return found,
        }
    }
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip_while_writing_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let trail = AuditTrail::open_embedded(&Wall::new().config(directory.path())).unwrap();
    append(&trail, "before", 1_000).await;
    let mut query = Query { limit: 37, ..Query::default() };
    let (mut seen, mut last, mut round) = (BTreeSet::new(), u64::MAX, 0);
    loop {
        let page = trail.reader().page(&query).unwrap();
        for row in &page.rows {
            assert!(row.sequence < last, "order");
            last = row.sequence;
            assert!(seen.insert(row.record().unwrap().request_id), "twice");
        }
        append(&trail, &format!("during{round}"), 5).await;
        round += 1;
        let Some(cursor) = page.next_cursor else { break };
        query.cursor = Some(cursor);
    }
    assert_eq!(seen.len(), 1_000);
    assert!(seen.iter().all(|id| id.starts_with("before")));
}

#[tokio::test]
async fn filters_find_exactly_what_they_say() {
    let directory = tempfile::tempdir().unwrap();
    let trail = AuditTrail::open_embedded(&Wall::new().config(directory.path())).unwrap();
    for n in 0..300_u64 {
        let id = format!("f-{n}");
        let mut one = record(&id);
        one.provider = (n % 3 != 0).then(|| if n % 2 == 0 { "openai" } else { "anthropic" }.to_owned());
        one.model = Some(format!("model-{}", n % 4));
        one.key = Some(format!("key-{}", n % 5));
        one.status = if n % 7 == 0 { 429 } else { 200 };
        one.timestamp = format_ms(START_MS + n * 1_000);
        let _ = trail.reserve(intent(&id)).unwrap().append(one);
    }
    trail.flush().written().await.unwrap();
    let text = |text: &str| Some(text.to_owned());
    let count = |query: Query, matches: &dyn Fn(u64) -> bool| {
        let found = list(&trail, Query { limit: 10, ..query.clone() });
        let expected: Vec<_> = (0..300).rev().filter(|n| matches(*n)).map(|n| format!("f-{n}")).collect();
        assert_eq!(found.into_iter().map(|r| r.request_id).collect::<Vec<_>>(), expected, "{query:?}");
    };
    count(Query::default(), &|_| true);
    count(Query { provider: text("openai"), ..Query::default() }, &|n| n % 3 != 0 && n % 2 == 0);
    count(Query { model: text("model-3"), ..Query::default() }, &|n| n % 4 == 3);
    count(Query { key: text("key-0"), status: Some(429), ..Query::default() }, &|n| n % 5 == 0 && n % 7 == 0);
    count(Query { provider: text("nobody"), ..Query::default() }, &|_| false);
    let (since_ms, until_ms) = (Some(START_MS + 100_000), Some(START_MS + 120_000));
    count(Query { since_ms, until_ms, ..Query::default() }, &|n| (100..120).contains(&n));
    count(Query { until_ms, ..Query::default() }, &|n| n < 120);
}

#[test]
fn a_cursor_that_was_not_given_out_is_refused() {
    for text in ["", "s", "12", "sxyz", "s11111111111111111", "s-1", "s+1", "' or 1=1"] {
        assert!(Cursor::parse(text).is_err(), "{text:?}");
    }
}
