//! The operator's routes: metrics and the actor tree.

use actix_web::HttpResponse;
use sentinel_domain::{ApiError, ErrorCode};
use serde_json::json;

use super::exchange::{Answer, Exchange};

/// `GET /metrics/prometheus`
///
/// # Errors
/// `internal` if a metric cannot be encoded.
pub async fn prometheus(exchange: Exchange) -> Answer {
    let gateway = &exchange.worker.gateway;
    gateway.observe();
    let text = gateway
        .metrics
        .encode()
        .map_err(|error| ApiError::new(ErrorCode::Internal, format!("metrics cannot be encoded: {error}")))?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}

/// `GET /admin/actors`: the supervised tree as it is.
///
/// # Errors
/// None.
pub async fn actors(exchange: Exchange) -> Answer {
    let rows = exchange.worker.gateway.registry.snapshot();
    Ok(HttpResponse::Ok().json(json!({ "actors": rows })))
}

/// `POST /admin/actors/{name}/restart`: builds an actor anew; its queue stays.
///
/// # Errors
/// `unknown_object` if no living actor has this name.
pub async fn restart(exchange: Exchange) -> Answer {
    let name = exchange.request.match_info().query("name").to_owned();
    let gateway = &exchange.worker.gateway;
    if !gateway.registry.restart(&name) {
        let shown: String = name.chars().filter(|character| !character.is_control()).take(80).collect();
        return Err(
            ApiError::new(ErrorCode::UnknownObject, format!("there is no actor {shown:?}")).param("name")
        );
    }
    tracing::warn!(actor = name, "actor restarted by the operator");
    Ok(HttpResponse::Accepted().json(json!({ "actor": name, "restarting": true })))
}

/// `GET /metrics`: counters, percentiles and states as JSON.
///
/// # Errors
/// None.
pub async fn metrics(exchange: Exchange) -> Answer {
    let gateway = &exchange.worker.gateway;
    gateway.observe();
    Ok(HttpResponse::Ok().json(gateway.report()))
}
