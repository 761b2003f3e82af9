//! The tables of the embedded trail and how they are opened.

use std::path::Path;

use redb::{Builder, Database, ReadableTable, TableDefinition};

use super::super::chain::{Hash, Head};
use super::super::error::AuditError;

/// Sequence to the row: 32 bytes of hash, then the canonical text.
pub(super) const ENTRIES: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("entries");
/// Sequence to the search columns.
pub(super) const FACETS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("facets");
/// Request id and sequence; a client may use an id more than once.
pub(super) const BY_REQUEST: TableDefinition<'static, (&str, u64), ()> = TableDefinition::new("by_request");
/// Ticket to the intent of a request that is under way.
pub(super) const OPEN: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("open");
/// Single values.
pub(super) const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");

pub(super) const CHAIN: &str = "chain";
pub(super) const HEAD: &str = "head";
pub(super) const ANCHOR: &str = "anchor";
pub(super) const ENTRY_COUNT: &str = "entries";
pub(super) const EVENT_COUNT: &str = "events";
pub(super) const CLEAN: &str = "clean";

/// Page cache of the database: enough for the tails of its trees and one page of queries.
const CACHE_BYTES: usize = 8 << 20;

/// Opens or makes the database with all its tables.
pub(super) fn open(path: &Path) -> Result<Database, AuditError> {
    let database = Builder::new().set_cache_size(CACHE_BYTES).create(path)?;
    restrict(path)?;
    let transaction = begin(&database)?;
    transaction.open_table(ENTRIES)?;
    transaction.open_table(FACETS)?;
    transaction.open_table(BY_REQUEST)?;
    transaction.open_table(OPEN)?;
    transaction.open_table(META)?;
    transaction.commit()?;
    Ok(database)
}

/// Begins a write whose commit is on disk when it returns, and after which a reopening is quick.
pub(super) fn begin(database: &Database) -> Result<redb::WriteTransaction, AuditError> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

/// Lets only the owner read the trail.
fn restrict(path: &Path) -> Result<(), AuditError> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(AuditError::file("restrict", path))
}

/// Splits a row into its hash and its canonical text.
pub(super) fn split_row(value: &[u8]) -> Result<(Hash, &[u8]), AuditError> {
    value
        .split_first_chunk::<32>()
        .map(|(hash, canonical)| (Hash(*hash), canonical))
        .ok_or_else(|| AuditError::Corrupt(format!("a row of {} bytes", value.len())))
}

pub(super) fn meta_head(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &'static str,
) -> Result<Option<Head>, AuditError> {
    meta.get(name)?.map(|value| Head::from_bytes(value.value())).transpose()
}

pub(super) fn meta_count(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &'static str,
) -> Result<u64, AuditError> {
    let Some(value) = meta.get(name)? else { return Ok(0) };
    let bytes = value.value().try_into().map_err(|_| AuditError::Corrupt(format!("the count of {name}")))?;
    Ok(u64::from_be_bytes(bytes))
}
