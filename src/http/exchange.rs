//! One request and its answer: what every route has in common, around the handler that differs.
//!
//! Gives the request its id, decides who is calling, contains panics, turns errors into the one error body, adds the
//! headers that every answer carries and counts it. Routes are registered together with the role that they need, so
//! there is no second place where a path could be read differently.

use std::future::Future;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt;
use sentinel_domain::{ApiError, ErrorCode, RequestId};
use tokio::time::Instant;
use tracing::Instrument;

use super::auth::{self, Role};
use super::{cors, dashboard, error};
use crate::gateway::identity::Identity;
use crate::gateway::{Live, Worker};

/// What a handler gives back.
pub type Answer = Result<HttpResponse, ApiError>;

/// Marks an answer whose request is counted by whoever finishes it, since that happens later than its head.
#[derive(Clone, Copy)]
pub struct CountedElsewhere;

/// What is known of a request when it arrives.
pub struct Arrival {
    /// Its id.
    pub id: RequestId,
    /// When it arrived, for durations.
    pub arrived: Instant,
    /// When it arrived, for people: milliseconds since 1970.
    pub arrived_unix_ms: u64,
    /// The client's address, as far as it can be believed.
    pub client: IpAddr,
    /// The browser's page, if one sent it.
    pub origin: Option<HeaderValue>,
    /// This thread's actors.
    pub worker: Worker,
    /// What is in force.
    pub live: Arc<Live>,
}

impl Arrival {
    /// Looks at a request that has just arrived.
    ///
    /// # Errors
    /// The answer to give if the worker is not set up.
    pub fn of(request: &HttpRequest) -> Result<Self, Box<HttpResponse>> {
        let id = request_id(request.headers());
        let Some(worker) = request.app_data::<Data<Worker>>().map(|data| Worker::clone(data)) else {
            let failure = ApiError::new(ErrorCode::Internal, "the worker is not set up");
            return Err(Box::new(error::respond(&failure, &id)));
        };
        let live = worker.gateway.live();
        Ok(Self {
            arrived: worker.gateway.clock.now(),
            arrived_unix_ms: worker.gateway.clock.unix_ms(),
            client: auth::client_address(request, &live.config.server.trusted_proxies),
            origin: request.headers().get(header::ORIGIN).cloned(),
            id,
            worker,
            live,
        })
    }

    /// Adds what every answer carries, and counts it unless somebody else does.
    #[must_use]
    pub fn finish(&self, mut response: HttpResponse, pattern: &'static str) -> HttpResponse {
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(self.id.as_str()) {
            headers.insert(HeaderName::from_static("x-request-id"), value);
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if !headers.contains_key(header::CACHE_CONTROL) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if pattern.starts_with("/dashboard") {
            dashboard::protect(headers);
        }
        cors::decorate(headers, self.origin.as_ref(), &self.live.config.server.cors_allowed_origins);
        if response.extensions().get::<CountedElsewhere>().is_none() {
            let gateway = &self.worker.gateway;
            gateway.metrics.requests.with_label_values(&[pattern, response.status().as_str()]).inc();
            let took = gateway.clock.now().saturating_duration_since(self.arrived);
            gateway.metrics.request_duration.with_label_values(&[pattern]).observe(took.as_secs_f64());
        }
        response
    }
}

/// A request on its way to its handler.
pub struct Exchange {
    /// The request's head.
    pub request: HttpRequest,
    /// The request's body, not yet read.
    pub payload: Payload,
    /// Its id.
    pub id: RequestId,
    /// Who is calling.
    pub identity: Identity,
    /// This thread's actors.
    pub worker: Worker,
    /// What is in force.
    pub live: Arc<Live>,
}

/// Runs one request of the route `pattern` that needs `role` through `handler`.
pub async fn run<F, Fut>(
    request: HttpRequest,
    payload: Payload,
    pattern: &'static str,
    role: Role,
    handler: F,
) -> HttpResponse
where
    F: FnOnce(Exchange) -> Fut,
    Fut: Future<Output = Answer>,
{
    let arrival = match Arrival::of(&request) {
        Ok(arrival) => arrival,
        Err(response) => return *response,
    };
    let id = arrival.id.clone();
    let span = tracing::info_span!("request", request_id = %id, route = pattern);
    let work = async {
        let (worker, live) = (arrival.worker.clone(), Arc::clone(&arrival.live));
        cors::check(arrival.origin.as_ref(), &live.config.server.cors_allowed_origins, &request)?;
        let identity = auth::identify(&request, arrival.client, role, &worker.gateway, &live)?;
        handler(Exchange { request, payload, id: id.clone(), identity, worker, live }).await
    };
    let response = match AssertUnwindSafe(work.instrument(span)).catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(failure)) => error::respond(&failure, &id),
        Err(_panic) => error::respond(&panicked(&id), &id),
    };
    arrival.finish(response, pattern)
}

/// What a client is told when a handler panicked.
#[must_use]
pub fn panicked(id: &RequestId) -> ApiError {
    ApiError::new(ErrorCode::Internal, format!("the gateway failed; please report request {id}"))
}

/// Takes the caller's own id if it is harmless, else makes one.
#[must_use]
pub fn request_id(headers: &HeaderMap) -> RequestId {
    headers
        .get("x-request-id")
        .and_then(|value| value.to_str().ok())
        .and_then(RequestId::from_caller)
        .unwrap_or_else(RequestId::fresh)
}
