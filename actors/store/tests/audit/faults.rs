//! A store that fails: full disk, deleted directory, read-only file system. The process goes on and says so.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sentinel_store::audit::chain::BreakKind;
use sentinel_store::audit::{AuditError, AuditTrail, Durability, OnFailure};

use crate::support::{Wall, append, ids, intent, record, verify};

/// A small file system in memory, unmounted at its end.
struct SmallDisk {
    directory: tempfile::TempDir,
}

impl SmallDisk {
    /// Mounts it, or says why this machine does not let us.
    fn mount(options: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(directory.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { directory }),
            other => {
                println!("skipped: mounting is not permitted here: {other:?}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn trail(&self) -> PathBuf {
        self.path().join("audit")
    }

    /// Takes all the space that is left.
    fn fill(&self) -> PathBuf {
        let filler = self.path().join("filler");
        let mut file = std::fs::File::create(&filler).unwrap();
        while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Nothing can be done about a mount that does not go away.
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

async fn within<T>(seconds: u64, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), future).await.expect("it hangs")
}

/// Appends until the trail refuses; returns the names that were accepted.
async fn append_until_refused(trail: &AuditTrail) -> (Vec<String>, AuditError) {
    let mut accepted = Vec::new();
    loop {
        let id = format!("full-{}", accepted.len());
        match trail.reserve(intent(&id)) {
            Ok(slot) => {
                let _ = slot.append(record(&id));
                accepted.push(id);
            }
            // The writer is only slower than this loop.
            Err(AuditError::Full) if trail.health().ok => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(error) => return (accepted, error),
        }
        if accepted.len().is_multiple_of(50) {
            tokio::task::yield_now().await;
        }
        assert!(accepted.len() < 60_000, "the disk is never full");
    }
}

#[tokio::test]
async fn a_full_disk_refuses_new_requests_and_loses_none_of_the_old() {
    let Some(disk) = SmallDisk::mount("size=16m") else { return };
    let mut config = Wall::new().config(&disk.trail());
    config.capacity = 4_000;
    let trail = AuditTrail::open_embedded(&config).unwrap();
    append(&trail, "before", 100).await;
    let filler = disk.fill();
    let (accepted, error) = append_until_refused(&trail).await;
    assert!(matches!(error, AuditError::Unavailable(_)), "{error}");
    assert!(!trail.health().ok);
    std::fs::remove_file(filler).unwrap();
    within(20, trail.flush().written()).await.unwrap();
    let health = trail.health();
    assert!(health.ok && health.backlog == 0, "{health:?}");
    assert!(health.failures > 0 && health.last_error.is_some(), "{health:?}");
    assert_eq!(ids(&trail).len(), 100 + accepted.len());
    assert!(verify(&trail).ok);
    append(&trail, "after", 5).await;
}

#[tokio::test]
async fn a_full_disk_lets_requests_pass_if_failures_are_allowed_and_counts_what_is_lost() {
    let Some(disk) = SmallDisk::mount("size=16m") else { return };
    let mut config = Wall::new().config(&disk.trail());
    config.on_failure = OnFailure::Allow;
    config.capacity = 4_000;
    let trail = AuditTrail::open_embedded(&config).unwrap();
    append(&trail, "before", 100).await;
    let filler = disk.fill();
    let mut sent = 0;
    while trail.health().dropped < 10 {
        let id = format!("full-{sent}");
        let _ = trail.reserve(intent(&id)).expect("never refused").append(record(&id));
        sent += 1;
        assert!(sent < 200_000);
    }
    std::fs::remove_file(filler).unwrap();
    within(20, trail.flush().written()).await.unwrap();
    let health = trail.health();
    assert!(health.ok, "{health:?}");
    assert_eq!(ids(&trail).len() as u64, 100 + sent - health.dropped);
    assert!(verify(&trail).ok);
}

#[tokio::test]
async fn a_strict_waiter_is_told_when_the_disk_is_full() {
    let Some(disk) = SmallDisk::mount("size=6m") else { return };
    let mut config = Wall::new().config(&disk.trail());
    config.durability = Durability::Strict;
    let trail = AuditTrail::open_embedded(&config).unwrap();
    append(&trail, "before", 10).await;
    let filler = disk.fill();
    let mut refused = false;
    for n in 0..20_000 {
        let id = format!("strict-{n}");
        let Ok(slot) = trail.reserve(intent(&id)) else { break };
        refused = within(10, slot.append(record(&id)).written()).await.is_err();
        if refused {
            break;
        }
    }
    assert!(refused, "nobody was told");
    std::fs::remove_file(filler).unwrap();
    within(20, trail.flush().written()).await.unwrap();
    assert!(verify(&trail).ok);
}

#[tokio::test]
async fn a_disk_that_is_too_small_from_the_start_is_an_error_or_refuses() {
    let Some(disk) = SmallDisk::mount("size=64k") else { return };
    match AuditTrail::open_embedded(&Wall::new().config(&disk.trail())) {
        Err(error) => assert!(matches!(error, AuditError::Database(_) | AuditError::File { .. }), "{error}"),
        Ok(trail) => {
            let (_, error) = append_until_refused(&trail).await;
            assert!(matches!(error, AuditError::Unavailable(_) | AuditError::Full), "{error}");
            within(20, trail.close()).await;
        }
    }
}

#[tokio::test]
async fn a_read_only_file_system_is_an_error_with_a_path() {
    let Some(disk) = SmallDisk::mount("size=6m,ro") else { return };
    let error = AuditTrail::open_embedded(&Wall::new().config(&disk.trail())).err().unwrap();
    assert!(matches!(&error, AuditError::File { path, .. } if *path == disk.trail()), "{error}");
}

#[tokio::test]
async fn a_deleted_directory_is_noticed_made_again_and_shows_in_the_chain() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("audit");
    let trail = AuditTrail::open_embedded(&Wall::new().config(&directory)).unwrap();
    append(&trail, "before", 20).await;
    std::fs::remove_dir_all(&directory).unwrap();
    let _ = trail.reserve(intent("after")).unwrap().append(record("after"));
    within(20, trail.flush().written()).await.unwrap();
    assert_eq!(ids(&trail), ["after"]);
    let health = trail.health();
    assert!(health.ok && health.failures > 0, "{health:?}");
    assert!(health.last_error.is_some_and(|error| error.contains("deleted")));
    let found = verify(&trail).first_break.unwrap();
    assert_eq!((found.kind, found.sequence), (BreakKind::HeadCut, 1));
    trail.close().await;
    assert!(AuditTrail::open_embedded(&Wall::new().config(&directory)).is_ok());
}

#[tokio::test]
async fn garbage_in_place_of_the_database_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.redb");
    let garbage = vec![0x5a; 100_000];
    std::fs::write(&path, &garbage).unwrap();
    assert!(AuditTrail::open_embedded(&Wall::new().config(directory.path())).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), garbage);
}
