//! The dashboard's routes: the page, its files, its feed, and the login that turns the admin token into a cookie.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use sentinel_domain::{ApiError, ErrorCode};
use serde_json::json;

use super::auth::{self, Role, SESSION_COOKIE};
use super::body;
use super::exchange::{Answer, Exchange};
use crate::dashboard::Hub;
use crate::dashboard::assets::{self, Asset};
use crate::gateway::sessions::LIFETIME_MS;

/// Everything that the page may load and do. Source: Content Security Policy Level 3, W3C.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// Largest login body, bytes.
const MOST_LOGIN: usize = 8 * 1024;
/// Longest wait for a login body.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Place in the login page where its message goes.
const MESSAGE: &str = "{{message}}";

/// Adds what every answer below `/dashboard` carries, errors included.
pub fn protect(headers: &mut HeaderMap) {
    let fixed = [
        ("content-security-policy", POLICY),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-frame-options", "DENY"),
    ];
    for (name, value) in fixed {
        let name = HeaderName::from_static(name);
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

/// `GET /dashboard`: the page, or the login page with status 401.
///
/// # Errors
/// `admin_required` for a caller's key, `rate_limit_exceeded` after too many wrong credentials.
pub async fn page(exchange: Exchange) -> Answer {
    let Exchange { request, worker, live, .. } = &exchange;
    let client = auth::client_address(request, &live.config.server.trusted_proxies);
    match auth::identify(request, client, Role::Admin, &worker.gateway, live) {
        Ok(_) => file(request, assets::INDEX),
        Err(error) if matches!(error.code, ErrorCode::MissingApiKey | ErrorCode::InvalidApiKey) => {
            login_page(StatusCode::UNAUTHORIZED, "")
        }
        Err(error) => Err(error),
    }
}

/// `GET /dashboard/assets/{file}`
///
/// # Errors
/// `unknown_route` for a file that is not embedded.
pub async fn asset(exchange: Exchange) -> Answer {
    let name = exchange.request.match_info().query("file");
    match assets::public(name) {
        Some(asset) => Ok(deliver(&exchange.request, asset)),
        None => Err(ApiError::new(ErrorCode::UnknownRoute, "the dashboard has no such file")),
    }
}

fn file(request: &HttpRequest, name: &str) -> Answer {
    let asset = assets::find(name)
        .ok_or_else(|| ApiError::new(ErrorCode::Internal, format!("{name} is not embedded")))?;
    Ok(deliver(request, asset))
}

fn deliver(request: &HttpRequest, asset: &Asset) -> HttpResponse {
    let header_text =
        |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut builder = HttpResponse::Ok();
    builder
        .insert_header((header::ETAG, asset.etag))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::VARY, "accept-encoding"));
    if header_text(header::IF_NONE_MATCH)
        .split(',')
        .any(|tag| tag.trim().trim_start_matches("W/") == asset.etag)
    {
        return builder.status(StatusCode::NOT_MODIFIED).finish();
    }
    builder.insert_header((header::CONTENT_TYPE, asset.media));
    if accepts_gzip(header_text(header::ACCEPT_ENCODING)) {
        builder.insert_header((header::CONTENT_ENCODING, "gzip")).body(asset.packed)
    } else {
        builder.body(asset.plain)
    }
}

fn accepts_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|part| {
        let (name, weight) = part.split_once(';').unwrap_or((part, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        matches!(name.trim(), "gzip" | "*") && !refused
    })
}

/// `GET /dashboard/events`: the feed, a snapshot and then what changes, once a second.
///
/// # Errors
/// `overloaded` when too many dashboards are open.
pub async fn events(exchange: Exchange) -> Answer {
    let hub = exchange
        .request
        .app_data::<Data<Hub>>()
        .map(|hub| Arc::clone(hub))
        .ok_or_else(|| ApiError::new(ErrorCode::Internal, "the feed is not set up"))?;
    let viewer = hub.watch(&exchange.worker.stores).map_err(|error| {
        ApiError::new(ErrorCode::Overloaded, error.to_string()).retry_after(Duration::from_secs(10))
    })?;
    let frames = stream::unfold(viewer, async |mut viewer| {
        let frame = viewer.next().await?;
        Some((Ok::<_, Infallible>(frame), viewer))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("x-accel-buffering", "no"))
        .streaming(Box::pin(frames)))
}

/// `POST /dashboard/login`: the admin token, as a form or as JSON, for a cookie.
///
/// # Errors
/// `invalid_api_key` for a wrong token sent as JSON, `rate_limit_exceeded` after too many, and what a body can be
/// refused for.
pub async fn login(exchange: Exchange) -> Answer {
    let Exchange { request, payload, worker, live, .. } = exchange;
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = media.is_some_and(|media| media.starts_with("application/json"));
    let bytes = body::read(payload, MOST_LOGIN, LOGIN_TIMEOUT).await?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let fields: HashMap<String, String> = if is_json {
        serde_json::from_str(text)
            .map_err(|_| ApiError::new(ErrorCode::InvalidJson, "expected {\"token\":\"...\"}"))?
    } else {
        Query::from_query(text).map(Query::into_inner).unwrap_or_default()
    };
    let token = fields.get("token").map(|token| token.trim()).unwrap_or_default();
    let client = auth::client_address(&request, &live.config.server.trusted_proxies);
    match auth::log_in(token, client, &worker.gateway, &live) {
        Ok(()) => {}
        Err(error) if is_json || error.code != ErrorCode::InvalidApiKey => return Err(error),
        Err(_) => return login_page(StatusCode::UNAUTHORIZED, "That is not the admin token."),
    }
    let secure = if request.connection_info().scheme() == "https" { "; Secure" } else { "" };
    let session = worker.gateway.sessions.start(worker.gateway.clock.unix_ms());
    let cookie = format!(
        "{SESSION_COOKIE}={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}",
        LIFETIME_MS / 1000
    );
    if is_json {
        return Ok(HttpResponse::Ok()
            .insert_header((header::SET_COOKIE, cookie))
            .json(json!({ "ok": true })));
    }
    Ok(HttpResponse::SeeOther()
        .insert_header((header::SET_COOKIE, cookie))
        .insert_header((header::LOCATION, "/dashboard"))
        .finish())
}

/// `POST /dashboard/logout`: ends the login that the cookie belongs to.
///
/// # Errors
/// None.
pub async fn logout(exchange: Exchange) -> Answer {
    for session in auth::session_cookies(&exchange.request) {
        exchange.worker.gateway.sessions.end(session);
    }
    let cookie = format!("{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    Ok(HttpResponse::Ok().insert_header((header::SET_COOKIE, cookie)).json(json!({ "ok": true })))
}

fn login_page(status: StatusCode, message: &'static str) -> Answer {
    let asset = assets::find(assets::LOGIN)
        .ok_or_else(|| ApiError::new(ErrorCode::Internal, "the login page is not embedded"))?;
    let text = String::from_utf8_lossy(asset.plain).replace(MESSAGE, message);
    // With `no-referrer` a browser would send the form with `Origin: null`, which is nobody's own.
    Ok(HttpResponse::build(status)
        .content_type(asset.media)
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .body(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (accepted, expected) in [
            ("", false),
            ("gzip", true),
            ("br, gzip;q=0.8", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("*", true),
            ("br", false),
        ] {
            assert_eq!(accepts_gzip(accepted), expected, "{accepted}");
        }
    }
}
