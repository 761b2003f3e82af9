//! Listeners, store, cache, audit, cost and telemetry: their names, defaults, ranges and explanations.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use sentinel_domain::Secret;
use sentinel_domain::policy::BudgetLimits;

use super::section::{Notes, Section};
use super::tree::Node;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const MIB: u64 = 1 << 20;

/// `[server]`
#[derive(Debug, Clone)]
pub struct Server {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// A listener of its own for everything outside `/v1` inference and `/health`.
    pub admin_listen: Option<SocketAddr>,
    /// Worker threads.
    pub workers: usize,
    /// Largest request body, bytes.
    pub max_body: usize,
    /// Most messages in one request.
    pub max_messages: usize,
    /// Most characters in one message.
    pub max_message_chars: usize,
    /// Longest life of one request, streams included.
    pub request_timeout: Duration,
    /// How long a request body may take to arrive.
    pub body_timeout: Duration,
    /// Requests in flight at once, all workers together.
    pub max_in_flight: usize,
    /// Connections at once, per worker.
    pub max_connections: usize,
    /// Time between the stop signal and the end of accepting.
    pub lame_duck: Duration,
    /// Time for requests in flight to end.
    pub drain_timeout: Duration,
    /// Browser origins that may call.
    pub cors_allowed_origins: Vec<String>,
    /// Addresses of proxies whose `x-forwarded-for` is believed.
    pub trusted_proxies: Vec<String>,
    /// Whether actors can be made to panic by name.
    pub chaos: bool,
}

/// Where state lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreBackend {
    /// Files under `store.path`.
    Embedded,
    /// A Redis server or cluster.
    Redis,
}

/// What happens to limits, budgets and cache while Redis is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnOutage {
    /// Go on with those of this process.
    Local,
    /// Refuse requests with 503.
    Reject,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq)]
pub struct Store {
    /// Where state lives.
    pub backend: StoreBackend,
    /// Directory of the embedded files.
    pub path: PathBuf,
    /// Address of Redis; may hold a password.
    pub redis_url: Secret,
    /// Longest wait for one call.
    pub redis_timeout: Duration,
    /// What happens while Redis is away.
    pub on_outage: OnOutage,
}

/// Whose answers are shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheScope {
    /// No two keys share an answer.
    Key,
    /// Everybody shares.
    Shared,
}

/// `[cache]`
#[derive(Debug, Clone)]
pub struct Cache {
    /// Whether answers are kept.
    pub enabled: bool,
    /// How long an answer is good.
    pub ttl: Duration,
    /// Most bytes kept.
    pub max_bytes: u64,
    /// Whether identical calls in flight share one upstream call.
    pub coalesce: bool,
    /// Whose answers are shared.
    pub scope: CacheScope,
}

/// What happens when the audit trail cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditFailure {
    /// Requests are refused with 503.
    Deny,
    /// Requests go on; each lost record is counted.
    Allow,
}

/// When an audit record is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Within one batch window after the answer.
    Batched,
    /// Before the answer ends.
    Strict,
}

/// `[audit]`
#[derive(Debug, Clone, PartialEq)]
pub struct Audit {
    /// How long records are kept.
    pub retention: Duration,
    /// What happens when they cannot be written.
    pub on_failure: AuditFailure,
    /// When they are on disk.
    pub durability: Durability,
    /// Whether redacted content is kept.
    pub store_content: bool,
}

/// `[cost]`
#[derive(Debug, Clone)]
pub struct Cost {
    /// File with more prices.
    pub prices: Option<PathBuf>,
    /// Spending limits of the whole gateway.
    pub budget: BudgetLimits,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[telemetry]`
#[derive(Debug, Clone)]
pub struct Telemetry {
    /// How log lines look.
    pub log_format: LogFormat,
    /// Filter such as `info` or `sentinel=debug,warn`.
    pub log_level: String,
}

fn address(
    section: &mut Section<'_>,
    key: &'static str,
    default: &str,
    doc: &'static str,
) -> Option<SocketAddr> {
    let text = section.text(key, default, doc);
    if text.is_empty() {
        return None;
    }
    let parsed = text.parse().ok().or_else(|| {
        // "localhost:8000" is what people write first.
        text.strip_prefix("localhost:").and_then(|port| format!("127.0.0.1:{port}").parse().ok())
    });
    if parsed.is_none() {
        section.problem(
            key,
            &super::tree::Origin::Default,
            format!("{text:?} is no address; write one such as \"127.0.0.1:8000\" or \"[::1]:8000\""),
        );
    }
    parsed
}

/// Reads `[server]`.
pub fn server(path: String, node: Node, notes: &mut Notes) -> Server {
    let mut s = Section::new(path, node, notes);
    let listen = address(&mut s, "listen", "127.0.0.1:8000", "Address and port that clients connect to.");
    let admin_listen = address(
        &mut s,
        "admin_listen",
        "",
        "A second address for dashboard, metrics, audit and admin; empty: the same listener.",
    );
    let count = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let server = Server {
        listen: listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8000))),
        admin_listen,
        workers: count(s.whole("workers", 0, 0..=256, "Worker threads; 0: one per core.")),
        max_body: count(s.size("max_body", 32 * MIB, 1024..=1024 * MIB, "Largest request body.")),
        max_messages: count(s.whole("max_messages", 2048, 1..=1_000_000, "Most messages in one request.")),
        max_message_chars: count(s.whole(
            "max_message_chars",
            1_000_000,
            1..=1_000_000_000,
            "Most characters in one message.",
        )),
        request_timeout: s.duration(
            "request_timeout",
            600 * SECOND,
            SECOND / 10..=24 * HOUR,
            "Longest life of one request, every retry and a whole stream included.",
        ),
        body_timeout: s.duration(
            "body_timeout",
            30 * SECOND,
            SECOND / 10..=HOUR,
            "How long a request body may take to arrive.",
        ),
        max_in_flight: count(s.whole(
            "max_in_flight",
            4096,
            1..=1_000_000,
            "Requests in flight at once; more are refused with 503.",
        )),
        max_connections: count(s.whole(
            "max_connections",
            8192,
            16..=1_000_000,
            "Open connections at once, kept below the limit of open files; more wait to be accepted.",
        )),
        lame_duck: s.duration(
            "lame_duck",
            5 * SECOND,
            Duration::ZERO..=HOUR,
            "After SIGTERM: not ready, but still accepting, so that load balancers can turn away. SIGINT skips it.",
        ),
        drain_timeout: s.duration(
            "drain_timeout",
            30 * SECOND,
            Duration::ZERO..=HOUR,
            "How long requests in flight may take to end after that.",
        ),
        cors_allowed_origins: s.texts(
            "cors_allowed_origins",
            &[],
            "Exact browser origins that may call; nothing is allowed unless listed.",
        ),
        trusted_proxies: s.texts(
            "trusted_proxies",
            &[],
            "Addresses of reverse proxies whose x-forwarded-for names the client.",
        ),
        chaos: s.flag("chaos", false, "Lets POST /admin/actors/NAME/panic make an actor panic; for drills."),
    };
    for origin in &server.cors_allowed_origins {
        if origin == "*"
            || !(origin.starts_with("http://") || origin.starts_with("https://"))
            || origin.ends_with('/')
        {
            s.problem(
                "cors_allowed_origins",
                &super::tree::Origin::Default,
                format!("{origin:?} is no exact origin; write one such as \"https://app.example.com\""),
            );
        }
    }
    for proxy in &server.trusted_proxies {
        if proxy.parse::<std::net::IpAddr>().is_err() {
            s.problem(
                "trusted_proxies",
                &super::tree::Origin::Default,
                format!("{proxy:?} is no IP address"),
            );
        }
    }
    s.finish();
    server
}

/// Reads `[store]`.
pub fn store(path: String, node: Node, notes: &mut Notes) -> Store {
    let mut s = Section::new(path, node, notes);
    let backend = s.choice(
        "backend",
        &[("embedded", StoreBackend::Embedded), ("redis", StoreBackend::Redis)],
        "Where limits, cache, budgets, usage, keys and audit live.",
    );
    let path = PathBuf::from(s.text("path", "./data", "Directory of the embedded files."));
    let redis_url = s
        .secret(
            "redis_url",
            "Address of Redis, such as redis://127.0.0.1:6379/0; redis-cluster://... for a cluster.",
        )
        .unwrap_or_else(|| Secret::new("redis://127.0.0.1:6379/0"));
    let url_scheme = redis_url.expose().split("://").next().unwrap_or_default().to_owned();
    if !["redis", "redis-cluster"].contains(&url_scheme.as_str()) {
        s.problem(
            "redis_url",
            &super::tree::Origin::Default,
            "expected an address that begins with redis:// or redis-cluster://",
        );
    }
    let redis_timeout = s.duration(
        "redis_timeout",
        Duration::from_millis(250),
        Duration::from_millis(1)..=60 * SECOND,
        "Longest wait for one call to Redis.",
    );
    let on_outage = s.choice(
        "on_outage",
        &[("local", OnOutage::Local), ("reject", OnOutage::Reject)],
        "While Redis is away: go on with per-process limits and cache, or refuse with 503.",
    );
    s.finish();
    Store { backend, path, redis_url, redis_timeout, on_outage }
}

/// Reads `[cache]`.
pub fn cache(path: String, node: Node, notes: &mut Notes) -> Cache {
    let mut s = Section::new(path, node, notes);
    let cache = Cache {
        enabled: s.flag("enabled", true, "Whether answers are kept and given again."),
        ttl: s.duration("ttl", HOUR, SECOND..=365 * DAY, "How long an answer is good."),
        max_bytes: s.size("max_bytes", 64 * MIB, 64 * 1024..=1024 * 1024 * MIB, "Most memory for answers."),
        coalesce: s.flag("coalesce", true, "Whether identical calls in flight share one upstream call."),
        scope: s.choice(
            "scope",
            &[("key", CacheScope::Key), ("shared", CacheScope::Shared)],
            "\"key\": no two keys share an answer; \"shared\": everybody does.",
        ),
    };
    s.finish();
    cache
}

/// Reads `[audit]`.
pub fn audit(path: String, node: Node, notes: &mut Notes) -> Audit {
    let mut s = Section::new(path, node, notes);
    let audit = Audit {
        retention: s.duration("retention", DAY, SECOND..=3650 * DAY, "How long records are kept."),
        on_failure: s.choice(
            "on_failure",
            &[("deny", AuditFailure::Deny), ("allow", AuditFailure::Allow)],
            "When records cannot be written: refuse with 503, or go on, counted and loud.",
        ),
        durability: s.choice(
            "durability",
            &[("batched", Durability::Batched), ("strict", Durability::Strict)],
            "\"strict\": the answer waits until its record is on disk.",
        ),
        store_content: s.flag("store_content", false, "Keeps redacted content in the records."),
    };
    s.finish();
    audit
}

/// Reads `[cost]`.
pub fn cost(path: String, node: Node, notes: &mut Notes) -> Cost {
    let mut s = Section::new(path, node, notes);
    let prices = s.text("prices", "", "File with more prices, same form as the built-in catalogue.");
    let cost = Cost {
        prices: (!prices.is_empty()).then(|| PathBuf::from(prices)),
        budget: BudgetLimits {
            day: s.money("budget_usd_day", "Most USD that the whole gateway spends per UTC day."),
            month: s.money("budget_usd_month", "Most USD that the whole gateway spends per UTC month."),
        },
    };
    s.finish();
    cost
}

/// Reads `[telemetry]`.
pub fn telemetry(path: String, node: Node, notes: &mut Notes) -> Telemetry {
    let mut s = Section::new(path, node, notes);
    let telemetry = Telemetry {
        log_format: s.choice(
            "log_format",
            &[("text", LogFormat::Text), ("json", LogFormat::Json)],
            "How log lines look.",
        ),
        log_level: s.text(
            "log_level",
            "info",
            "Which log lines are written: error, warn, info, debug or trace.",
        ),
    };
    if let Err(error) = telemetry.log_level.parse::<tracing_subscriber::filter::Targets>() {
        s.problem("log_level", &super::tree::Origin::Default, format!("not a log filter: {error}"));
    }
    s.finish();
    telemetry
}
