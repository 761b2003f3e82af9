//! The trail in Redis: the same promises, one chain for each daemon, and outages.

use std::time::Duration;

use sentinel_store::audit::chain::BreakKind;
use sentinel_store::audit::{AuditError, AuditTrail, Cursor, Durability, Query, StreamSettings};
use sentinel_store::testing::RedisServer;

use crate::support::{START_MS, Wall, append, ids, intent, record, verify};

fn settings(server: &RedisServer) -> StreamSettings {
    StreamSettings { url: server.url(), timeout: Duration::from_millis(250) }
}

#[tokio::test]
async fn a_stream_keeps_lists_and_verifies_records_over_restarts() {
    let (server, directory) = (RedisServer::start(), tempfile::tempdir().unwrap());
    let config = Wall::new().config(directory.path());
    for round in 0..2 {
        let trail = AuditTrail::open_stream(&config, settings(&server)).unwrap();
        append(&trail, &format!("r{round}"), 600).await;
        trail.close().await;
    }
    let trail = AuditTrail::open_stream(&config, settings(&server)).unwrap();
    let report = verify(&trail);
    assert_eq!((report.ok, report.entries, report.events), (true, 1_200, 0), "{report:?}");
    assert_eq!(trail.reader().get("r1-7").unwrap().unwrap().sequence, 608);
    assert!(trail.reader().get("nothing").unwrap().is_none());
    let (mut query, mut last, mut seen) = (Query { limit: 101, ..Query::default() }, u64::MAX, 0);
    loop {
        let page = trail.reader().page(&query).unwrap();
        for row in &page.rows {
            assert!(row.sequence < last);
            (last, seen) = (row.sequence, seen + 1);
        }
        let Some(cursor) = page.next_cursor else { break };
        query.cursor = Some(Cursor::parse(&cursor.to_string()).unwrap());
    }
    assert_eq!(seen, 1_200);
    let none = Query { provider: Some("nobody".to_owned()), ..Query::default() };
    assert!(trail.reader().page(&none).unwrap().rows.is_empty());
}

#[tokio::test]
async fn two_daemons_have_two_chains_and_both_verify() {
    let server = RedisServer::start();
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let open = |directory: &tempfile::TempDir| {
        AuditTrail::open_stream(&Wall::new().config(directory.path()), settings(&server)).unwrap()
    };
    let trails: Vec<_> = directories.iter().map(open).collect();
    append(&trails[0], "a", 10).await;
    append(&trails[1], "b", 20).await;
    let reports = trails[0].reader().verify_all().unwrap();
    assert!(reports.iter().all(|report| report.ok), "{reports:?}");
    let mut counts: Vec<_> = reports.iter().map(|report| report.entries).collect();
    counts.sort_unstable();
    assert_eq!(counts, [10, 20]);
    assert_eq!(ids(&trails[0]).len(), 10);
}

#[tokio::test]
async fn tampering_in_redis_is_named() {
    for (command, expected) in [
        (vec!["XDEL", "", "5-1"], (BreakKind::Deleted, 5)),
        (vec!["XTRIM", "", "MAXLEN", "17"], (BreakKind::HeadCut, 1)),
        (vec!["XDEL", "", "19-1", "20-1"], (BreakKind::TailCut, 19)),
    ] {
        let (server, directory) = (RedisServer::start(), tempfile::tempdir().unwrap());
        let trail =
            AuditTrail::open_stream(&Wall::new().config(directory.path()), settings(&server)).unwrap();
        append(&trail, "r", 20).await;
        let stream = server.keys().into_iter().find(|key| key.ends_with(":stream")).unwrap();
        let words: Vec<_> =
            command.iter().map(|word| if word.is_empty() { &stream } else { *word }).collect();
        server.command(&words);
        let found = verify(&trail).first_break.map(|found| (found.kind, found.sequence));
        assert_eq!(found, Some(expected), "{command:?}");
    }
}

#[tokio::test]
async fn an_outage_refuses_admission_keeps_records_and_ends() {
    let (mut server, directory) =
        (RedisServer::start_with(&["--appendonly", "yes"]), tempfile::tempdir().unwrap());
    let mut config = Wall::new().config(directory.path());
    config.durability = Durability::Strict;
    let trail = AuditTrail::open_stream(&config, settings(&server)).unwrap();
    append(&trail, "before", 10).await;
    let slots: Vec<_> = (0..5).map(|n| trail.reserve(intent(&format!("during-{n}"))).unwrap()).collect();
    server.kill();
    for (n, slot) in slots.iter().enumerate() {
        let written = slot.append(record(&format!("during-{n}"))).written();
        let told = tokio::time::timeout(Duration::from_secs(5), written).await.expect("it hangs");
        assert!(matches!(told, Err(AuditError::Unavailable(_))), "{told:?}");
    }
    assert!(matches!(trail.reserve(intent("refused")), Err(AuditError::Unavailable(_))));
    server.restart();
    tokio::time::timeout(Duration::from_secs(20), trail.flush().written()).await.expect("it hangs").unwrap();
    assert!(ids(&trail).ends_with(&["during-3".to_owned(), "during-4".to_owned()]));
    assert!(trail.health().ok);
}

#[tokio::test]
async fn expired_rows_leave_the_stream_with_an_anchor() {
    let (server, directory) = (RedisServer::start(), tempfile::tempdir().unwrap());
    let wall = Wall::new();
    let mut config = wall.config(directory.path());
    config.retention = Duration::from_secs(3600);
    let trail = AuditTrail::open_stream(&config, settings(&server)).unwrap();
    append(&trail, "old", 300).await;
    wall.set(START_MS + 3_601_000);
    let mut rounds = 0;
    while trail.reader().stats().unwrap().entries > 250 {
        append(&trail, &format!("new{rounds}"), 1).await;
        rounds += 1;
        assert!(rounds < 200, "nothing expires: {:?}", trail.health());
    }
    let report = verify(&trail);
    assert_eq!((report.ok, report.events), (true, 1), "{report:?}");
    assert!(trail.reader().get("old-5").unwrap().is_none());
    assert!(trail.reader().get("new0-0").unwrap().is_some());
    assert_eq!(trail.health().entries, report.entries);
}
