//! Providers and routes: where requests can go.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::Secret;
use sentinel_domain::policy::{
    BreakerPolicy, ProviderKind, ProviderSpec, RetryPolicy, RouteSpec, Strategy, TargetSpec, Timeouts,
};

use super::problem::did_you_mean;
use super::section::{Notes, Section};
use super::tree::{Node, Origin};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Reads every `[[providers]]`.
pub fn providers(tables: Vec<(String, Node)>, own: &[SocketAddr], notes: &mut Notes) -> Vec<ProviderSpec> {
    let mut names = BTreeSet::new();
    let mut specs = Vec::new();
    for (path, node) in tables {
        let origin = node.origin.clone();
        let spec = provider(path.clone(), node, own, notes);
        if !spec.name.is_empty() && !names.insert(Arc::clone(&spec.name)) {
            let message = format!("the name {:?} is taken by another provider", spec.name);
            notes.problems.add(super::problem::Problem::at(&format!("{path}.name"), &origin, message));
        }
        specs.push(spec);
    }
    specs
}

fn provider(path: String, node: Node, own: &[SocketAddr], notes: &mut Notes) -> ProviderSpec {
    let origin = node.origin.clone();
    let mut s = Section::new(path, node, notes);
    let name = s.text("name", "", "Unique name, used in routes, metrics and records.");
    if name.is_empty()
        || name.len() > 64
        || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    {
        s.problem("name", &origin, "expected a name of 1 to 64 letters, digits, '-', '_' or '.'");
    }
    let kind = s.choice(
        "kind",
        &[("openai", ProviderKind::OpenAi), ("anthropic", ProviderKind::Anthropic)],
        "Which wire format it speaks: \"openai\" (and everything compatible) or \"anthropic\".",
    );
    let default_url = match kind {
        ProviderKind::OpenAi => "https://api.openai.com/v1",
        ProviderKind::Anthropic => "https://api.anthropic.com/v1",
    };
    let base_url = s
        .text("base_url", default_url, "Address of its API, version included.")
        .trim_end_matches('/')
        .to_owned();
    let allow_http = s.flag("allow_http", false, "Allows http:// to a host that is not loopback.");
    let allow_private = s.flag("allow_private", false, "Allows an address in a private or link-local range.");
    if let Err(message) = check_url(&base_url, allow_http, allow_private, own) {
        s.problem("base_url", &origin, message);
    }
    let mut api_keys = s.secrets("api_keys", "Credentials, used in turn; a failing one is benched.");
    if let Some(single) = s.secret("api_key", "Short form of api_keys with one credential.") {
        api_keys.push(single);
    }
    if api_keys.iter().any(|key| !key.expose().bytes().all(|byte| byte.is_ascii_graphic())) {
        s.problem("api_keys", &origin, "a credential holds white space or control characters");
    }
    let timeouts = Timeouts {
        connect: s.duration("connect_timeout", 5 * SECOND, MILLI..=HOUR, "Until connected, TLS included."),
        first_byte: s.duration(
            "first_byte_timeout",
            60 * SECOND,
            MILLI..=24 * HOUR,
            "Until the first meaningful event of a stream, or the head of a whole answer.",
        ),
        idle: s.duration("idle_timeout", 60 * SECOND, MILLI..=24 * HOUR, "Between two chunks of a stream."),
    };
    let max_in_flight =
        usize::try_from(s.whole("max_in_flight", 512, 1..=100_000, "Calls in flight at once."))
            .unwrap_or(usize::MAX);
    let (retry_path, retry_node) = s.table("retry");
    let (breaker_path, breaker_node) = s.table("breaker");
    let retry = retry(retry_path, retry_node, s.notes());
    let breaker = breaker(breaker_path, breaker_node, s.notes());
    s.finish();
    ProviderSpec { name: name.into(), kind, base_url, api_keys, timeouts, max_in_flight, retry, breaker }
}

fn retry(path: String, node: Node, notes: &mut Notes) -> RetryPolicy {
    let mut s = Section::new(path, node, notes);
    let policy = RetryPolicy {
        max_attempts: s
            .whole("max_attempts", 3, 1..=20, "Upstream calls per request, all targets together.")
            .try_into()
            .unwrap_or(1),
        budget: s.decimal("budget", 0.2, 0.0..=10.0, "Retries earned by each request, beside one a second."),
        base_delay: s.duration(
            "base_delay",
            250 * MILLI,
            Duration::ZERO..=HOUR,
            "First back-off; doubles each time.",
        ),
        max_delay: s.duration("max_delay", 8 * SECOND, Duration::ZERO..=HOUR, "Longest back-off."),
    };
    s.finish();
    policy
}

fn breaker(path: String, node: Node, notes: &mut Notes) -> BreakerPolicy {
    let mut s = Section::new(path, node, notes);
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let policy = BreakerPolicy {
        window: s.duration("window", 30 * SECOND, SECOND..=HOUR, "Length of the sliding window."),
        minimum_calls: small(s.whole(
            "minimum_calls",
            10,
            1..=1_000_000,
            "Calls in the window before the failure rate is looked at.",
        )),
        failure_rate: s.decimal("failure_rate", 0.5, 0.01..=1.0, "Share of failures at which it opens."),
        consecutive_failures: small(s.whole(
            "consecutive_failures",
            5,
            1..=1_000_000,
            "Failures in a row at which it opens.",
        )),
        open_for: s.duration(
            "open_for",
            10 * SECOND,
            10 * MILLI..=HOUR,
            "First open time; doubles up to 120s while probes fail.",
        ),
        open_for_max: 120 * SECOND,
        half_open_probes: small(s.whole(
            "half_open_probes",
            3,
            1..=1_000,
            "Probes while half open, all of which must succeed.",
        )),
    };
    s.finish();
    BreakerPolicy { open_for_max: policy.open_for_max.max(policy.open_for), ..policy }
}

/// Says why an upstream address cannot be used.
fn check_url(url: &str, allow_http: bool, allow_private: bool, own: &[SocketAddr]) -> Result<(), String> {
    let like = "write one such as \"https://api.openai.com/v1\"";
    let parsed: actix_web::http::Uri = url.parse().map_err(|_| format!("{url:?} is no address; {like}"))?;
    let scheme = parsed.scheme_str().unwrap_or_default();
    let Some(authority) = parsed.authority() else { return Err(format!("{url:?} is no address; {like}")) };
    if !["http", "https"].contains(&scheme) {
        return Err(format!("expected http:// or https://, found {scheme:?}; {like}"));
    }
    if authority.as_str().contains('@') {
        return Err("credentials do not belong in the address; use api_keys".to_owned());
    }
    if parsed.query().is_some() {
        return Err(format!("a query does not belong in the address; {like}"));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = host.parse().ok();
    let loopback = host == "localhost" || address.is_some_and(|ip| ip.is_loopback());
    if scheme == "http" && !loopback && !allow_http {
        return Err(
            "http:// sends credentials in the clear; use https://, or set allow_http = true".to_owned()
        );
    }
    if let Some(ip) = address
        && is_private(ip)
        && !allow_private
    {
        return Err(format!(
            "{ip} is a private or link-local address; set allow_private = true if that is meant"
        ));
    }
    let port = authority.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    let is_own = own.iter().any(|listen| {
        listen.port() == port
            && port != 0
            && (address == Some(listen.ip())
                || (loopback && (listen.ip().is_loopback() || listen.ip().is_unspecified())))
    });
    if is_own {
        Err("this is the gateway's own address; requests would go round in a circle".to_owned())
    } else {
        Ok(())
    }
}

/// Says whether an address is private, link-local or otherwise not of the public internet; loopback is its own matter.
#[must_use]
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_private(IpAddr::V4(v4)),
            None => v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local(),
        },
    }
}

/// Reads every `[[routes]]`.
pub fn routes(tables: Vec<(String, Node)>, providers: &[ProviderSpec], notes: &mut Notes) -> Vec<RouteSpec> {
    let mut specs = Vec::new();
    for (path, node) in tables {
        let origin = node.origin.clone();
        let mut s = Section::new(path, node, notes);
        let model =
            s.text("model", "", "Exact model name or glob; the first matching route in file order wins.");
        if model.is_empty() || model.len() > 256 {
            s.problem("model", &origin, "expected a model name or glob of 1 to 256 characters");
        }
        let strategy = s.choice(
            "strategy",
            &[
                ("failover", Strategy::Failover),
                ("weighted", Strategy::Weighted),
                ("cheapest", Strategy::Cheapest),
                ("fastest", Strategy::Fastest),
            ],
            "How to choose among the targets; the others follow as fallbacks.",
        );
        let tables = s.tables("targets");
        if tables.is_empty() {
            s.problem("targets", &origin, "expected at least one target, such as { provider = \"openai\" }");
        }
        let targets: Vec<_> =
            tables.into_iter().map(|(path, node)| target(path, node, providers, s.notes())).collect();
        let mut seen = BTreeSet::new();
        for (index, target) in targets.iter().enumerate() {
            if !seen.insert((&target.provider, &target.model)) {
                s.problem(&format!("targets[{index}]"), &origin, "this target stands twice in the route");
            }
        }
        s.finish();
        specs.push(RouteSpec { model: model.into(), strategy, targets });
    }
    specs
}

fn target(path: String, node: Node, providers: &[ProviderSpec], notes: &mut Notes) -> TargetSpec {
    let origin: Origin = node.origin.clone();
    let mut s = Section::new(path, node, notes);
    let provider = s.text("provider", "", "Name of a configured provider.");
    if !providers.iter().any(|spec| *spec.name == *provider) {
        let hint = did_you_mean(&provider, providers.iter().map(|spec| &*spec.name));
        s.problem("provider", &origin, format!("there is no provider {provider:?}{hint}"));
    }
    let model = s.text("model", "", "The provider's model; empty: the requested name.");
    let weight = s.whole("weight", 1, 1..=1_000_000, "Share with strategy \"weighted\".");
    let target = TargetSpec {
        provider: provider.into(),
        model: (!model.is_empty()).then(|| model.into()),
        weight: u32::try_from(weight).unwrap_or(1),
        first_byte_timeout: s.duration_or_none("first_byte_timeout"),
        idle_timeout: s.duration_or_none("idle_timeout"),
    };
    s.finish();
    target
}

/// Makes the providers of the zero-configuration start from the environment's well-known variables.
#[must_use]
pub fn from_environment(lookup: impl Fn(&str) -> Option<String>) -> Vec<(&'static str, Secret)> {
    [("openai", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY")]
        .into_iter()
        .filter_map(|(name, variable)| {
            lookup(variable).filter(|key| !key.trim().is_empty()).map(|key| (name, Secret::new(key.trim())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_upstream_addresses_pass() {
        let own = ["127.0.0.1:8000".parse().unwrap()];
        for (url, allow_http, allow_private, fine) in [
            ("https://api.openai.com/v1", false, false, true),
            ("http://api.openai.com/v1", false, false, false),
            ("http://api.openai.com/v1", true, false, true),
            ("http://127.0.0.1:9000/v1", false, false, true),
            ("http://localhost:9000", false, false, true),
            ("http://127.0.0.1:8000/v1", false, false, false),
            ("http://localhost:8000/v1", false, false, false),
            ("https://10.0.0.1/v1", false, false, false),
            ("https://10.0.0.1/v1", false, true, true),
            ("https://169.254.169.254/", false, false, false),
            ("https://[fd00::1]/v1", false, false, false),
            ("https://[::ffff:10.0.0.1]/v1", false, false, false),
            ("https://user:pass@api.openai.com/v1", false, false, false),
            ("ftp://api.openai.com", false, false, false),
            ("api.openai.com", false, false, false),
            ("", false, false, false),
            ("https://api.openai.com/v1?x=1", false, false, false),
        ] {
            assert_eq!(check_url(url, allow_http, allow_private, &own).is_ok(), fine, "{url}");
        }
    }
}
