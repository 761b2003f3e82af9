//! The trail as the rest of the daemon sees it: take a slot, append, ask, close.

use std::path::Path;
use std::sync::Arc;

use super::batch::{Backend, Opened};
use super::config::{AuditConfig, AuditHealth};
use super::embedded::{Embedded, EmbeddedReader};
use super::error::AuditError;
use super::query::{AuditStats, Page, Query, StoredRow, VerifyRange, VerifyReport};
use super::record::Intent;
use super::slots::{Receipt, Shared, Slot};
use super::stream::{Stream, StreamReader, StreamSettings};
use super::writer;

/// An open audit trail with its writer thread. Clones share it; close it before the last one goes.
#[derive(Clone)]
pub struct AuditTrail {
    shared: Arc<Shared>,
    reader: AuditReader,
}

impl AuditTrail {
    /// Opens the embedded trail, checks it against the head kept apart, and starts its writer.
    ///
    /// # Errors
    /// [`AuditError::Locked`] if another process has the directory, else what the file system or the database says.
    pub fn open_embedded(config: &AuditConfig) -> Result<Self, AuditError> {
        let chain = uuid::Uuid::now_v7().simple().to_string();
        let (embedded, opened) = Embedded::open(&config.directory, &chain)?;
        let reader = AuditReader(Source::Embedded(embedded.reader()));
        Self::start(Box::new(embedded), opened, reader, config)
    }

    /// Opens the daemon's chain in Redis and starts its writer. The configured directory keeps the chain's id and a copy of
    /// its head.
    ///
    /// # Errors
    /// [`AuditError::Locked`] if another process has the directory, [`AuditError::Redis`] if Redis does not answer.
    pub fn open_stream(config: &AuditConfig, settings: StreamSettings) -> Result<Self, AuditError> {
        let chain = uuid::Uuid::now_v7().simple().to_string();
        let (stream, opened) = Stream::open(config.directory.clone(), settings, &chain)?;
        let reader = AuditReader(Source::Stream(stream.reader()));
        Self::start(Box::new(stream), opened, reader, config)
    }

    fn start(
        backend: Box<dyn Backend>,
        opened: Opened,
        reader: AuditReader,
        config: &AuditConfig,
    ) -> Result<Self, AuditError> {
        let shared = Shared::new(config);
        writer::start(backend, opened, shared.clone(), config)?;
        Ok(Self { shared, reader })
    }

    /// Takes the place of a request's record, at its admission. Never waits.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] or [`AuditError::Full`] if the store fails or lags and failures are not allowed;
    /// [`AuditError::Closed`] after [`AuditTrail::close`].
    pub fn reserve(&self, intent: Intent) -> Result<Slot, AuditError> {
        self.shared.reserve(intent)
    }

    /// Returns the trail's state.
    #[must_use]
    pub fn health(&self) -> AuditHealth {
        self.shared.health()
    }

    /// Writes everything that has been appended. The receipt resolves when it is on disk.
    pub fn flush(&self) -> Receipt {
        self.shared.flush()
    }

    /// Returns what answers questions; its calls block and belong on a thread for blocking work.
    #[must_use]
    pub fn reader(&self) -> AuditReader {
        self.reader.clone()
    }

    /// Takes no more slots, writes what has been appended, and ends the writer.
    pub async fn close(&self) {
        // The writer drops the sender at its end.
        let _ = self.shared.stop().await;
    }
}

#[derive(Clone)]
enum Source {
    Embedded(EmbeddedReader),
    Stream(StreamReader),
}

/// Answers questions about a trail. Every call blocks on the disk or on Redis.
#[derive(Clone)]
pub struct AuditReader(Source);

impl AuditReader {
    /// Opens the embedded trail of a daemon that is not running, for verification and export.
    ///
    /// # Errors
    /// [`AuditError::Locked`] names the process that has the directory: ask that daemon over HTTP instead.
    pub fn open_offline(directory: &Path) -> Result<Self, AuditError> {
        EmbeddedReader::open(directory).map(|reader| Self(Source::Embedded(reader)))
    }

    /// Lists rows, newest first.
    ///
    /// # Errors
    /// What the store says.
    pub fn page(&self, query: &Query) -> Result<Page, AuditError> {
        match &self.0 {
            Source::Embedded(reader) => reader.page(query),
            Source::Stream(reader) => reader.page(query),
        }
    }

    /// Returns the newest record of a request id.
    ///
    /// # Errors
    /// What the store says.
    pub fn get(&self, request_id: &str) -> Result<Option<StoredRow>, AuditError> {
        match &self.0 {
            Source::Embedded(reader) => reader.get(request_id),
            Source::Stream(reader) => reader.get(request_id),
        }
    }

    /// Returns up to `limit` rows after `sequence`, oldest first: the step of an export or of a tail.
    ///
    /// # Errors
    /// What the store says.
    pub fn rows_after(&self, sequence: u64, limit: usize) -> Result<Vec<StoredRow>, AuditError> {
        match &self.0 {
            Source::Embedded(reader) => reader.rows_after(sequence, limit),
            Source::Stream(reader) => reader.rows_after(sequence, limit),
        }
    }

    /// Walks along the chain and names the first break.
    ///
    /// # Errors
    /// What the store says; a break is a result.
    pub fn verify(&self, range: VerifyRange) -> Result<VerifyReport, AuditError> {
        match &self.0 {
            Source::Embedded(reader) => reader.verify(range),
            Source::Stream(reader) => reader.verify(range),
        }
    }

    /// Verifies the chain of every daemon that shares the store; the embedded store has one.
    ///
    /// # Errors
    /// What the store says; a break is a result.
    pub fn verify_all(&self) -> Result<Vec<VerifyReport>, AuditError> {
        match &self.0 {
            Source::Embedded(reader) => Ok(vec![reader.verify(VerifyRange::default())?]),
            Source::Stream(reader) => reader.verify_all(),
        }
    }

    /// Counts what the trail holds.
    ///
    /// # Errors
    /// What the store says.
    pub fn stats(&self) -> Result<AuditStats, AuditError> {
        match &self.0 {
            Source::Embedded(reader) => reader.stats(),
            Source::Stream(reader) => reader.stats(),
        }
    }

    /// Returns the sequence of the last row.
    ///
    /// # Errors
    /// What the store says.
    pub fn head_sequence(&self) -> Result<u64, AuditError> {
        match &self.0 {
            Source::Embedded(reader) => Ok(reader.head()?.sequence),
            Source::Stream(reader) => reader.head_sequence(),
        }
    }

    /// Goes through all rows, oldest first, in bounded memory.
    #[must_use]
    pub fn export(&self) -> Export {
        Export { reader: self.clone(), after: 0, rows: Vec::new().into_iter(), ended: false }
    }
}

/// Goes through a trail from its first row to the last one, some rows at a time.
pub struct Export {
    reader: AuditReader,
    after: u64,
    rows: std::vec::IntoIter<StoredRow>,
    ended: bool,
}

impl Iterator for Export {
    type Item = Result<StoredRow, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        const STEP: usize = 1_000;
        loop {
            if let Some(row) = self.rows.next() {
                self.after = row.sequence;
                return Some(Ok(row));
            }
            if self.ended {
                return None;
            }
            match self.reader.rows_after(self.after, STEP) {
                Ok(rows) => {
                    self.ended = rows.len() < STEP;
                    self.rows = rows.into_iter();
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }
}
