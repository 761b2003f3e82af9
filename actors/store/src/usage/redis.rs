//! The ledger in Redis: one hash of counters a day, written in batches that are applied exactly once.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{RowKey, Totals};
use crate::error::StoreError;
use crate::redis::Redis;
use crate::redis::script::{LuaScript, Run, key};

static ADD: LuaScript = LuaScript::new(include_str!("add.lua"));

/// All days share one hash tag: the ledger is small and written in batches.
const TAG: &str = "usage";
/// Between the parts of a field name; it cannot occur in a name from a configuration or a model.
const SEPARATOR: char = '\u{1f}';
/// Rows written by one script run, so that no run takes long.
const ROWS_AT_ONCE: usize = 200;
/// How long a day is kept.
const KEEP: u64 = 400 * 24 * 3600;

type Rows = ahash::HashMap<RowKey, Totals>;

/// A batch under its id, so that sending it again changes nothing.
struct Sending {
    id: String,
    rows: Vec<(RowKey, Totals)>,
}

#[derive(Default)]
struct Queue {
    pending: Rows,
    sending: Vec<Arc<Sending>>,
}

/// What is on its way to Redis. Bounded by the number of distinct rows, however long Redis is away.
#[derive(Default)]
pub(crate) struct RemoteUsage {
    queue: Mutex<Queue>,
    /// One sender at a time.
    turn: tokio::sync::Mutex<()>,
}

impl RemoteUsage {
    pub(super) fn add(&self, key: RowKey, totals: &Totals) {
        super::gather(&mut self.queue.lock().pending, key, totals);
    }

    /// Sends everything recorded so far.
    pub(super) async fn flush(&self, redis: &Redis) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        loop {
            let next = {
                let mut queue = self.queue.lock();
                if queue.sending.is_empty() {
                    let mut by_day: BTreeMap<u32, Vec<(RowKey, Totals)>> = BTreeMap::new();
                    for (key, totals) in std::mem::take(&mut queue.pending) {
                        by_day.entry(key.day).or_default().push((key, totals));
                    }
                    queue.sending = by_day
                        .into_values()
                        .flat_map(|rows| rows.chunks(ROWS_AT_ONCE).map(<[_]>::to_vec).collect::<Vec<_>>())
                        .map(|rows| Arc::new(Sending { id: redis.shared().lease_id(), rows }))
                        .collect();
                }
                queue.sending.last().cloned()
            };
            let Some(sending) = next else { return Ok(()) };
            send(redis, &sending).await?;
            self.queue.lock().sending.pop();
        }
    }

    /// Returns the rows of some days: what Redis has, after sending it what it has not.
    pub(super) async fn rows(
        &self,
        redis: &Redis,
        since: u32,
        until: u32,
    ) -> Result<Vec<(RowKey, Totals)>, StoreError> {
        self.flush(redis).await?;
        let days: Vec<u32> = redis.read(redis::cmd("SMEMBERS").arg(key(TAG, "days"))).await?;
        let mut rows = Vec::new();
        for day in days.into_iter().filter(|day| (since..=until).contains(day)) {
            let fields: Vec<(String, i64)> = redis.read(redis::cmd("HGETALL").arg(day_key(day))).await?;
            let mut sums: BTreeMap<RowKey, Totals> = BTreeMap::new();
            for (field, amount) in fields {
                if let Some((row, kind)) = read_field(day, &field) {
                    set(sums.entry(row).or_default(), &kind, amount);
                }
            }
            rows.extend(sums);
        }
        Ok(rows)
    }

    /// Writes changed costs back, as differences, so that calls settled meanwhile are kept.
    pub(super) async fn reprice(
        &self,
        redis: &Redis,
        change: impl Fn(&RowKey, &mut Totals) -> bool,
    ) -> Result<u64, StoreError> {
        let mut changed = 0;
        for (key, before) in self.rows(redis, 0, u32::MAX).await? {
            let mut after = before;
            if change(&key, &mut after) {
                let sending = Sending {
                    id: redis.shared().lease_id(),
                    rows: vec![(
                        key,
                        Totals {
                            cost_nano: after.cost_nano.saturating_sub(before.cost_nano),
                            ..Totals::default()
                        },
                    )],
                };
                let unpriced = before.unpriced.saturating_sub(after.unpriced);
                apply(redis, &sending, -i64::try_from(unpriced).unwrap_or(i64::MAX)).await?;
                changed += 1;
            }
        }
        Ok(changed)
    }
}

async fn send(redis: &Redis, sending: &Sending) -> Result<(), StoreError> {
    apply(redis, sending, 0).await
}

async fn apply(redis: &Redis, sending: &Sending, unpriced: i64) -> Result<(), StoreError> {
    let Some((first, _)) = sending.rows.first() else { return Ok(()) };
    let mut run = Run::default()
        .key(day_key(first.day))
        .key(key(TAG, "days"))
        .key(key(TAG, &format!("batch:{}", sending.id)))
        .arg(first.day)
        .arg(KEEP);
    for (row, totals) in &sending.rows {
        for (kind, amount) in amounts(totals) {
            let amount = if kind == "unpriced" { amount.saturating_add(unpriced) } else { amount };
            if amount != 0 {
                run = run.arg(field(row, kind)).arg(amount);
            }
        }
    }
    redis.script::<i64>(&ADD, &run).await.map(|_| ())
}

fn day_key(day: u32) -> String {
    key(TAG, &format!("day:{day}"))
}

fn field(row: &RowKey, kind: &str) -> String {
    [&*row.provider, &row.model, &row.key, &row.class, kind].join(SEPARATOR.encode_utf8(&mut [0; 4]))
}

fn read_field(day: u32, field: &str) -> Option<(RowKey, String)> {
    let mut parts = field.split(SEPARATOR);
    let mut part = || parts.next();
    let (provider, model, key, class, kind) = (part()?, part()?, part()?, part()?, part()?);
    let row =
        RowKey { day, provider: provider.into(), model: model.into(), key: key.into(), class: class.into() };
    parts.next().is_none().then(|| (row, kind.to_owned()))
}

fn amounts(totals: &Totals) -> [(&'static str, i64); 10] {
    let count = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
    [
        ("requests", count(totals.requests)),
        ("unpriced", count(totals.unpriced)),
        ("input", count(totals.input)),
        ("cache_read", count(totals.cache_read)),
        ("cache_write_5m", count(totals.cache_write_5m)),
        ("cache_write_1h", count(totals.cache_write_1h)),
        ("output", count(totals.output)),
        ("reasoning", count(totals.reasoning)),
        ("cost", totals.cost_nano),
        ("saved", totals.saved_nano),
    ]
}

fn set(totals: &mut Totals, kind: &str, amount: i64) {
    let count = u64::try_from(amount).unwrap_or(0);
    match kind {
        "requests" => totals.requests = count,
        "unpriced" => totals.unpriced = count,
        "input" => totals.input = count,
        "cache_read" => totals.cache_read = count,
        "cache_write_5m" => totals.cache_write_5m = count,
        "cache_write_1h" => totals.cache_write_1h = count,
        "output" => totals.output = count,
        "reasoning" => totals.reasoning = count,
        "cost" => totals.cost_nano = amount,
        "saved" => totals.saved_nano = amount,
        _ => {}
    }
}
