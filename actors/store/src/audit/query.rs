//! Questions to the trail and their answers, the same for every store.

use std::collections::BTreeMap;

use sentinel_domain::audit::AuditRecord;
use serde::Serialize;

use super::batch::{Facets, facet};
use super::canonical::with_hash;
use super::chain::{Break, Hash, Head, Verdict};
use super::error::AuditError;

/// Most rows of one page.
pub const MAX_LIMIT: usize = 500;
/// Rows of a page when nothing is said.
pub const DEFAULT_LIMIT: usize = 50;

/// What to list, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Only this provider.
    pub provider: Option<String>,
    /// Only this model.
    pub model: Option<String>,
    /// Only this status.
    pub status: Option<u16>,
    /// Only this key.
    pub key: Option<String>,
    /// Only requests that arrived at or after this time, ms since 1970.
    pub since_ms: Option<u64>,
    /// Only requests that arrived before this time, ms since 1970.
    pub until_ms: Option<u64>,
    /// Rows of a page, 1 to [`MAX_LIMIT`].
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
    /// Whether the rows of the trail about itself are listed too.
    pub events: bool,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            provider: None,
            model: None,
            status: None,
            key: None,
            since_ms: None,
            until_ms: None,
            limit: DEFAULT_LIMIT,
            cursor: None,
            events: false,
        }
    }
}

/// Where a page ended. New records do not move it, because it counts in sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) before: u64,
}

impl Cursor {
    /// Reads what [`Cursor`]'s `Display` wrote.
    ///
    /// # Errors
    /// [`AuditError::BadCursor`] for anything else.
    pub fn parse(text: &str) -> Result<Self, AuditError> {
        let is_number = |digits: &&str| {
            (1..=16).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let digits = text.strip_prefix("s").filter(is_number);
        let before = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        before.map(|before| Self { before }).ok_or(AuditError::BadCursor)
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s{:x}", self.before)
    }
}

/// A row as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    /// Its place in the chain.
    pub sequence: u64,
    /// Its hash.
    pub hash: Hash,
    pub(crate) canonical: Vec<u8>,
}

impl StoredRow {
    /// Returns the text that is hashed.
    #[must_use]
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// Returns the whole record as one line of JSON: the canonical text with its hash in the sorted place.
    #[must_use]
    pub fn json(&self) -> String {
        String::from_utf8_lossy(&with_hash(&self.canonical, &self.hash.to_string())).into_owned()
    }

    /// Reads the record.
    ///
    /// # Errors
    /// [`AuditError::Corrupt`] if the row is not one that this program writes.
    pub fn record(&self) -> Result<AuditRecord, AuditError> {
        serde_json::from_slice(&with_hash(&self.canonical, &self.hash.to_string()))
            .map_err(|error| AuditError::Corrupt(format!("row {}: {error}", self.sequence)))
    }
}

/// One page of rows, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The rows.
    pub rows: Vec<StoredRow>,
    /// Where the next page begins; `None` at the end. A page of a rare filter may hold fewer rows than asked, even none, and
    /// still go on: one page looks at a bounded number of rows.
    pub next_cursor: Option<Cursor>,
}

/// A verification's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// Records of requests that were looked at.
    pub entries: u64,
    /// Rows of the trail about itself that were looked at.
    pub events: u64,
    /// The last row's hash, hex.
    pub head: String,
    /// The last row's sequence.
    pub head_sequence: u64,
    /// The chain's id.
    pub chain: String,
    /// The first break, if there is one.
    pub first_break: Option<Break>,
}

impl VerifyReport {
    pub(crate) fn new(chain: String, verdict: Verdict) -> Self {
        let Verdict { entries, events, head, first_break } = verdict;
        Self {
            ok: first_break.is_none(),
            entries,
            events,
            head: head.hash.to_string(),
            head_sequence: head.sequence,
            chain,
            first_break,
        }
    }
}

/// Which rows to verify, by the time of their appending, ms since 1970. The default is all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VerifyRange {
    /// From the first row at or after this time on.
    pub from_ms: Option<u64>,
    /// Up to the last row before this time.
    pub to_ms: Option<u64>,
}

/// Numbers about the trail.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct AuditStats {
    /// Records of requests in the store.
    pub entries: u64,
    /// Rows of the trail about itself.
    pub events: u64,
    /// The first row's sequence.
    pub first_sequence: u64,
    /// The last row's sequence.
    pub last_sequence: u64,
    /// When the first row was appended, ms since 1970.
    pub first_ms: u64,
    /// When the last row was appended, ms since 1970.
    pub last_ms: u64,
    /// Records by status.
    pub by_status: BTreeMap<u16, u64>,
    /// Size of the store on disk, bytes.
    pub bytes: u64,
}

/// The filters of a query, prepared for the search columns.
pub(crate) struct Filter<'a> {
    query: &'a Query,
    provider: Option<u32>,
    model: Option<u32>,
    key: Option<u32>,
}

impl<'a> Filter<'a> {
    pub(crate) fn new(query: &'a Query) -> Self {
        let fold = |name: &Option<String>| name.as_deref().map(|name| facet(Some(name)));
        Self { query, provider: fold(&query.provider), model: fold(&query.model), key: fold(&query.key) }
    }

    /// Says whether a row may match, from its columns alone.
    pub(crate) fn may_match(&self, row: &Facets) -> bool {
        (self.query.events || !row.is_event)
            && self.provider.is_none_or(|provider| provider == row.provider)
            && self.model.is_none_or(|model| model == row.model)
            && self.key.is_none_or(|key| key == row.key)
            && self.query.status.is_none_or(|status| status == row.status)
            && self.query.since_ms.is_none_or(|since| row.arrived_ms >= since)
            && self.query.until_ms.is_none_or(|until| row.arrived_ms < until)
    }

    /// Says whether no earlier row can match: appended before `since`, so arrived before it.
    pub(crate) fn is_past(&self, row: &Facets) -> bool {
        self.query.since_ms.is_some_and(|since| row.appended_ms < since)
    }

    /// Compares the names themselves, because two may share a column's value.
    pub(crate) fn matches(&self, row: &StoredRow) -> Result<bool, AuditError> {
        if self.provider.is_none() && self.model.is_none() && self.key.is_none() {
            return Ok(true);
        }
        let record = row.record()?;
        let same = |asked: &Option<String>, found: &Option<String>| asked.is_none() || asked == found;
        Ok(same(&self.query.provider, &record.provider)
            && same(&self.query.model, &record.model)
            && same(&self.query.key, &record.key))
    }
}

/// Puts matching rows into a page until it is full.
pub(crate) struct PageBuilder<'a> {
    pub(crate) filter: Filter<'a>,
    page: Page,
    limit: usize,
}

impl<'a> PageBuilder<'a> {
    pub(crate) fn new(query: &'a Query) -> Self {
        let limit = query.limit.clamp(1, MAX_LIMIT);
        Self { filter: Filter::new(query), page: Page::default(), limit }
    }

    /// Offers a row whose columns match. Returns the finished page if there was no place left for it.
    pub(crate) fn offer(&mut self, row: StoredRow) -> Result<Option<Page>, AuditError> {
        if !self.filter.matches(&row)? {
            return Ok(None);
        }
        if self.page.rows.len() == self.limit {
            let before = self.page.rows.last().map_or(row.sequence, |row| row.sequence);
            self.page.next_cursor = Some(Cursor { before });
            return Ok(Some(std::mem::take(&mut self.page)));
        }
        self.page.rows.push(row);
        Ok(None)
    }

    /// Ends the page; `stopped_at` is the last row looked at if there are more.
    pub(crate) fn finish(mut self, stopped_at: Option<u64>) -> Page {
        self.page.next_cursor = stopped_at.map(|before| Cursor { before });
        self.page
    }
}

/// The end of a chain as the store notes it.
pub(crate) fn head_of(row: &StoredRow) -> Head {
    Head { sequence: row.sequence, hash: row.hash }
}

/// Says whether search columns are those of a row.
pub(crate) fn agree(columns: &[u8], canonical: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Named {
        timestamp: String,
        status: u16,
        provider: Option<String>,
        model: Option<String>,
        key: Option<String>,
        #[serde(default)]
        event: Option<serde::de::IgnoredAny>,
    }
    let (Ok(found), Ok(named)) = (Facets::from_bytes(columns), serde_json::from_slice::<Named>(canonical))
    else {
        return false;
    };
    let record = AuditRecord {
        timestamp: named.timestamp,
        status: named.status,
        provider: named.provider,
        model: named.model,
        key: named.key,
        ..Default::default()
    };
    let mut expected = Facets::of(&record, found.appended_ms);
    expected.is_event = named.event.is_some();
    if super::record::parse_ms(&record.timestamp).is_none() {
        expected.arrived_ms = found.arrived_ms;
    }
    found == expected
}
