//! One request from admission to settlement.
//!
//! `http` hands over a [`Call`]; what comes back is an [`Answered`] or a [`Failed`]. In between: shape, admission, guards,
//! cache, flight. State sits in actors and cells, here is only flow. Nothing here knows HTTP, statuses or vendors.

pub mod admit;
pub mod answer;
pub mod fetch;
pub mod guard;
pub mod memory;
pub mod receipt;

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::web::Bytes;
use sentinel_domain::{ApiError, ErrorCode, NanoUsd};
use sentinel_graph::routing::Choice;
use sentinel_graph::target::TargetKey;
use sentinel_store::limits::Snapshot;
use sentinel_wire::{ChatRequest, Limits};
use tokio::time::Instant;

use crate::gateway::flow::Answerer;
use crate::gateway::identity::Identity;
use crate::gateway::{Live, Worker};
use answer::Answered;
use receipt::Receipt;

/// What the caller says about cached answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct CacheControl {
    /// Do not read.
    pub no_cache: bool,
    /// Neither read nor keep.
    pub no_store: bool,
}

/// One chat request, as `http` took it in.
pub struct Call {
    /// This thread's actors.
    pub worker: Worker,
    /// What is in force for this request.
    pub live: Arc<Live>,
    /// Who is calling.
    pub identity: Identity,
    /// The body.
    pub body: Bytes,
    /// What the caller says about cached answers.
    pub cache: CacheControl,
    /// The client's `anthropic-beta`, passed on to Anthropic.
    pub beta: Option<String>,
    /// The client's `traceparent`, passed on.
    pub trace: Option<String>,
    /// When the whole request has to be over.
    pub deadline: Instant,
}

/// What was found out on the way, for the response headers; filled in as far as the request came.
#[derive(Debug, Default)]
pub struct Marks {
    /// Who answered, or was tried last.
    pub answerer: Option<Answerer>,
    /// `hit`, `miss`, `bypass` or `coalesced`.
    pub cache: Option<&'static str>,
    /// Upstream calls made.
    pub attempts: u32,
    /// Entities replaced.
    pub pii: BTreeMap<String, u64>,
    /// The injection score.
    pub injection: Option<f32>,
    /// Request fields that the provider cannot express.
    pub ignored: Vec<String>,
    /// Guards that did not look at everything.
    pub skipped: Vec<String>,
    /// Whether a store is out and this process goes on alone.
    pub degraded: bool,
    /// The caller's limits.
    pub limits: Snapshot,
}

/// A request without an answer.
#[derive(Debug)]
pub struct Failed {
    /// What the client is told.
    pub error: ApiError,
}

impl From<ApiError> for Failed {
    fn from(error: ApiError) -> Self {
        Self { error }
    }
}

/// Brings one request to its answer.
///
/// # Errors
/// Whatever refuses it or goes wrong with it.
pub async fn run(call: Call, receipt: &Receipt, marks: &mut Marks) -> Result<Answered, Failed> {
    let Call { worker, live, identity, body, cache, beta, trace, deadline } = call;
    let server = &live.config.server;
    let limits = Limits {
        max_messages: server.max_messages,
        max_message_chars: server.max_message_chars,
        ..Limits::default()
    };
    let request = ChatRequest::parse(body, &limits)?;
    receipt.asked(request.model(), request.stream());
    if !identity.allows(request.model()) {
        let message = format!("this key may not use the model {:?}", request.model());
        return Err(ApiError::new(ErrorCode::ModelNotAllowed, message).param("model").into());
    }
    let gateway = &worker.gateway;
    let price =
        |key: &TargetKey| live.prices.expected(&key.provider, live.kind_of(&key.provider), &key.model);
    let resolved = live.routes.resolve(
        request.model(),
        &Choice {
            now: gateway.clock.now(),
            random: &gateway.random,
            latencies: &gateway.latencies,
            price: &price,
        },
    )?;
    receipt.routed(&resolved.route);
    receipt.admit()?;

    let estimate = admit::estimate(&request);
    match admit::limit(&worker, &live, &identity, &estimate, receipt).await {
        Ok(snapshot) => marks.limits = snapshot,
        Err((error, snapshot)) => {
            marks.limits = snapshot;
            return Err(error.into());
        }
    }
    marks.degraded = !gateway.stores.health().is_well();
    let money: Option<NanoUsd> = resolved.targets.first().and_then(|target| {
        let TargetKey { provider, model } = &target.key;
        live.prices.cost(provider, live.kind_of(provider), model, &estimate).map(|(cost, _)| cost)
    });
    admit::budget(&worker, &live, &identity, money, receipt).await?;
    let guarded = guard::inspect(&worker, &live, &identity, request, receipt, marks).await?;
    if live.config.audit.store_content {
        let texts = guarded.request.texts();
        receipt
            .content(texts.iter().map(|slot| format!("{}: {}\n", slot.role.as_str(), slot.text)).collect());
    }
    let flight = memory::Flight {
        worker,
        live,
        identity,
        guarded,
        resolved,
        estimate,
        cache,
        options: fetch::Options { beta, trace, deadline },
    };
    memory::answer(flight, receipt, marks).await
}
