//! Questions to the embedded trail. They block and belong on a thread for blocking work.

use std::path::{Path, PathBuf};

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable};

use super::super::batch::Facets;
use super::super::chain::{BreakKind, Head, Row, Verifier};
use super::super::error::AuditError;
use super::super::head_file::HeadFile;
use super::super::lock::DirectoryLock;
use super::super::query::{
    AuditStats, Page, PageBuilder, Query, StoredRow, VerifyRange, VerifyReport, agree, head_of,
};
use super::tables::{
    ANCHOR, BY_REQUEST, CHAIN, ENTRIES, ENTRY_COUNT, EVENT_COUNT, FACETS, HEAD, META, meta_count, meta_head,
    split_row,
};
use super::{DatabaseCell, database_path, head_path, tables};

/// Rows whose columns one page looks at.
const PAGE_SCAN: usize = 50_000;

/// Reads the embedded trail, beside its writer or alone.
#[derive(Clone)]
pub(crate) struct EmbeddedReader {
    directory: PathBuf,
    database: DatabaseCell,
    /// Held when there is no writer in this process.
    _lock: Option<std::sync::Arc<DirectoryLock>>,
}

impl EmbeddedReader {
    pub(super) fn new(directory: PathBuf, database: DatabaseCell) -> Self {
        Self { directory, database, _lock: None }
    }

    /// Opens a trail that no process writes, without changing a row of it.
    pub(crate) fn open(directory: &Path) -> Result<Self, AuditError> {
        let path = database_path(directory);
        std::fs::metadata(&path).map_err(AuditError::file("open", &path))?;
        let lock = DirectoryLock::take(directory)?;
        let database = tables::open(&path)?;
        Ok(Self {
            directory: directory.to_path_buf(),
            database: std::sync::Arc::new(parking_lot::RwLock::new(Some(database))),
            _lock: Some(std::sync::Arc::new(lock)),
        })
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&ReadTransaction, &Database) -> Result<T, AuditError>,
    ) -> Result<T, AuditError> {
        let guard = self.database.read();
        let database = guard.as_ref().ok_or(AuditError::Closed)?;
        work(&database.begin_read()?, database)
    }

    pub(crate) fn page(&self, query: &Query) -> Result<Page, AuditError> {
        self.read(|transaction, _| {
            let entries = transaction.open_table(ENTRIES)?;
            let facets = transaction.open_table(FACETS)?;
            let mut builder = PageBuilder::new(query);
            let end = query.cursor.map_or(u64::MAX, |cursor| cursor.before);
            let mut looked_at = 0;
            for row in facets.range(..end)?.rev() {
                let (sequence, columns) = row?;
                let (sequence, columns) = (sequence.value(), Facets::from_bytes(columns.value())?);
                if builder.filter.is_past(&columns) {
                    break;
                }
                if builder.filter.may_match(&columns)
                    && let Some(value) = entries.get(sequence)?
                    && let Some(page) = builder.offer(stored_row(sequence, value.value())?)?
                {
                    return Ok(page);
                }
                looked_at += 1;
                if looked_at == PAGE_SCAN {
                    return Ok(builder.finish(Some(sequence)));
                }
            }
            Ok(builder.finish(None))
        })
    }

    /// Returns the newest row of a request id.
    pub(crate) fn get(&self, request_id: &str) -> Result<Option<StoredRow>, AuditError> {
        self.read(|transaction, _| {
            let by_request = transaction.open_table(BY_REQUEST)?;
            let Some(found) = by_request.range((request_id, 0)..=(request_id, u64::MAX))?.next_back() else {
                return Ok(None);
            };
            let sequence = found?.0.value().1;
            let entries = transaction.open_table(ENTRIES)?;
            entries.get(sequence)?.map(|value| stored_row(sequence, value.value())).transpose()
        })
    }

    /// Returns up to `limit` rows after `sequence`, oldest first.
    pub(crate) fn rows_after(&self, sequence: u64, limit: usize) -> Result<Vec<StoredRow>, AuditError> {
        self.read(|transaction, _| {
            let entries = transaction.open_table(ENTRIES)?;
            let rows = entries.range(sequence.saturating_add(1)..)?.take(limit);
            rows.map(|row| {
                let (sequence, value) = row?;
                stored_row(sequence.value(), value.value())
            })
            .collect()
        })
    }

    pub(crate) fn verify(&self, range: VerifyRange) -> Result<VerifyReport, AuditError> {
        let kept = HeadFile::read(&head_path(&self.directory))?;
        self.read(|transaction, _| {
            let meta = transaction.open_table(META)?;
            let entries = transaction.open_table(ENTRIES)?;
            let facets = transaction.open_table(FACETS)?;
            let chain = meta.get(CHAIN)?.map(|value| String::from_utf8_lossy(value.value()).into_owned());
            let chain = chain.unwrap_or_default();
            let stored_head = meta_head(&meta, HEAD)?.unwrap_or_default();
            let (first, last) = bounds(&facets, range)?;
            let start = match entries.range(..first)?.next_back().filter(|_| range.from_ms.is_some()) {
                Some(row) => {
                    let (sequence, value) = row?;
                    Some(head_of(&stored_row(sequence.value(), value.value())?))
                }
                None => None,
            };
            let whole_end = range.to_ms.is_none();
            let mut verifier = match start {
                Some(start) => Verifier::after(start),
                None => Verifier::from_beginning(meta_head(&meta, ANCHOR)?),
            };
            match &kept {
                Some(kept) if kept.chain != chain => {
                    let detail = format!("the head kept apart is of the chain {}", kept.chain);
                    verifier.report(BreakKind::StoreReplaced, 1, detail);
                }
                // The file may lag behind the rows, never run ahead of them.
                Some(kept) if whole_end => verifier = verifier.witness(kept.head),
                None if whole_end && stored_head.sequence > 0 => {
                    let at = stored_head.sequence;
                    verifier.report(BreakKind::HeadLost, at, "the head kept apart is missing".to_owned());
                }
                _ => {}
            }
            for row in entries.range(first..=last)? {
                let (sequence, value) = row?;
                let sequence = sequence.value();
                let (hash, canonical) = split_row(value.value())?;
                verifier.push(Row { position: Some(sequence), hash, canonical });
                let columns = facets.get(sequence)?;
                if !columns.is_some_and(|columns| agree(columns.value(), canonical)) {
                    let detail = "the search columns do not agree with the row".to_owned();
                    verifier.report(BreakKind::Index, sequence, detail);
                }
            }
            let head = whole_end.then_some(stored_head);
            Ok(VerifyReport::new(chain, verifier.finish(head)))
        })
    }

    pub(crate) fn stats(&self) -> Result<AuditStats, AuditError> {
        let path = database_path(&self.directory);
        let bytes = std::fs::metadata(&path).map_err(AuditError::file("look at", &path))?.len();
        self.read(|transaction, _| {
            let meta = transaction.open_table(META)?;
            let facets = transaction.open_table(FACETS)?;
            let mut stats = AuditStats {
                entries: meta_count(&meta, ENTRY_COUNT)?,
                events: meta_count(&meta, EVENT_COUNT)?,
                bytes,
                ..AuditStats::default()
            };
            for row in facets.iter()? {
                let (sequence, columns) = row?;
                let columns = Facets::from_bytes(columns.value())?;
                if stats.first_sequence == 0 {
                    (stats.first_sequence, stats.first_ms) = (sequence.value(), columns.appended_ms);
                }
                (stats.last_sequence, stats.last_ms) = (sequence.value(), columns.appended_ms);
                if !columns.is_event {
                    *stats.by_status.entry(columns.status).or_default() += 1;
                }
            }
            Ok(stats)
        })
    }

    /// Returns the head that the database notes.
    pub(crate) fn head(&self) -> Result<Head, AuditError> {
        self.read(|transaction, _| Ok(meta_head(&transaction.open_table(META)?, HEAD)?.unwrap_or_default()))
    }
}

fn stored_row(sequence: u64, value: &[u8]) -> Result<StoredRow, AuditError> {
    let (hash, canonical) = split_row(value)?;
    Ok(StoredRow { sequence, hash, canonical: canonical.to_vec() })
}

/// Finds the first and last sequence of a range of times.
fn bounds(
    facets: &impl ReadableTable<u64, &'static [u8]>,
    range: VerifyRange,
) -> Result<(u64, u64), AuditError> {
    let (mut first, mut last) = (0, u64::MAX);
    if range == VerifyRange::default() {
        return Ok((first, last));
    }
    if range.from_ms.is_some() {
        first = u64::MAX;
    }
    for row in facets.iter()? {
        let (sequence, columns) = row?;
        let appended = Facets::from_bytes(columns.value())?.appended_ms;
        if range.from_ms.is_some_and(|from| appended >= from) {
            first = first.min(sequence.value());
        }
        if range.to_ms.is_some_and(|to| appended >= to) {
            last = sequence.value().saturating_sub(1);
            break;
        }
    }
    Ok((first, last))
}
