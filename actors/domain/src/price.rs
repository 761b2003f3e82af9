//! What a model's tokens cost.

use serde::{Deserialize, Serialize};

use crate::money::NanoUsd;
use crate::usage::Usage;

/// Prices of one model, each per million tokens of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Prompt tokens at the full price.
    pub input: NanoUsd,
    /// Completion tokens, reasoning included.
    pub output: NanoUsd,
    /// Prompt tokens read from the provider's cache.
    pub cache_read: NanoUsd,
    /// Prompt tokens written to the cache for five minutes.
    pub cache_write_5m: NanoUsd,
    /// Prompt tokens written to the cache for one hour.
    pub cache_write_1h: NanoUsd,
}

impl Price {
    /// Returns the cost of `usage`: all parts added, then one division that rounds half up to a nano-dollar.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> NanoUsd {
        let part = |tokens: u64, price: NanoUsd| i128::from(tokens) * i128::from(price.nano());
        let micro_nano = part(usage.input, self.input)
            + part(usage.cache_read, self.cache_read)
            + part(usage.cache_write_5m, self.cache_write_5m)
            + part(usage.cache_write_1h, self.cache_write_1h)
            + part(usage.output, self.output);
        NanoUsd::saturating_from((micro_nano + 500_000).div_euclid(1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> NanoUsd {
        text.parse().unwrap()
    }

    #[test]
    fn cost_adds_every_kind_once() {
        let price = Price {
            input: usd("3"),
            output: usd("15"),
            cache_read: usd("0.30"),
            cache_write_5m: usd("3.75"),
            cache_write_1h: usd("6"),
        };
        let usage = Usage {
            input: 1_000,
            cache_read: 10_000,
            cache_write_5m: 2_000,
            cache_write_1h: 1_000,
            output: 500,
            reasoning: 400,
        };
        // 0.003 + 0.003 + 0.0075 + 0.006 + 0.0075
        assert_eq!(price.cost(&usage), usd("0.027"));
    }

    #[test]
    fn halves_round_up() {
        let per_million = |nano| Price {
            input: NanoUsd::new(nano),
            output: NanoUsd::ZERO,
            cache_read: NanoUsd::ZERO,
            cache_write_5m: NanoUsd::ZERO,
            cache_write_1h: NanoUsd::ZERO,
        };
        let one = Usage { input: 1, ..Usage::default() };
        assert_eq!(per_million(499_999).cost(&one).nano(), 0);
        assert_eq!(per_million(500_000).cost(&one).nano(), 1);
        assert_eq!(per_million(i64::MAX).cost(&Usage { input: u64::MAX, ..one }), NanoUsd::MAX);
    }
}
