//! Slots: their bound, their ends, what is on disk when, and what a start finds.

use sentinel_domain::audit::{AuditEvent, RecoveryReason};
use sentinel_store::audit::{AuditError, AuditReader, AuditTrail, Durability};

use crate::support::{Wall, append, ids, intent, record, verify};

#[tokio::test]
async fn every_appended_record_is_read_back_as_it_was_hashed() {
    let directory = tempfile::tempdir().unwrap();
    let trail = AuditTrail::open_embedded(&Wall::new().config(directory.path())).unwrap();
    append(&trail, "a", 250).await;
    let report = verify(&trail);
    assert_eq!((report.ok, report.entries, report.head_sequence), (true, 250, 250), "{report:?}");
    let found = trail.reader().get("a-7").unwrap().unwrap();
    let read = found.record().unwrap();
    assert_eq!((read.sequence, read.prompt_tokens, read.hash), (8, 17, found.hash.to_string()));
    assert!(trail.reader().get("a-250").unwrap().is_none());
    let health = trail.health();
    assert_eq!((health.ok, health.backlog, health.open, health.entries), (true, 0, 0, 250));
    assert_eq!(health.head_hash, report.head);
}

#[tokio::test]
async fn a_full_trail_refuses_at_admission_and_never_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = Wall::new().config(directory.path());
    config.capacity = 3;
    let trail = AuditTrail::open_embedded(&config).unwrap();
    let slots: Vec<_> = (0..3).map(|n| trail.reserve(intent(&format!("s-{n}"))).unwrap()).collect();
    assert_eq!(trail.health().open, 3);
    assert!(matches!(trail.reserve(intent("s-3")), Err(AuditError::Full)));
    for (n, slot) in slots.iter().enumerate() {
        let _ = slot.append(record(&format!("s-{n}")));
    }
    trail.flush().written().await.unwrap();
    assert!(trail.reserve(intent("s-4")).is_ok());
    assert_eq!(verify(&trail).entries, 3);
}

#[tokio::test]
async fn a_slot_appends_once_or_aborts_or_is_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let trail = AuditTrail::open_embedded(&Wall::new().config(directory.path())).unwrap();
    let slot = trail.reserve(intent("twice")).unwrap();
    let _ = slot.append(record("twice"));
    let _ = slot.append(record("twice"));
    drop(slot);
    trail.reserve(intent("back")).unwrap().release();
    let mut long = intent("dropped");
    long.route = Some("x\n".repeat(100_000));
    drop(trail.reserve(long).unwrap());
    trail.flush().written().await.unwrap();
    assert_eq!(ids(&trail), ["twice", "dropped"]);
    let aborted = trail.reader().get("dropped").unwrap().unwrap().record().unwrap();
    assert_eq!((aborted.status, aborted.error_code.as_deref()), (500, Some("aborted")));
    assert_eq!(aborted.route, Some("x\u{fffd}".repeat(128)));
    assert_eq!(trail.health().open, 0);
}

#[tokio::test]
async fn one_request_id_may_have_several_records_and_the_newest_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let trail = AuditTrail::open_embedded(&Wall::new().config(directory.path())).unwrap();
    for status in [200, 429] {
        let mut again = record("same");
        again.status = status;
        let _ = trail.reserve(intent("same")).unwrap().append(again);
    }
    trail.flush().written().await.unwrap();
    assert_eq!(ids(&trail), ["same", "same"]);
    assert_eq!(trail.reader().get("same").unwrap().unwrap().record().unwrap().status, 429);
}

#[tokio::test]
async fn a_strict_receipt_resolves_when_the_row_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = Wall::new().config(directory.path());
    config.durability = Durability::Strict;
    let trail = AuditTrail::open_embedded(&config).unwrap();
    for n in 0..5 {
        let id = format!("strict-{n}");
        trail.reserve(intent(&id)).unwrap().append(record(&id)).written().await.unwrap();
        assert!(trail.reader().get(&id).unwrap().is_some());
    }
}

#[tokio::test]
async fn a_clean_stop_leaves_no_trace_and_the_chain_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let config = Wall::new().config(directory.path());
    for round in 0..3 {
        let trail = AuditTrail::open_embedded(&config).unwrap();
        append(&trail, &format!("r{round}"), 10).await;
        trail.close().await;
        assert!(matches!(trail.reserve(intent("late")), Err(AuditError::Closed)));
        let offline = AuditReader::open_offline(directory.path()).unwrap();
        assert_eq!(offline.stats().unwrap().entries, (round + 1) * 10);
    }
    let trail = AuditTrail::open_embedded(&config).unwrap();
    let report = verify(&trail);
    assert_eq!((report.ok, report.entries, report.events), (true, 30, 0));
}

#[tokio::test]
async fn the_order_ignores_a_clock_that_jumps() {
    let directory = tempfile::tempdir().unwrap();
    let wall = Wall::new();
    let trail = AuditTrail::open_embedded(&wall.config(directory.path())).unwrap();
    for jump in [0, 3_600_000, -3_600_000, 1_000] {
        wall.set(wall.now().saturating_add_signed(jump));
        append(&trail, &format!("j{jump}"), 5).await;
    }
    let report = verify(&trail);
    assert_eq!((report.ok, report.entries, report.head_sequence), (true, 20, 20));
    assert_eq!(ids(&trail)[5], "j3600000-0");
}

#[tokio::test]
async fn a_second_writer_is_refused_by_the_name_of_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let config = Wall::new().config(directory.path());
    let trail = AuditTrail::open_embedded(&config).unwrap();
    let pid = std::process::id().to_string();
    let refused = AuditTrail::open_embedded(&config).err().unwrap();
    assert!(matches!(&refused, AuditError::Locked { pid: holder, .. } if *holder == pid), "{refused}");
    assert!(refused.to_string().contains(&pid));
    let offline = AuditReader::open_offline(directory.path()).err().unwrap();
    assert!(matches!(offline, AuditError::Locked { .. }));
    append(&trail, "still", 1).await;
}

#[tokio::test]
async fn a_request_open_at_an_unclean_end_gets_a_record_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let trail = AuditTrail::open_embedded(&Wall::new().config(directory.path())).unwrap();
    append(&trail, "done", 3).await;
    let open = trail.reserve(intent("under-way")).unwrap();
    trail.flush().written().await.unwrap();
    // What a killed process leaves behind is what is on disk now.
    for name in ["audit.redb", "head"] {
        std::fs::copy(directory.path().join(name), copy.path().join(name)).unwrap();
    }
    let found = AuditTrail::open_embedded(&Wall::new().config(copy.path())).unwrap();
    found.flush().written().await.unwrap();
    let last = found.reader().get("under-way").unwrap().unwrap().record().unwrap();
    assert_eq!(last.error_code.as_deref(), Some("process_ended"));
    let recovered = found.reader().get("sentinel-recovered").unwrap().unwrap().record().unwrap();
    let expected = AuditEvent::Recovered {
        reason: RecoveryReason::UncleanStop,
        expected_sequence: 3,
        found_sequence: 3,
        aborted: 1,
    };
    assert_eq!(recovered.event, Some(expected));
    assert!(verify(&found).ok);
    // The next start after a clean stop has nothing to say about it any more.
    found.close().await;
    drop(found);
    let again = AuditTrail::open_embedded(&Wall::new().config(copy.path())).unwrap();
    again.flush().written().await.unwrap();
    assert_eq!((verify(&again).entries, verify(&again).events), (4, 1));
    drop(open);
}
