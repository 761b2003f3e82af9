//! What models cost, and whose they are.

use std::path::Path;
use std::sync::Arc;

use sentinel_domain::catalogue::{self, Catalogue, Tier};
use sentinel_domain::policy::ProviderKind;
use sentinel_domain::{NanoUsd, Usage};

/// What a usual call uses, to compare targets by.
const USUAL: Usage =
    Usage { input: 1_000, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 300, reasoning: 0 };

/// The prices in force. Clones share them.
#[derive(Debug, Clone)]
pub struct Prices(Arc<Catalogue>);

impl Prices {
    /// Reads the built-in catalogue and puts the operator's own file over it.
    ///
    /// # Errors
    /// The file cannot be read or holds no prices.
    pub fn load(file: Option<&Path>) -> Result<Self, String> {
        let built_in = Catalogue::built_in().map_err(|error| format!("built-in prices: {error}"))?;
        let Some(file) = file else { return Ok(Self(Arc::new(built_in))) };
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("cost.prices: cannot read {}: {error}", file.display()))?;
        let with_own = built_in.with_overrides(&text).map_err(|error| format!("cost.prices: {error}"))?;
        Ok(Self(Arc::new(with_own)))
    }

    /// Returns the catalogue itself.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.0
    }

    /// Returns the cost of a usage and the name of the applied price; `None` for an unknown model.
    #[must_use]
    pub fn cost(
        &self,
        provider: &str,
        kind: ProviderKind,
        model: &str,
        usage: &Usage,
    ) -> Option<(NanoUsd, Arc<str>)> {
        let quote = self.0.quote(provider, kind, model, Some(Tier::Standard), usage)?;
        Some((quote.price.cost(usage), quote.class))
    }

    /// Returns what a usual call costs, to compare targets by.
    #[must_use]
    pub fn expected(&self, provider: &str, kind: ProviderKind, model: &str) -> Option<NanoUsd> {
        self.cost(provider, kind, model, &USUAL).map(|(cost, _)| cost)
    }

    /// Returns whose model it is, judged by its name.
    #[must_use]
    pub fn owner(&self, model: &str) -> Option<ProviderKind> {
        catalogue::owner_of(model)
    }
}
