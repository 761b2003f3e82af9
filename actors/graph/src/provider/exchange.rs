//! One HTTP exchange with a provider: send, wait for the head, judge it, read a bounded body.

use std::time::Duration;

use actix_http::header::{self, HeaderMap};
use awc::Client;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use sentinel_domain::outcome::FailureClass;
use sentinel_runtime::Clock;
use sentinel_wire::Headers;
use sentinel_wire::dialect::auth_headers;
use tokio::time::{Instant, timeout_at};

use super::call::UpstreamCall;
use super::connect::noticing_reuse;
use super::failure::{CallFailure, of_payload, of_send};
use super::keys::Picked;
use super::shared::Shared;

/// The answer of awc with its body still to come.
pub(super) type Response = awc::ClientResponse;

/// How often a connection out of the pool may turn out to be dead before that counts as the provider's failure.
const STALE_RETRIES: u32 = 2;

/// The body of an error answer is read up to this size, in bytes, and this long; its status is known anyway.
const ERROR_BODY_LIMIT: usize = 64 * 1024;
const ERROR_BODY_TIME: Duration = Duration::from_secs(5);

/// Sends a call and waits for the head of the answer.
///
/// A connection out of the pool may have been closed by the provider in the same instant. If it ends without one byte
/// of an answer, the call is sent again on another one: that is no failure of the provider.
pub(super) async fn send(
    client: &Client,
    shared: &Shared,
    call: &UpstreamCall,
    key: Option<&Picked>,
    clock: &Clock,
) -> Result<Response, CallFailure> {
    let head_by = clock.now() + call.timeouts.first_byte;
    let mut stale = 0;
    loop {
        let exchange =
            noticing_reuse(request(client, shared, call, key)?.send_body(call.encoded.body.clone()));
        let Ok((result, reused)) = timeout_at(head_by.min(call.deadline), exchange).await else {
            return Err(late(head_by, call.deadline));
        };
        match result {
            Ok(response) => return Ok(response),
            Err(error) => {
                let sent = of_send(&error);
                if !(sent.unanswered && reused && stale < STALE_RETRIES) {
                    return Err(sent.failure);
                }
                stale += 1;
                tracing::debug!(provider = &*shared.spec.name, "a pooled connection was dead; sent again");
            }
        }
    }
}

/// Which of the two limits was it?
pub(super) fn late(by_provider: Instant, deadline: Instant) -> CallFailure {
    if deadline <= by_provider {
        CallFailure::out_of_time()
    } else {
        CallFailure::new(FailureClass::FirstByteTimeout, "the provider did not begin to answer in time")
    }
}

/// Builds the request from our own headers alone; nothing of the client's request but the body goes out.
fn request(
    client: &Client,
    shared: &Shared,
    call: &UpstreamCall,
    key: Option<&Picked>,
) -> Result<awc::ClientRequest, CallFailure> {
    let mut request = client
        .post(format!("{}{}", shared.spec.base_url, call.encoded.path))
        .insert_header((header::USER_AGENT, concat!("sentinel/", env!("CARGO_PKG_VERSION"))))
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::ACCEPT, call.accept()));
    for (name, value) in &call.encoded.headers {
        request = request.insert_header((*name, value.as_str()));
    }
    if let Some(key) = key {
        for (name, value) in auth_headers(shared.spec.kind, &key.secret) {
            let mut value = header::HeaderValue::try_from(value).map_err(|_| {
                CallFailure::new(
                    FailureClass::Auth,
                    "the provider's configured credential can't be sent in a header",
                )
            })?;
            value.set_sensitive(true);
            request = request.insert_header((name, value));
        }
    }
    Ok(request)
}

/// Reads a whole answer of at most `limit` bytes, with at most `idle` between two pieces of it.
pub(super) async fn read_whole(
    response: &mut Response,
    limit: usize,
    idle: Duration,
    deadline: Instant,
    clock: &Clock,
) -> Result<Bytes, CallFailure> {
    let too_large = || CallFailure::new(FailureClass::Oversize, "the provider's answer is too large");
    let announced = content_length(response);
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut body = BytesMut::with_capacity(announced.unwrap_or(4096).min(64 * 1024));
    loop {
        let idle_by = clock.now() + idle;
        let Ok(piece) = timeout_at(idle_by.min(deadline), response.next()).await else {
            return Err(if deadline <= idle_by {
                CallFailure::out_of_time()
            } else {
                CallFailure::new(
                    FailureClass::IdleTimeout,
                    "the provider stopped in the middle of its answer",
                )
            });
        };
        match piece {
            Some(Ok(piece)) if body.len() + piece.len() > limit => return Err(too_large()),
            Some(Ok(piece)) => body.extend_from_slice(&piece),
            Some(Err(error)) => return Err(of_payload(&error)),
            None => break,
        }
    }
    // The client library ends a body quietly when the connection ends, whatever was announced.
    if announced.is_some_and(|length| body.len() < length) {
        let message = "the connection broke in the middle of the provider's answer";
        return Err(CallFailure::new(FailureClass::Broken, message));
    }
    Ok(body.freeze())
}

/// Reads what there is of an error answer; its status counts whatever happens to its body.
pub(super) async fn read_error(response: &mut Response, deadline: Instant, clock: &Clock) -> Bytes {
    let by = deadline.min(clock.now() + ERROR_BODY_TIME);
    read_whole(response, ERROR_BODY_LIMIT, ERROR_BODY_TIME, by, clock).await.unwrap_or_default()
}

fn content_length(response: &Response) -> Option<usize> {
    response.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// The headers of an answer as the dialects want to see them.
pub(super) struct HeaderView<'a>(pub(super) &'a HeaderMap);

impl Headers for HeaderView<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }
}
