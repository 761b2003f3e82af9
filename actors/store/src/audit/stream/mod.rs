//! The trail in a Redis stream, one for each daemon, driven by the writer thread.
//!
//! A row is a stream entry with the id `SEQUENCE-1` and the fields `record` (canonical text), `hash` and `columns`. The head
//! is kept in another key, and also in the file `head` of the daemon's own directory, which names the daemon's chain: a
//! daemon with a lasting directory goes on with its chain after a restart, one without begins a new chain each time.
//! Every call has a deadline; the connection belongs to the writer thread alone. Redis Cluster is not supported here.

use std::path::PathBuf;
use std::time::Duration;

use redis::{Client, Commands, Connection, RedisError, Script};
use sentinel_domain::audit::{AuditEvent, RecoveryReason};

use super::batch::{Backend, Batch, Expired, Facets, Opened, Reopened};
use super::chain::{Hash, Head};
use super::error::AuditError;
use super::head_file::{HeadFile, KeptHead};
use super::lock::DirectoryLock;
use super::record::Intent;

mod read;
pub(crate) use read::StreamReader;

/// Rows that one slice of expiry deletes, and that one sweep looks at.
const SLICE: usize = 2_000;

/// How to reach Redis.
#[derive(Clone)]
pub struct StreamSettings {
    /// `redis://HOST:PORT/DATABASE`.
    pub url: String,
    /// Longest time for one command.
    pub timeout: Duration,
}

/// The keys of one chain; the braces keep them together.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) stream: String,
    pub(super) state: String,
    pub(super) ids: String,
    pub(super) open: String,
}

/// The set of all chains' ids.
pub(super) const CHAINS: &str = "sentinel:audits";

impl Keys {
    pub(super) fn of(chain: &str) -> Self {
        let key = |name| format!("sentinel:audit:{{{chain}}}:{name}");
        Self { stream: key("stream"), state: key("state"), ids: key("ids"), open: key("open") }
    }
}

/// Connects with a deadline for everything.
pub(super) fn connect(settings: &StreamSettings) -> Result<Connection, RedisError> {
    let client = Client::open(settings.url.as_str())?;
    let connection = client.get_connection_with_timeout(settings.timeout)?;
    connection.set_read_timeout(Some(settings.timeout))?;
    connection.set_write_timeout(Some(settings.timeout))?;
    Ok(connection)
}

/// The stored form of a head: sequence and hash.
fn head_text(head: Head) -> String {
    format!("{} {}", head.sequence, head.hash)
}

pub(super) fn parse_head(text: &str) -> Option<Head> {
    let (sequence, hash) = text.split_once(' ')?;
    Some(Head { sequence: sequence.parse().ok()?, hash: Hash::from_hex(hash)? })
}

/// The Redis store on the writer's side.
pub(crate) struct Stream {
    settings: StreamSettings,
    connection: Option<Connection>,
    chain: String,
    keys: Keys,
    script: Script,
    /// What the chain's state key holds, as last seen.
    stored: String,
    head_file: HeadFile,
    lock: Option<DirectoryLock>,
}

impl Stream {
    /// Opens the daemon's chain; `directory` holds its id and the copy of its head, `new_chain` names a chain that is begun.
    pub(crate) fn open(
        directory: PathBuf,
        settings: StreamSettings,
        new_chain: &str,
    ) -> Result<(Self, Opened), AuditError> {
        std::fs::create_dir_all(&directory).map_err(AuditError::file("make", &directory))?;
        let lock = DirectoryLock::take(&directory)?;
        let path = directory.join("stream-head");
        let kept = HeadFile::read(&path)?;
        let chain = kept.as_ref().map_or_else(|| new_chain.to_owned(), |kept| kept.chain.clone());
        let mut stream = Self {
            connection: Some(connect(&settings)?),
            keys: Keys::of(&chain),
            settings,
            chain,
            script: Script::new(include_str!("commit.lua")),
            stored: String::new(),
            head_file: HeadFile::open(&path)?,
            lock: Some(lock),
        };
        let opened = stream.assess(kept.map(|kept| kept.head).unwrap_or_default())?;
        if opened.event.is_none() {
            stream.keep_head(opened.head, true)?;
        }
        Ok((stream, opened))
    }

    pub(crate) fn reader(&self) -> StreamReader {
        StreamReader::new(self.settings.clone(), self.chain.clone())
    }

    /// Compares what Redis holds with the head in the daemon's own file.
    fn assess(&mut self, kept: Head) -> Result<Opened, AuditError> {
        let stored = self.read_stored()?;
        let keys = self.keys.clone();
        let connection = self.connection()?;
        let (entries, events, clean): (Option<u64>, Option<u64>, Option<String>) =
            redis::cmd("HMGET").arg(&keys.state).arg(&["entries", "events", "clean"]).query(connection)?;
        let open: Vec<(u64, Vec<u8>)> = connection.hgetall(&keys.open)?;
        let unfinished: Vec<(u64, Intent)> = open
            .into_iter()
            .map(|(ticket, text)| (ticket, serde_json::from_slice(&text).unwrap_or_default()))
            .collect();
        let reason = if kept.sequence > stored.sequence {
            Some(RecoveryReason::TailMissing)
        } else if kept.sequence == stored.sequence && kept.hash != stored.hash {
            Some(RecoveryReason::StoreReplaced)
        } else {
            (clean.as_deref() == Some("0")).then_some(RecoveryReason::UncleanStop)
        };
        let event = reason.map(|reason| AuditEvent::Recovered {
            reason,
            expected_sequence: kept.sequence.max(stored.sequence),
            found_sequence: stored.sequence,
            aborted: unfinished.len() as u64,
        });
        let head = if kept.sequence > stored.sequence { kept } else { stored };
        let (entries, events) = (entries.unwrap_or(0), events.unwrap_or(0));
        Ok(Opened { head, event, unfinished, entries, events })
    }

    fn connection(&mut self) -> Result<&mut Connection, AuditError> {
        if self.connection.is_none() {
            self.connection = Some(connect(&self.settings)?);
        }
        self.connection.as_mut().ok_or(AuditError::Closed)
    }

    /// Reads the head that Redis keeps apart from the rows.
    fn read_stored(&mut self) -> Result<Head, AuditError> {
        let state = self.keys.state.clone();
        let text: Option<String> = self.connection()?.hget(state, "head")?;
        self.stored = text.unwrap_or_default();
        Ok(parse_head(&self.stored).unwrap_or_default())
    }

    /// Runs one step; a connection on which it failed is not used again.
    fn step<T>(
        &mut self,
        work: impl FnOnce(&mut Connection, &Keys) -> Result<T, AuditError>,
    ) -> Result<T, AuditError> {
        let keys = self.keys.clone();
        let result = work(self.connection()?, &keys);
        if result.is_err() {
            self.connection = None;
        }
        result
    }
}

impl Backend for Stream {
    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), AuditError> {
        let (entries, events) = batch.counts();
        let head = if batch.rows.is_empty() && self.stored.is_empty() {
            String::new()
        } else if batch.rows.is_empty() {
            self.stored.clone()
        } else {
            head_text(batch.head)
        };
        let mut call = self.script.prepare_invoke();
        for key in [&self.keys.stream, &self.keys.state, &self.keys.ids, &self.keys.open] {
            call.key(key);
        }
        call.key(CHAINS).arg(&self.chain).arg(&self.stored).arg(&head);
        call.arg(batch.anchor.map(head_text).unwrap_or_default()).arg(entries).arg(events);
        call.arg(batch.rows.len()).arg(batch.opened.len()).arg(batch.closed.len());
        for row in &batch.rows {
            call.arg(row.sequence).arg(row.canonical.as_slice()).arg(row.hash.to_string());
            call.arg(row.facets.to_bytes().as_slice()).arg(&row.request_id);
        }
        for (ticket, intent) in batch.opened {
            let text = serde_json::to_vec(&**intent)
                .map_err(|error| AuditError::Corrupt(format!("an intent: {error}")))?;
            call.arg(*ticket).arg(text);
        }
        for ticket in batch.closed {
            call.arg(*ticket);
        }
        if self.connection.is_none() {
            self.connection = Some(connect(&self.settings)?);
        }
        let Some(connection) = &mut self.connection else { return Err(AuditError::Closed) };
        let done: Result<String, RedisError> = call.invoke(connection);
        match done {
            Ok(_) => {
                self.stored = head;
                Ok(())
            }
            Err(error) => {
                self.connection = None;
                let conflict = error.code() == Some("CONFLICT");
                Err(if conflict { AuditError::Conflict(self.chain.clone()) } else { error.into() })
            }
        }
    }

    fn reopen(&mut self, _: Head) -> Result<Reopened, AuditError> {
        self.connection = None;
        Ok(Reopened { stored: self.read_stored()?, recreated: false })
    }

    fn keep_head(&mut self, head: Head, sync: bool) -> Result<(), AuditError> {
        self.head_file.write(&KeptHead { chain: self.chain.clone(), head }, sync)
    }

    fn check(&mut self) -> Result<(), AuditError> {
        self.step(|connection, _| Ok(redis::cmd("PING").query::<()>(connection)?))
    }

    fn expirable(&mut self, cutoff_ms: u64) -> Result<Option<Head>, AuditError> {
        self.step(|connection, keys| {
            let (mut last, mut requests) = (None, 0_u64);
            for row in read::range(connection, &keys.stream, 0, SLICE)? {
                if row.facets.appended_ms >= cutoff_ms {
                    break;
                }
                requests += u64::from(!row.facets.is_event);
                last = Some(Head { sequence: row.row.sequence, hash: row.row.hash });
            }
            Ok(last.filter(|_| requests > 0))
        })
    }

    fn expire_slice(&mut self, anchor: Head) -> Result<Expired, AuditError> {
        self.step(|connection, keys| {
            let mut gone = Expired::default();
            let mut pipe = redis::pipe();
            let mut last = 0;
            for row in read::range(connection, &keys.stream, 0, SLICE)? {
                if row.row.sequence > anchor.sequence {
                    break;
                }
                last = row.row.sequence;
                *(if row.facets.is_event { &mut gone.events } else { &mut gone.entries }) += 1;
                // A newer record may have taken the id over.
                let id = row.row.record().map(|record| record.request_id).unwrap_or_default();
                let newest: Option<u64> = connection.hget(&keys.ids, &id)?;
                if newest.is_some_and(|newest| newest <= last) {
                    pipe.hdel(&keys.ids, id).ignore();
                }
            }
            if last == 0 {
                return Ok(gone);
            }
            gone.more = last < anchor.sequence;
            pipe.cmd("XTRIM").arg(&keys.stream).arg("MINID").arg("=").arg(last + 1).ignore();
            let less = |count: u64| i64::try_from(count).unwrap_or(0).saturating_neg();
            pipe.hincr(&keys.state, "entries", less(gone.entries)).ignore();
            pipe.hincr(&keys.state, "events", less(gone.events)).ignore();
            pipe.atomic().query::<()>(connection)?;
            Ok(gone)
        })
    }

    fn close(&mut self, head: Head) -> Result<(), AuditError> {
        self.keep_head(head, true)?;
        self.step(|connection, keys| Ok(connection.hset::<_, _, _, ()>(&keys.state, "clean", "1")?))?;
        // Whoever waits for the end may open the directory at once.
        self.lock = None;
        Ok(())
    }
}

/// A row with its search columns.
pub(super) struct Found {
    pub(super) row: super::query::StoredRow,
    pub(super) facets: Facets,
}
