//! The tables of the file and how rows are read and written.

use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

use super::Batch;
use crate::budget::period::PeriodId;
use crate::error::StoreError;
use crate::usage::{RowKey, Totals};

/// Day, provider, model, key, price class to the totals as JSON.
const USAGE: TableDefinition<'_, (u32, &str, &str, &str, &str), &[u8]> = TableDefinition::new("usage_v1");
/// Scope and period to nano-dollars spent.
const BUDGETS: TableDefinition<'_, (&str, u32), i64> = TableDefinition::new("budgets_v1");
/// Named numbers; `sequence` counts commits.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta_v1");
const SEQUENCE: &str = "sequence";

/// An open database with every table in place.
pub(super) struct Tables {
    database: Database,
}

fn damaged(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) => StoreError::Refused(error.to_string()),
        error => StoreError::Damaged(error.to_string()),
    }
}

impl Tables {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let at = |error: redb::DatabaseError| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => {
                StoreError::Locked { path: path.to_owned(), holder: "another process".to_owned() }
            }
            redb::DatabaseError::Storage(redb::StorageError::Io(error)) => StoreError::file(path, &error),
            error => StoreError::Damaged(format!("{}: {error}", path.display())),
        };
        let database = Database::builder().set_cache_size(8 * 1024 * 1024).create(path).map_err(at)?;
        let tables = Self { database };
        // Reading a table that does not exist is an error, so all of them are made now.
        tables.write(|transaction| {
            transaction.open_table(USAGE).map_err(damaged)?;
            transaction.open_table(BUDGETS).map_err(damaged)?;
            transaction.open_table(META).map_err(damaged)?;
            Ok(())
        })?;
        Ok(tables)
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&redb::WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut transaction = self.database.begin_write().map_err(damaged)?;
        // Costs a little at each commit and makes opening after a crash a matter of milliseconds at any size.
        transaction.set_quick_repair(true);
        let value = work(&transaction)?;
        transaction.commit().map_err(damaged)?;
        Ok(value)
    }

    /// Adds a batch to the stored rows, as commit number `sequence`.
    pub(super) fn commit(&self, batch: &Batch, sequence: u64) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut usage = transaction.open_table(USAGE).map_err(damaged)?;
            for (key, totals) in &batch.usage {
                let key = row_key(key);
                let mut sum = match usage.get(key).map_err(damaged)? {
                    Some(stored) => decode(stored.value()),
                    None => Totals::default(),
                };
                sum.add(totals);
                usage.insert(key, encode(&sum)?.as_slice()).map_err(damaged)?;
            }
            let mut budgets = transaction.open_table(BUDGETS).map_err(damaged)?;
            for ((scope, period), nano) in &batch.budgets {
                let key = (&**scope, period.code());
                let stored = budgets.get(key).map_err(damaged)?.map_or(0, |stored| stored.value());
                budgets.insert(key, stored.saturating_add(*nano)).map_err(damaged)?;
            }
            let mut meta = transaction.open_table(META).map_err(damaged)?;
            meta.insert(SEQUENCE, sequence).map_err(damaged)?;
            Ok(())
        })
    }

    /// Returns the number of the last commit.
    pub(super) fn sequence(&self) -> Result<u64, StoreError> {
        let transaction = self.database.begin_read().map_err(damaged)?;
        let meta = transaction.open_table(META).map_err(damaged)?;
        Ok(meta.get(SEQUENCE).map_err(damaged)?.map_or(0, |stored| stored.value()))
    }

    /// Returns the rows of some days and the number of the commit that they are as of.
    pub(super) fn usage(&self, since: u32, until: u32) -> Result<(Vec<(RowKey, Totals)>, u64), StoreError> {
        let transaction = self.database.begin_read().map_err(damaged)?;
        let meta = transaction.open_table(META).map_err(damaged)?;
        let sequence = meta.get(SEQUENCE).map_err(damaged)?.map_or(0, |stored| stored.value());
        let table = transaction.open_table(USAGE).map_err(damaged)?;
        let from = (since, "", "", "", "");
        let mut rows = Vec::new();
        for entry in table.range(from..).map_err(damaged)? {
            let (key, totals) = entry.map_err(damaged)?;
            let key = row_key_of(key.value());
            if key.day > until {
                break;
            }
            rows.push((key, decode(totals.value())));
        }
        Ok((rows, sequence))
    }

    /// Lets `change` alter each row; returns how many it did alter.
    pub(super) fn rewrite_usage(
        &self,
        mut change: impl FnMut(&RowKey, &mut Totals) -> bool,
    ) -> Result<u64, StoreError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(USAGE).map_err(damaged)?;
            let mut changed = Vec::new();
            for entry in table.iter().map_err(damaged)? {
                let (key, stored) = entry.map_err(damaged)?;
                let (key, mut totals) = (row_key_of(key.value()), decode(stored.value()));
                if change(&key, &mut totals) {
                    changed.push((key, totals));
                }
            }
            for (key, totals) in &changed {
                table.insert(row_key(key), encode(totals)?.as_slice()).map_err(damaged)?;
            }
            Ok(changed.len() as u64)
        })
    }

    /// Returns the amounts of `current` periods and deletes all others.
    pub(super) fn budgets(&self, current: &[PeriodId]) -> Result<Vec<(Arc<str>, PeriodId, i64)>, StoreError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(BUDGETS).map_err(damaged)?;
            let mut rows = Vec::new();
            table
                .retain(|(scope, code), nano| match current.iter().find(|period| period.code() == code) {
                    Some(period) => {
                        rows.push((Arc::from(scope), *period, nano));
                        true
                    }
                    None => false,
                })
                .map_err(damaged)?;
            Ok(rows)
        })
    }
}

fn row_key(key: &RowKey) -> (u32, &str, &str, &str, &str) {
    (key.day, &key.provider, &key.model, &key.key, &key.class)
}

fn row_key_of((day, provider, model, key, class): (u32, &str, &str, &str, &str)) -> RowKey {
    RowKey { day, provider: provider.into(), model: model.into(), key: key.into(), class: class.into() }
}

fn encode(totals: &Totals) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(totals).map_err(|error| StoreError::Damaged(error.to_string()))
}

/// A row that cannot be read counts as empty: losing one row must not block the ledger.
fn decode(bytes: &[u8]) -> Totals {
    serde_json::from_slice(bytes).unwrap_or_else(|error| {
        tracing::error!(%error, "a usage row is damaged and starts again from zero");
        Totals::default()
    })
}
