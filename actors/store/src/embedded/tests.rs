//! The file: durability, locking, a full disk, growth.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use sentinel_domain::NanoUsd;
use sentinel_domain::policy::BudgetLimits;

use super::{DirLock, StateFile};
use crate::StoreError;
use crate::budget::{Accounts, Periods};
use crate::usage::{RowKey, Totals};

fn row(day: u32, model: &str) -> RowKey {
    RowKey { day, provider: "p".into(), model: model.into(), key: "k".into(), class: "c".into() }
}

fn add(file: &StateFile, day: u32, model: &str, nano: i64) {
    let totals = Totals { requests: 1, cost_nano: nano, ..Totals::default() };
    file.add(|batch| batch.usage.entry(row(day, model)).or_default().add(&totals));
}

fn sum(file: &StateFile) -> (u64, i64) {
    let rows = file.usage(0, u32::MAX).unwrap();
    rows.iter()
        .fold((0, 0), |(requests, nano), (_, totals)| (requests + totals.requests, nano + totals.cost_nano))
}

#[tokio::test]
async fn amounts_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let file = StateFile::open(directory.path()).unwrap();
    for number in 0..100 {
        add(&file, number % 3, "m", 1);
    }
    assert_eq!(sum(&file), (100, 100), "also before it is on disk");
    file.flush().await.unwrap();
    add(&file, 7, "m", 11);
    // Dropping it writes what is left.
    drop(file);
    let file = StateFile::open(directory.path()).unwrap();
    assert_eq!(sum(&file), (101, 111));
    assert!(file.health().is_well());
}

#[tokio::test]
async fn reading_while_writing_never_counts_twice() {
    let directory = tempfile::tempdir().unwrap();
    let file = StateFile::open(directory.path()).unwrap();
    let writer = {
        let file = Arc::clone(&file);
        std::thread::spawn(move || (0..20_000).for_each(|number| add(&file, number % 5, "m", 1)))
    };
    let mut last = 0;
    while !writer.is_finished() {
        let (requests, nano) = sum(&file);
        assert!(requests >= last && requests <= 20_000, "{requests} after {last}");
        assert_eq!(i64::try_from(requests).unwrap(), nano);
        last = requests;
    }
    writer.join().unwrap();
    assert_eq!(sum(&file), (20_000, 20_000));
}

#[tokio::test]
async fn budgets_survive_a_restart_and_old_periods_are_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let now = Periods::at(crate::contract::NOW_MS);
    let limits = BudgetLimits { day: Some(NanoUsd::new(100)), month: Some(NanoUsd::new(1000)) };
    let open = |now: &Periods| {
        let file = StateFile::open(directory.path()).unwrap();
        Accounts::durable(file, now).unwrap()
    };
    let scope: Arc<str> = "key:a".into();
    let accounts = open(&now);
    let account = accounts.reserve(&scope, &limits, 60, &now).unwrap();
    accounts.settle(&account, &scope, 60, 70, &now);
    drop(accounts);
    let accounts = open(&now);
    assert_eq!(accounts.balance("key:a", &now).day, 70);
    assert_eq!(accounts.balance("key:a", &now).held, 0, "holds do not survive their process");
    drop(accounts);
    let tomorrow = Periods::at(now.day_ends_ms);
    let accounts = open(&tomorrow);
    let balance = accounts.balance("key:a", &tomorrow);
    assert_eq!((balance.day, balance.month), (0, 70));
    drop(accounts);
    assert_eq!(open(&now).balance("key:a", &now).day, 0, "yesterday has been deleted");
}

#[test]
fn a_second_process_is_refused_with_the_holders_id() {
    let directory = tempfile::tempdir().unwrap();
    let file = StateFile::open(directory.path()).unwrap();
    let error = StateFile::open(directory.path()).err().unwrap();
    let StoreError::Locked { holder, .. } = &error else { panic!("{error}") };
    assert_eq!(*holder, format!("process {}", std::process::id()));
    assert!(error.to_string().contains("store.path"), "{error}");
    drop(file);
    drop(DirLock::acquire(directory.path()).unwrap());
}

#[test]
fn unusable_places_are_said_with_their_path() {
    let directory = tempfile::tempdir().unwrap();
    let blocked = directory.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let error = StateFile::open(&blocked.join("data")).err().unwrap();
    assert!(matches!(&error, StoreError::File { .. }), "{error}");
    assert!(error.to_string().contains("file/data"), "{error}");

    std::fs::write(directory.path().join("state.redb"), vec![b'x'; 100_000]).unwrap();
    let error = StateFile::open(directory.path()).err().unwrap();
    assert!(error.to_string().contains("state.redb"), "{error}");
}

/// Mounts a file system of 256 KiB, if this process may.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
            .arg(directory.path())
            .stderr(std::process::Stdio::null())
            .status();
        status.is_ok_and(|status| status.success()).then(|| Self(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_nothing_is_lost_when_there_is_room_again() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: this process may not mount a small file system");
        return;
    };
    let file = StateFile::open(disk.path()).unwrap();
    add(&file, 1, "before", 1);
    file.flush().await.unwrap();
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; 400 * 1024]).unwrap_err();
    for number in 0..2000 {
        add(&file, 1, &format!("model-{number}"), 1);
    }
    let error = file.flush().await.unwrap_err();
    assert!(error.to_string().contains("No space left") || error.to_string().contains("os error"), "{error}");
    let health = file.health();
    assert!(!health.writable && health.failures > 0 && health.last_error.is_some(), "{health:?}");
    add(&file, 1, "during", 1);

    std::fs::remove_file(&ballast).unwrap();
    // 2,000 rows would not fit here, so give the disk room as well.
    let grown = Command::new("mount").args(["-o", "remount,size=8m"]).arg(disk.path()).status().unwrap();
    assert!(grown.success());
    crate::contract::eventually("it is written", async || file.flush().await.is_ok()).await;
    assert_eq!(sum(&file), (2002, 2002));
    assert!(file.health().is_well());
    drop(file);
    let file = StateFile::open(disk.path()).unwrap();
    assert_eq!(sum(&file), (2002, 2002));
    drop(file);
}
