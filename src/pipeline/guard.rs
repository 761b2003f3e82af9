//! The guards around a request: personal data and secrets out, injections scored.
//!
//! Looking is pure and can move to a thread for blocking work; acting on what was seen (refusing, counting) happens on
//! the worker.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sentinel_domain::{ApiError, ErrorCode};
use sentinel_guard::injection::{Assessment, SourceRole, Verdict};
use sentinel_guard::pii::{Vault, redact, redact_json};
use sentinel_wire::{ChatRequest, Role, TextKind, TextSlot};

use super::Marks;
use super::receipt::Receipt;
use crate::config::guards::GuardMode;
use crate::gateway::guards::Guards;
use crate::gateway::identity::Identity;
use crate::gateway::{Live, Worker};

/// Text beyond which looking leaves the worker's loop, bytes.
const INLINE_BYTES: usize = 32 * 1024;

/// A request that may go on.
pub struct Guarded {
    /// The request as it goes to a provider.
    pub request: ChatRequest,
    /// What was replaced in it; empty when nothing was.
    pub vault: Vault,
}

/// What looking at a request found.
struct Seen {
    counts: BTreeMap<String, u64>,
    replaced: Option<Result<ChatRequest, ApiError>>,
    vault: Vault,
    injection: Option<Assessment>,
}

/// What is to be done.
#[derive(Clone, Copy)]
struct Orders {
    pii: GuardMode,
    injection: GuardMode,
}

/// Looks at a request and acts on what it holds.
///
/// # Errors
/// `pii_blocked` naming entities, never values; `prompt_injection_blocked`; `guard_unavailable` if looking failed.
pub async fn inspect(
    worker: &Worker,
    live: &Live,
    identity: &Identity,
    request: ChatRequest,
    receipt: &Receipt,
    marks: &mut Marks,
) -> Result<Guarded, ApiError> {
    let own = identity.key.as_ref().and_then(|key| live.injection_of_key.get(key.name.as_str()).copied());
    let orders = Orders { pii: live.config.pii.mode, injection: own.unwrap_or(live.config.injection.mode) };
    let metrics = &worker.gateway.metrics;
    for (guard, mode) in [("pii", orders.pii), ("injection", orders.injection)] {
        if mode == GuardMode::Off {
            metrics.guard_skipped.with_label_values(&[guard, "off"]).inc();
        }
    }
    if orders.pii == GuardMode::Off && orders.injection == GuardMode::Off {
        return Ok(Guarded { request, vault: Vault::default() });
    }
    let started = worker.gateway.clock.now();
    let guards = live.guards.clone();
    let seen = if request.body().len() > INLINE_BYTES {
        let request = request.clone();
        actix_web::web::block(move || look(&guards, &request, orders)).await.map_err(|_pool| {
            ApiError::new(ErrorCode::GuardUnavailable, "the guards could not run, so the request is refused")
        })?
    } else {
        look(&guards, &request, orders)
    };
    let took = worker.gateway.clock.now().saturating_duration_since(started);
    metrics.guard_duration.with_label_values(&["request"]).observe(took.as_secs_f64());
    act(worker, orders, request, seen, receipt, marks)
}

/// Looks at every text once.
fn look(guards: &Guards, request: &ChatRequest, orders: Orders) -> Seen {
    let texts = request.texts();
    let injection = (orders.injection != GuardMode::Off).then(|| {
        guards
            .injection
            .score_conversation(texts.iter().filter_map(|slot| Some((source(slot)?, &*slot.text))))
    });
    let mut vault = Vault::default();
    let mut counts = BTreeMap::new();
    let mut replaced = None;
    match orders.pii {
        GuardMode::Off => {}
        GuardMode::Redact => {
            let mut changes = Vec::new();
            for slot in &texts {
                vault.reserve(&slot.text);
            }
            for slot in &texts {
                let redaction = if slot.kind == TextKind::ToolArguments {
                    redact_json(&guards.pii, &slot.text, &mut vault)
                } else {
                    redact(&guards.pii, &slot.text, &mut vault)
                };
                add(&mut counts, &redaction.counts);
                if let Cow::Owned(text) = redaction.text {
                    changes.push((slot.id, text));
                }
            }
            if !changes.is_empty() {
                replaced = Some(request.with_texts(&changes));
            }
        }
        GuardMode::Detect | GuardMode::Block => {
            for slot in &texts {
                for finding in guards.pii.scan(&slot.text) {
                    *counts.entry(finding.entity.name().to_owned()).or_insert(0) += 1;
                }
            }
        }
    }
    Seen { counts, replaced, vault, injection }
}

fn add(counts: &mut BTreeMap<String, u64>, more: &BTreeMap<sentinel_guard::pii::Entity, u32>) {
    for (entity, count) in more {
        *counts.entry(entity.name().to_owned()).or_insert(0) += u64::from(*count);
    }
}

/// Says what the injection guard takes a text for; `None` for what it does not look at.
fn source(slot: &TextSlot<'_>) -> Option<SourceRole> {
    match (slot.role, slot.kind) {
        (Role::User, TextKind::Content) => Some(SourceRole::User),
        (Role::Tool, _) => Some(SourceRole::Tool),
        // The system prompt is the application's own, and the model's words are not instructions to it.
        _ => None,
    }
}

fn act(
    worker: &Worker,
    orders: Orders,
    request: ChatRequest,
    seen: Seen,
    receipt: &Receipt,
    marks: &mut Marks,
) -> Result<Guarded, ApiError> {
    let metrics = &worker.gateway.metrics;
    for (entity, count) in &seen.counts {
        metrics.pii.with_label_values(&[entity, "request"]).inc_by(*count);
    }
    receipt.found(seen.counts.clone(), orders.pii == GuardMode::Redact && !seen.counts.is_empty());
    if let Some(assessment) = &seen.injection {
        metrics.injection.with_label_values(&[assessment.verdict.name()]).inc();
        receipt.scored(assessment.score);
        marks.injection = Some(assessment.score);
        if let Some(skipped) = &assessment.skipped {
            metrics.guard_skipped.with_label_values(&["injection", skipped.name()]).inc();
            marks.skipped.push(format!("injection:{}", skipped.name()));
        }
    }
    if orders.pii == GuardMode::Redact {
        marks.pii.clone_from(&seen.counts);
    }
    if !seen.counts.is_empty() {
        receipt.step("guard", seen.counts.keys().cloned().collect::<Vec<_>>().join(","));
    }
    if orders.pii == GuardMode::Block && !seen.counts.is_empty() {
        let entities = seen.counts.keys().cloned().collect::<Vec<_>>().join(", ");
        return Err(ApiError::new(
            ErrorCode::PiiBlocked,
            format!("the request holds {entities}, and the gateway is set to refuse that"),
        ));
    }
    if let Some(assessment) = &seen.injection
        && orders.injection == GuardMode::Block
        && assessment.verdict == Verdict::Injection
    {
        let reasons =
            assessment.reasons.iter().map(|reason| reason.rule.name()).collect::<Vec<_>>().join(", ");
        let because = if reasons.is_empty() { String::new() } else { format!(" ({reasons})") };
        receipt.step("guard", "prompt_injection");
        return Err(ApiError::new(
            ErrorCode::PromptInjectionBlocked,
            format!("the request looks like a prompt injection{because}"),
        ));
    }
    let request = seen.replaced.unwrap_or(Ok(request))?;
    Ok(Guarded { request, vault: seen.vault })
}
