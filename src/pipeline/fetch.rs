//! The fetching side: tries targets until one answers, publishes the answer, and says what it used.
//!
//! Runs as a task of its own that belongs to the flight. It ends early when nobody listens any more; dropping the
//! upstream answer then closes the provider's connection.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use sentinel_domain::usage::estimate_tokens;
use sentinel_domain::{ApiError, ErrorCode, NanoUsd, Usage, UsageSource};
use sentinel_graph::attempt::{self, After, AttemptEvent, Caller};
use sentinel_graph::breaker::Committed;
use sentinel_graph::provider::{AnswerStream, CallError, CallFailure, Reply, StreamEvent, UpstreamCall};
use sentinel_graph::retry::Refusal;
use sentinel_graph::routing::{Resolved, Target};
use sentinel_store::cache::{CacheBody, CacheEntry, CacheKey};
use sentinel_wire::{ChatRequest, Completion, EncodeOptions};
use tokio::time::Instant;

use super::receipt::Receipt;
use crate::gateway::flow::{Answerer, Bill, End, Failure, FlightPublisher, Flow, Head};
use crate::gateway::{Live, Worker};

/// Bytes that a client may be behind before the provider is made to wait.
const MOST_BEHIND: usize = 256 * 1024;
/// How long a client may be that far behind.
const READ_STALL: Duration = Duration::from_secs(30);
/// Bytes of a stream that are kept for the cache.
const MOST_KEPT: usize = 256 * 1024;

/// What a fetch needs beside the request.
#[derive(Debug, Clone)]
pub struct Options {
    /// The client's `anthropic-beta`.
    pub beta: Option<String>,
    /// The client's `traceparent`.
    pub trace: Option<String>,
    /// When the whole request has to be over.
    pub deadline: Instant,
}

/// One request to be fetched.
#[derive(Clone)]
pub struct Job {
    /// This thread's actors.
    pub worker: Worker,
    /// What is in force.
    pub live: Arc<Live>,
    /// Under which name a complete answer is kept; `None` to keep it nowhere.
    pub keep: Option<CacheKey>,
    /// The request as it may go to a provider.
    pub request: ChatRequest,
    /// Where it can go.
    pub resolved: Resolved,
    /// What it will probably use.
    pub estimate: Usage,
    /// The rest.
    pub options: Options,
    /// Who pays.
    pub receipt: Receipt,
}

/// Starts fetching. The task ends by itself when nobody listens.
pub fn start(job: Job, publisher: FlightPublisher) {
    actix_rt::spawn(async move {
        let fetched = tokio::select! {
            biased;
            () = publisher.abandoned() => return,
            fetched = attempt(&job) => fetched,
        };
        match fetched {
            Ok((head, Reply::Whole(completion), _committed)) => whole(job, publisher, head, *completion),
            Ok((head, Reply::Stream(stream), committed)) => {
                pump(job, publisher, head, stream, committed).await
            }
            Err(failure) => {
                // The receipt must have let go before the listener learns that it is over.
                drop(job);
                publisher.fail(Arc::new(*failure));
            }
        }
    });
}

fn answerer(target: &Target) -> Answerer {
    Answerer { key: target.key.clone(), label: Arc::clone(&target.label) }
}

/// Calls a target through this worker's actor of its provider.
struct Upstreams<'a>(&'a Job);

impl Caller for Upstreams<'_> {
    type Reply = Reply;

    async fn call(&self, target: &Target, mut call: UpstreamCall) -> Result<Reply, CallError> {
        let Self(job) = self;
        let Some(shared) = job.live.providers.get(&target.key.provider) else {
            return Err(CallError::Unavailable);
        };
        if let Some(trace) = &job.options.trace {
            call.encoded.headers.push(("traceparent", trace.clone()));
        }
        job.worker.provider(shared).call(call).await
    }
}

/// Tries targets until one answers.
async fn attempt(job: &Job) -> Result<(Arc<Head>, Reply, Committed), Box<Failure>> {
    let gateway = &job.worker.gateway;
    let options = EncodeOptions {
        created: gateway.clock.unix_ms() / 1000,
        anthropic_beta: job.options.beta.clone(),
        ..EncodeOptions::default()
    };
    let work = attempt::Job {
        request: &job.request,
        options: &options,
        targets: &job.resolved.targets,
        deadline: job.options.deadline,
    };
    let deps = attempt::Deps {
        breaker: &job.worker.breaker,
        budgets: &gateway.retry_budgets,
        latencies: &gateway.latencies,
        caller: &Upstreams(job),
        clock: &gateway.clock,
        random: &gateway.random,
    };
    match attempt::run(&work, &deps, |event| observe(job, &event)).await {
        Ok(answered) => {
            let target = job.resolved.targets.get(answered.target);
            let Some(target) = target else { return Err(lost(answered.attempts)) };
            let head =
                Head { answerer: answerer(target), attempts: answered.attempts, ignored: answered.ignored };
            Ok((Arc::new(head), answered.reply, answered.committed))
        }
        Err(gave_up) => {
            job.receipt.attempted(gave_up.attempts);
            let answerer = gave_up.target.and_then(|index| job.resolved.targets.get(index)).map(answerer);
            Err(Box::new(Failure {
                error: gave_up.error,
                answerer,
                attempts: gave_up.attempts,
                partial: None,
            }))
        }
    }
}

fn lost(attempts: u32) -> Box<Failure> {
    let error = ApiError::new(ErrorCode::Internal, "the answering target is not part of the route");
    Box::new(Failure { error, answerer: None, attempts, partial: None })
}

/// Counts and notes one step of the loop.
fn observe(job: &Job, event: &AttemptEvent<'_>) {
    let metrics = &job.worker.gateway.metrics;
    let of = |index: usize| job.resolved.targets.get(index);
    let note = |target: &Target, result: &str, took: Duration| {
        let provider = &*target.key.provider;
        metrics.attempts.with_label_values(&[provider, &*target.label, result]).inc();
        metrics.upstream_duration.with_label_values(&[provider]).observe(took.as_secs_f64());
        job.receipt.waited_upstream(took);
        job.receipt.step("attempt", format!("{} {result}", target.key));
    };
    match event {
        AttemptEvent::Skipped { target, refusal, .. } => {
            let name = match refusal {
                Refusal::Open => "circuit_open",
                Refusal::Cooldown(class) => class.as_str(),
                Refusal::Full | Refusal::Unavailable => "no_capacity",
            };
            if matches!(refusal, Refusal::Full | Refusal::Unavailable) {
                metrics.shed.with_label_values(&["provider"]).inc();
            }
            if let Some(target) = of(*target) {
                job.receipt.step("skip", format!("{} {name}", target.key));
            }
        }
        AttemptEvent::Unsuitable { target, .. } => {
            if let Some(target) = of(*target) {
                job.receipt.step("skip", format!("{} unsupported", target.key));
            }
        }
        AttemptEvent::Started { target, attempt, after } => {
            let Some(target) = of(*target) else { return };
            job.receipt.answered_by(answerer(target), *attempt);
            let (before, reason) = match after {
                None => return,
                Some(After::Failed(index, class)) => (of(*index), Some(class.as_str())),
                Some(After::Skipped(index, _)) => (of(*index), None),
            };
            if let Some(reason) = reason {
                metrics.retries.with_label_values(&[&*target.key.provider, reason]).inc();
            }
            if let Some(before) = before.filter(|before| before.key.provider != target.key.provider) {
                metrics.failovers.with_label_values(&[&*before.key.provider, &*target.key.provider]).inc();
            }
        }
        AttemptEvent::Failed { target, failure, took } => {
            if let Some(target) = of(*target) {
                note(target, failure.class.as_str(), *took);
            }
        }
        AttemptEvent::Waiting { delay, .. } => {
            job.receipt.step("wait", format!("{} ms", delay.as_millis()));
            job.receipt.waited_upstream(*delay);
        }
        AttemptEvent::Committed { target, took } => {
            if let Some(target) = of(*target) {
                note(target, "ok", *took);
            }
        }
    }
}

/// Publishes a whole answer.
fn whole(job: Job, publisher: FlightPublisher, head: Arc<Head>, completion: Completion) {
    let (usage, source) = match completion.usage() {
        Some(usage) => (usage, UsageSource::Provider),
        None => (estimated(&job, completion.text_chars() as u64), UsageSource::Estimated),
    };
    let bill = bill(&job, &head.answerer, usage, source);
    let finish_reason = completion.finish_reason().map(str::to_owned);
    if completion.is_complete() && is_worth_keeping(finish_reason.as_deref()) {
        keep(&job, &head.answerer, bill, CacheBody::Unary(completion.body().clone()));
    }
    drop(job);
    publish(&publisher, Flow::Head(head));
    publish(&publisher, Flow::Whole(Arc::new(completion)));
    publish(&publisher, Flow::End(Arc::new(End { bill, finish_reason })));
    publisher.end();
}

fn publish(publisher: &FlightPublisher, flow: Flow) -> bool {
    let weight = flow.weight();
    publisher.publish(flow, weight)
}

/// Publishes a stream until its end, its failure, or until nobody listens.
async fn pump(
    job: Job,
    publisher: FlightPublisher,
    head: Arc<Head>,
    mut stream: AnswerStream,
    committed: Committed,
) {
    let mut partial = Partial { job: Some(&job), head: &head, stream: &mut stream, done: false };
    let mut kept: Option<(Vec<Bytes>, usize)> = job.keep.map(|_| (Vec::new(), 0));
    publish(&publisher, Flow::Head(Arc::clone(&head)));
    let failure = loop {
        let event = tokio::select! {
            biased;
            () = publisher.abandoned() => return,
            event = partial.stream.next() => event,
        };
        match event {
            Some(StreamEvent::Chunk(chunk)) => {
                if let Some((chunks, bytes)) = &mut kept {
                    *bytes += chunk.json().len();
                    chunks.push(chunk.json().clone());
                    if *bytes > MOST_KEPT {
                        kept = None;
                    }
                }
                publish(&publisher, Flow::Chunk(chunk));
                let room = tokio::time::timeout(READ_STALL, publisher.room(MOST_BEHIND)).await;
                if room.is_err() {
                    // The slowest listener is let go; with it gone the others go on.
                    publisher.drop_slowest();
                }
            }
            Some(StreamEvent::Done) | None => break None,
            Some(StreamEvent::Failed(failure)) => break Some(failure),
        }
    };
    partial.done = true;
    let (usage, finish_reason) = (partial.stream.usage(), partial.stream.finish_reason());
    let delivered = partial.stream.delivered_chars();
    drop(partial);
    match failure {
        None => {
            let (usage, source) = match usage {
                Some(usage) => (usage, UsageSource::Provider),
                None => (estimated(&job, delivered), UsageSource::Estimated),
            };
            let bill = bill(&job, &head.answerer, usage, source);
            if let (Some((chunks, _)), true) = (kept, is_worth_keeping(finish_reason.as_deref())) {
                keep(&job, &head.answerer, bill, CacheBody::Events(chunks));
            }
            drop(job);
            publish(&publisher, Flow::End(Arc::new(End { bill, finish_reason })));
            publisher.end();
        }
        Some(CallFailure { class, error, .. }) => {
            committed.died(class);
            let usage = incomplete(&job, usage, delivered);
            bill(&job, &head.answerer, usage, UsageSource::Partial);
            drop(job);
            let failure = Failure {
                error,
                answerer: Some(head.answerer.clone()),
                attempts: head.attempts,
                partial: Some(usage),
            };
            publisher.fail(Arc::new(failure));
        }
    }
}

/// Settles what was delivered when a stream is given up: nobody listens any more, or the task panics.
struct Partial<'a> {
    job: Option<&'a Job>,
    head: &'a Head,
    stream: &'a mut AnswerStream,
    done: bool,
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        if let (false, Some(job)) = (self.done, self.job) {
            let usage = incomplete(job, self.stream.usage(), self.stream.delivered_chars());
            bill(job, &self.head.answerer, usage, UsageSource::Partial);
        }
    }
}

/// What a broken-off answer used: what the provider reported so far, completed by what was delivered.
fn incomplete(job: &Job, reported: Option<Usage>, delivered_chars: u64) -> Usage {
    let counted = estimated(job, delivered_chars);
    match reported {
        Some(reported) => Usage { output: reported.output.max(counted.output), ..reported },
        None => counted,
    }
}

fn estimated(job: &Job, delivered_chars: u64) -> Usage {
    let output = estimate_tokens(usize::try_from(delivered_chars).unwrap_or(usize::MAX));
    Usage { input: job.estimate.input, output, ..Usage::default() }
}

/// Prices a usage and notes it on the receipt.
fn bill(job: &Job, answerer: &Answerer, usage: Usage, source: UsageSource) -> Bill {
    let provider = &answerer.key.provider;
    let priced = job.live.prices.cost(provider, job.live.kind_of(provider), &answerer.key.model, &usage);
    let (cost, class): (Option<NanoUsd>, Arc<str>) = match priced {
        Some((cost, class)) => (Some(cost), class),
        None => (None, Arc::from("")),
    };
    let bill = Bill { usage, source, cost };
    job.receipt.billed(bill, class);
    bill
}

/// Says whether an answer is complete in a way that is worth giving again.
fn is_worth_keeping(finish_reason: Option<&str>) -> bool {
    matches!(finish_reason, Some("stop" | "tool_calls" | "function_call"))
}

fn keep(job: &Job, answerer: &Answerer, bill: Bill, body: CacheBody) {
    let Some(key) = &job.keep else { return };
    let clock = &job.worker.gateway.clock;
    let entry = CacheEntry {
        body,
        provider: answerer.key.provider.to_string(),
        model: answerer.key.model.to_string(),
        usage: bill.usage,
        cost: bill.cost,
        created_ms: clock.unix_ms(),
    };
    job.worker.stores.cache.put(key, entry, clock.now());
}
