//! What a reload replaces as a whole, so that a request sees one state from beginning to end.

use std::collections::HashMap;
use std::sync::Arc;

use sentinel_domain::policy::ProviderKind;
use sentinel_graph::provider::SharedProvider;
use sentinel_graph::routing::RouteTable;
use sha2::{Digest, Sha256};

use super::guards::Guards;
use super::prices::Prices;
use crate::config::guards::GuardMode;
use crate::config::{Config, Loaded};

/// What is in force.
pub struct Live {
    /// The configuration.
    pub config: Config,
    /// Every setting with its origin, for people.
    pub settings: Vec<crate::config::section::Setting>,
    /// How model names are served.
    pub routes: RouteTable,
    /// The guards' engines.
    pub guards: Guards,
    /// What models cost.
    pub prices: Prices,
    /// Keys with an injection mode of their own.
    pub injection_of_key: HashMap<String, GuardMode>,
    /// Changes whenever the guards would change an answer; part of every cache key.
    pub policy_tag: String,
    /// Each provider as all workers see it.
    pub providers: HashMap<Arc<str>, SharedProvider>,
}

impl Live {
    /// Makes everything from a configuration. Providers whose settings are unchanged are taken over from `before`, so
    /// that their credentials' state and their calls in flight stay.
    ///
    /// # Errors
    /// Routes, patterns or prices that cannot be used.
    pub fn build(loaded: &Loaded, before: Option<&Self>) -> Result<Self, String> {
        let config = loaded.config.clone();
        let prices = Prices::load(config.cost.prices.as_deref())?;
        let owner = prices.clone();
        let routes = RouteTable::new(
            config.providers.clone(),
            config.routes.clone(),
            Arc::new(move |model| owner.owner(model)),
        )
        .map_err(|problems| {
            problems
                .iter()
                .map(|problem| format!("{}: {}\n", problem.path, problem.message))
                .collect::<String>()
        })?
        .with_known(prices.catalogue().known().map(|(name, kind)| (name.into(), kind)));
        let guards = Guards::new(&config)?;
        let mut providers = HashMap::new();
        for spec in routes.providers() {
            let kept =
                before.and_then(|live| live.providers.get(&spec.name)).filter(|kept| kept.spec() == spec);
            let shared = match kept {
                Some(kept) => kept.clone(),
                None => SharedProvider::new(Arc::clone(spec)).map_err(|error| error.to_string())?,
            };
            providers.insert(Arc::clone(&spec.name), shared);
        }
        let injection_of_key =
            config.auth.keys.iter().filter_map(|key| Some((key.name.clone(), key.injection?))).collect();
        let policy = format!("{:?} {:?} {}", config.pii, config.injection.mode, env!("CARGO_PKG_VERSION"));
        let policy_tag = hex::encode(Sha256::digest(policy.as_bytes()));
        let settings = loaded.settings.clone();
        Ok(Self { config, settings, routes, guards, prices, injection_of_key, policy_tag, providers })
    }

    /// Returns which wire format a provider speaks.
    #[must_use]
    pub fn kind_of(&self, provider: &str) -> ProviderKind {
        self.providers.get(provider).map_or(ProviderKind::OpenAi, |shared| shared.spec().kind)
    }
}
