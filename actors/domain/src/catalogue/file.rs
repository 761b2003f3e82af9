//! The form of a price file, the same for the built-in one and a user's.

use serde::{Deserialize, Serialize};

use super::{CatalogueError, Tier};
use crate::money::NanoUsd;
use crate::policy::ProviderKind;
use crate::price::Price;

/// One model's row.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPrice {
    /// The model as its provider names it.
    pub name: String,
    /// Other names of the same model at the same price.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The kind of provider that it belongs to; without one, the row is for every kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<ProviderKind>,
    /// The one configured provider that the row is for; without one, it is for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Dollars per million prompt tokens.
    pub input: NanoUsd,
    /// Dollars per million completion tokens.
    pub output: NanoUsd,
    /// Dollars per million tokens read from the provider's cache; `input` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<NanoUsd>,
    /// Dollars per million tokens written to the cache for five minutes; `input` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<NanoUsd>,
    /// Dollars per million tokens written to the cache for an hour; `cache_write_5m` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<NanoUsd>,
    /// The batch tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<TierPrice>,
    /// The flex tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flex: Option<TierPrice>,
    /// The priority or fast tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<TierPrice>,
    /// What a long prompt changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long: Option<LongContext>,
    /// Tokens of prompt and completion together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<u64>,
    /// Most completion tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
    /// Where the price comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// How the source was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// When, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<String>,
    /// What else there is to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A tier's price: a factor on everything, or prices of its own.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum TierPrice {
    /// Multiplies every price; read to a thousandth.
    Factor(f64),
    /// Replaces them; cache writes cost what input does.
    Prices {
        /// Dollars per million prompt tokens.
        input: NanoUsd,
        /// Dollars per million cached prompt tokens.
        cache_read: NanoUsd,
        /// Dollars per million completion tokens.
        output: NanoUsd,
    },
}

/// What changes for the whole request when its prompt is long.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LongContext {
    /// Prompt tokens, cached ones included, up to which the ordinary prices hold.
    pub above: u64,
    /// Multiplies the prices of prompt tokens of all kinds; read to a thousandth.
    pub input_factor: f64,
    /// Multiplies the price of completion tokens; read to a thousandth.
    pub output_factor: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceFile {
    #[serde(default)]
    model: Vec<ModelPrice>,
}

pub(super) fn read(text: &str) -> Result<Vec<ModelPrice>, CatalogueError> {
    let file: PriceFile = toml::from_str(text).map_err(|error| CatalogueError::Syntax(error.to_string()))?;
    Ok(file.model)
}

impl ModelPrice {
    /// Returns the name and the aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.aliases.iter().map(String::as_str))
    }

    /// Returns the standard price of a short prompt.
    #[must_use]
    pub fn standard(&self) -> Price {
        let cache_write_5m = self.cache_write_5m.unwrap_or(self.input);
        Price {
            input: self.input,
            output: self.output,
            cache_read: self.cache_read.unwrap_or(self.input),
            cache_write_5m,
            cache_write_1h: self.cache_write_1h.unwrap_or(cache_write_5m),
        }
    }

    /// Returns the price in a tier, or `None` if it is not known.
    #[must_use]
    pub fn price(&self, tier: Tier, is_long: bool) -> Option<Price> {
        let of_tier = match tier {
            Tier::Standard => TierPrice::Factor(1.0),
            Tier::Batch => self.batch?,
            Tier::Flex => self.flex?,
            Tier::Priority => self.priority?,
        };
        let price = match of_tier {
            TierPrice::Factor(factor) => scaled(&self.standard(), factor, factor),
            // Published without a word about long prompts: better no price than a guessed one.
            TierPrice::Prices { .. } if is_long => return None,
            TierPrice::Prices { input, cache_read, output } => {
                Price { input, output, cache_read, cache_write_5m: input, cache_write_1h: input }
            }
        };
        match self.long.filter(|_| is_long) {
            Some(long) => Some(scaled(&price, long.input_factor, long.output_factor)),
            None => Some(price),
        }
    }

    /// Returns what makes the row unusable.
    pub(super) fn problem(&self) -> Option<String> {
        if self.names().any(str::is_empty) {
            return Some("a name is empty".to_owned());
        }
        let prices = [self.input, self.output]
            .into_iter()
            .chain([self.cache_read, self.cache_write_5m, self.cache_write_1h].into_iter().flatten());
        if prices.into_iter().any(|price| price < NanoUsd::ZERO) {
            return Some("a price is negative".to_owned());
        }
        let tiers = [self.batch, self.flex, self.priority].into_iter().flatten();
        let factors = tiers.filter_map(|tier| match tier {
            TierPrice::Factor(factor) => Some(factor),
            TierPrice::Prices { .. } => None,
        });
        let factors =
            factors.chain(self.long.into_iter().flat_map(|long| [long.input_factor, long.output_factor]));
        for factor in factors {
            if !(0.0..=1000.0).contains(&factor) {
                return Some(format!("factor {factor} is not between 0 and 1000"));
            }
        }
        None
    }

    /// Returns everything that changes a cost, as bytes for the version's hash.
    pub(super) fn fingerprint(&self) -> Vec<u8> {
        let costs = Self {
            context: None,
            max_output: None,
            source: None,
            via: None,
            checked: None,
            note: None,
            ..self.clone()
        };
        serde_json::to_vec(&costs).unwrap_or_default()
    }
}

fn scaled(price: &Price, input: f64, output: f64) -> Price {
    Price {
        input: times(price.input, input),
        output: times(price.output, output),
        cache_read: times(price.cache_read, input),
        cache_write_5m: times(price.cache_write_5m, input),
        cache_write_1h: times(price.cache_write_1h, input),
    }
}

/// Multiplies in integers: the factor as thousandths, the result rounded half up.
fn times(price: NanoUsd, factor: f64) -> NanoUsd {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be at most 1000")]
    let thousandths = (factor * 1000.0).round() as i128;
    NanoUsd::saturating_from((i128::from(price.nano()) * thousandths + 500).div_euclid(1000))
}
