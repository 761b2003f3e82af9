//! `/v1/audit`: the records, newest first; one record; the state of the chain. A key sees its own records only.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::web;
use sentinel_domain::{ApiError, ErrorCode};
use sentinel_store::audit::{
    AuditError, AuditReader, Cursor, DEFAULT_LIMIT, MAX_LIMIT, Query, StoredRow, VerifyRange,
};

use super::exchange::{Answer, Exchange};
use super::query;

/// `GET /v1/audit`
///
/// # Errors
/// `invalid_value` naming the parameter; `store_unavailable`.
pub async fn list(exchange: Exchange) -> Answer {
    let parameters = query::parse(
        &exchange.request,
        &["limit", "cursor", "provider", "model", "status", "key", "since", "until"],
    )?;
    let query = listing(&exchange, &parameters)?;
    let page = ask(&exchange, move |reader| reader.page(&query)).await?;
    let rows: Vec<String> = page.rows.iter().map(StoredRow::json).collect();
    let cursor = page.next_cursor.map_or("null".to_owned(), |cursor| format!("\"{cursor}\""));
    let body = format!("{{\"data\":[{}],\"next_cursor\":{cursor}}}", rows.join(","));
    Ok(HttpResponse::Ok().content_type("application/json").body(body))
}

fn listing(exchange: &Exchange, parameters: &HashMap<String, String>) -> Result<Query, ApiError> {
    let text = |name: &str| parameters.get(name).cloned();
    let moment = |name: &'static str| query::moment(parameters, name);
    let limit = match text("limit") {
        None => DEFAULT_LIMIT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=MAX_LIMIT).contains(limit))
            .ok_or_else(|| query::invalid("limit", format!("expected a number from 1 to {MAX_LIMIT}")))?,
    };
    let status = match text("status") {
        None => None,
        Some(text) => Some(
            text.parse()
                .ok()
                .filter(|status| (100..=599).contains(status))
                .ok_or_else(|| query::invalid("status", "expected an HTTP status such as 200"))?,
        ),
    };
    let cursor =
        match text("cursor") {
            None => None,
            Some(text) => Some(Cursor::parse(&text).map_err(|_| {
                query::invalid("cursor", "expected the next_cursor of a page before, unchanged")
            })?),
        };
    Ok(Query {
        provider: text("provider"),
        model: text("model"),
        status,
        key: own_key(exchange, text("key"))?,
        since_ms: moment("since")?,
        until_ms: moment("until")?,
        limit,
        cursor,
        events: false,
    })
}

/// Returns the key whose records may be seen: a caller's own, or the one that the admin asks for.
///
/// # Errors
/// `admin_required` when a key asks for another's records.
pub fn own_key(exchange: &Exchange, asked: Option<String>) -> Result<Option<String>, ApiError> {
    if exchange.identity.admin {
        return Ok(asked);
    }
    let own = exchange.identity.caller.key_name().map(|name| name.to_string());
    match (asked, own) {
        (Some(asked), Some(own)) if asked != own => {
            Err(ApiError::new(ErrorCode::AdminRequired, "a key sees only its own records").param("key"))
        }
        (_, own) => Ok(own),
    }
}

/// `GET /v1/audit/{request_id}`
///
/// # Errors
/// `unknown_request`; `store_unavailable`.
pub async fn one(exchange: Exchange) -> Answer {
    let id = exchange.request.match_info().query("request_id").to_owned();
    let own = own_key(&exchange, None)?;
    let found = {
        let id = id.clone();
        ask(&exchange, move |reader| reader.get(&id)).await?
    };
    let visible = match (&found, own) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(row), Some(own)) => row.record().is_ok_and(|record| record.key == Some(own)),
    };
    match found.filter(|_| visible) {
        Some(row) => Ok(HttpResponse::Ok().content_type("application/json").body(row.json())),
        None => {
            let shown: String = id.chars().filter(|character| !character.is_control()).take(128).collect();
            Err(ApiError::new(ErrorCode::UnknownRequest, format!("there is no record of request {shown:?}")))
        }
    }
}

/// `GET /v1/audit/verify`
///
/// # Errors
/// `store_unavailable`.
pub async fn verify(exchange: Exchange) -> Answer {
    let report = ask(&exchange, move |reader| reader.verify(VerifyRange::default())).await?;
    Ok(HttpResponse::Ok().json(report))
}

/// Asks the trail on a thread for blocking work.
async fn ask<T: Send + 'static>(
    exchange: &Exchange,
    question: impl FnOnce(AuditReader) -> Result<T, AuditError> + Send + 'static,
) -> Result<T, ApiError> {
    let reader = exchange.worker.gateway.audit.reader();
    let unavailable = |text: String| {
        ApiError::new(ErrorCode::StoreUnavailable, format!("the audit trail cannot be read: {text}"))
            .retry_after(std::time::Duration::from_secs(1))
    };
    web::block(move || question(reader))
        .await
        .map_err(|error| unavailable(error.to_string()))?
        .map_err(|error| unavailable(error.to_string()))
}
