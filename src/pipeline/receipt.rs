//! What a request leaves behind, whatever ends it: ledger, budget, limits, metrics, one audit record.
//!
//! A receipt is opened when a request arrives and travels with it. Two sides can hold it: the client's side, which
//! knows how the answer ended, and the fetching side, which knows what was used. The record is written when both have
//! let go, so a client that leaves early does not lose the cost of a call that others still listen to, and dropping a
//! receipt anywhere (disconnect, panic, drain) settles it.

use std::cell::{Ref, RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sentinel_domain::audit::{AuditRecord, TimelineStep};
use sentinel_domain::{ApiError, ErrorCode, NanoUsd, RequestId};

use sentinel_graph::audit::{AdmitError, AuditSlot, Recorded};
use sentinel_graph::cost::{SettleSlot, Settlement};
use sentinel_runtime::Permit;
use sentinel_store::audit::{Intent, format_ms};
use sentinel_store::budget::{Hold, Periods};
use sentinel_store::limits::Grant;
use sentinel_store::usage::UsageEvent;
use tokio::time::Instant;
use uuid::Uuid;

use crate::config::settings::Durability;
use crate::gateway::Worker;
use crate::gateway::flow::{Answerer, Bill};
use crate::gateway::identity::Identity;
use crate::telemetry::metrics::CallOutcome;

/// Status of a client that went away. Source: nginx' convention.
const CLIENT_CLOSED: u16 = 499;
/// Status of a request whose handler panicked.
const FAILED: u16 = 500;
/// Status of a request that was refused because its record has no place.
const UNAVAILABLE: u16 = 503;
/// Steps kept of a request's timeline.
const MOST_STEPS: usize = 64;

/// How the client's side ended.
#[derive(Debug, Clone)]
struct Ending {
    status: u16,
    code: Option<ErrorCode>,
}

/// Everything that is known of a request so far.
pub struct Ledger {
    worker: Worker,
    arrived: Instant,
    pattern: &'static str,
    record: AuditRecord,
    audit: Option<AuditSlot>,
    settle: Option<SettleSlot>,
    grant: Option<Grant>,
    hold: Option<Hold>,
    answerer: Option<Answerer>,
    bill: Option<Bill>,
    price_class: Arc<str>,
    saved: NanoUsd,
    first_token: Option<Instant>,
    last_token: Option<Instant>,
    chunks: u32,
    upstream: Duration,
    head_sent: Option<Instant>,
    streaming: bool,
    ending: Option<Ending>,
    written: bool,
    _permit: Permit,
}

/// A request's receipt. Clones are the sides that hold it.
#[derive(Clone)]
pub struct Receipt(Rc<RefCell<Ledger>>);

impl Receipt {
    /// Opens a receipt for a request that has just arrived.
    #[must_use]
    pub fn open(
        worker: Worker,
        permit: Permit,
        id: &RequestId,
        pattern: &'static str,
        (arrived, arrived_unix_ms): (Instant, u64),
        client: std::net::IpAddr,
    ) -> Self {
        let record = AuditRecord {
            request_id: id.as_str().to_owned(),
            timestamp: format_ms(arrived_unix_ms),
            client_addr: client.to_string(),
            ..AuditRecord::default()
        };
        Self(Rc::new(RefCell::new(Ledger {
            worker,
            arrived,
            pattern,
            record,
            audit: None,
            settle: None,
            grant: None,
            hold: None,
            answerer: None,
            bill: None,
            price_class: Arc::from(""),
            saved: NanoUsd::ZERO,
            first_token: None,
            last_token: None,
            chunks: 0,
            upstream: Duration::ZERO,
            head_sent: None,
            streaming: false,
            ending: None,
            written: false,
            _permit: permit,
        })))
    }

    fn get(&self) -> Ref<'_, Ledger> {
        self.0.borrow()
    }

    fn edit(&self) -> RefMut<'_, Ledger> {
        self.0.borrow_mut()
    }

    /// Notes who is calling.
    pub fn identified(&self, identity: &Identity) {
        self.edit().record.key = identity.caller.key_name().map(|name| name.to_string());
    }

    /// Notes what is asked for.
    pub fn asked(&self, model: &str, stream: bool) {
        let mut ledger = self.edit();
        ledger.record.route = Some(model.to_owned());
        ledger.record.stream = stream;
    }

    /// Notes the matched route.
    pub fn routed(&self, route: &str) {
        self.edit().record.route = Some(route.to_owned());
    }

    /// Takes the places of the audit record and of the settlement, so that the end can't meet a full queue.
    ///
    /// # Errors
    /// `store_unavailable` while the audit trail cannot be written and requests are to be refused; `overloaded` when
    /// too many requests are open.
    pub fn admit(&self) -> Result<(), ApiError> {
        let mut ledger = self.edit();
        let intent = ledger.intent();
        let audit = ledger.worker.audit.admit(intent).map_err(unrecorded)?;
        ledger.audit = Some(audit);
        let settle = ledger.worker.cost.slot().ok_or_else(|| {
            ApiError::new(ErrorCode::Overloaded, "too many requests are open")
                .retry_after(Duration::from_secs(1))
        })?;
        ledger.settle = Some(settle);
        Ok(())
    }

    /// Holds a rate grant until the end.
    pub fn granted(&self, grant: Grant) {
        self.edit().grant = Some(grant);
    }

    /// Holds money until the end.
    pub fn held(&self, hold: Hold) {
        self.edit().hold = Some(hold);
    }

    /// Notes what was found in the request or the answer.
    pub fn found(&self, entities: impl IntoIterator<Item = (String, u64)>, redacted: bool) {
        let mut ledger = self.edit();
        for (entity, count) in entities {
            *ledger.record.pii_detected.entry(entity).or_insert(0) += count;
        }
        ledger.record.pii_redacted |= redacted;
    }

    /// Returns what was found so far.
    #[must_use]
    pub fn findings(&self) -> BTreeMap<String, u64> {
        self.get().record.pii_detected.clone()
    }

    /// Notes the injection score.
    pub fn scored(&self, score: f32) {
        self.edit().record.injection_score = Some((f64::from(score) * 1000.0).round() / 1000.0);
    }

    /// Notes how the cache took part.
    pub fn cached(&self, how: &'static str) {
        self.edit().record.cache = Some(how.to_owned());
    }

    /// Notes the redacted content, where that is switched on.
    pub fn content(&self, content: String) {
        self.edit().record.content = Some(content);
    }

    /// Notes who answers, or was tried last, after how many attempts.
    pub fn answered_by(&self, answerer: Answerer, attempts: u32) {
        let mut ledger = self.edit();
        ledger.record.provider = Some(answerer.key.provider.to_string());
        ledger.record.model = Some(answerer.key.model.to_string());
        ledger.record.attempts = attempts;
        ledger.answerer = Some(answerer);
    }

    /// Notes how many upstream calls were made.
    pub fn attempted(&self, attempts: u32) {
        self.edit().record.attempts = attempts;
    }

    /// Adds time spent waiting for upstreams.
    pub fn waited_upstream(&self, time: Duration) {
        let mut ledger = self.edit();
        ledger.upstream = ledger.upstream.saturating_add(time);
    }

    /// Notes that a meaningful event went to the client.
    pub fn token(&self, now: Instant) {
        let mut ledger = self.edit();
        if ledger.first_token.is_none() {
            ledger.first_token = Some(now);
            let after = now.saturating_duration_since(ledger.arrived);
            ledger.record.ttft_ms = Some(millis(after));
            ledger.step("first_token", String::new());
        }
        ledger.last_token = Some(now);
        ledger.chunks = ledger.chunks.saturating_add(1);
    }

    /// Notes that the answer's head is on its way to the client.
    pub fn head_sent(&self, streaming: bool) {
        let mut ledger = self.edit();
        let now = ledger.worker.gateway.clock.now();
        ledger.head_sent.get_or_insert(now);
        if streaming && !ledger.streaming {
            ledger.streaming = true;
            ledger.worker.gateway.metrics.active_streams.inc();
        }
    }

    /// Notes why the model stopped.
    pub fn finish_reason(&self, reason: &str) {
        self.edit().record.finish_reason = Some(reason.to_owned());
    }

    /// Notes what was used and what it costs; the last word counts.
    pub fn billed(&self, bill: Bill, class: Arc<str>) {
        let mut ledger = self.edit();
        if let (Some(hold), Some(cost)) = (ledger.hold.as_mut(), bill.cost) {
            hold.note(cost);
        }
        ledger.bill = Some(bill);
        ledger.price_class = class;
    }

    /// Notes what a cached or shared answer did not cost again.
    pub fn saved(&self, amount: NanoUsd) {
        self.edit().saved = amount;
    }

    /// Adds a step to the request's timeline.
    pub fn step(&self, step: &'static str, detail: impl Into<String>) {
        self.edit().step(step, detail.into());
    }

    /// Ends the client's side. The record is written when the fetching side has let go too; with strict durability
    /// the caller waits for what is returned before it sends the last byte.
    ///
    /// # Errors
    /// `store_unavailable` if the record has no place, because the request was refused before one was taken.
    pub fn close(self, status: u16, error: Option<ErrorCode>) -> Result<Option<Recorded>, ApiError> {
        let mut ledger = self.edit();
        ledger.ending = Some(Ending { status, code: error });
        if ledger.audit.is_none() {
            let intent = ledger.intent();
            match ledger.worker.audit.admit(intent).map_err(unrecorded) {
                Ok(slot) => ledger.audit = Some(slot),
                Err(error) => {
                    ledger.ending = Some(Ending { status: UNAVAILABLE, code: Some(error.code) });
                    return Err(error);
                }
            }
        }
        drop(ledger);
        Ok(match Rc::try_unwrap(self.0) {
            Ok(ledger) => ledger.into_inner().write(),
            Err(_shared) => None,
        })
    }
}

impl Ledger {
    fn intent(&self) -> Intent {
        Intent {
            request_id: self.record.request_id.clone(),
            timestamp: self.record.timestamp.clone(),
            key: self.record.key.clone(),
            client_addr: self.record.client_addr.clone(),
            route: self.record.route.clone(),
            stream: self.record.stream,
        }
    }

    fn step(&mut self, step: &'static str, detail: String) {
        if self.record.timeline.len() < MOST_STEPS {
            let at_ms = millis(self.worker.gateway.clock.now().saturating_duration_since(self.arrived));
            self.record.timeline.push(TimelineStep { at_ms, step: step.to_owned(), detail });
        }
    }

    /// Settles everything, once.
    fn write(&mut self) -> Option<Recorded> {
        if std::mem::replace(&mut self.written, true) {
            return None;
        }
        let now = self.worker.gateway.clock.now();
        let ending = self.ending.take().unwrap_or_else(|| {
            if std::thread::panicking() {
                Ending { status: FAILED, code: Some(ErrorCode::Internal) }
            } else {
                Ending { status: CLIENT_CLOSED, code: Some(ErrorCode::ClientClosed) }
            }
        });
        self.settle_money(now);
        self.count(&ending, now);
        self.step("end", ending.code.map_or("ok", ErrorCode::as_str).to_owned());
        let latency = now.saturating_duration_since(self.arrived);
        let bill = self.bill;
        let record = &mut self.record;
        record.status = ending.status;
        record.error_code = ending.code.map(|code| code.as_str().to_owned());
        record.latency_ms = millis(latency);
        if let Some(bill) = bill {
            record.prompt_tokens = bill.usage.prompt();
            record.completion_tokens = bill.usage.output;
            record.cached_tokens = bill.usage.cache_read;
            record.cache_write_tokens = bill.usage.cache_write();
            record.reasoning_tokens = bill.usage.reasoning;
            record.usage_source = Some(bill.source);
            record.cost_usd = bill.cost;
        }
        tracing::info!(
            status = record.status,
            key = record.key.as_deref(),
            model = record.model.as_deref().or(record.route.as_deref()),
            provider = record.provider.as_deref(),
            attempts = record.attempts,
            cache = record.cache.as_deref(),
            latency_ms = record.latency_ms,
            ttft_ms = record.ttft_ms,
            tokens_in = record.prompt_tokens,
            tokens_out = record.completion_tokens,
            cost_usd = record.cost_usd.map(|cost| cost.to_string()),
            error = record.error_code.as_deref(),
            request_id = record.request_id,
            "request"
        );
        let audit = self.audit.take()?;
        let recorded = audit.finish(std::mem::take(record));
        // Only then does anybody wait for the disk.
        let is_strict = self.worker.gateway.live().config.audit.durability == Durability::Strict;
        is_strict.then_some(recorded)
    }

    fn settle_money(&mut self, now: Instant) {
        if let Some(mut grant) = self.grant.take() {
            grant.settle(self.bill.map_or(0, |bill| bill.usage.total()), now);
        }
        let Some(slot) = self.settle.take() else { return };
        let unix_ms = self.worker.gateway.clock.unix_ms();
        let event = match (&self.answerer, self.bill) {
            (Some(answerer), Some(bill)) => Some(UsageEvent {
                id: Uuid::now_v7().as_u128(),
                day: Periods::at(unix_ms).day.number,
                provider: Arc::clone(&answerer.key.provider),
                model: Arc::clone(&answerer.key.model),
                key: self.record.key.as_deref().unwrap_or_default().into(),
                usage: bill.usage,
                cost: bill.cost,
                class: Arc::clone(&self.price_class),
                saved: self.saved,
            }),
            _ => None,
        };
        self.worker.cost.settle(slot, Settlement { event, hold: Mutex::new(self.hold.take()) });
    }

    fn count(&self, ending: &Ending, now: Instant) {
        let metrics = &self.worker.gateway.metrics;
        let took = now.saturating_duration_since(self.arrived);
        let mut digits = itoa::Buffer::new();
        metrics.requests.with_label_values(&[self.pattern, digits.format(ending.status)]).inc();
        metrics.request_duration.with_label_values(&[self.pattern]).observe(took.as_secs_f64());
        metrics.latency.record(took);
        if self.streaming {
            metrics.active_streams.dec();
        }
        if let Some(sent) = self.head_sent {
            let own = sent.saturating_duration_since(self.arrived).saturating_sub(self.upstream);
            metrics.overhead.observe(own.as_secs_f64());
            metrics.overhead_sketch.record(own);
        }
        if ending.code == Some(ErrorCode::ClientClosed) {
            let phase = if self.first_token.is_some() { "streaming" } else { "before_first_token" };
            metrics.client_disconnects.with_label_values(&[phase]).inc();
        }
        if self.saved > NanoUsd::ZERO {
            metrics.cost_saved.inc_by(self.saved.as_usd_f64());
        }
        let Some(answerer) = &self.answerer else { return };
        let target = metrics.target(&answerer.key.provider, &answerer.label);
        let outcome = match (ending.code, ending.status) {
            (Some(ErrorCode::ClientClosed), _) => CallOutcome::Cancelled,
            (None, _) => CallOutcome::Ok,
            (Some(_), 400..=498) => CallOutcome::ClientError,
            (Some(_), _) => CallOutcome::UpstreamError,
        };
        target.finished(outcome, took);
        if let Some(bill) = &self.bill {
            target.used(&bill.usage, bill.cost);
        }
        if let Some(first) = self.first_token {
            let after = first.saturating_duration_since(self.arrived);
            target.first_token(after);
            metrics.first_token.record(after);
            let span = self.last_token.map_or(Duration::ZERO, |last| last.saturating_duration_since(first));
            if self.chunks > 1 {
                let tokens = self.bill.map_or(u64::from(self.chunks), |bill| bill.usage.output).max(2);
                let per_token = span / u32::try_from(tokens - 1).unwrap_or(u32::MAX);
                target.pace(span / (self.chunks - 1), per_token);
            }
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // After `close` there is nothing left to do. Nobody waits here for the record to reach the disk.
        drop(self.write());
    }
}

/// Refuses a request whose record would have no place.
fn unrecorded(error: AdmitError) -> ApiError {
    tracing::debug!(%error, "no place for an audit record");
    ApiError::new(
        ErrorCode::StoreUnavailable,
        "the audit trail cannot be written, and the gateway is set to refuse requests then",
    )
    .retry_after(Duration::from_secs(1))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
