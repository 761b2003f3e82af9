//! The trail in an embedded database of its own, driven by the writer thread.
//!
//! Files in the directory: `audit.redb` (rows, search columns, index by request id, intents of open requests), `head` (the
//! chain's end, kept apart) and `lock`.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata};
use sentinel_domain::audit::{AuditEvent, RecoveryReason};
use serde::Deserialize;

use self::tables::{
    ANCHOR, BY_REQUEST, CHAIN, CLEAN, ENTRIES, ENTRY_COUNT, EVENT_COUNT, FACETS, HEAD, META, OPEN,
    meta_count, meta_head, split_row,
};
use super::batch::{Backend, Batch, Expired, Facets, Opened, Reopened};
use super::chain::Head;
use super::error::AuditError;
use super::head_file::{HeadFile, KeptHead};
use super::lock::DirectoryLock;
use super::record::Intent;

mod read;
mod tables;
pub(crate) use read::EmbeddedReader;

/// Rows that one slice of expiry deletes, and those that one sweep looks at.
const SLICE: u64 = 2_000;
const SWEEP: usize = 100_000;

/// The database, which the writer takes away while it opens it again.
pub(crate) type DatabaseCell = Arc<RwLock<Option<Database>>>;

/// The embedded store on the writer's side.
pub(crate) struct Embedded {
    directory: PathBuf,
    database: DatabaseCell,
    head_file: HeadFile,
    chain: String,
    /// Which file the database is, to notice that it was deleted or exchanged.
    identity: (u64, u64),
    lock: Option<DirectoryLock>,
}

impl Embedded {
    /// Opens or makes the trail in `directory`; `new_chain` names a chain that is begun.
    pub(crate) fn open(directory: &Path, new_chain: &str) -> Result<(Self, Opened), AuditError> {
        std::fs::create_dir_all(directory).map_err(AuditError::file("make", directory))?;
        let lock = DirectoryLock::take(directory)?;
        let kept = HeadFile::read(&head_path(directory))?;
        let database = tables::open(&database_path(directory))?;
        let state = State::read(&database)?;
        let chain = state.chain.clone().unwrap_or_else(|| new_chain.to_owned());
        let opened = state.assess(kept.as_ref(), &chain);
        mark(&database, &chain, false)?;
        let mut embedded = Self {
            directory: directory.to_path_buf(),
            database: Arc::new(RwLock::new(Some(database))),
            head_file: HeadFile::open(&head_path(directory))?,
            chain,
            identity: identity(&database_path(directory))?,
            lock: Some(lock),
        };
        if opened.event.is_none() {
            embedded.keep_head(opened.head, true)?;
        }
        Ok((embedded, opened))
    }

    /// Returns the shared database for readers.
    pub(crate) fn reader(&self) -> EmbeddedReader {
        EmbeddedReader::new(self.directory.clone(), self.database.clone())
    }

    fn with_database<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, AuditError>,
    ) -> Result<T, AuditError> {
        let guard = self.database.read();
        work(guard.as_ref().ok_or(AuditError::Closed)?)
    }
}

fn database_path(directory: &Path) -> PathBuf {
    directory.join("audit.redb")
}

fn head_path(directory: &Path) -> PathBuf {
    directory.join("head")
}

fn identity(path: &Path) -> Result<(u64, u64), AuditError> {
    let metadata = std::fs::metadata(path).map_err(AuditError::file("look at", path))?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Notes the chain's id and whether the trail is closed.
fn mark(database: &Database, chain: &str, clean: bool) -> Result<(), AuditError> {
    let transaction = tables::begin(database)?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert(CHAIN, chain.as_bytes())?;
        meta.insert(CLEAN, [u8::from(clean)].as_slice())?;
    }
    transaction.commit()?;
    Ok(())
}

/// What the database was found to hold.
struct State {
    chain: Option<String>,
    /// The head according to the rows.
    last: Head,
    /// The head according to the database's own note.
    noted: Head,
    clean: bool,
    unfinished: Vec<(u64, Intent)>,
    entries: u64,
    events: u64,
    /// The hash of the row that the head file names is checked with this.
    hashes: Vec<Head>,
}

impl State {
    fn read(database: &Database) -> Result<Self, AuditError> {
        let transaction = database.begin_read()?;
        let meta = transaction.open_table(META)?;
        let entries = transaction.open_table(ENTRIES)?;
        let open = transaction.open_table(OPEN)?;
        // The head file lags behind by one commit at most.
        const TAIL: usize = 4_096;
        let mut hashes = Vec::new();
        for row in entries.iter()?.rev().take(TAIL) {
            let (sequence, value) = row?;
            hashes.push(Head { sequence: sequence.value(), hash: split_row(value.value())?.0 });
        }
        let mut unfinished = Vec::new();
        for row in open.iter()? {
            let (ticket, intent) = row?;
            // An intent that cannot be read still ends; the rows matter more than it does.
            let intent = serde_json::from_slice(intent.value()).unwrap_or_default();
            unfinished.push((ticket.value(), intent));
        }
        let text = |name| -> Result<Option<String>, AuditError> {
            Ok(meta.get(name)?.map(|value| String::from_utf8_lossy(value.value()).into_owned()))
        };
        Ok(Self {
            chain: text(CHAIN)?,
            last: hashes.first().copied().unwrap_or_default(),
            noted: meta_head(&meta, HEAD)?.unwrap_or_default(),
            clean: meta.get(CLEAN)?.is_none_or(|value| value.value() == [1]),
            unfinished,
            entries: meta_count(&meta, ENTRY_COUNT)?,
            events: meta_count(&meta, EVENT_COUNT)?,
            hashes,
        })
    }

    /// Compares the rows with the heads and decides where the chain goes on. What is missing leaves a gap in the sequence,
    /// so that it shows for good.
    fn assess(self, kept: Option<&KeptHead>, chain: &str) -> Opened {
        let (expected, reason) = self.judge(kept, chain);
        let event = reason.map(|reason| AuditEvent::Recovered {
            reason,
            expected_sequence: expected.sequence,
            found_sequence: self.last.sequence,
            aborted: self.unfinished.len() as u64,
        });
        if let Some(event) = &event {
            tracing::warn!(?event, "the audit trail was not closed cleanly");
        }
        let head = if expected.sequence > self.last.sequence { expected } else { self.last };
        Opened { head, event, unfinished: self.unfinished, entries: self.entries, events: self.events }
    }

    fn judge(&self, kept: Option<&KeptHead>, chain: &str) -> (Head, Option<RecoveryReason>) {
        let has_rows = self.noted.sequence > 0 || self.last.sequence > 0;
        let Some(kept) = kept else {
            return if has_rows {
                (self.noted, Some(RecoveryReason::HeadMissing))
            } else {
                (self.last, None)
            };
        };
        let highest = if self.noted.sequence > kept.head.sequence { self.noted } else { kept.head };
        if kept.chain != chain && (has_rows || kept.head.sequence > 0) {
            return (highest, Some(RecoveryReason::StoreReplaced));
        }
        if highest.sequence > self.last.sequence {
            return (highest, Some(RecoveryReason::TailMissing));
        }
        let oldest = self.hashes.last().map_or(0, |row| row.sequence);
        let differs =
            |head: &Head| head.sequence > 0 && head.sequence >= oldest && !self.hashes.contains(head);
        if differs(&kept.head) || differs(&self.noted) {
            return (highest, Some(RecoveryReason::StoreReplaced));
        }
        (self.last, (!self.clean).then_some(RecoveryReason::UncleanStop))
    }
}

impl Backend for Embedded {
    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), AuditError> {
        self.check()?;
        self.with_database(|database| write_batch(database, batch))
    }

    fn reopen(&mut self, head: Head) -> Result<Reopened, AuditError> {
        let path = database_path(&self.directory);
        let recreated = identity(&path).ok() != Some(self.identity);
        let mut cell = self.database.write();
        *cell = None;
        if recreated {
            std::fs::create_dir_all(&self.directory).map_err(AuditError::file("make", &self.directory))?;
            // The old lock may lie on a deleted file; taking it twice would be refused.
            self.lock = None;
            self.lock = Some(DirectoryLock::take(&self.directory)?);
        }
        let database = tables::open(&path)?;
        let stored = State::read(&database)?.last;
        mark(&database, &self.chain, false)?;
        *cell = Some(database);
        drop(cell);
        self.head_file = HeadFile::open(&head_path(&self.directory))?;
        if recreated {
            self.identity = identity(&path)?;
            self.keep_head(head, true)?;
        }
        Ok(Reopened { stored, recreated })
    }

    fn keep_head(&mut self, head: Head, sync: bool) -> Result<(), AuditError> {
        self.head_file.write(&KeptHead { chain: self.chain.clone(), head }, sync)
    }

    fn check(&mut self) -> Result<(), AuditError> {
        let path = database_path(&self.directory);
        match identity(&path) {
            Ok(found) if found == self.identity => Ok(()),
            _ => Err(AuditError::Deleted(path)),
        }
    }

    fn expirable(&mut self, cutoff_ms: u64) -> Result<Option<Head>, AuditError> {
        self.with_database(|database| {
            let transaction = database.begin_read()?;
            let facets = transaction.open_table(FACETS)?;
            let (mut last, mut requests) = (None, 0_u64);
            for row in facets.iter()?.take(SWEEP) {
                let (sequence, value) = row?;
                let columns = Facets::from_bytes(value.value())?;
                if columns.appended_ms >= cutoff_ms {
                    break;
                }
                requests += u64::from(!columns.is_event);
                last = Some(sequence.value());
            }
            let Some(sequence) = last.filter(|_| requests > 0) else { return Ok(None) };
            let entries = transaction.open_table(ENTRIES)?;
            let Some(row) = entries.get(sequence)? else { return Ok(None) };
            Ok(Some(Head { sequence, hash: split_row(row.value())?.0 }))
        })
    }

    fn expire_slice(&mut self, anchor: Head) -> Result<Expired, AuditError> {
        self.with_database(|database| delete_slice(database, anchor.sequence))
    }

    fn close(&mut self, head: Head) -> Result<(), AuditError> {
        self.keep_head(head, true)?;
        let mut cell = self.database.write();
        let Some(database) = cell.take() else { return Ok(()) };
        mark(&database, &self.chain, true)?;
        database.close()?;
        drop(cell);
        // Whoever waits for the end may open the directory at once.
        self.lock = None;
        Ok(())
    }
}

fn write_batch(database: &Database, batch: &Batch<'_>) -> Result<(), AuditError> {
    let transaction = tables::begin(database)?;
    {
        let mut entries = transaction.open_table(ENTRIES)?;
        let mut facets = transaction.open_table(FACETS)?;
        let mut by_request = transaction.open_table(BY_REQUEST)?;
        let last = entries.last()?.map_or(0, |(sequence, _)| sequence.value());
        if last > batch.before.sequence && !batch.rows.is_empty() {
            // A row is never overwritten.
            return Err(AuditError::Corrupt(format!("row {last} stands where new rows should go")));
        }
        let mut value = Vec::with_capacity(1024);
        for row in &batch.rows {
            value.clear();
            value.extend_from_slice(&row.hash.0);
            value.extend_from_slice(&row.canonical);
            entries.insert(row.sequence, value.as_slice())?;
            facets.insert(row.sequence, row.facets.to_bytes().as_slice())?;
            by_request.insert((row.request_id.as_str(), row.sequence), ())?;
        }
        let mut open = transaction.open_table(OPEN)?;
        for ticket in batch.closed {
            open.remove(ticket)?;
        }
        for (ticket, intent) in batch.opened {
            let text = serde_json::to_vec(&**intent)
                .map_err(|error| AuditError::Corrupt(format!("an intent: {error}")))?;
            open.insert(ticket, text.as_slice())?;
        }
        let mut meta = transaction.open_table(META)?;
        let (new_entries, new_events) = batch.counts();
        let entries = meta_count(&meta, ENTRY_COUNT)? + new_entries;
        let events = meta_count(&meta, EVENT_COUNT)? + new_events;
        meta.insert(ENTRY_COUNT, entries.to_be_bytes().as_slice())?;
        meta.insert(EVENT_COUNT, events.to_be_bytes().as_slice())?;
        meta.insert(HEAD, batch.head.to_bytes().as_slice())?;
        if let Some(anchor) = batch.anchor {
            meta.insert(ANCHOR, anchor.to_bytes().as_slice())?;
        }
    }
    transaction.commit()?;
    Ok(())
}

fn delete_slice(database: &Database, through: u64) -> Result<Expired, AuditError> {
    #[derive(Deserialize)]
    struct Id {
        request_id: String,
    }
    let transaction = tables::begin(database)?;
    let mut gone = Expired::default();
    {
        let mut entries = transaction.open_table(ENTRIES)?;
        let mut facets = transaction.open_table(FACETS)?;
        let mut by_request = transaction.open_table(BY_REQUEST)?;
        let Some(first) = entries.first()?.map(|(sequence, _)| sequence.value()) else { return Ok(gone) };
        let last = through.min(first.saturating_add(SLICE - 1));
        for sequence in first..=last {
            if let Some(row) = entries.remove(sequence)?
                && let Ok(id) = serde_json::from_slice::<Id>(split_row(row.value())?.1)
            {
                by_request.remove((id.request_id.as_str(), sequence))?;
            }
            if let Some(columns) = facets.remove(sequence)? {
                let is_event = Facets::from_bytes(columns.value())?.is_event;
                *(if is_event { &mut gone.events } else { &mut gone.entries }) += 1;
            }
        }
        gone.more = last < through && entries.len()? > 0;
        let mut meta = transaction.open_table(META)?;
        let left = |name, gone| Ok::<_, AuditError>(meta_count(&meta, name)?.saturating_sub(gone));
        let (entries, events) = (left(ENTRY_COUNT, gone.entries)?, left(EVENT_COUNT, gone.events)?);
        meta.insert(ENTRY_COUNT, entries.to_be_bytes().as_slice())?;
        meta.insert(EVENT_COUNT, events.to_be_bytes().as_slice())?;
    }
    transaction.commit()?;
    Ok(gone)
}
