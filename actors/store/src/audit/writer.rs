//! The writer thread: seals records, commits them in groups, retries what fails, and keeps house.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::audit::{AuditEvent, AuditRecord, RecoveryReason};
use tokio::sync::oneshot;

use super::batch::{Backend, Batch, Opened};
use super::chain::Head;
use super::config::{AuditConfig, WallClock};
use super::error::AuditError;
use super::record::{Intent, bound, event_record};
use super::slots::{Shared, Work};

/// How often the writer keeps house when it is idle.
const TICK: Duration = Duration::from_secs(1);
const FIRST_BACK_OFF: Duration = Duration::from_millis(50);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(1);
/// Panics of the writer after which it is taken for dead.
const MOST_PANICS: u32 = 6;

/// Starts the thread on a store that has been opened.
pub(crate) fn start(
    backend: Box<dyn Backend>,
    opened: Opened,
    shared: Arc<Shared>,
    config: &AuditConfig,
) -> Result<(), AuditError> {
    let mut writer = Writer::new(backend, opened, shared, config);
    std::thread::Builder::new()
        .name("sentinel-audit".to_owned())
        .spawn(move || writer.run_guarded())
        .map_err(AuditError::file("start the writer for", &config.directory))?;
    Ok(())
}

/// Records that were taken out of the queue and are not on disk yet.
#[derive(Default)]
struct Pending {
    records: Vec<AuditRecord>,
    opened: Vec<(u64, Arc<Intent>)>,
    closed: Vec<u64>,
    waiters: Vec<oneshot::Sender<Result<(), String>>>,
    /// Places that become free with the commit.
    places: usize,
    anchor: Option<Head>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.opened.is_empty() && self.closed.is_empty()
    }

    fn answer(&mut self, result: &Result<(), String>) {
        for waiter in self.waiters.drain(..) {
            // One who has stopped waiting does not need the answer.
            let _ = waiter.send(result.clone());
        }
    }
}

struct Writer {
    backend: Box<dyn Backend>,
    shared: Arc<Shared>,
    wall: WallClock,
    retention_ms: u64,
    content_limit: usize,
    head: Head,
    pending: Pending,
    /// Tickets whose intents are in the store.
    persisted: HashSet<u64>,
    expiring: Option<Head>,
    /// The last thing that the store was asked failed.
    broken: bool,
    last_tick_ms: u64,
    last_expiry_ms: u64,
    /// The head that the log has, and since when.
    logged: (u64, u64),
}

impl Writer {
    fn new(backend: Box<dyn Backend>, opened: Opened, shared: Arc<Shared>, config: &AuditConfig) -> Self {
        let now_ms = (config.wall)();
        let mut pending = Pending::default();
        pending.records.extend(opened.event.map(|event| event_record(event, now_ms)));
        for (ticket, intent) in &opened.unfinished {
            pending.records.push(intent.unfinished("process_ended"));
            pending.closed.push(*ticket);
        }
        shared.report(0, |health| {
            health.head_sequence = opened.head.sequence;
            health.head_hash = opened.head.hash.to_string();
            health.entries = opened.entries;
            health.events = opened.events;
        });
        Self {
            backend,
            shared,
            wall: config.wall.clone(),
            retention_ms: u64::try_from(config.retention.as_millis()).unwrap_or(u64::MAX),
            content_limit: config.content_limit,
            head: opened.head,
            pending,
            persisted: HashSet::new(),
            expiring: None,
            broken: false,
            last_tick_ms: now_ms,
            last_expiry_ms: 0,
            logged: (opened.head.sequence, now_ms),
        }
    }

    /// Runs until the trail is closed; a panic costs one round, not the records.
    fn run_guarded(&mut self) {
        for panics in 1..=MOST_PANICS {
            match catch_unwind(AssertUnwindSafe(|| self.run())) {
                Ok(()) => return self.shared.end(),
                Err(_) => {
                    tracing::error!(panics, "the audit writer panicked");
                    self.fail("the audit writer panicked");
                }
            }
            if self.shared.pause(FIRST_BACK_OFF * panics) {
                break;
            }
        }
        let lost = self.pending.records.len();
        tracing::error!(lost, "the audit writer gives up");
        self.shared.report(0, |health| {
            health.ok = false;
            health.dead = true;
        });
        self.shared.end();
    }

    fn run(&mut self) {
        // What is pending here comes from the opening, or from before a panic.
        self.commit();
        loop {
            let patience = if self.expiring.is_some() { Duration::ZERO } else { TICK };
            let work = self.shared.take(patience);
            let (stop, idle) = (work.stop, work.is_empty());
            let flushes = self.accept(work);
            if !self.pending.is_empty() {
                self.commit();
            }
            for flush in flushes {
                let _ = flush.send(self.state());
            }
            if stop && idle {
                return self.finish();
            }
            self.keep_house();
        }
    }

    fn state(&self) -> Result<(), String> {
        let health = self.shared.health();
        if health.ok { Ok(()) } else { Err(health.last_error.unwrap_or_default()) }
    }

    /// Moves the work into the pending batch. Requests that began and ended since the last commit leave no intent.
    fn accept(&mut self, work: Work) -> Vec<oneshot::Sender<Result<(), String>>> {
        let mut ended: HashSet<u64> = work.released.iter().copied().collect();
        self.pending.records.reserve(work.closed.len());
        for mut closing in work.closed {
            bound(&mut closing.record, self.content_limit);
            ended.insert(closing.ticket);
            self.pending.records.push(closing.record);
            self.pending.waiters.extend(closing.waiter);
            self.pending.places += 1;
        }
        self.pending.opened.extend(work.opened);
        self.pending.opened.retain(|(ticket, _)| !ended.remove(ticket));
        self.pending.closed.extend(ended.into_iter().filter(|ticket| self.persisted.remove(ticket)));
        work.flushes
    }

    /// Writes the pending batch, again and again until it is on disk or the trail is closed.
    fn commit(&mut self) {
        let mut back_off = FIRST_BACK_OFF;
        let mut attempt = self.attempt();
        while let Err(error) = attempt {
            let text = error.to_string();
            self.fail(&text);
            self.pending.answer(&Err(text));
            let stopping = self.shared.pause(back_off);
            back_off = (back_off * 2).min(LONGEST_BACK_OFF);
            attempt = self.reopen().and_then(|()| self.attempt());
            if stopping && let Err(error) = &attempt {
                let lost = self.pending.records.len();
                tracing::error!(%error, lost, "audit records could not be written before the end");
                return;
            }
        }
    }

    fn attempt(&mut self) -> Result<(), AuditError> {
        if self.pending.is_empty() && !self.broken {
            return Ok(());
        }
        let now_ms = (self.wall)();
        let mut records = std::mem::take(&mut self.pending.records);
        let mut batch =
            Batch::seal(self.head, &mut records, now_ms, &self.pending.opened, &self.pending.closed);
        batch.anchor = self.pending.anchor;
        let result = self.backend.commit(&batch);
        let (head, counts) = (batch.head, batch.counts());
        drop(batch);
        if let Err(error) = result {
            self.pending.records = records;
            return Err(error);
        }
        self.head = head;
        self.taken_in(counts)
    }

    /// Does the accounts of a batch that is on disk.
    fn taken_in(&mut self, counts: (u64, u64)) -> Result<(), AuditError> {
        self.pending.records.clear();
        self.persisted.extend(self.pending.opened.drain(..).map(|(ticket, _)| ticket));
        self.pending.closed.clear();
        let places = std::mem::take(&mut self.pending.places);
        if let Some(anchor) = self.pending.anchor.take() {
            self.expiring = Some(anchor);
        }
        let kept = self.succeeded(places, counts);
        // The rows are on disk, whatever became of the copy of the head.
        self.pending.answer(&Ok(()));
        kept
    }

    fn succeeded(&mut self, places: usize, counts: (u64, u64)) -> Result<(), AuditError> {
        let kept = self.backend.keep_head(self.head, false);
        self.broken = kept.is_err();
        let head = self.head;
        self.shared.report(places, |health| {
            if !health.ok && kept.is_ok() {
                tracing::warn!(sequence = head.sequence, "the audit store works again");
            }
            health.ok = kept.is_ok();
            health.commits += 1;
            health.entries += counts.0;
            health.events += counts.1;
            health.head_sequence = head.sequence;
            health.head_hash = head.hash.to_string();
        });
        kept
    }

    fn fail(&mut self, error: &str) {
        self.broken = true;
        if self.shared.fail(error) {
            tracing::error!(error, "the audit store fails");
        }
    }

    /// Opens the store again and finds out how far the last batch got.
    fn reopen(&mut self) -> Result<(), AuditError> {
        let found = self.backend.reopen(self.head)?;
        if found.stored == self.head && !found.recreated {
            return Ok(());
        }
        let mut records = std::mem::take(&mut self.pending.records);
        let batch = Batch::seal(self.head, &mut records, 0, &[], &[]);
        let (after, counts) = (batch.head, batch.counts());
        drop(batch);
        self.pending.records = records;
        if found.stored == after && !found.recreated {
            // The commit had reached the disk although it reported a failure.
            self.head = after;
            return self.taken_in(counts);
        }
        let reason = if found.recreated {
            self.persisted.clear();
            self.shared.report(0, |health| (health.entries, health.events) = (0, 0));
            RecoveryReason::StoreDeleted
        } else if found.stored.sequence < self.head.sequence {
            RecoveryReason::TailMissing
        } else {
            RecoveryReason::StoreReplaced
        };
        let event = AuditEvent::Recovered {
            reason,
            expected_sequence: self.head.sequence,
            found_sequence: found.stored.sequence,
            aborted: 0,
        };
        tracing::error!(?event, "the audit store is not the one that was written");
        if found.stored.sequence > self.head.sequence {
            self.head = found.stored;
        }
        self.pending.records.insert(0, event_record(event, (self.wall)()));
        Ok(())
    }

    /// Does once a second what needs no hurry.
    fn keep_house(&mut self) {
        if let Some(anchor) = self.expiring {
            self.expire(anchor);
        }
        let now_ms = (self.wall)();
        // A clock that jumps back must not stop the ticks.
        if now_ms.abs_diff(self.last_tick_ms) < u64::try_from(TICK.as_millis()).unwrap_or(1000) {
            return;
        }
        self.last_tick_ms = now_ms;
        let state = self.backend.check().and_then(|()| self.backend.keep_head(self.head, true));
        if let Err(error) = state {
            self.fail(&error.to_string());
        }
        if self.broken {
            // An empty commit proves that the store works again.
            match self.reopen() {
                Ok(()) => self.commit(),
                Err(error) => self.fail(&error.to_string()),
            }
            return;
        }
        self.note_head(now_ms);
        self.find_expired(now_ms);
    }

    /// Writes the head to the log now and then: a copy that whoever changes the store does not reach.
    fn note_head(&mut self, now_ms: u64) {
        const EVERY_MS: u64 = 60_000;
        let (sequence, at_ms) = self.logged;
        if self.head.sequence != sequence && now_ms.abs_diff(at_ms) >= EVERY_MS {
            self.logged = (self.head.sequence, now_ms);
            tracing::info!(sequence = self.head.sequence, hash = %self.head.hash, "audit head");
        }
    }

    fn find_expired(&mut self, now_ms: u64) {
        let pause_ms = (self.retention_ms / 20).clamp(1_000, 60_000);
        if self.expiring.is_some() || now_ms.abs_diff(self.last_expiry_ms) < pause_ms {
            return;
        }
        self.last_expiry_ms = now_ms;
        match self.backend.expirable(now_ms.saturating_sub(self.retention_ms)) {
            Ok(None) => {}
            Ok(Some(anchor)) => {
                let event = AuditEvent::Anchor { sequence: anchor.sequence, hash: anchor.hash.to_string() };
                self.pending.records.push(event_record(event, now_ms));
                self.pending.anchor = Some(anchor);
                self.commit();
            }
            Err(error) => self.fail(&error.to_string()),
        }
    }

    fn expire(&mut self, anchor: Head) {
        match self.backend.expire_slice(anchor) {
            Ok(gone) => {
                self.expiring = gone.more.then_some(anchor);
                self.shared.report(0, |health| {
                    health.entries = health.entries.saturating_sub(gone.entries);
                    health.events = health.events.saturating_sub(gone.events);
                });
            }
            Err(error) => {
                self.expiring = None;
                self.fail(&error.to_string());
            }
        }
    }

    fn finish(&mut self) {
        if let Err(error) = self.backend.close(self.head) {
            tracing::error!(%error, "the audit trail could not be closed cleanly");
        }
    }
}
