//! Who is calling.

use std::sync::Arc;

use sentinel_domain::ids::Caller;
use sentinel_domain::policy::{BudgetLimits, CallerLimits};
use sentinel_store::keys::KeyRecord;

/// Who is calling.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Who is charged and limited.
    pub caller: Caller,
    /// The virtual key, if one was used.
    pub key: Option<Arc<KeyRecord>>,
    /// Whether the caller may see and change everything.
    pub admin: bool,
}

impl Identity {
    /// Returns the caller's limits: the key's own where it has some, else the general ones.
    #[must_use]
    pub fn limits(&self, general: CallerLimits) -> CallerLimits {
        let own = self.key.as_ref().map_or(CallerLimits::default(), |key| key.limits);
        let pick = |own: u64, general: u64| if own > 0 { own } else { general };
        CallerLimits {
            rpm: pick(own.rpm, general.rpm),
            tpm: pick(own.tpm, general.tpm),
            max_in_flight: pick(own.max_in_flight, general.max_in_flight),
        }
    }

    /// Returns the caller's spending limits.
    #[must_use]
    pub fn budget(&self) -> BudgetLimits {
        self.key.as_ref().map_or(BudgetLimits::default(), |key| key.budget)
    }

    /// Says whether the caller may use a model.
    #[must_use]
    pub fn allows(&self, model: &str) -> bool {
        self.key.as_ref().is_none_or(|key| key.may_use(model))
    }
}
