//! Records survive their actor: panics, restarts and a full stop, counted against what was sent.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sentinel_domain::audit::AuditRecord;
use sentinel_runtime::{ActorState, Clock, Fault, Registry, Supervisor};
use sentinel_store::audit::{AuditConfig, AuditTrail, Durability, Intent, VerifyRange};

use super::*;

fn config(directory: &std::path::Path) -> AuditConfig {
    let clock = Clock::system();
    AuditConfig::new(directory.to_path_buf(), Arc::new(move || clock.unix_ms()))
}

fn service(config: &AuditConfig) -> (AuditService, Registry) {
    let registry = Registry::with_chaos(Clock::system());
    (AuditService::new(AuditTrail::open_embedded(config).unwrap(), &registry), registry)
}

fn intent(id: &str) -> Intent {
    Intent { request_id: id.to_owned(), ..Intent::default() }
}

fn record(id: &str) -> AuditRecord {
    AuditRecord { request_id: id.to_owned(), status: 200, ..AuditRecord::default() }
}

fn stored(service: &AuditService) -> BTreeSet<String> {
    let rows = service.reader().export().map(|row| row.unwrap().record().unwrap());
    rows.map(|record| {
        assert_eq!(record.status, 200, "{record:?}");
        record.request_id
    })
    .collect()
}

#[actix::test]
async fn no_record_is_lost_while_the_actor_panics_again_and_again() {
    let directory = tempfile::tempdir().unwrap();
    let (service, registry) = service(&config(directory.path()));
    let handle = service.worker(&Supervisor::worker(&registry, 0));
    let mut sent = BTreeSet::new();
    for n in 0..400 {
        let id = format!("r-{n}");
        if n % 80 == 20 {
            let fault = if n % 160 == 20 { Fault::Handler } else { Fault::Future };
            registry.inject_panic("worker-0/audit-writer", fault).unwrap();
        }
        // An actor that failed too often in a short time refuses admission; that is no loss.
        let Ok(slot) = handle.admit(intent(&id)) else { continue };
        let _ = slot.finish(record(&id));
        sent.insert(id);
        if n % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let row = |registry: &Registry| {
        registry.snapshot().into_iter().find(|row| row.name == "worker-0/audit-writer").unwrap()
    };
    assert!(row(&registry).restarts >= 3, "{:?}", row(&registry));
    tokio::time::timeout(Duration::from_secs(20), async {
        while handle.flush().await.is_err() || stored(&service).len() < sent.len() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("records are missing");
    assert_eq!(stored(&service), sent);
    assert!(service.reader().verify(VerifyRange::default()).unwrap().ok);
}

#[actix::test]
async fn a_strict_record_can_be_read_when_its_answer_may_go() {
    let directory = tempfile::tempdir().unwrap();
    let (service, registry) =
        service(&AuditConfig { durability: Durability::Strict, ..config(directory.path()) });
    let handle = service.worker(&Supervisor::worker(&registry, 0));
    handle.admit(intent("strict")).unwrap().finish(record("strict")).written().await.unwrap();
    assert!(handle.reader().get("strict").unwrap().is_some());
    assert_eq!(handle.observe().await.head_sequence, 1);
}

#[actix::test]
async fn a_dropped_slot_is_an_aborted_record_and_a_released_one_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let (service, registry) = service(&config(directory.path()));
    let handle = service.worker(&Supervisor::worker(&registry, 0));
    drop(handle.admit(intent("dropped")).unwrap());
    handle.admit(intent("released")).unwrap().release();
    handle.flush().await.unwrap();
    let aborted = handle.reader().get("dropped").unwrap().unwrap().record().unwrap();
    assert_eq!(aborted.error_code.as_deref(), Some("aborted"));
    assert!(handle.reader().get("released").unwrap().is_none());
}

#[actix::test]
async fn a_stop_writes_what_is_queued_and_admits_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let (service, registry) = service(&config);
    let handle = service.worker(&Supervisor::worker(&registry, 0));
    for n in 0..500 {
        let id = format!("r-{n}");
        let _ = handle.admit(intent(&id)).unwrap().finish(record(&id));
    }
    handle.stop(Duration::from_secs(5)).await;
    service.close().await;
    assert!(handle.admit(intent("late")).is_err());
    let again = AuditTrail::open_embedded(&config).unwrap();
    let report = again.reader().verify(VerifyRange::default()).unwrap();
    assert_eq!((report.ok, report.entries, report.events), (true, 500, 0));
}

#[actix::test]
async fn a_failing_store_shows_in_the_tree_and_recovers_there() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("audit");
    let (service, registry) = service(&config(&directory));
    let told = Arc::new(AtomicBool::new(false));
    let flag = told.clone();
    registry.on_escalation(move |_| flag.store(true, Ordering::SeqCst));
    let watcher = service.watch(&Supervisor::root(&registry));
    watcher.settled().await;
    std::fs::remove_dir_all(&directory).unwrap();
    // A file in place of the directory, so that it cannot be made again.
    std::fs::write(&directory, "in the way").unwrap();
    let state = |registry: &Registry| {
        registry.snapshot().into_iter().find(|row| row.name == "audit-thread").map(|row| row.state)
    };
    let reaches = async |wanted: ActorState| {
        tokio::time::timeout(Duration::from_secs(10), async {
            while state(&registry) != Some(wanted) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{:?}, not {wanted:?}: {:?}", state(&registry), service.health()));
    };
    reaches(ActorState::BackingOff).await;
    std::fs::remove_file(&directory).unwrap();
    reaches(ActorState::Running).await;
    assert!(service.health().ok);
    assert!(!told.load(Ordering::SeqCst), "a failure that is tried again is no reason to end");
}
