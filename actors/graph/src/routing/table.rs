//! From a requested model name to the targets that can serve it.
//!
//! The first matching route in file order wins. Without one, a name reaches a provider as `provider/model`, or bare if
//! the owner of such names is known and a provider of that kind is configured.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use sentinel_domain::error::{ApiError, ErrorCode};
use sentinel_domain::policy::{
    ProviderKind, ProviderSpec, RouteSpec, Strategy, TargetSpec, Timeouts, glob_matches,
};

use super::strategy::{Choice, order};
use crate::target::{OTHER, TargetKey};

/// Longest model name that is looked at, in bytes; the longest real ones have less than a hundred.
const LONGEST_MODEL: usize = 256;

/// Tells whose a bare model name is; `None` if that is not known.
pub type Owner = Arc<dyn Fn(&str) -> Option<ProviderKind> + Send + Sync>;

/// Something wrong with the routes, with its place in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct RouteProblem {
    /// Where, such as `routes[1].targets[0].provider`.
    pub path: String,
    /// What, and what would be right.
    pub message: String,
}

/// One place to send a request to, ready to be called.
#[derive(Debug, Clone)]
pub struct Target {
    /// Provider and model.
    pub key: TargetKey,
    /// The provider's settings.
    pub provider: Arc<ProviderSpec>,
    /// The provider's waits, with the target's own put in.
    pub timeouts: Timeouts,
    /// The model's metric label: its name if it is configured or known, else [`OTHER`](crate::target::OTHER).
    pub label: Arc<str>,
    pub(super) weight: u32,
}

/// What a model name leads to.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The route's pattern, or `provider/*` without a route: a closed set, fit for metrics.
    pub route: Arc<str>,
    /// Where to send, in the order to try; at least one.
    pub targets: Vec<Target>,
}

/// A model that a client can ask for by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedModel {
    /// Its name.
    pub id: Arc<str>,
    /// The provider that is tried first.
    pub owned_by: Arc<str>,
}

struct Provider {
    spec: Arc<ProviderSpec>,
    /// `name/*`.
    route: Arc<str>,
}

/// The routes and providers of one configuration.
pub struct RouteTable {
    providers: Vec<Provider>,
    by_name: HashMap<Arc<str>, usize>,
    routes: Vec<RouteSpec>,
    owner: Owner,
    known: BTreeMap<Arc<str>, Option<ProviderKind>>,
    other: Arc<str>,
}

impl fmt::Debug for RouteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteTable").field("routes", &self.routes).finish_non_exhaustive()
    }
}

impl RouteTable {
    /// Builds the table.
    ///
    /// # Errors
    /// Every problem at once: unknown providers, routes that point at routes (so that no cycle can form), routes
    /// without targets, names given twice.
    pub fn new(
        providers: Vec<ProviderSpec>,
        routes: Vec<RouteSpec>,
        owner: Owner,
    ) -> Result<Self, Vec<RouteProblem>> {
        let mut problems = Vec::new();
        let mut by_name = HashMap::new();
        for (index, spec) in providers.iter().enumerate() {
            if by_name.insert(Arc::clone(&spec.name), index).is_some() {
                problems.push(RouteProblem {
                    path: format!("providers[{index}].name"),
                    message: format!("provider {:?} is configured twice", spec.name),
                });
            }
        }
        for (index, route) in routes.iter().enumerate() {
            check(index, route, &routes, &by_name, &mut problems);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let providers = providers
            .into_iter()
            .map(|spec| Provider { route: format!("{}/*", spec.name).into(), spec: Arc::new(spec) })
            .collect();
        Ok(Self { providers, by_name, routes, owner, known: BTreeMap::new(), other: OTHER.into() })
    }

    /// Adds names of models that are known without being configured, with whose they are. Being a closed set, they
    /// are fit for metrics, and those whose owner is configured are listed.
    #[must_use]
    pub fn with_known(mut self, models: impl IntoIterator<Item = (Arc<str>, Option<ProviderKind>)>) -> Self {
        self.known.extend(models);
        self
    }

    /// Returns the metric label of a model that no route names: its name if it is known, else [`OTHER`].
    #[must_use]
    pub fn label(&self, model: &str) -> Arc<str> {
        Arc::clone(self.known.get_key_value(model).map_or(&self.other, |(name, _)| name))
    }

    /// Finds the targets for a requested model, best first.
    ///
    /// # Errors
    /// `model_not_found` if no route and no provider serves it.
    pub fn resolve(&self, model: &str, choice: &Choice<'_>) -> Result<Resolved, ApiError> {
        if model.is_empty() || model.len() > LONGEST_MODEL || model.chars().any(char::is_control) {
            let message = format!("a model name has 1 to {LONGEST_MODEL} bytes and no control characters");
            return Err(ApiError::new(ErrorCode::ModelNotFound, message).param("model"));
        }
        if let Some(route) = self.routes.iter().find(|route| glob_matches(&route.model, model)) {
            let mut targets = self.targets_of(route, model);
            order(route.strategy, &mut targets, choice);
            return Ok(Resolved { route: Arc::clone(&route.model), targets });
        }
        let (provider, model_at_provider) = self.without_route(model).ok_or_else(|| {
            let message = format!("no route or provider serves the model {model:?}");
            ApiError::new(ErrorCode::ModelNotFound, message).param("model")
        })?;
        let label = self.label(model_at_provider);
        let target = self.target(provider, model_at_provider.into(), label, None);
        Ok(Resolved { route: Arc::clone(&provider.route), targets: vec![target] })
    }

    /// Returns the models that are configured by their exact name, in file order, and then the known ones that reach a
    /// provider without a route.
    #[must_use]
    pub fn models(&self) -> Vec<ListedModel> {
        let mut seen = std::collections::HashSet::new();
        let exact = self.routes.iter().filter(|route| is_exact(&route.model) && seen.insert(&route.model));
        exact
            .filter_map(|route| {
                let owned_by = Arc::clone(&route.targets.first()?.provider);
                Some(ListedModel { id: Arc::clone(&route.model), owned_by })
            })
            .chain(self.known.keys().filter_map(|name| self.reached_without_route(name)))
            .collect()
    }

    /// Returns every target that is configured by name: what metrics show from the start and breakers never forget.
    #[must_use]
    pub fn configured_targets(&self) -> Vec<TargetKey> {
        let mut keys: Vec<_> = self
            .routes
            .iter()
            .flat_map(|route| route.targets.iter().filter_map(|target| configured(route, target)))
            .collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// Returns the labels that stand for routes: patterns of routes, and `provider/*` for each provider.
    #[must_use]
    pub fn route_labels(&self) -> Vec<Arc<str>> {
        let patterns = self.routes.iter().map(|route| Arc::clone(&route.model));
        patterns.chain(self.providers.iter().map(|provider| Arc::clone(&provider.route))).collect()
    }

    /// Returns the providers, in file order.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<ProviderSpec>> {
        self.providers.iter().map(|provider| &provider.spec)
    }

    /// Builds a route's targets in file order, each place once.
    fn targets_of(&self, route: &RouteSpec, requested: &str) -> Vec<Target> {
        let mut targets: Vec<Target> = Vec::with_capacity(route.targets.len());
        for spec in &route.targets {
            let Some(provider) = self.provider(&spec.provider) else { continue };
            let model = spec.model.clone().unwrap_or_else(|| requested.into());
            let label = configured(route, spec).map_or_else(|| self.label(&model), |key| key.model);
            let target = self.target(provider, model, label, Some(spec));
            match targets.iter_mut().find(|known| known.key == target.key) {
                Some(known) => known.weight = known.weight.saturating_add(target.weight),
                None => targets.push(target),
            }
        }
        targets
    }

    fn target(
        &self,
        provider: &Provider,
        model: Arc<str>,
        label: Arc<str>,
        spec: Option<&TargetSpec>,
    ) -> Target {
        let mut timeouts = provider.spec.timeouts;
        if let Some(wait) = spec.and_then(|spec| spec.first_byte_timeout) {
            timeouts.first_byte = wait;
        }
        if let Some(wait) = spec.and_then(|spec| spec.idle_timeout) {
            timeouts.idle = wait;
        }
        Target {
            key: TargetKey { provider: Arc::clone(&provider.spec.name), model },
            provider: Arc::clone(&provider.spec),
            timeouts,
            label,
            weight: spec.map_or(1, |spec| spec.weight.max(1)),
        }
    }

    fn without_route<'a>(&self, model: &'a str) -> Option<(&Provider, &'a str)> {
        if let Some((provider, rest)) = model.split_once('/')
            && let Some(provider) = self.provider(provider)
            && !rest.is_empty()
        {
            return Some((provider, rest));
        }
        let kind = (self.owner)(model)?;
        self.providers.iter().find(|provider| provider.spec.kind == kind).map(|provider| (provider, model))
    }

    /// Lists a known model unless a route decides about its name.
    fn reached_without_route(&self, name: &Arc<str>) -> Option<ListedModel> {
        if self.routes.iter().any(|route| glob_matches(&route.model, name)) {
            return None;
        }
        let (provider, _) = self.without_route(name)?;
        Some(ListedModel { id: Arc::clone(name), owned_by: Arc::clone(&provider.spec.name) })
    }

    fn provider(&self, name: &str) -> Option<&Provider> {
        self.by_name.get(name).and_then(|index| self.providers.get(*index))
    }
}

fn is_exact(pattern: &str) -> bool {
    !pattern.contains(['*', '?'])
}

/// The key of a target whose model is known from the configuration alone.
fn configured(route: &RouteSpec, target: &TargetSpec) -> Option<TargetKey> {
    let model = match &target.model {
        Some(model) => Arc::clone(model),
        None if is_exact(&route.model) => Arc::clone(&route.model),
        None => return None,
    };
    Some(TargetKey { provider: Arc::clone(&target.provider), model })
}

fn check(
    index: usize,
    route: &RouteSpec,
    routes: &[RouteSpec],
    providers: &HashMap<Arc<str>, usize>,
    problems: &mut Vec<RouteProblem>,
) {
    if route.targets.is_empty() {
        let message = "a route needs at least one target".to_owned();
        problems.push(RouteProblem { path: format!("routes[{index}].targets"), message });
    }
    for (place, target) in route.targets.iter().enumerate() {
        if providers.contains_key(&target.provider) {
            continue;
        }
        let message = if routes.iter().any(|other| other.model == target.provider) {
            format!(
                "{:?} is a route; a target names a provider, so that routes can't lead in a circle",
                target.provider
            )
        } else {
            let mut known: Vec<_> = providers.keys().map(|name| &**name).collect();
            known.sort_unstable();
            format!("unknown provider {:?}; configured are: {}", target.provider, known.join(", "))
        };
        problems.push(RouteProblem { path: format!("routes[{index}].targets[{place}].provider"), message });
    }
    // `weighted` with a single place is legal: it is a list that may grow.
    if route.strategy != Strategy::Weighted && route.targets.iter().any(|target| target.weight > 1) {
        let message = "weight has a meaning only with strategy \"weighted\"".to_owned();
        problems.push(RouteProblem { path: format!("routes[{index}].targets"), message });
    }
}
