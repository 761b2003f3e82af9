//! The operator's routes: metrics and the actor tree.

use actix_web::HttpResponse;
use sentinel_domain::{ApiError, ErrorCode};
use sentinel_runtime::{Fault, InjectError};
use serde_json::json;

use super::exchange::{Answer, Exchange};
use super::query;

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

/// `POST /admin/actors/{name}/panic?kind=handler|future|started`: makes an actor panic, where drills are switched on.
///
/// # Errors
/// `unknown_route` unless `server.chaos` is on; `unknown_object` if no living actor has this name; `invalid_value`.
pub async fn panic(exchange: Exchange) -> Answer {
    let name = exchange.request.match_info().query("name").to_owned();
    let parameters = query::parse(&exchange.request, &["kind"])?;
    let fault = match parameters.get("kind").map_or("handler", String::as_str) {
        "handler" => Fault::Handler,
        "future" => Fault::Future,
        "started" => Fault::Started,
        _ => return Err(query::invalid("kind", "expected handler, future or started")),
    };
    match exchange.worker.gateway.registry.inject_panic(&name, fault) {
        Ok(()) => Ok(HttpResponse::Accepted().json(json!({ "actor": name, "panicking": true }))),
        Err(InjectError::Disabled) => Err(ApiError::new(
            ErrorCode::UnknownRoute,
            "drills are switched off; set server.chaos = true to run them",
        )),
        Err(InjectError::NotFound) => {
            let shown: String = name.chars().filter(|character| !character.is_control()).take(80).collect();
            Err(ApiError::new(ErrorCode::UnknownObject, format!("there is no actor {shown:?}")).param("name"))
        }
    }
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
