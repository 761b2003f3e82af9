//! OpenAI's `x-ratelimit-*` response headers.
//!
//! Names and the form of the reset times (`12ms`, `6.2s`, `1m3s`) as in OpenAI's guide "Rate limits in headers",
//! read 2026-11-28.

use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use sentinel_store::limits::{LimitState, Snapshot};

/// Adds the headers of the limits that the caller has.
pub fn decorate(headers: &mut HeaderMap, snapshot: &Snapshot) {
    let names = [
        ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
        ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"],
    ];
    for ([limit, remaining, reset], state) in names.into_iter().zip([snapshot.requests, snapshot.tokens]) {
        let Some(LimitState { limit: most, remaining: left, reset: wait }) = state else { continue };
        for (name, value) in [(limit, most.to_string()), (remaining, left.to_string()), (reset, span(wait))] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

/// Writes a duration as OpenAI does.
fn span(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (minutes, seconds) = (millis / 60_000, millis % 60_000);
    let seconds = match (seconds / 1000, seconds % 1000) {
        (whole, 0) => format!("{whole}s"),
        (whole, rest) => format!("{whole}.{}s", format!("{rest:03}").trim_end_matches('0')),
    };
    match (minutes / 60, minutes % 60) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_openai_does() {
        for (millis, text) in [
            (0, "0ms"),
            (12, "12ms"),
            (1_000, "1s"),
            (6_200, "6.2s"),
            (63_000, "1m3s"),
            (360_000, "6m0s"),
            (3_661_500, "1h1m1.5s"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }
}
