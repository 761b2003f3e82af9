//! What the writer hands to a store in one commit.

use std::sync::Arc;

use sentinel_domain::audit::{AuditEvent, AuditRecord};

use super::chain::{Hash, Head};
use super::error::AuditError;
use super::record::{Intent, parse_ms};

/// A record with its place in the chain.
pub(crate) struct Sealed {
    pub(crate) sequence: u64,
    pub(crate) hash: Hash,
    pub(crate) canonical: Vec<u8>,
    pub(crate) request_id: String,
    pub(crate) facets: Facets,
}

/// What is written in one commit, all of it or nothing.
pub(crate) struct Batch<'a> {
    /// The head that the store must have before.
    pub(crate) before: Head,
    /// The head after.
    pub(crate) head: Head,
    pub(crate) rows: Vec<Sealed>,
    /// Requests that were admitted and are still under way.
    pub(crate) opened: &'a [(u64, Arc<Intent>)],
    /// Earlier ones that have ended, by ticket.
    pub(crate) closed: &'a [u64],
    /// The last row that may be deleted from now on.
    pub(crate) anchor: Option<Head>,
}

impl<'a> Batch<'a> {
    /// Seals `records` after `before`.
    pub(crate) fn seal(
        before: Head,
        records: &mut [AuditRecord],
        now_ms: u64,
        opened: &'a [(u64, Arc<Intent>)],
        closed: &'a [u64],
    ) -> Self {
        let mut head = before;
        let rows = records
            .iter_mut()
            .map(|record| {
                let canonical = head.seal(record);
                Sealed {
                    sequence: head.sequence,
                    hash: head.hash,
                    canonical,
                    request_id: record.request_id.clone(),
                    facets: Facets::of(record, now_ms),
                }
            })
            .collect();
        Self { before, head, rows, opened, closed, anchor: None }
    }

    /// Counts the rows of requests and of the trail itself.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let events = self.rows.iter().filter(|row| row.facets.is_event).count() as u64;
        (self.rows.len() as u64 - events, events)
    }
}

/// The columns by which rows are searched, small enough to look through many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Facets {
    /// When the row was appended, ms; never before the request's arrival.
    pub(crate) appended_ms: u64,
    pub(crate) arrived_ms: u64,
    pub(crate) status: u16,
    pub(crate) is_event: bool,
    pub(crate) provider: u32,
    pub(crate) model: u32,
    pub(crate) key: u32,
}

impl Facets {
    pub(crate) const BYTES: usize = 32;

    pub(crate) fn of(record: &AuditRecord, now_ms: u64) -> Self {
        let arrived_ms = parse_ms(&record.timestamp).unwrap_or(now_ms);
        Self {
            appended_ms: now_ms.max(arrived_ms),
            arrived_ms,
            status: record.status,
            is_event: record.event.is_some(),
            provider: facet(record.provider.as_deref()),
            model: facet(record.model.as_deref()),
            key: facet(record.key.as_deref()),
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let mut rest = bytes.as_mut_slice();
        let mut put = |value: &[u8]| {
            if let Some((front, back)) = std::mem::take(&mut rest).split_at_mut_checked(value.len()) {
                front.copy_from_slice(value);
                rest = back;
            }
        };
        put(&self.appended_ms.to_be_bytes());
        put(&self.arrived_ms.to_be_bytes());
        put(&self.status.to_be_bytes());
        put(&u16::from(self.is_event).to_be_bytes());
        put(&self.provider.to_be_bytes());
        put(&self.model.to_be_bytes());
        put(&self.key.to_be_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, AuditError> {
        Self::parse(bytes).ok_or_else(|| AuditError::Corrupt("search columns of a wrong length".to_owned()))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (appended, rest) = bytes.split_first_chunk()?;
        let (arrived, rest) = rest.split_first_chunk()?;
        let (status, rest) = rest.split_first_chunk()?;
        let (event, rest) = rest.split_first_chunk()?;
        let (provider, rest) = rest.split_first_chunk()?;
        let (model, rest) = rest.split_first_chunk()?;
        let key = rest.try_into().ok()?;
        Some(Self {
            appended_ms: u64::from_be_bytes(*appended),
            arrived_ms: u64::from_be_bytes(*arrived),
            status: u16::from_be_bytes(*status),
            is_event: u16::from_be_bytes(*event) != 0,
            provider: u32::from_be_bytes(*provider),
            model: u32::from_be_bytes(*model),
            key: u32::from_be_bytes(key),
        })
    }
}

/// Folds a name to 32 bits (FNV-1a); 0 stands for no name. Equal names have equal facets; the reverse is checked in the row.
pub(crate) fn facet(name: Option<&str>) -> u32 {
    name.map_or(0, |name| {
        let fold = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        name.bytes().fold(0x811c_9dc5, fold).max(1)
    })
}

/// What a store was found to hold when it was opened.
pub(crate) struct Opened {
    /// Where the chain goes on.
    pub(crate) head: Head,
    /// What the trail has to say about it.
    pub(crate) event: Option<AuditEvent>,
    /// Requests that were under way when the process ended, by the tickets of that time.
    pub(crate) unfinished: Vec<(u64, Intent)>,
    pub(crate) entries: u64,
    pub(crate) events: u64,
}

/// A store that the writer thread drives. Calls may block, but each within a bound.
pub(crate) trait Backend: Send {
    /// Writes a batch, all of it or nothing.
    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), AuditError>;
    /// Opens the store again after a failure. `head` is where the writer believes the chain to end.
    fn reopen(&mut self, head: Head) -> Result<Reopened, AuditError>;
    /// Keeps the head apart from the rows; `sync` also brings it to the disk.
    fn keep_head(&mut self, head: Head, sync: bool) -> Result<(), AuditError>;
    /// Checks that the store is still there.
    fn check(&mut self) -> Result<(), AuditError>;
    /// Returns the last of the rows appended before `cutoff_ms`, if any of them belongs to a request.
    fn expirable(&mut self, cutoff_ms: u64) -> Result<Option<Head>, AuditError>;
    /// Deletes some of the rows up to `anchor` and says how many of each kind, and whether there are more.
    fn expire_slice(&mut self, anchor: Head) -> Result<Expired, AuditError>;
    /// Marks a clean stop.
    fn close(&mut self, head: Head) -> Result<(), AuditError>;
}

/// What a reopened store says.
pub(crate) struct Reopened {
    /// The head that the store holds now.
    pub(crate) stored: Head,
    /// The store is a new one, because the old one was gone.
    pub(crate) recreated: bool,
}

/// What one slice of expiry deleted.
#[derive(Default)]
pub(crate) struct Expired {
    pub(crate) entries: u64,
    pub(crate) events: u64,
    pub(crate) more: bool,
}
