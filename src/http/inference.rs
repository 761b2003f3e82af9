//! The frame around a model call: like every exchange, but refused requests leave a record too.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt;
use sentinel_domain::{ApiError, ErrorCode, RequestId};
use tokio::time::Instant;
use tracing::Instrument;

use super::auth::{self, Role};
use super::exchange::{self, Arrival};
use super::{chat, cors, error};
use crate::gateway::identity::Identity;
use crate::gateway::{Live, Worker};
use crate::pipeline::receipt::Receipt;

/// A model call on its way into the pipeline.
pub struct Inference {
    /// The request's head.
    pub request: HttpRequest,
    /// The request's body, not yet read.
    pub payload: Payload,
    /// Its id.
    pub id: RequestId,
    /// When it arrived.
    pub arrived: Instant,
    /// The client's address.
    pub client: IpAddr,
    /// Who is calling, or why nobody may.
    pub identity: Result<Identity, ApiError>,
    /// This thread's actors.
    pub worker: Worker,
    /// What is in force.
    pub live: Arc<Live>,
    /// What the request leaves behind.
    pub receipt: Receipt,
}

/// Answers `POST /v1/chat/completions`.
pub async fn serve(request: HttpRequest, payload: Payload) -> HttpResponse {
    let arrival = match Arrival::of(&request) {
        Ok(arrival) => arrival,
        Err(response) => return *response,
    };
    let id = arrival.id.clone();
    let span = tracing::info_span!("request", request_id = %id, route = chat::PATTERN);
    let answered =
        AssertUnwindSafe(admit_and_answer(request, payload, &arrival).instrument(span)).catch_unwind().await;
    let response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(failure)) => error::respond(&failure, &id),
        Err(_panic) => error::respond(&exchange::panicked(&id), &id),
    };
    arrival.finish(response, chat::PATTERN)
}

async fn admit_and_answer(request: HttpRequest, payload: Payload, arrival: &Arrival) -> exchange::Answer {
    let (worker, live) = (arrival.worker.clone(), Arc::clone(&arrival.live));
    let gateway = &worker.gateway;
    if !gateway.lifecycle.accepts() {
        return Err(ApiError::new(ErrorCode::Draining, "the gateway is shutting down")
            .retry_after(Duration::from_secs(1)));
    }
    let Some(permit) = gateway.in_flight.enter() else {
        gateway.metrics.shed.with_label_values(&["in_flight"]).inc();
        return Err(ApiError::new(ErrorCode::Overloaded, "the gateway has no capacity left")
            .retry_after(Duration::from_secs(1)));
    };
    let receipt = Receipt::open(
        worker.clone(),
        permit,
        &arrival.id,
        chat::PATTERN,
        (arrival.arrived, arrival.arrived_unix_ms),
        arrival.client,
    );
    let identity = cors::check(arrival.origin.as_ref(), &live.config.server.cors_allowed_origins, &request)
        .and_then(|()| auth::identify(&request, arrival.client, Role::Caller, gateway, &live));
    let inference = Inference {
        request,
        payload,
        id: arrival.id.clone(),
        arrived: arrival.arrived,
        client: arrival.client,
        identity,
        worker: worker.clone(),
        live,
        receipt,
    };
    // The future is large; on the heap it is moved once, not at every layer.
    Box::pin(chat::complete(inference)).await
}
