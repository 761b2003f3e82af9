//! The price catalogue: which model costs what, and whose it is.
//!
//! A model without a row has no price. Nothing is ever priced by resemblance: the only names taken for another's are the
//! aliases in the file and the same name with a date behind it.

mod check;
mod file;
mod import;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

pub use check::{Finding, Severity, check};
pub use file::{LongContext, ModelPrice, TierPrice};
pub use import::import_litellm;

use crate::money::NanoUsd;
use crate::policy::ProviderKind;
use crate::price::Price;
use crate::usage::Usage;

/// The file that is part of the program.
const BUILT_IN: &str = include_str!("../../prices.toml");

/// Says why a price file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// It is not the expected TOML.
    #[error("not a price file: {0}")]
    Syntax(String),
    /// A row contradicts itself or another.
    #[error("{0}")]
    Row(String),
    /// The file to import is not the expected JSON.
    #[error("not a LiteLLM price map: {0}")]
    Import(String),
}

/// The service tier that a call was served in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Tier {
    /// The ordinary one.
    #[default]
    Standard,
    /// Asynchronous batches.
    Batch,
    /// Cheaper and slower.
    Flex,
    /// Dearer and faster, also called fast.
    Priority,
}

impl Tier {
    /// Reads the name that a provider reports with an answer; `None` for one whose price is unknown.
    #[must_use]
    pub fn parse(text: Option<&str>) -> Option<Self> {
        Some(match text.unwrap_or("default") {
            "default" | "standard" | "auto" | "" => Self::Standard,
            "batch" => Self::Batch,
            "flex" => Self::Flex,
            "priority" | "fast" => Self::Priority,
            _ => return None,
        })
    }

    /// Returns the name used in price classes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Batch => "batch",
            Self::Flex => "flex",
            Self::Priority => "priority",
        }
    }
}

/// Names one state of all prices: the first 12 hex digits of their hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PriceVersion(Arc<str>);

impl PriceVersion {
    /// Borrows the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PriceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A price that applies to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// The price.
    pub price: Price,
    /// What it was, for the ledger: `VERSION/TIER`, or `VERSION/TIER+long` above the long-context threshold.
    pub class: Arc<str>,
}

/// All known prices.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// Later rows win over earlier ones of the same name.
    models: Vec<Arc<ModelPrice>>,
    /// Provider (empty for any), then name or alias, to the place in `models`.
    names: HashMap<String, HashMap<String, usize>>,
    version: PriceVersion,
}

impl Catalogue {
    /// Reads the built-in file.
    ///
    /// # Errors
    /// Never in a released program: a test reads the file.
    pub fn built_in() -> Result<Self, CatalogueError> {
        Self::new(file::read(BUILT_IN)?)
    }

    /// Puts the rows of a user's file, of the same form, over these.
    ///
    /// # Errors
    /// [`CatalogueError`] with what is wrong and where.
    pub fn with_overrides(&self, text: &str) -> Result<Self, CatalogueError> {
        let own = file::read(text)?;
        let rows = self.models.iter().map(|model| ModelPrice::clone(model)).chain(own).collect();
        Self::new(rows)
    }

    fn new(rows: Vec<ModelPrice>) -> Result<Self, CatalogueError> {
        let mut names: HashMap<String, HashMap<String, usize>> = HashMap::new();
        let mut hasher = Sha256::new();
        for (index, row) in rows.iter().enumerate() {
            if let Some(problem) = row.problem() {
                return Err(CatalogueError::Row(format!("{}: {problem}", row.name)));
            }
            hasher.update(row.fingerprint());
            let of_provider = names.entry(row.provider.clone().unwrap_or_default()).or_default();
            of_provider.extend(row.names().map(|name| (name.to_owned(), index)));
        }
        let digest: String = hex::encode(hasher.finalize()).chars().take(12).collect();
        Ok(Self {
            models: rows.into_iter().map(Arc::new).collect(),
            names,
            version: PriceVersion(digest.into()),
        })
    }

    /// Returns every name and alias with whose model it is, as far as the catalogue says: a closed set.
    pub fn known(&self) -> impl Iterator<Item = (&str, Option<ProviderKind>)> {
        self.models.iter().flat_map(|row| row.names().map(|name| (name, row.owner)))
    }

    /// Returns the version of all prices together.
    #[must_use]
    pub fn version(&self) -> &PriceVersion {
        &self.version
    }

    /// Returns the rows in force, by owner and name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<ModelPrice>> {
        let mut places: Vec<usize> = self.names.values().flat_map(HashMap::values).copied().collect();
        places.sort_unstable();
        places.dedup();
        let mut rows: Vec<_> =
            places.into_iter().filter_map(|place| self.models.get(place)).map(Arc::clone).collect();
        rows.sort_by(|a, b| (&a.provider, &a.name).cmp(&(&b.provider, &b.name)));
        rows
    }

    /// Returns the row of a model as a provider names it: one for this very provider first, then one for anybody, by its
    /// name or an alias, and at last by its name without the date behind it.
    ///
    /// A row that belongs to one kind of provider is not used for the other kind: a reseller has its own prices.
    #[must_use]
    pub fn lookup(&self, provider: &str, kind: ProviderKind, model: &str) -> Option<&Arc<ModelPrice>> {
        let exact = |name: &str| {
            [provider, ""].into_iter().find_map(|provider| {
                let place = self.names.get(provider)?.get(name)?;
                self.models.get(*place).filter(|row| row.owner.is_none_or(|owner| owner == kind))
            })
        };
        exact(model).or_else(|| exact(without_date(model)?))
    }

    /// Returns the price of one call, or `None` if it is not known for this model, tier and length of prompt.
    #[must_use]
    pub fn quote(
        &self,
        provider: &str,
        kind: ProviderKind,
        model: &str,
        tier: Option<Tier>,
        usage: &Usage,
    ) -> Option<Quote> {
        let row = self.lookup(provider, kind, model)?;
        let tier = tier?;
        let is_long = row.long.is_some_and(|long| usage.prompt() > long.above);
        let price = row.price(tier, is_long)?;
        Some(Quote { price, class: self.class(Some(tier), is_long) })
    }

    /// Names a price class; without a known tier it only says the version.
    #[must_use]
    pub fn class(&self, tier: Option<Tier>, is_long: bool) -> Arc<str> {
        let tier = tier.map_or("unknown", Tier::as_str);
        let long = if is_long { "+long" } else { "" };
        format!("{}/{tier}{long}", self.version).into()
    }

    /// Prices stored tokens again under these prices, in the tier and length that their old class names.
    #[must_use]
    pub fn reprice(
        &self,
        provider: &str,
        kind: ProviderKind,
        model: &str,
        class: &str,
        usage: &Usage,
    ) -> Option<NanoUsd> {
        let variant = class.split_once('/').map_or("standard", |(_, variant)| variant);
        let (tier, is_long) = match variant.strip_suffix("+long") {
            Some(tier) => (tier, true),
            None => (variant, false),
        };
        let row = self.lookup(provider, kind, model)?;
        Some(row.price(Tier::parse(Some(tier))?, is_long)?.cost(usage))
    }
}

/// Says which kind of provider serves a bare model name: `gpt-*`, `chatgpt-*` and `o` with a digit are OpenAI's,
/// `claude-*` Anthropic's.
#[must_use]
pub fn owner_of(model: &str) -> Option<ProviderKind> {
    let is_o_series = model
        .strip_prefix('o')
        .and_then(|rest| rest.chars().next())
        .is_some_and(|next| next.is_ascii_digit());
    if model.starts_with("gpt-") || model.starts_with("chatgpt-") || is_o_series {
        Some(ProviderKind::OpenAi)
    } else if model.starts_with("claude-") {
        Some(ProviderKind::Anthropic)
    } else {
        None
    }
}

/// Cuts `-2025-04-14` or `-20250414` off the end of a name.
fn without_date(model: &str) -> Option<&str> {
    let (name, date) = match model.len().checked_sub(11).and_then(|at| model.split_at_checked(at)) {
        Some((name, date)) if is_date(date, &[5, 8]) => (name, date),
        _ => model.split_at_checked(model.len().checked_sub(9)?)?,
    };
    (is_date(date, &[5, 8]) || is_date(date, &[])).then_some(name).filter(|name| !name.is_empty())
}

/// Says whether a text is a dash and a date, with dashes at the given places.
fn is_date(text: &str, dashes: &[usize]) -> bool {
    let length = if dashes.is_empty() { 9 } else { 11 };
    let shape = text.bytes().enumerate().all(|(index, byte)| {
        if index == 0 || dashes.contains(&index) { byte == b'-' } else { byte.is_ascii_digit() }
    });
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let part = |range: std::ops::Range<usize>| {
        digits.get(range).and_then(|part| part.parse::<u32>().ok()).unwrap_or(0)
    };
    text.len() == length
        && shape
        && (2020..2100).contains(&part(0..4))
        && (1..=12).contains(&part(4..6))
        && (1..=31).contains(&part(6..8))
}
