//! What one call used, in tokens of each priced kind.

use serde::{Deserialize, Serialize};

/// Tokens of one answered call, split by what they cost.
///
/// The prompt is split into disjoint parts, so nothing is ever counted twice: `input` holds only the tokens at full
/// price, the cached ones stand beside it. `reasoning` is a part *of* `output`, kept for information.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Prompt tokens at the full input price.
    pub input: u64,
    /// Prompt tokens read from the provider's cache.
    pub cache_read: u64,
    /// Prompt tokens written to the provider's cache for five minutes.
    pub cache_write_5m: u64,
    /// Prompt tokens written to the provider's cache for one hour.
    pub cache_write_1h: u64,
    /// Completion tokens, reasoning included.
    pub output: u64,
    /// Reasoning tokens, contained in `output`.
    pub reasoning: u64,
}

impl Usage {
    /// Returns every prompt token, cached or not: OpenAI's `prompt_tokens`.
    #[must_use]
    pub fn prompt(&self) -> u64 {
        [self.cache_read, self.cache_write_5m, self.cache_write_1h]
            .into_iter()
            .fold(self.input, u64::saturating_add)
    }

    /// Returns the tokens written to the provider's cache, for either lifetime.
    #[must_use]
    pub fn cache_write(&self) -> u64 {
        self.cache_write_5m.saturating_add(self.cache_write_1h)
    }

    /// Returns prompt and completion tokens together: OpenAI's `total_tokens`.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.prompt().saturating_add(self.output)
    }
}

/// Where the numbers of a [`Usage`] come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsageSource {
    /// The provider reported them for the whole answer.
    Provider,
    /// The provider reported none; counted from the texts.
    #[default]
    Estimated,
    /// The answer ended early; what was known by then, completed by counting what was delivered.
    Partial,
}

/// Estimates the tokens of a text of `chars` characters: four characters a token, rounded up.
///
/// Source: OpenAI help page "What are tokens and how to count them?", rule of thumb for English. It is used only
/// for reservations and where a provider reports no usage, and such numbers are marked as estimated.
#[must_use]
pub fn estimate_tokens(chars: usize) -> u64 {
    u64::try_from(chars.div_ceil(4)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_prompt_add_up_once() {
        let usage =
            Usage { input: 10, cache_read: 5, cache_write_5m: 3, cache_write_1h: 2, output: 7, reasoning: 4 };
        assert_eq!((usage.prompt(), usage.cache_write(), usage.total()), (20, 5, 27));
    }

    #[test]
    fn absurd_counts_saturate() {
        let usage = Usage { input: u64::MAX, cache_read: 1, output: u64::MAX, ..Usage::default() };
        assert_eq!(usage.total(), u64::MAX);
    }
}
