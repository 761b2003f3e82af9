//! When a provider says that it can be asked again.

use std::time::{Duration, SystemTime};

use sentinel_domain::outcome::LONGEST_COOLDOWN;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::headers::Headers;

/// Reads the wait that a failed answer asks for, capped at [`LONGEST_COOLDOWN`].
///
/// `retry-after-ms` is the most exact and wins, then `retry-after` in seconds or as a date, then the reset times of
/// the limits that are used up. A date in the past means now. What cannot be read counts as not said.
///
/// Sources: RFC 9110 section 10.2.3; OpenAI "Rate limits", section "Rate limits in headers"; Anthropic "Rate limits",
/// section "Response headers" (both read 2026-11).
#[must_use]
pub fn wait_hint(headers: &dyn Headers, now: SystemTime) -> Option<Duration> {
    let wait = headers
        .get("retry-after-ms")
        .and_then(|text| number(text).map(|ms| ms / 1000.0))
        .and_then(seconds)
        .or_else(|| headers.get("retry-after").and_then(|text| retry_after(text, now)))
        .or_else(|| used_up(headers, now))?;
    Some(wait.min(LONGEST_COOLDOWN))
}

fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    // `inf` and `nan` are numbers to Rust, but not to HTTP.
    let plain =
        text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    if plain { text.parse().ok() } else { None }
}

fn seconds(seconds: f64) -> Option<Duration> {
    if !seconds.is_finite() || seconds < 0.0 {
        return None;
    }
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_COOLDOWN))
}

fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    match number(text) {
        Some(wait) => seconds(wait),
        None => {
            let date = httpdate::parse_http_date(text.trim()).ok()?;
            Some(date.duration_since(now).unwrap_or_default())
        }
    }
}

/// Returns the longest reset time among the limits with nothing left.
fn used_up(headers: &dyn Headers, now: SystemTime) -> Option<Duration> {
    let openai = ["requests", "tokens"].into_iter().filter_map(|what| {
        let left = headers.get(&format!("x-ratelimit-remaining-{what}"))?;
        (number(left)? <= 0.0)
            .then(|| headers.get(&format!("x-ratelimit-reset-{what}")).and_then(go_duration))?
    });
    let anthropic = ["requests", "tokens", "input-tokens", "output-tokens"].into_iter().filter_map(|what| {
        let left = headers.get(&format!("anthropic-ratelimit-{what}-remaining"))?;
        (number(left)? <= 0.0).then(|| {
            let reset = headers.get(&format!("anthropic-ratelimit-{what}-reset"))?;
            let moment = OffsetDateTime::parse(reset.trim(), &Rfc3339).ok()?;
            Some(SystemTime::from(moment).duration_since(now).unwrap_or_default())
        })?
    });
    openai.chain(anthropic).max()
}

/// Reads `12ms`, `6.2s`, `1m3s`, `1h0m5s` and plain seconds.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits =
            rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let (amount, tail) = rest.split_at(digits);
        let amount: f64 = amount.parse().ok()?;
        let letters = tail.find(|letter: char| letter.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        total += amount
            * match unit {
                "ms" => 0.001,
                "s" | "" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                _ => return None,
            };
        rest = tail;
    }
    seconds(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(headers: &[(&str, &str)]) -> Option<Duration> {
        // 2026-11-28T12:00:00Z
        wait_hint(&headers.to_vec(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_867_200))
    }

    #[test]
    fn waits_are_read_in_every_spelling() {
        let ms = |ms| Some(Duration::from_millis(ms));
        for (headers, expected) in [
            (&[("retry-after", "2")][..], ms(2000)),
            (&[("Retry-After", " 1.5 ")], ms(1500)),
            (&[("retry-after", "2"), ("retry-after-ms", "350")], ms(350)),
            (&[("retry-after", "Sat, 28 Nov 2026 12:00:30 GMT")], ms(30_000)),
            (&[("retry-after", "Sat, 28 Nov 2026 11:00:00 GMT")], ms(0)),
            (&[("retry-after", "1e9")], ms(300_000)),
            (&[("retry-after", "99999999999999999999999")], ms(300_000)),
            (&[("retry-after", "-5")], None),
            (&[("retry-after", "abc")], None),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after", "inf")], None),
            (&[("retry-after", "")], None),
            (&[("retry-after", "2, 5")], None),
            (&[("retry-after-ms", "x"), ("retry-after", "1")], ms(1000)),
            (&[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "1m3s")], ms(63_000)),
            (&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "12ms")], ms(12)),
            (&[("x-ratelimit-remaining-requests", "5"), ("x-ratelimit-reset-requests", "12ms")], None),
            (&[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "soon")], None),
            (
                &[
                    ("anthropic-ratelimit-tokens-remaining", "0"),
                    ("anthropic-ratelimit-tokens-reset", "2026-11-28T12:00:10Z"),
                ],
                ms(10_000),
            ),
            (&[], None),
        ] {
            assert_eq!(wait(headers), expected, "{headers:?}");
        }
    }
}
