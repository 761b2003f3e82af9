//! What health pages and metrics show of a store.

use std::time::Duration;

use serde::Serialize;

/// What to do while the configured store cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnOutage {
    /// Go on with limits, budgets and cache of this process alone.
    #[default]
    Local,
    /// Refuse.
    Reject,
}

/// A store's state at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreHealth {
    /// `embedded` or `redis`.
    pub backend: &'static str,
    /// Whether operations reach it.
    pub up: bool,
    /// Whether it takes writes; a full or read-only store still answers reads.
    pub writable: bool,
    /// How long it has not been entirely well.
    #[serde(serialize_with = "as_seconds")]
    pub degraded_for: Option<Duration>,
    /// The last failure's text, without any password.
    pub last_error: Option<String>,
    /// Failed operations since the start.
    pub failures: u64,
    /// Operations answered by the local fall-back since the start.
    pub fallbacks: u64,
}

impl StoreHealth {
    /// Says whether everything works.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.up && self.writable
    }
}

fn as_seconds<S: serde::Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(duration) => serializer.serialize_some(&duration.as_secs_f64()),
        None => serializer.serialize_none(),
    }
}
