//! `POST /admin/breakers/{provider}/{model}`: an operator holds a target's circuit breaker open or closed, or lets go.

use std::time::Duration;

use actix_web::HttpResponse;
use sentinel_domain::{ApiError, ErrorCode};
use sentinel_graph::breaker::Override;
use sentinel_graph::target::TargetKey;
use serde::Deserialize;
use serde_json::json;

use super::body;
use super::exchange::{Answer, Exchange};
use crate::config::units::{parse_duration, show_duration};

/// Largest body, bytes.
const MOST_BODY: usize = 4 * 1024;
/// Longest wait for the body.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a breaker is held when nothing is said.
const USUAL: Duration = Duration::from_secs(300);
/// Longest time that a breaker is held, so that a forgotten one comes back by itself.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    Open,
    Closed,
    Auto,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    state: Wanted,
    r#for: Option<String>,
}

/// `POST /admin/breakers/{provider}/{model}` with `{"state":"open"|"closed"|"auto","for":"5m"}`.
///
/// `auto` lets go and forgets failures and cooldown.
///
/// # Errors
/// `invalid_value` for an order that cannot be read, `unknown_object` for a target that is not known.
pub async fn force(exchange: Exchange) -> Answer {
    let Exchange { request, payload, worker, .. } = exchange;
    let bytes = body::read(payload, MOST_BODY, BODY_TIMEOUT).await?;
    let (wanted, time) = read(&bytes)?;
    let path = request.match_info();
    let key = TargetKey::new(path.query("provider"), path.query("model"));
    let gateway = &worker.gateway;
    let (is_known, name) = match wanted {
        Wanted::Open => (gateway.breakers.force(&key, Override::Open, time), "open"),
        Wanted::Closed => (gateway.breakers.force(&key, Override::Closed, time), "closed"),
        Wanted::Auto => (gateway.breakers.reset(&key), "auto"),
    };
    if !is_known {
        let shown: String =
            key.to_string().chars().filter(|character| !character.is_control()).take(120).collect();
        return Err(
            ApiError::new(ErrorCode::UnknownObject, format!("there is no target {shown:?}")).param("model")
        );
    }
    let text = match wanted {
        Wanted::Auto => "the operator let go of the circuit breaker".to_owned(),
        _ => format!("the operator holds the circuit breaker {name} for {}", show_duration(time)),
    };
    gateway.events.push("breaker", crate::gateway::events::Level::Note, key.to_string(), text);
    tracing::warn!(upstream = %key, state = name, "circuit breaker set by the operator");
    let for_s = (wanted != Wanted::Auto).then_some(time.as_secs_f64());
    Ok(HttpResponse::Ok()
        .json(json!({ "provider": &*key.provider, "model": &*key.model, "state": name, "for_s": for_s })))
}

fn read(bytes: &[u8]) -> Result<(Wanted, Duration), ApiError> {
    let order: Order = serde_json::from_slice(bytes).map_err(|_| {
        ApiError::new(
            ErrorCode::InvalidValue,
            "expected {\"state\": \"open\" | \"closed\" | \"auto\", \"for\": \"5m\"}",
        )
        .param("state")
    })?;
    let invalid = |message: String| ApiError::new(ErrorCode::InvalidValue, message).param("for");
    let time = match order.r#for {
        None => USUAL,
        Some(text) => parse_duration(&text).map_err(invalid)?,
    };
    if time.is_zero() || time > LONGEST {
        return Err(invalid(format!("for: expected a time up to {}", show_duration(LONGEST))));
    }
    Ok((order.state, time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_and_bounded() {
        assert_eq!(read(br#"{"state":"open"}"#).unwrap(), (Wanted::Open, USUAL));
        assert_eq!(
            read(br#"{"state":"closed","for":"30s"}"#).unwrap(),
            (Wanted::Closed, Duration::from_secs(30))
        );
        for bad in [
            r#"{}"#,
            r#"{"state":"ajar"}"#,
            r#"{"state":"open","for":"2d"}"#,
            r#"{"state":"open","for":"0"}"#,
            "x",
        ] {
            assert_eq!(read(bad.as_bytes()).unwrap_err().code, ErrorCode::InvalidValue, "{bad}");
        }
    }
}
