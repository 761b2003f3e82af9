//! Tampering with the store's files: each kind is named with its sequence, before and after a restart.

use std::path::Path;

use proptest::prelude::*;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use sentinel_store::audit::chain::BreakKind;
use sentinel_store::audit::{AuditReader, AuditTrail, VerifyRange};

use crate::support::{Wall, append, verify};

const ENTRIES: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("entries");
const FACETS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("facets");

async fn written(directory: &Path, count: usize) {
    let trail = AuditTrail::open_embedded(&Wall::new().config(directory)).unwrap();
    append(&trail, "r", count).await;
    trail.close().await;
}

fn rows(directory: &Path) -> Vec<(u64, Vec<u8>)> {
    let database = Database::open(directory.join("audit.redb")).unwrap();
    let transaction = database.begin_read().unwrap();
    let entries = transaction.open_table(ENTRIES).unwrap();
    let rows = entries.iter().unwrap().map(|row| row.unwrap());
    rows.map(|(sequence, value)| (sequence.value(), value.value().to_vec())).collect()
}

fn put(directory: &Path, changes: &[(u64, Option<Vec<u8>>)]) {
    let database = Database::open(directory.join("audit.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut entries = transaction.open_table(ENTRIES).unwrap();
        for (sequence, value) in changes {
            match value {
                Some(value) => drop(entries.insert(sequence, value.as_slice()).unwrap()),
                None => drop(entries.remove(sequence).unwrap()),
            }
        }
    }
    transaction.commit().unwrap();
}

fn named(directory: &Path) -> Option<(BreakKind, u64)> {
    let report = AuditReader::open_offline(directory).unwrap().verify(VerifyRange::default()).unwrap();
    assert_eq!(report.ok, report.first_break.is_none());
    report.first_break.map(|found| (found.kind, found.sequence))
}

#[tokio::test]
async fn each_kind_of_tampering_with_the_rows_is_named() {
    type Change = fn(&[(u64, Vec<u8>)]) -> Vec<(u64, Option<Vec<u8>>)>;
    let cases: [(&str, Change, (BreakKind, u64)); 6] = [
        (
            "flipped bit",
            |rows| {
                let mut value = rows[4].1.clone();
                value[60] ^= 1;
                vec![(5, Some(value))]
            },
            (BreakKind::Altered, 5),
        ),
        ("deleted", |_| vec![(5, None)], (BreakKind::Deleted, 5)),
        (
            "swapped",
            |rows| vec![(5, Some(rows[5].1.clone())), (6, Some(rows[4].1.clone()))],
            (BreakKind::Swapped, 5),
        ),
        ("inserted", |rows| vec![(21, Some(rows[3].1.clone()))], (BreakKind::Inserted, 4)),
        ("cut head", |_| (1..=4).map(|n| (n, None)).collect(), (BreakKind::HeadCut, 1)),
        ("cut tail", |_| (15..=20).map(|n| (n, None)).collect(), (BreakKind::TailCut, 15)),
    ];
    for (name, change, expected) in cases {
        let directory = tempfile::tempdir().unwrap();
        written(directory.path(), 20).await;
        assert_eq!(named(directory.path()), None);
        let changes = change(&rows(directory.path()));
        put(directory.path(), &changes);
        assert_eq!(named(directory.path()), Some(expected), "{name}");
        // A daemon that starts on it goes on, and the break stays visible.
        written(directory.path(), 3).await;
        assert_eq!(named(directory.path()), Some(expected), "{name} after a restart");
    }
}

#[tokio::test]
async fn a_store_put_in_place_of_another_is_named() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    written(ours.path(), 20).await;
    written(theirs.path(), 30).await;
    std::fs::copy(theirs.path().join("audit.redb"), ours.path().join("audit.redb")).unwrap();
    assert_eq!(named(ours.path()).map(|found| found.0), Some(BreakKind::StoreReplaced));
    written(ours.path(), 3).await;
    assert_eq!(named(ours.path()).map(|found| found.0), Some(BreakKind::StoreReplaced));
}

#[tokio::test]
async fn an_older_copy_of_the_same_store_is_a_cut_tail() {
    let directory = tempfile::tempdir().unwrap();
    let (store, copy) = (directory.path().join("audit.redb"), directory.path().join("copy"));
    written(directory.path(), 20).await;
    std::fs::copy(&store, &copy).unwrap();
    written(directory.path(), 10).await;
    std::fs::copy(&copy, &store).unwrap();
    assert_eq!(named(directory.path()), Some((BreakKind::TailCut, 21)));
    written(directory.path(), 3).await;
    assert_eq!(named(directory.path()), Some((BreakKind::TailCut, 21)));
}

#[tokio::test]
async fn a_lost_head_file_and_a_deleted_store_are_named() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path(), 20).await;
    std::fs::remove_file(directory.path().join("head")).unwrap();
    assert_eq!(named(directory.path()), Some((BreakKind::HeadLost, 20)));
    written(directory.path(), 3).await;
    assert_eq!(named(directory.path()), Some((BreakKind::HeadLost, 21)));
    std::fs::remove_file(directory.path().join("audit.redb")).unwrap();
    written(directory.path(), 3).await;
    assert_eq!(named(directory.path()).map(|found| found.0), Some(BreakKind::HeadCut));
}

#[tokio::test]
async fn search_columns_that_lie_about_a_row_are_named() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path(), 20).await;
    {
        let database = Database::open(directory.path().join("audit.redb")).unwrap();
        let transaction = database.begin_write().unwrap();
        {
            let mut facets = transaction.open_table(FACETS).unwrap();
            let mut columns = facets.get(9).unwrap().unwrap().value().to_vec();
            columns[17] ^= 1;
            facets.insert(9, columns.as_slice()).unwrap();
        }
        transaction.commit().unwrap();
    }
    assert_eq!(named(directory.path()), Some((BreakKind::Index, 9)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_changed_byte_of_any_row_is_named(row in 0..20_usize, byte in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(written(directory.path(), 20));
        let mut value = rows(directory.path())[row].1.clone();
        let at = byte.index(value.len());
        value[at] ^= 1 << bit;
        put(directory.path(), &[(row as u64 + 1, Some(value))]);
        let found = named(directory.path());
        prop_assert!(matches!(found, Some((_, sequence)) if sequence == row as u64 + 1), "{found:?}");
    }
}

#[tokio::test]
async fn an_untouched_trail_is_good_online_and_offline() {
    let directory = tempfile::tempdir().unwrap();
    let trail = AuditTrail::open_embedded(&Wall::new().config(directory.path())).unwrap();
    append(&trail, "r", 20).await;
    assert!(verify(&trail).ok);
    trail.close().await;
    drop(trail);
    assert_eq!(named(directory.path()), None);
}
