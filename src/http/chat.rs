//! `POST /v1/chat/completions`: takes a request in, hands it to the pipeline, and delivers what comes back.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Bytes;
use futures_util::stream;
use sentinel_domain::{ApiError, ErrorCode, NanoUsd, RequestId};
use sentinel_runtime::Phase;
use sentinel_store::limits::Snapshot;
use tokio::time::Instant;

use super::exchange::{Answer, CountedElsewhere};
use super::inference::Inference;
use super::{body, error, limits, sse};
use crate::pipeline::answer::{Answered, Next, Streaming};
use crate::pipeline::receipt::Receipt;
use crate::pipeline::{self, CacheControl, Failed, Marks};

/// Route pattern, as metrics show it.
pub const PATTERN: &str = "/v1/chat/completions";
/// How long a stream may be silent before a comment keeps its connection open.
const PING_EVERY: Duration = Duration::from_secs(15);

/// Answers one chat request. Every way out leaves a record.
///
/// # Errors
/// Any of the contract's error codes.
pub async fn complete(inference: Inference) -> Answer {
    let Inference { request, payload, id, receipt, live, worker, identity, arrived, client: _ } = inference;
    let deadline = arrived + live.config.server.request_timeout;
    let mut marks = Marks::default();
    let outcome = tokio::time::timeout_at(deadline, async {
        let identity = identity?;
        receipt.identified(&identity);
        let server = &live.config.server;
        body::check_head(&request, server.max_body)?;
        let bytes = body::read(payload, server.max_body, server.body_timeout).await?;
        let call = pipeline::Call {
            worker: worker.clone(),
            live: Arc::clone(&live),
            identity,
            body: bytes,
            cache: cache_control(request.headers()),
            beta: text(request.headers(), "anthropic-beta"),
            trace: text(request.headers(), "traceparent"),
            deadline,
        };
        pipeline::run(call, &receipt, &mut marks).await
    })
    .await
    .unwrap_or_else(|_late| {
        let limit = live.config.server.request_timeout.as_secs_f64();
        Err(Failed::from(ApiError::new(
            ErrorCode::RequestTimeout,
            format!("the request took longer than {limit} s"),
        )))
    });
    match outcome {
        Ok(Answered::Whole(whole)) => {
            receipt.head_sent(false);
            let mut response = HttpResponse::Ok();
            response.insert_header((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
            let mut response = response.body(whole.body);
            decorate(response.headers_mut(), &marks, Some(whole.cost));
            respond(response, receipt, 200, None).await
        }
        Ok(Answered::Stream(streaming)) => {
            receipt.head_sent(true);
            let mut response = HttpResponse::Ok();
            response.insert_header((
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/event-stream; charset=utf-8"),
            ));
            // Proxies in front must neither store nor hold back.
            response.insert_header(("x-accel-buffering", "no"));
            let delivery = Delivery {
                streaming: Some(streaming),
                receipt: Some(receipt),
                id,
                worker,
                deadline,
                ended: false,
            };
            let mut response = response.streaming(stream::unfold(delivery, Delivery::next_frame));
            decorate(response.headers_mut(), &marks, None);
            response.extensions_mut().insert(CountedElsewhere);
            Ok(response)
        }
        Err(failed) => {
            receipt.head_sent(false);
            let mut response = error::respond(&failed.error, &id);
            decorate(response.headers_mut(), &marks, None);
            let status = error::status(&failed.error);
            respond(response, receipt, status, Some(failed.error.code)).await
        }
    }
}

/// Closes the receipt; with strict durability the answer waits for its record.
async fn respond(
    mut response: HttpResponse,
    receipt: Receipt,
    status: u16,
    code: Option<ErrorCode>,
) -> Answer {
    let unrecorded = |_| {
        ApiError::new(
            ErrorCode::StoreUnavailable,
            "the audit trail cannot be written, and the gateway is set to refuse then",
        )
        .retry_after(Duration::from_secs(1))
    };
    if let Some(written) = receipt.close(status, code)? {
        written.written().await.map_err(unrecorded)?;
    }
    response.extensions_mut().insert(CountedElsewhere);
    Ok(response)
}

/// A stream on its way to its client.
struct Delivery {
    streaming: Option<Box<Streaming>>,
    receipt: Option<Receipt>,
    id: RequestId,
    worker: crate::gateway::Worker,
    deadline: Instant,
    ended: bool,
}

impl Delivery {
    /// Returns the next piece of the body, or ends it. A failure becomes an event and then the end, without `[DONE]`:
    /// an error of the body itself would take the head away from the client as well.
    async fn next_frame(mut self) -> Option<(Result<Bytes, actix_web::Error>, Self)> {
        if self.ended {
            return None;
        }
        let streaming = self.streaming.as_mut()?;
        let frame = tokio::select! {
            biased;
            next = streaming.next() => match next {
                Next::Data(json) => sse::data(&json),
                Next::Done => self.end(None).await,
                Next::Failed(error) => self.end(Some(error)).await,
            },
            () = tokio::time::sleep(PING_EVERY) => sse::PING,
            () = tokio::time::sleep_until(self.deadline) => {
                self.end(Some(ApiError::new(ErrorCode::RequestTimeout, "the request took longer than allowed"))).await
            }
            () = self.worker.gateway.lifecycle.reached(Phase::Stopped) => {
                self.end(Some(ApiError::new(ErrorCode::Draining, "the gateway is shutting down"))).await
            }
        };
        Some((Ok(frame), self))
    }

    async fn end(&mut self, error: Option<ApiError>) -> Bytes {
        self.ended = true;
        let code = error.as_ref().map(|error| error.code);
        // The stream holds the receipt too, and the record is written when the last one lets go.
        self.streaming = None;
        let written = self
            .receipt
            .take()
            .and_then(|receipt| receipt.close(StatusCode::OK.as_u16(), code).ok().flatten());
        if let Some(written) = written
            && let Err(error) = written.written().await
        {
            tracing::error!(%error, request_id = %self.id, "the stream's record is not on disk yet");
        }
        error.map_or(sse::DONE, |error| sse::failure(&error, &self.id))
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn cache_control(headers: &HeaderMap) -> CacheControl {
    let mut control = CacheControl::default();
    for value in headers.get_all(header::CACHE_CONTROL).filter_map(|value| value.to_str().ok()) {
        for directive in value.split(',').map(str::trim) {
            control.no_store |= directive.eq_ignore_ascii_case("no-store");
            control.no_cache |= directive.eq_ignore_ascii_case("no-cache");
        }
    }
    control
}

/// Adds what the pipeline found out on the way.
fn decorate(headers: &mut HeaderMap, marks: &Marks, cost: Option<Option<NanoUsd>>) {
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    if let Some(answerer) = &marks.answerer {
        put("x-sentinel-provider", &answerer.key.provider);
        put("x-sentinel-model", &answerer.key.model);
    }
    if let Some(cache) = marks.cache {
        put("x-sentinel-cache", cache);
    }
    put("x-sentinel-attempts", itoa::Buffer::new().format(marks.attempts));
    if let Some(Some(cost)) = cost {
        put("x-sentinel-cost-usd", &cost.to_string());
    }
    if !marks.pii.is_empty() {
        let list = marks.pii.iter().map(|(entity, count)| format!("{entity}={count}")).collect::<Vec<_>>();
        put("x-sentinel-pii", &list.join(","));
    }
    if let Some(score) = marks.injection {
        put("x-sentinel-injection-score", &format!("{score:.2}"));
    }
    if !marks.ignored.is_empty() {
        put("x-sentinel-ignored", &marks.ignored.join(","));
    }
    if !marks.skipped.is_empty() {
        put("x-sentinel-guard-skipped", &marks.skipped.join(","));
    }
    if marks.degraded {
        put("x-sentinel-degraded", "store");
    }
    let snapshot: &Snapshot = &marks.limits;
    limits::decorate(headers, snapshot);
}
