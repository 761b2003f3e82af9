//! Questions to the trail in Redis. Each opens a connection of its own and blocks within its deadline.

use std::collections::HashMap;

use redis::{Commands, Connection, Value};

use super::super::batch::Facets;
use super::super::chain::{BreakKind, Hash, Row, Verifier};
use super::super::error::AuditError;
use super::super::query::{
    AuditStats, Page, PageBuilder, Query, StoredRow, VerifyRange, VerifyReport, agree,
};
use super::{CHAINS, Found, Keys, StreamSettings, connect, parse_head};

/// Rows that one command brings.
const STEP: usize = 500;
/// Rows that one page looks at.
const PAGE_SCAN: usize = 20_000;

/// Reads the chains in Redis.
#[derive(Clone)]
pub(crate) struct StreamReader {
    settings: StreamSettings,
    chain: String,
}

impl StreamReader {
    pub(super) fn new(settings: StreamSettings, chain: String) -> Self {
        Self { settings, chain }
    }

    fn open(&self) -> Result<(Connection, Keys), AuditError> {
        Ok((connect(&self.settings)?, Keys::of(&self.chain)))
    }

    pub(crate) fn page(&self, query: &Query) -> Result<Page, AuditError> {
        let (mut connection, keys) = self.open()?;
        let mut builder = PageBuilder::new(query);
        let mut before = query.cursor.map_or(u64::MAX, |cursor| cursor.before);
        let mut looked_at = 0;
        loop {
            let reply: Value = redis::cmd("XREVRANGE")
                .arg(&keys.stream)
                .arg(format!("({before}-0"))
                .arg("-")
                .arg("COUNT")
                .arg(STEP)
                .query(&mut connection)?;
            let rows = parse(reply)?;
            let ended = rows.len() < STEP;
            for found in rows {
                before = found.row.sequence;
                looked_at += 1;
                if builder.filter.is_past(&found.facets) {
                    return Ok(builder.finish(None));
                }
                if builder.filter.may_match(&found.facets)
                    && let Some(page) = builder.offer(found.row)?
                {
                    return Ok(page);
                }
            }
            if ended {
                return Ok(builder.finish(None));
            }
            if looked_at >= PAGE_SCAN {
                return Ok(builder.finish(Some(before)));
            }
        }
    }

    pub(crate) fn get(&self, request_id: &str) -> Result<Option<StoredRow>, AuditError> {
        let (mut connection, keys) = self.open()?;
        let sequence: Option<u64> = connection.hget(&keys.ids, request_id)?;
        let Some(sequence) = sequence else { return Ok(None) };
        let rows = range(&mut connection, &keys.stream, sequence.saturating_sub(1), 1)?;
        Ok(rows.into_iter().map(|found| found.row).find(|row| row.sequence == sequence))
    }

    pub(crate) fn rows_after(&self, sequence: u64, limit: usize) -> Result<Vec<StoredRow>, AuditError> {
        let (mut connection, keys) = self.open()?;
        let rows = range(&mut connection, &keys.stream, sequence, limit)?;
        Ok(rows.into_iter().map(|found| found.row).collect())
    }

    pub(crate) fn verify(&self, wanted: VerifyRange) -> Result<VerifyReport, AuditError> {
        let mut connection = connect(&self.settings)?;
        verify_chain(&mut connection, &self.chain, wanted)
    }

    /// Verifies the chains of all daemons.
    pub(crate) fn verify_all(&self) -> Result<Vec<VerifyReport>, AuditError> {
        let mut connection = connect(&self.settings)?;
        let mut chains: Vec<String> = connection.smembers(CHAINS)?;
        chains.sort();
        chains.iter().map(|chain| verify_chain(&mut connection, chain, VerifyRange::default())).collect()
    }

    pub(crate) fn stats(&self) -> Result<AuditStats, AuditError> {
        let (mut connection, keys) = self.open()?;
        let mut stats = AuditStats::default();
        loop {
            let rows = range(&mut connection, &keys.stream, stats.last_sequence, STEP)?;
            let ended = rows.len() < STEP;
            for Found { row, facets } in rows {
                if stats.first_sequence == 0 {
                    (stats.first_sequence, stats.first_ms) = (row.sequence, facets.appended_ms);
                }
                (stats.last_sequence, stats.last_ms) = (row.sequence, facets.appended_ms);
                stats.bytes += row.canonical.len() as u64;
                if facets.is_event {
                    stats.events += 1;
                } else {
                    stats.entries += 1;
                    *stats.by_status.entry(facets.status).or_default() += 1;
                }
            }
            if ended {
                return Ok(stats);
            }
        }
    }

    pub(crate) fn head_sequence(&self) -> Result<u64, AuditError> {
        let (mut connection, keys) = self.open()?;
        let head: Option<String> = connection.hget(&keys.state, "head")?;
        Ok(head.and_then(|text| parse_head(&text)).unwrap_or_default().sequence)
    }
}

fn verify_chain(
    connection: &mut Connection,
    chain: &str,
    wanted: VerifyRange,
) -> Result<VerifyReport, AuditError> {
    let keys = Keys::of(chain);
    // The head is read first: rows that come after it are newer, none may be older.
    let state: HashMap<String, String> = connection.hgetall(&keys.state)?;
    let head = state.get("head").and_then(|text| parse_head(text)).unwrap_or_default();
    let anchor = state.get("anchor").and_then(|text| parse_head(text));
    let mut verifier = Verifier::from_beginning(anchor).witness(head);
    if wanted.to_ms.is_some() {
        verifier = Verifier::from_beginning(anchor);
    }
    let (mut after, mut begun) = (0, wanted.from_ms.is_none());
    'rows: loop {
        let rows = range(connection, &keys.stream, after, STEP)?;
        let ended = rows.len() < STEP;
        for Found { row, facets } in rows {
            after = row.sequence;
            if wanted.to_ms.is_some_and(|to| facets.appended_ms >= to) {
                break 'rows;
            }
            if !begun {
                begun = wanted.from_ms.is_none_or(|from| facets.appended_ms >= from);
                if !begun {
                    let start = super::super::query::head_of(&row);
                    verifier = Verifier::after(start);
                    if wanted.to_ms.is_none() && head.sequence > start.sequence {
                        verifier = verifier.witness(head);
                    }
                    continue;
                }
            }
            verifier.push(Row { position: Some(row.sequence), hash: row.hash, canonical: &row.canonical });
            if !agree(&facets.to_bytes(), &row.canonical) {
                let detail = "the search columns do not agree with the row".to_owned();
                verifier.report(BreakKind::Index, row.sequence, detail);
            }
        }
        if ended {
            break;
        }
    }
    Ok(VerifyReport::new(chain.to_owned(), verifier.finish(None)))
}

/// Reads rows after a sequence, oldest first.
pub(super) fn range(
    connection: &mut Connection,
    stream: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<Found>, AuditError> {
    let from = format!("{}-0", after.saturating_add(1));
    let reply: Value =
        redis::cmd("XRANGE").arg(stream).arg(from).arg("+").arg("COUNT").arg(limit).query(connection)?;
    parse(reply)
}

fn parse(reply: Value) -> Result<Vec<Found>, AuditError> {
    let rows: Vec<(String, HashMap<String, Vec<u8>>)> =
        redis::from_redis_value(reply).map_err(|error| AuditError::Corrupt(error.to_string()))?;
    rows.into_iter().map(|(id, fields)| found(&id, fields)).collect()
}

fn found(id: &str, mut fields: HashMap<String, Vec<u8>>) -> Result<Found, AuditError> {
    let mut read = || {
        let sequence = id.split_once('-')?.0.parse().ok()?;
        let hash = Hash::from_hex(std::str::from_utf8(fields.get("hash")?).ok()?)?;
        let facets = Facets::from_bytes(fields.get("columns")?).ok()?;
        let canonical = fields.remove("record")?;
        Some(Found { row: StoredRow { sequence, hash, canonical }, facets })
    };
    read().ok_or_else(|| AuditError::Corrupt(format!("the stream entry {id}")))
}
