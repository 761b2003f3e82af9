//! Answers that need not be bought: from the cache, or from an identical request already in flight.
//!
//! Every request that has to be fetched goes through a flight, alone or with others. The fetch belongs to the flight,
//! not to the request that began it.

use std::collections::VecDeque;
use std::sync::Arc;

use sentinel_domain::policy::ProviderKind;
use sentinel_domain::{ApiError, ErrorCode, NanoUsd, Usage, UsageSource};
use sentinel_graph::routing::Resolved;
use sentinel_graph::target::TargetKey;
use sentinel_store::cache::coalesce::{Event, Joined};
use sentinel_store::cache::{CacheBody, CacheEntry, CacheKey};
use sentinel_wire::dialect::{self, EncodeOptions, Hints};
use sentinel_wire::{NoHeaders, StreamItem};
use uuid::Uuid;

use super::answer::{AnswerGuard, Answered, Streaming, Whole};
use super::fetch::{self, Job, Options};
use super::guard::Guarded;
use super::receipt::Receipt;
use super::{CacheControl, Failed, Marks};
use crate::config::settings::CacheScope;
use crate::gateway::flow::{Answerer, Bill, End, Failure, FlightListener, Flow, Head};
use crate::gateway::identity::Identity;
use crate::gateway::{Live, Worker};

/// Largest event of a stored stream, bytes; what is stored is far smaller.
const MOST_EVENT: usize = 4 << 20;

/// A request that has been admitted and guarded.
pub struct Flight {
    /// This thread's actors.
    pub worker: Worker,
    /// What is in force.
    pub live: Arc<Live>,
    /// Who is calling.
    pub identity: Identity,
    /// The request as it may go to a provider.
    pub guarded: Guarded,
    /// Where it can go.
    pub resolved: Resolved,
    /// What it will probably use.
    pub estimate: Usage,
    /// What the caller says about cached answers.
    pub cache: CacheControl,
    /// What the fetch needs beside the request.
    pub options: Options,
}

/// Where an answer comes from.
pub enum Source {
    /// From the cache.
    Stored(VecDeque<Flow>),
    /// From a flight.
    Flight {
        /// Its events.
        listener: FlightListener,
        /// How to fetch, should this listener have to take over.
        job: Box<Job>,
    },
}

impl Source {
    /// Returns the next event; `None` after the last one.
    ///
    /// # Errors
    /// Why there is no rest.
    pub async fn next(&mut self) -> Result<Option<Flow>, Arc<Failure>> {
        let (listener, job) = match self {
            Self::Stored(events) => return Ok(events.pop_front()),
            Self::Flight { listener, job } => (listener, job),
        };
        loop {
            let lost = match listener.next().await {
                Event::Item(flow) => return Ok(Some(flow)),
                Event::End => return Ok(None),
                Event::Failed(failure) => return Err(failure),
                Event::Promoted(publisher) => {
                    fetch::start(Job::clone(job), publisher);
                    continue;
                }
                Event::Broken => {
                    ApiError::new(ErrorCode::Internal, "the gateway lost the rest of the answer")
                }
                Event::Lagged => {
                    ApiError::new(ErrorCode::Overloaded, "the client reads the stream too slowly")
                }
            };
            return Err(Arc::new(Failure { error: lost, answerer: None, attempts: 0, partial: None }));
        }
    }
}

/// Finds or fetches the answer.
///
/// # Errors
/// Whatever the fetch failed with.
pub async fn answer(flight: Flight, receipt: &Receipt, marks: &mut Marks) -> Result<Answered, Failed> {
    let Flight { worker, live, identity, guarded, resolved, estimate, cache, options } = flight;
    let Guarded { request, vault } = guarded;
    let settings = &live.config.cache;
    let (may_read, may_keep) =
        (settings.enabled && !cache.no_cache && !cache.no_store, settings.enabled && !cache.no_store);
    let key = (may_read || may_keep).then(|| key_of(&live, &identity, &resolved, &request));
    let guard =
        AnswerGuard::new(live.guards.clone(), vault, live.config.pii.restore, live.config.pii.response_mode);
    let metrics = &worker.gateway.metrics;

    let now = worker.gateway.clock.now();
    if let (true, Some(key)) = (may_read, &key) {
        if let Some(entry) = worker.stores.cache.get(key, now).await
            && let Some(events) = replay(&entry, &resolved, &request)
        {
            metrics.cache_hits.inc();
            note(receipt, marks, "hit");
            receipt.saved(entry.cost.unwrap_or_default());
            return deliver(Source::Stored(events), guard, &worker, receipt, marks, request.stream(), true)
                .await;
        }
        metrics.cache_misses.inc();
    }
    let job = Job {
        worker: worker.clone(),
        live: Arc::clone(&live),
        keep: may_keep.then_some(key).flatten(),
        request: request.clone(),
        resolved,
        estimate,
        options,
        receipt: receipt.clone(),
    };
    let shared_key = (may_read && settings.coalesce).then_some(key).flatten();
    let (listener, leads) = match worker.gateway.flights.join(shared_key.unwrap_or_else(lone_key)) {
        Joined::Lead(publisher, listener) => {
            note(receipt, marks, if may_read { "miss" } else { "bypass" });
            fetch::start(job.clone(), publisher);
            (listener, true)
        }
        Joined::Follow(listener) => {
            metrics.cache_coalesced.inc();
            note(receipt, marks, "coalesced");
            (listener, false)
        }
        Joined::Alone => {
            metrics.shed.with_label_values(&["flights"]).inc();
            let error = ApiError::new(ErrorCode::Overloaded, "too many requests are in flight");
            return Err(error.retry_after(std::time::Duration::from_secs(1)).into());
        }
    };
    let source = Source::Flight { listener, job: Box::new(job) };
    deliver(source, guard, &worker, receipt, marks, request.stream(), !leads).await
}

fn note(receipt: &Receipt, marks: &mut Marks, how: &'static str) {
    receipt.cached(how);
    receipt.step("cache", how);
    marks.cache = Some(how);
}

/// Takes the head, then the whole answer or the stream behind it.
async fn deliver(
    mut source: Source,
    guard: AnswerGuard,
    worker: &Worker,
    receipt: &Receipt,
    marks: &mut Marks,
    is_stream: bool,
    is_free: bool,
) -> Result<Answered, Failed> {
    let mut whole = None;
    loop {
        match source.next().await {
            Ok(Some(Flow::Head(head))) => {
                marks.answerer = Some(head.answerer.clone());
                marks.attempts = if is_free { 0 } else { head.attempts };
                marks.ignored.clone_from(&head.ignored);
                if is_free {
                    receipt.answered_by(head.answerer.clone(), 0);
                    let bill = Bill {
                        usage: Usage::default(),
                        source: UsageSource::Provider,
                        cost: Some(NanoUsd::ZERO),
                    };
                    receipt.billed(bill, Arc::from(""));
                }
                if is_stream {
                    let streaming = Streaming::new(source, guard, worker.clone(), receipt.clone(), is_free);
                    return Ok(Answered::Stream(Box::new(streaming)));
                }
            }
            Ok(Some(Flow::Whole(completion))) => whole = Some(completion),
            Ok(Some(Flow::End(end))) => {
                let Some(completion) = whole.take() else { continue };
                if is_free {
                    receipt.saved(end.bill.cost.unwrap_or_default());
                }
                receipt_end(receipt, &end);
                let cost = if is_free { Some(NanoUsd::ZERO) } else { end.bill.cost };
                let body = guard.whole(worker, &completion, receipt)?.with_cost(cost);
                // The fetching side may still hold the receipt; it must not outlive the source.
                drop(source);
                return Ok(Answered::Whole(Whole { body, cost }));
            }
            Ok(Some(Flow::Chunk(_))) => {}
            Ok(None) => {
                return Err(ApiError::new(ErrorCode::Internal, "the answer ended before it began").into());
            }
            Err(failure) => {
                marks.answerer.clone_from(&failure.answerer);
                marks.attempts = failure.attempts;
                if let Some(answerer) = &failure.answerer {
                    receipt.answered_by(answerer.clone(), failure.attempts);
                }
                return Err(failure.error.clone().into());
            }
        }
    }
}

/// Notes why the model stopped.
pub fn receipt_end(receipt: &Receipt, end: &End) {
    if let Some(reason) = &end.finish_reason {
        receipt.finish_reason(reason);
    }
}

/// Hashes everything that changes the answer.
fn key_of(
    live: &Live,
    identity: &Identity,
    resolved: &Resolved,
    request: &sentinel_wire::ChatRequest,
) -> CacheKey {
    let scope = match live.config.cache.scope {
        CacheScope::Key => identity.caller.store_id(),
        CacheScope::Shared => "shared".to_owned(),
    };
    let mut targets: Vec<_> = resolved.targets.iter().map(|target| target.key.to_string()).collect();
    targets.sort_unstable();
    let shape = if request.stream() {
        if request.include_usage() { "stream+usage" } else { "stream" }
    } else {
        "whole"
    };
    let model = format!("{shape} {}", targets.join(" "));
    CacheKey::new(&scope, &model, &live.policy_tag, &request.canonical_key())
}

/// A key that nobody else has, for a request that flies alone.
fn lone_key() -> CacheKey {
    CacheKey::new("alone", "", "", Uuid::now_v7().as_bytes())
}

/// Turns a stored answer back into events. `None` if it does not fit, which is a miss.
fn replay(
    entry: &CacheEntry,
    resolved: &Resolved,
    request: &sentinel_wire::ChatRequest,
) -> Option<VecDeque<Flow>> {
    let key = TargetKey::new(entry.provider.as_str(), entry.model.as_str());
    let label =
        resolved.targets.iter().find(|target| target.key == key).map(|target| Arc::clone(&target.label))?;
    let answerer = Answerer { key, label };
    let mut events =
        VecDeque::from([Flow::Head(Arc::new(Head { answerer, attempts: 0, ignored: Vec::new() }))]);
    let hints: Hints =
        dialect::encode(ProviderKind::OpenAi, request, &entry.model, &EncodeOptions::default()).ok()?.hints;
    let mut finish_reason = None;
    match &entry.body {
        CacheBody::Unary(body) => {
            let at = std::time::SystemTime::UNIX_EPOCH;
            let completion =
                dialect::decode_unary(ProviderKind::OpenAi, 200, &NoHeaders, body.clone(), &hints, at)
                    .ok()?;
            finish_reason = completion.finish_reason().map(str::to_owned).or(finish_reason);
            events.push_back(Flow::Whole(Arc::new(completion)));
        }
        CacheBody::Events(chunks) => {
            let mut decoder = dialect::decode_stream(ProviderKind::OpenAi, hints, MOST_EVENT);
            // The decoder holds the usage back until it knows that nothing comes after it.
            let end = actix_web::web::Bytes::from_static(b"[DONE]");
            for json in chunks.iter().chain([&end]) {
                let mut frame = actix_web::web::BytesMut::with_capacity(json.len() + 8);
                frame.extend_from_slice(b"data: ");
                frame.extend_from_slice(json);
                frame.extend_from_slice(b"\n\n");
                decoder.feed(frame.freeze());
                while let Some(item) = decoder.next_item() {
                    match item {
                        StreamItem::Chunk(chunk) => events.push_back(Flow::Chunk(chunk)),
                        StreamItem::Done => {}
                        StreamItem::Failed(_) => return None,
                    }
                }
            }
            finish_reason = decoder.finish_reason().map(str::to_owned).or(finish_reason);
        }
    }
    let bill = Bill { usage: entry.usage, source: UsageSource::Provider, cost: entry.cost };
    events.push_back(Flow::End(Arc::new(End { bill, finish_reason })));
    Some(events)
}
