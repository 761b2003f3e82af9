//! `GET /v1/models`: what the caller may use.

use actix_web::HttpResponse;
use sentinel_domain::{ApiError, ErrorCode};
use sentinel_graph::routing::ListedModel;
use serde_json::{Value, json};

use super::exchange::{Answer, Exchange};

fn visible(exchange: &Exchange) -> Vec<ListedModel> {
    exchange.live.routes.models().into_iter().filter(|model| exchange.identity.allows(&model.id)).collect()
}

fn shown(exchange: &Exchange, model: &ListedModel) -> Value {
    let created = (exchange.worker.gateway.clock.unix_ms() / 1000).saturating_sub(
        exchange
            .worker
            .gateway
            .clock
            .now()
            .saturating_duration_since(exchange.worker.gateway.started)
            .as_secs(),
    );
    json!({ "id": model.id, "object": "model", "created": created, "owned_by": model.owned_by })
}

/// `GET /v1/models`
///
/// # Errors
/// None.
pub async fn list(exchange: Exchange) -> Answer {
    let data: Vec<_> = visible(&exchange).iter().map(|model| shown(&exchange, model)).collect();
    Ok(HttpResponse::Ok().json(json!({ "object": "list", "data": data })))
}

/// `GET /v1/models/{id}`
///
/// # Errors
/// `model_not_found`
pub async fn one(exchange: Exchange) -> Answer {
    let id = exchange.request.match_info().query("id");
    match visible(&exchange).iter().find(|model| *model.id == *id) {
        Some(model) => Ok(HttpResponse::Ok().json(shown(&exchange, model))),
        None => {
            let shown: String = id.chars().filter(|character| !character.is_control()).take(100).collect();
            Err(ApiError::new(ErrorCode::ModelNotFound, format!("there is no model {shown:?}"))
                .param("model"))
        }
    }
}
