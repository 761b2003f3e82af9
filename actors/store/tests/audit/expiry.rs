//! Retention: old rows go in slices, and the chain that is left verifies.

use std::time::Duration;

use sentinel_store::audit::{AuditTrail, Query, VerifyRange, parse_ms};

use crate::support::{START_MS, Wall, append, intent, verify};

#[tokio::test]
async fn expired_rows_leave_an_anchor_that_the_chain_confirms() {
    let directory = tempfile::tempdir().unwrap();
    let wall = Wall::new();
    let mut config = wall.config(directory.path());
    config.retention = Duration::from_secs(3600);
    let trail = AuditTrail::open_embedded(&config).unwrap();
    append(&trail, "old", 4_500).await;
    let kept_open = trail.reserve(intent("open")).unwrap();
    wall.set(START_MS + 3_601_000);
    let mut rounds = 0;
    while trail.health().entries > 10 {
        append(&trail, &format!("new{rounds}"), 1).await;
        rounds += 1;
        assert!(rounds < 200, "nothing expires: {:?}", trail.health());
        let report = verify(&trail);
        assert!(report.ok, "{report:?}");
    }
    assert!(trail.reader().get("old-0").unwrap().is_none());
    assert!(trail.reader().get("new0-0").unwrap().is_some());
    let report = verify(&trail);
    assert_eq!(report.events, 1, "one sweep leaves one anchor");
    let stats = trail.reader().stats().unwrap();
    assert_eq!(stats.entries, report.entries);
    assert_eq!(stats.by_status.values().sum::<u64>(), report.entries);
    drop(kept_open);
    trail.close().await;
    drop(trail);
    let again = AuditTrail::open_embedded(&config).unwrap();
    assert!(verify(&again).ok);
}

#[tokio::test]
async fn a_range_of_time_is_verified_alone() {
    let directory = tempfile::tempdir().unwrap();
    let wall = Wall::new();
    let trail = AuditTrail::open_embedded(&wall.config(directory.path())).unwrap();
    for hour in 0..4 {
        wall.set(START_MS + hour * 3_600_000);
        append(&trail, &format!("h{hour}"), 10).await;
    }
    let at = |hour: u64| Some(START_MS + hour * 3_600_000);
    for (from_ms, to_ms, entries) in
        [(None, None, 40), (at(1), None, 30), (None, at(1), 10), (at(1), at(3), 20), (at(9), None, 0)]
    {
        let report = trail.reader().verify(VerifyRange { from_ms, to_ms }).unwrap();
        assert_eq!((report.ok, report.entries), (true, entries), "{from_ms:?} {to_ms:?} {report:?}");
    }
    // The records of this test all arrived at the start, so the listing by time finds all or none.
    let since = Query {
        since_ms: parse_ms("2026-11-28T09:00:00.000Z").map(|ms| ms + 86_400_000),
        ..Query::default()
    };
    assert!(trail.reader().page(&since).unwrap().rows.is_empty());
}
