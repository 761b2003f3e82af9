//! Durations (`250ms`, `30s`, `24h`) and sizes (`10MiB`) as people write them.

use std::time::Duration;

/// Reads a duration: a whole or decimal number with `ms`, `s`, `m`, `h` or `d`; or a bare `0`.
///
/// # Errors
/// Says what a duration looks like.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || {
        format!(
            "{text:?} is no duration; write a number with a unit, such as \"250ms\", \"30s\", \"10m\" or \"24h\""
        )
    };
    let text_trimmed = text.trim();
    if text_trimmed == "0" {
        return Ok(Duration::ZERO);
    }
    let split = text_trimmed
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .ok_or_else(bad)?;
    let (number, unit) = text_trimmed.split_at(split);
    let factor_ms = match unit.trim() {
        "ms" => 1.0,
        "s" => 1_000.0,
        "m" | "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return Err(bad()),
    };
    let number: f64 = number.parse().map_err(|_| bad())?;
    let millis = number * factor_ms;
    // A hundred years: beyond it, arithmetic with deadlines is no longer safe.
    if !(0.0..=3.2e12).contains(&millis) {
        return Err(bad());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range checked above")]
    let millis = millis.round() as u64;
    Ok(Duration::from_millis(millis))
}

/// Writes a duration in the largest unit that leaves a whole number.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit_ms, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
        if millis >= unit_ms && millis.is_multiple_of(unit_ms) {
            return format!("{}{unit}", millis / unit_ms);
        }
    }
    if millis == 0 { "0s".to_owned() } else { format!("{millis}ms") }
}

/// Reads a size: a whole number of bytes, or a number with `B`, `KB`, `MB`, `GB`, `KiB`, `MiB` or `GiB`.
///
/// # Errors
/// Says what a size looks like.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let bad = || format!("{text:?} is no size; write a number with a unit, such as \"512KiB\" or \"10MiB\"");
    let trimmed = text.trim();
    let split = trimmed.find(|character: char| !character.is_ascii_digit()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(bad()),
    };
    let number: u64 = number.parse().map_err(|_| bad())?;
    number.checked_mul(factor).ok_or_else(bad)
}

/// Writes a size in the largest binary unit that leaves a whole number.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    for (unit_bytes, unit) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit_bytes && bytes.is_multiple_of(unit_bytes) {
            return format!("{}{unit}", bytes / unit_bytes);
        }
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_need_a_unit() {
        for (text, expected) in [
            ("250ms", Some(250)),
            ("1.5s", Some(1_500)),
            ("10m", Some(600_000)),
            ("24h", Some(86_400_000)),
            ("7d", Some(604_800_000)),
            ("0", Some(0)),
            ("30", None),
            ("", None),
            ("-1s", None),
            ("1 week", None),
            ("1e9h", None),
            ("99999999999999d", None),
            ("1..5s", None),
        ] {
            assert_eq!(parse_duration(text).ok().map(|duration| duration.as_millis()), expected, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_read_in_both_systems() {
        for (text, expected) in [
            ("10MiB", Some(10 << 20)),
            ("1KB", Some(1_000)),
            ("7", Some(7)),
            ("1.5MiB", None),
            ("MiB", None),
            ("-1B", None),
            ("99999999999999GiB", None),
        ] {
            assert_eq!(parse_size(text).ok(), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn shown_values_are_read_back(millis in 0u64..1_000_000_000_000, bytes in 0u64..(1 << 50)) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
            prop_assert_eq!(parse_size(&show_size(bytes)), Ok(bytes));
        }
    }
}
