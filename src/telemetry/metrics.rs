//! Every metric, in one place: names, labels, help and buckets.
//!
//! Label values come from configuration or closed sets. What belongs to one provider and model is resolved once into
//! [`TargetMetrics`], so that the request path touches plain counters.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use prometheus::core::Collector;
use prometheus::{
    Counter, CounterVec, Encoder, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter,
    IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use sentinel_domain::{NanoUsd, Usage};

use super::sketch::Sketch;

/// Whole requests: 10 ms to 11 minutes, doubling. Source: OpenTelemetry GenAI conventions, `gen_ai.server.request.duration`.
const DURATION_BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96,
    81.92, 163.84, 327.68, 655.36,
];
/// The gateway's own share: 50 us to 100 ms.
const OVERHEAD_BUCKETS: &[f64] =
    &[0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1];
/// Time to first token. Source: OpenTelemetry GenAI conventions, `gen_ai.server.time_to_first_token`, with a longer tail.
const FIRST_TOKEN_BUCKETS: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 20.0,
    30.0, 45.0, 60.0,
];
/// Between two chunks. Source: OpenTelemetry GenAI conventions, `gen_ai.server.time_per_output_token`.
const PER_TOKEN_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];
/// Tokens of one call, powers of four. Source: OpenTelemetry GenAI conventions, `gen_ai.client.token.usage`.
const TOKEN_BUCKETS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

macro_rules! metrics {
    ($($field:ident: $kind:ident = $name:literal, $help:literal $(, labels $labels:expr)? $(, buckets $buckets:expr)?;)+) => {
        /// All metrics of the gateway, shared by every worker.
        pub struct Metrics {
            registry: Registry,
            /// Latency of whole requests, for percentiles in JSON.
            pub latency: Sketch,
            /// Time to first token, for percentiles in JSON.
            pub first_token: Sketch,
            /// The gateway's own share, for percentiles in JSON.
            pub overhead_sketch: Sketch,
            targets: RwLock<HashMap<(Arc<str>, Arc<str>), Arc<TargetMetrics>>>,
            $(#[doc = $help] pub $field: $kind,)+
        }

        impl Metrics {
            /// Names of every metric with its help.
            pub const NAMES: &'static [(&'static str, &'static str)] = &[$(($name, $help),)+];

            /// Registers every metric.
            ///
            /// # Errors
            /// Two metrics share a name, or a name is not valid: a mistake in this file.
            pub fn new() -> Result<Self, prometheus::Error> {
                let registry = Registry::new();
                $(let $field: $kind = make!($kind, $name, $help $(, labels $labels)? $(, buckets $buckets)?)?;
                  register(&registry, &$field)?;)+
                // Only Linux has /proc, and only there the process can be looked at.
                #[cfg(target_os = "linux")]
                registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
                Ok(Self {
                    registry,
                    latency: Sketch::default(),
                    first_token: Sketch::default(),
                    overhead_sketch: Sketch::default(),
                    targets: RwLock::default(),
                    $($field,)+
                })
            }
        }
    };
}

macro_rules! make {
    (IntCounter, $name:literal, $help:literal) => {
        IntCounter::new($name, $help)
    };
    (Counter, $name:literal, $help:literal) => {
        Counter::new($name, $help)
    };
    (IntGauge, $name:literal, $help:literal) => {
        IntGauge::new($name, $help)
    };
    (Gauge, $name:literal, $help:literal) => {
        Gauge::new($name, $help)
    };
    (Histogram, $name:literal, $help:literal, buckets $b:expr) => {
        Histogram::with_opts(HistogramOpts::new($name, $help).buckets($b.to_vec()))
    };
    (HistogramVec, $name:literal, $help:literal, labels $l:expr, buckets $b:expr) => {
        HistogramVec::new(HistogramOpts::new($name, $help).buckets($b.to_vec()), $l)
    };
    ($kind:ident, $name:literal, $help:literal, labels $l:expr) => {
        $kind::new(Opts::new($name, $help), $l)
    };
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: &C,
) -> Result<(), prometheus::Error> {
    registry.register(Box::new(collector.clone()))
}

metrics! {
    requests: IntCounterVec = "sentinel_requests_total", "Requests by HTTP route and status.", labels &["route", "status"];
    requests_by_provider: IntCounterVec = "sentinel_requests_by_provider", "Answered and failed calls by provider, model and outcome.", labels &["provider", "model", "outcome"];
    request_duration: HistogramVec = "sentinel_request_duration_seconds", "Time from arrival to last byte.", labels &["route"], buckets DURATION_BUCKETS;
    upstream_duration: HistogramVec = "sentinel_upstream_duration_seconds", "Time spent in one upstream call.", labels &["provider"], buckets DURATION_BUCKETS;
    overhead: Histogram = "sentinel_gateway_overhead_seconds", "Time to the answer's head less the time spent waiting for upstreams.", buckets OVERHEAD_BUCKETS;
    time_to_first_token: HistogramVec = "sentinel_time_to_first_token_seconds", "Time from arrival to the first meaningful event of a stream.", labels &["provider", "model"], buckets FIRST_TOKEN_BUCKETS;
    inter_token_latency: HistogramVec = "sentinel_inter_token_latency_seconds", "Mean time between two chunks of a stream.", labels &["provider"], buckets PER_TOKEN_BUCKETS;
    active_requests: IntGauge = "sentinel_active_requests", "Requests in flight.";
    active_streams: IntGauge = "sentinel_active_streams", "Streams in flight.";
    tokens: IntCounterVec = "sentinel_tokens_total", "Tokens by kind: input, output, cache_read, cache_write, reasoning.", labels &["provider", "model", "kind"];
    cost: CounterVec = "sentinel_cost_usd_total", "Money spent, US dollars.", labels &["provider", "model"];
    cost_saved: Counter = "sentinel_cost_saved_usd_total", "Money that cached and shared answers saved, US dollars.";
    unpriced: IntCounterVec = "sentinel_unpriced_requests_total", "Answers whose model has no known price.", labels &["model"];
    cache_hits: IntCounter = "sentinel_cache_hits_total", "Requests answered from the cache.";
    cache_misses: IntCounter = "sentinel_cache_misses_total", "Requests that the cache could have answered but did not.";
    cache_coalesced: IntCounter = "sentinel_cache_coalesced_total", "Requests that shared the upstream call of another.";
    rate_limited: IntCounterVec = "sentinel_rate_limited_total", "Requests refused by a limit: requests, tokens, in_flight, budget.", labels &["reason"];
    shed: IntCounterVec = "sentinel_shed_total", "Requests refused for want of capacity, by reason.", labels &["reason"];
    retries: IntCounterVec = "sentinel_retries_total", "Upstream calls made again, by what the call before ended with.", labels &["provider", "reason"];
    attempts: IntCounterVec = "sentinel_upstream_attempts_total", "Upstream calls by result.", labels &["provider", "model", "result"];
    failovers: IntCounterVec = "sentinel_failovers_total", "Requests that went on to another provider.", labels &["from", "to"];
    breaker_state: IntGaugeVec = "sentinel_circuit_breaker_state", "State of a target's circuit breaker: 0 closed, 1 half open, 2 open.", labels &["provider", "model"];
    breaker_transitions: IntCounterVec = "sentinel_circuit_breaker_transitions_total", "Changes of a circuit breaker's state.", labels &["provider", "model", "to"];
    cooldown: GaugeVec = "sentinel_cooldown_seconds", "Time that a target is still left alone.", labels &["provider", "model"];
    pii: IntCounterVec = "sentinel_pii_detections_total", "Personal data and secrets found.", labels &["entity", "direction"];
    injection: IntCounterVec = "sentinel_injection_detections_total", "Prompts by injection verdict.", labels &["verdict"];
    guard_skipped: IntCounterVec = "sentinel_guard_skipped_total", "Texts that a guard did not look at, by reason.", labels &["guard", "reason"];
    guard_duration: HistogramVec = "sentinel_guard_duration_seconds", "Time spent in a guard for one request.", labels &["guard"], buckets OVERHEAD_BUCKETS;
    audit_entries: IntCounter = "sentinel_audit_entries_total", "Audit records written.";
    audit_dropped: IntCounter = "sentinel_audit_dropped_total", "Audit records lost because the trail could not be written.";
    audit_backlog: IntGauge = "sentinel_audit_backlog", "Audit records waiting to be written.";
    actor_restarts: IntCounterVec = "sentinel_actor_restarts_total", "Restarts of supervised actors.", labels &["actor"];
    actor_mailbox: IntGaugeVec = "sentinel_actor_mailbox_depth", "Messages waiting or in work.", labels &["actor"];
    store_up: IntGaugeVec = "sentinel_store_up", "Whether the store answers.", labels &["backend"];
    client_disconnects: IntCounterVec = "sentinel_client_disconnects_total", "Clients that went away: before_first_token or streaming.", labels &["phase"];
    config_reload_success: IntGauge = "sentinel_config_reload_success", "Whether the last reload of the configuration worked.";
    draining: IntGauge = "sentinel_draining", "Whether the gateway is shutting down.";
    log_lines_dropped: IntGauge = "sentinel_log_lines_dropped", "Log lines dropped since the start because the sink was stuck.";
    build_info: IntGaugeVec = "sentinel_build_info", "Always 1; the label tells the version.", labels &["version"];
    gen_ai_first_token: HistogramVec = "gen_ai_server_time_to_first_token_seconds", "Time to first token, by OpenTelemetry's name.", labels &["gen_ai_provider_name", "gen_ai_request_model"], buckets FIRST_TOKEN_BUCKETS;
    gen_ai_per_token: HistogramVec = "gen_ai_server_time_per_output_token_seconds", "Time per output token after the first, by OpenTelemetry's name.", labels &["gen_ai_provider_name", "gen_ai_request_model"], buckets PER_TOKEN_BUCKETS;
    gen_ai_duration: HistogramVec = "gen_ai_server_request_duration_seconds", "Duration of calls, by OpenTelemetry's name.", labels &["gen_ai_provider_name", "gen_ai_request_model", "error_type"], buckets DURATION_BUCKETS;
    gen_ai_tokens: HistogramVec = "gen_ai_client_token_usage", "Tokens of one call, by OpenTelemetry's name.", labels &["gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_type"], buckets TOKEN_BUCKETS;
}

/// The metrics of one provider and model, resolved once.
pub struct TargetMetrics {
    ok: IntCounter,
    client_error: IntCounter,
    upstream_error: IntCounter,
    cancelled: IntCounter,
    input: IntCounter,
    output: IntCounter,
    cache_read: IntCounter,
    cache_write: IntCounter,
    reasoning: IntCounter,
    cost: Counter,
    unpriced: IntCounter,
    /// Time from arrival to the first meaningful event.
    pub first_token: Histogram,
    /// Mean time between two chunks.
    pub inter_token: Histogram,
    gen_ai_first_token: Histogram,
    gen_ai_per_token: Histogram,
    gen_ai_duration_ok: Histogram,
    gen_ai_duration_error: Histogram,
    gen_ai_input: Histogram,
    gen_ai_output: Histogram,
}

/// How a call ended, as far as metrics tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// A complete answer.
    Ok,
    /// The caller's mistake.
    ClientError,
    /// The provider failed.
    UpstreamError,
    /// The client went away.
    Cancelled,
}

impl Metrics {
    /// Returns the metrics of one provider and model. Both names must come from closed sets.
    #[must_use]
    pub fn target(&self, provider: &Arc<str>, model: &Arc<str>) -> Arc<TargetMetrics> {
        let key = (Arc::clone(provider), Arc::clone(model));
        if let Some(found) = self.targets.read().get(&key) {
            return Arc::clone(found);
        }
        let made = Arc::new(TargetMetrics::resolve(self, provider, model));
        Arc::clone(self.targets.write().entry(key).or_insert(made))
    }

    /// Writes everything in Prometheus' text format.
    ///
    /// # Errors
    /// A metric cannot be encoded.
    pub fn encode(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::with_capacity(32 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// Sums a counter family over labels, grouped by one of them.
    #[must_use]
    pub fn sum_by(family: &dyn Collector, label: &str) -> std::collections::BTreeMap<String, f64> {
        Self::sum(family, label, None)
    }

    /// The same for the series in which another label has one value.
    #[must_use]
    pub fn sum_where(
        family: &dyn Collector,
        label: &str,
        only: (&str, &str),
    ) -> std::collections::BTreeMap<String, f64> {
        Self::sum(family, label, Some(only))
    }

    fn sum(
        family: &dyn Collector,
        label: &str,
        only: Option<(&str, &str)>,
    ) -> std::collections::BTreeMap<String, f64> {
        let mut sums = std::collections::BTreeMap::new();
        for metric in family.collect().iter().flat_map(|family| family.get_metric()) {
            let is_wanted = |(label, wanted): (&str, &str)| {
                metric.get_label().iter().any(|pair| pair.name() == label && pair.value() == wanted)
            };
            if !only.is_none_or(is_wanted) {
                continue;
            }
            let name = metric.get_label().iter().find(|pair| pair.name() == label);
            let value = metric.get_counter().get_value();
            *sums.entry(name.map_or(String::new(), |pair| pair.value().to_owned())).or_insert(0.0) += value;
        }
        sums
    }
}

impl TargetMetrics {
    fn resolve(metrics: &Metrics, provider: &str, model: &str) -> Self {
        let outcome = |name| metrics.requests_by_provider.with_label_values(&[provider, model, name]);
        let tokens = |kind| metrics.tokens.with_label_values(&[provider, model, kind]);
        let both = [provider, model];
        Self {
            ok: outcome("ok"),
            client_error: outcome("client_error"),
            upstream_error: outcome("upstream_error"),
            cancelled: outcome("cancelled"),
            input: tokens("input"),
            output: tokens("output"),
            cache_read: tokens("cache_read"),
            cache_write: tokens("cache_write"),
            reasoning: tokens("reasoning"),
            cost: metrics.cost.with_label_values(&both),
            unpriced: metrics.unpriced.with_label_values(&[model]),
            first_token: metrics.time_to_first_token.with_label_values(&both),
            inter_token: metrics.inter_token_latency.with_label_values(&[provider]),
            gen_ai_first_token: metrics.gen_ai_first_token.with_label_values(&both),
            gen_ai_per_token: metrics.gen_ai_per_token.with_label_values(&both),
            gen_ai_duration_ok: metrics.gen_ai_duration.with_label_values(&[provider, model, ""]),
            gen_ai_duration_error: metrics.gen_ai_duration.with_label_values(&[provider, model, "error"]),
            gen_ai_input: metrics.gen_ai_tokens.with_label_values(&[provider, model, "input"]),
            gen_ai_output: metrics.gen_ai_tokens.with_label_values(&[provider, model, "output"]),
        }
    }

    /// Counts one finished call.
    pub fn finished(&self, outcome: CallOutcome, duration: Duration) {
        let (counter, histogram) = match outcome {
            CallOutcome::Ok => (&self.ok, &self.gen_ai_duration_ok),
            CallOutcome::ClientError => (&self.client_error, &self.gen_ai_duration_error),
            CallOutcome::UpstreamError => (&self.upstream_error, &self.gen_ai_duration_error),
            CallOutcome::Cancelled => (&self.cancelled, &self.gen_ai_duration_error),
        };
        counter.inc();
        histogram.observe(duration.as_secs_f64());
    }

    /// Counts the first meaningful event of a stream.
    pub fn first_token(&self, after: Duration) {
        self.first_token.observe(after.as_secs_f64());
        self.gen_ai_first_token.observe(after.as_secs_f64());
    }

    /// Counts the pace of a finished stream.
    pub fn pace(&self, between_chunks: Duration, per_token: Duration) {
        self.inter_token.observe(between_chunks.as_secs_f64());
        self.gen_ai_per_token.observe(per_token.as_secs_f64());
    }

    /// Counts what a call used and cost.
    pub fn used(&self, usage: &Usage, cost: Option<NanoUsd>) {
        self.input.inc_by(usage.input);
        self.output.inc_by(usage.output);
        self.cache_read.inc_by(usage.cache_read);
        self.cache_write.inc_by(usage.cache_write());
        self.reasoning.inc_by(usage.reasoning);
        #[expect(clippy::cast_precision_loss, reason = "histograms hold floats")]
        {
            self.gen_ai_input.observe(usage.prompt() as f64);
            self.gen_ai_output.observe(usage.output as f64);
        }
        match cost {
            Some(cost) => self.cost.inc_by(cost.as_usd_f64().max(0.0)),
            None => self.unpriced.inc(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_registers_and_encodes() {
        let metrics = Metrics::new().unwrap();
        let target = metrics.target(&"openai".into(), &"gpt-4o".into());
        target.finished(CallOutcome::Ok, Duration::from_millis(5));
        target.used(&Usage { input: 3, output: 4, ..Usage::default() }, Some(NanoUsd::new(1_500_000_000)));
        let text = String::from_utf8(metrics.encode().unwrap()).unwrap();
        assert!(
            text.contains("sentinel_tokens_total{kind=\"output\",model=\"gpt-4o\",provider=\"openai\"} 4"),
            "{text}"
        );
        assert!(text.contains("sentinel_cost_usd_total{model=\"gpt-4o\",provider=\"openai\"} 1.5"));
    }

    #[test]
    fn sums_group_by_a_label() {
        let metrics = Metrics::new().unwrap();
        metrics.cost.with_label_values(&["a", "x"]).inc_by(1.0);
        metrics.cost.with_label_values(&["a", "y"]).inc_by(2.0);
        assert_eq!(Metrics::sum_by(&metrics.cost, "provider"), [("a".to_owned(), 3.0)].into());
    }
}
