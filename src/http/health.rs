//! Health: whether it lives, whether it takes requests, and how each part is.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use sentinel_domain::{ApiError, ErrorCode};
use sentinel_runtime::Phase;
use serde_json::json;

use super::exchange::{Answer, Exchange};
use crate::gateway::vitals::Overall;

/// `GET /health/live`: the event loop answers. Never depends on stores or providers.
///
/// # Errors
/// None.
pub async fn live(_exchange: Exchange) -> Answer {
    Ok(HttpResponse::Ok().json(json!({ "status": "ok" })))
}

/// `GET /health/ready`: whether requests should be sent here.
///
/// # Errors
/// `draining` while it shuts down, `store_unavailable` while the audit trail cannot be written and requests are refused.
pub async fn ready(exchange: Exchange) -> Answer {
    let gateway = &exchange.worker.gateway;
    if gateway.lifecycle.phase() >= Phase::LameDuck {
        return Err(ApiError::new(ErrorCode::Draining, "the gateway is shutting down")
            .retry_after(std::time::Duration::from_secs(1)));
    }
    if let Some(reason) = gateway.vitals().not_ready {
        return Err(
            ApiError::new(ErrorCode::StoreUnavailable, reason).retry_after(std::time::Duration::from_secs(1))
        );
    }
    Ok(HttpResponse::Ok().json(json!({ "status": "ready" })))
}

/// `GET /health`: each provider, the store and the actor tree.
///
/// # Errors
/// None; a gateway that is down answers 503 with the same body.
pub async fn depth(exchange: Exchange) -> Answer {
    let vitals = exchange.worker.gateway.vitals();
    let status =
        if vitals.status == Overall::Down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    Ok(HttpResponse::build(status).json(vitals))
}
