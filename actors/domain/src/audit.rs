//! The record that every request leaves behind.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::money::NanoUsd;
use crate::usage::UsageSource;

/// One request's outcome: names, numbers and codes, never content unless that is switched on.
///
/// The sequence and the two hashes are filled in by the chain when the record is appended.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AuditRecord {
    /// The request's id.
    pub request_id: String,
    /// Position in the chain, from 1.
    pub sequence: u64,
    /// When the request arrived, RFC 3339, UTC, milliseconds.
    pub timestamp: String,
    /// The virtual key's name.
    pub key: Option<String>,
    /// The client's address, without port.
    pub client_addr: String,
    /// The matched route pattern of the model, or the name as asked if no route is configured for it.
    pub route: Option<String>,
    /// The provider that answered, or was tried last.
    pub provider: Option<String>,
    /// The model that answered, or was tried last.
    pub model: Option<String>,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// Prompt tokens, cached ones included.
    pub prompt_tokens: u64,
    /// Completion tokens, reasoning included.
    pub completion_tokens: u64,
    /// Prompt tokens read from the provider's cache.
    pub cached_tokens: u64,
    /// Prompt tokens written to the provider's cache.
    pub cache_write_tokens: u64,
    /// Reasoning tokens, part of the completion.
    pub reasoning_tokens: u64,
    /// Where the token numbers come from; absent when no call was made.
    pub usage_source: Option<UsageSource>,
    /// What it cost; `None` when the price is unknown.
    pub cost_usd: Option<NanoUsd>,
    /// From the arrival to the last byte, milliseconds.
    pub latency_ms: u64,
    /// From the arrival to the first meaningful event, milliseconds.
    pub ttft_ms: Option<u64>,
    /// Upstream attempts made.
    pub attempts: u32,
    /// `hit`, `miss`, `bypass` or `coalesced`.
    pub cache: Option<String>,
    /// Why the model stopped.
    pub finish_reason: Option<String>,
    /// Entities found, with how often.
    pub pii_detected: BTreeMap<String, u64>,
    /// Whether what was found was replaced.
    pub pii_redacted: bool,
    /// The injection score, 0-1; absent when the guard did not run.
    pub injection_score: Option<f64>,
    /// The HTTP status that the client got; 499 when it had gone.
    pub status: u16,
    /// The error's code, if it was one.
    pub error_code: Option<String>,
    /// The attempts one by one, for the request's timeline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<TimelineStep>,
    /// What the trail says about itself; absent in the record of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<AuditEvent>,
    /// Redacted content, only if that is switched on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Hash of the record before, hex.
    pub prev_hash: String,
    /// `SHA-256(prev_hash || canonical JSON of this record without hash)`, hex.
    pub hash: String,
}

/// What the trail says about itself, as a row of its own in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AuditEvent {
    /// Every row up to this one expired by retention, so that an expired beginning is no break.
    Anchor {
        /// Sequence of the last expired row.
        sequence: u64,
        /// Hash of the last expired row, hex.
        hash: String,
    },
    /// The trail was opened after something other than a clean stop.
    Recovered {
        /// What was found.
        reason: RecoveryReason,
        /// The last sequence according to the head that is kept apart.
        expected_sequence: u64,
        /// The last sequence that the store really held.
        found_sequence: u64,
        /// Requests that were under way and got an `aborted` record.
        aborted: u64,
    },
}

/// Why a [`AuditEvent::Recovered`] was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoveryReason {
    /// The process ended without closing the trail; nothing that was committed is missing.
    UncleanStop,
    /// The store ends before the head that is kept apart.
    TailMissing,
    /// The store belongs to another chain, or its row differs from the head that is kept apart.
    StoreReplaced,
    /// The head that is kept apart was missing or unreadable.
    HeadMissing,
    /// The store was deleted while it was open.
    StoreDeleted,
}

/// One step of a request's way through the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TimelineStep {
    /// Milliseconds since the request arrived.
    pub at_ms: u64,
    /// What happened: `limiter`, `guard`, `cache`, `attempt`, `wait`, `first_token`, `end`.
    pub step: String,
    /// Details from closed sets: provider/model, outcome name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}
