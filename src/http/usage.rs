//! `GET /v1/usage`: cost and tokens, summed by provider, model, key and day. A key sees its own only.

use actix_web::HttpResponse;
use sentinel_domain::{ApiError, ErrorCode, NanoUsd};
use sentinel_store::budget::period::day_text;
use sentinel_store::usage::{GroupBy, Totals, UsageGroup, UsageQuery};
use serde_json::{Map, Value, json};

use super::exchange::{Answer, Exchange};
use super::{audit, query};

const DAY_MS: u64 = 24 * 3600 * 1000;

/// `GET /v1/usage`
///
/// # Errors
/// `invalid_value` naming the parameter; `store_unavailable`.
pub async fn report(exchange: Exchange) -> Answer {
    let parameters = query::parse(&exchange.request, &["group_by", "since", "until", "key"])?;
    let mut group_by = Vec::new();
    for name in parameters.get("group_by").map(String::as_str).unwrap_or_default().split(',') {
        match (name.trim(), GroupBy::parse(name.trim())) {
            ("", _) => {}
            (_, Some(dimension)) => group_by.push(dimension),
            (_, None) => {
                return Err(query::invalid(
                    "group_by",
                    "expected any of provider, model, key and day, separated by commas",
                ));
            }
        }
    }
    let day = |name| {
        query::moment(&parameters, name).map(|ms| ms.map(|ms| u32::try_from(ms / DAY_MS).unwrap_or(u32::MAX)))
    };
    let asked = UsageQuery {
        group_by,
        since: day("since")?.unwrap_or(0),
        until: day("until")?.unwrap_or(u32::MAX),
        key: audit::own_key(&exchange, parameters.get("key").cloned())?.map(Into::into),
    };
    let groups = exchange.worker.stores.usage.query(&asked).await.map_err(|error| {
        ApiError::new(ErrorCode::StoreUnavailable, format!("the usage ledger cannot be read: {error}"))
            .retry_after(std::time::Duration::from_secs(1))
    })?;
    let mut total = Totals::default();
    for group in &groups {
        total.add(&group.totals);
    }
    let data: Vec<Value> = groups.iter().map(row).collect();
    Ok(HttpResponse::Ok()
        .json(json!({ "object": "usage", "data": data, "total": Value::Object(amounts(&total)) })))
}

fn row(group: &UsageGroup) -> Value {
    let mut row = Map::new();
    for (name, value) in [("provider", &group.provider), ("model", &group.model), ("key", &group.key)] {
        if let Some(value) = value {
            let shown = if value.is_empty() { Value::Null } else { Value::from(&**value) };
            row.insert(name.to_owned(), shown);
        }
    }
    if let Some(day) = group.day {
        row.insert("day".to_owned(), day_text(day).into());
    }
    row.extend(amounts(&group.totals));
    Value::Object(row)
}

fn amounts(totals: &Totals) -> Map<String, Value> {
    let usage = totals.usage();
    let fields = [
        ("requests", json!(totals.requests)),
        ("prompt_tokens", json!(usage.prompt())),
        ("completion_tokens", json!(usage.output)),
        ("total_tokens", json!(usage.total())),
        ("cached_tokens", json!(usage.cache_read)),
        ("cache_write_tokens", json!(usage.cache_write())),
        ("reasoning_tokens", json!(usage.reasoning)),
        ("cost_usd", json!(totals.cost())),
        ("saved_usd", json!(NanoUsd::new(totals.saved_nano))),
        ("unpriced_requests", json!(totals.unpriced)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
