//! Money as an integer: nano-USD, never floating point.
//!
//! A price is nano-USD per million tokens, so a cost is `tokens x price / 1,000,000`. The parts of one request are
//! added *before* the one division, and that division rounds half up: a request is never off by more than half a
//! nano-dollar, however many kinds of token it used.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount of money in billionths of a US dollar. Arithmetic saturates; it never wraps or panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NanoUsd(i64);

impl NanoUsd {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// The most that can be held, about 9.2 billion dollars.
    pub const MAX: Self = Self(i64::MAX);
    const PER_USD: i64 = 1_000_000_000;

    /// Takes a number of nano-dollars.
    #[must_use]
    pub const fn new(nano: i64) -> Self {
        Self(nano)
    }

    /// Returns the number of nano-dollars.
    #[must_use]
    pub const fn nano(self) -> i64 {
        self.0
    }

    /// Takes a wide sum, saturating at the ends of the range.
    #[must_use]
    pub fn saturating_from(nano: i128) -> Self {
        Self(i64::try_from(nano).unwrap_or(if nano < 0 { i64::MIN } else { i64::MAX }))
    }

    /// Returns the amount as a float, for JSON numbers and metrics only.
    #[must_use]
    pub fn as_usd_f64(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "display only; exact below 9 million dollars")]
        let nano = self.0 as f64;
        nano / 1e9
    }

    /// Subtracts, stopping at zero.
    #[must_use]
    pub fn minus_floor_zero(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0).max(0))
    }
}

impl Add for NanoUsd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for NanoUsd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for NanoUsd {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for NanoUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Writes plain decimal dollars, at least two and at most nine places: `0.00`, `1.25`, `0.000000042`.
impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let per_usd = Self::PER_USD.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        let places = format!("{:09}", magnitude % per_usd);
        let trimmed = places.trim_end_matches('0');
        let kept = if trimmed.len() < 2 { &places[..2] } else { trimmed };
        write!(f, "{sign}{}.{kept}", magnitude / per_usd)
    }
}

/// Says why a text is no amount of dollars.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an amount of US dollars with at most nine decimal places: {0:?}")]
pub struct ParseMoneyError(String);

impl FromStr for NanoUsd {
    type Err = ParseMoneyError;

    /// Reads plain decimal dollars such as `25`, `0.15` or `-1.000000001`; exponents are not accepted.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseMoneyError(text.chars().take(40).collect());
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || fraction.len() > 9 || !all_digits(whole) || !all_digits(fraction) {
            return Err(bad());
        }
        let whole: i64 = whole.parse().map_err(|_| bad())?;
        let fraction: i64 = format!("{fraction:0<9}").parse().map_err(|_| bad())?;
        let nano =
            whole.checked_mul(Self::PER_USD).and_then(|nano| nano.checked_add(fraction)).ok_or_else(bad)?;
        Ok(Self(if negative { -nano } else { nano }))
    }
}

impl Serialize for NanoUsd {
    /// Writes a JSON number of dollars.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_usd_f64())
    }
}

impl<'de> Deserialize<'de> for NanoUsd {
    /// Reads a JSON or TOML number of dollars, or a decimal text, rounded to a nano-dollar.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Whole(i64),
            Float(f64),
            Text(String),
        }
        match Raw::deserialize(deserializer)? {
            Raw::Whole(usd) => usd
                .checked_mul(Self::PER_USD)
                .map(Self)
                .ok_or_else(|| serde::de::Error::custom("amount too large")),
            Raw::Float(usd) if usd.is_finite() && usd.abs() < 9e9 => {
                #[expect(clippy::cast_possible_truncation, reason = "range checked above")]
                let nano = (usd * 1e9).round() as i64;
                Ok(Self(nano))
            }
            Raw::Float(_) => Err(serde::de::Error::custom("amount out of range")),
            Raw::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dollars_are_written_plainly() {
        for (nano, text) in [
            (0, "0.00"),
            (1, "0.000000001"),
            (1_250_000_000, "1.25"),
            (-42, "-0.000000042"),
            (100_000_000, "0.10"),
            (i64::MIN, "-9223372036.854775808"),
        ] {
            assert_eq!(NanoUsd::new(nano).to_string(), text);
        }
    }

    #[test]
    fn bad_amounts_are_refused() {
        for text in ["", ".", "1.", "1e3", "0.0000000001", "1,5", "--1", "9223372037", " 1"] {
            let parsed = text.parse::<NanoUsd>();
            assert_eq!(parsed.is_err(), text != "1.", "{text:?} gave {parsed:?}");
        }
    }

    proptest! {
        #[test]
        fn written_amounts_are_read_back(nano in -i64::MAX..=i64::MAX) {
            let amount = NanoUsd::new(nano);
            prop_assert_eq!(amount.to_string().parse::<NanoUsd>(), Ok(amount));
        }

        #[test]
        fn json_amounts_survive_below_a_million_dollars(nano in -1_000_000_000_000_000i64..1_000_000_000_000_000) {
            let json = serde_json::to_string(&NanoUsd::new(nano)).unwrap();
            prop_assert_eq!(serde_json::from_str::<NanoUsd>(&json).unwrap(), NanoUsd::new(nano));
        }
    }
}
