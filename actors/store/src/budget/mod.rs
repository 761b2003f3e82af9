//! Budgets: money reserved at admission, settled when the cost is known, never leaked.
//!
//! A request is admitted as long as something is left: `spent + held < limit`. Its estimate is then held, so the
//! request that crosses the limit is the last one. The documented bound follows: **a budget is overrun by at most
//! the cost of the one request that crosses it, plus whatever the requests then in flight cost more than was
//! estimated for them.** Nobody is refused while unheld money is left.

mod accounts;
mod hold;
pub mod period;
mod redis;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use sentinel_domain::NanoUsd;
use sentinel_domain::ids::Caller;
use sentinel_domain::policy::BudgetLimits;

pub use accounts::Accounts;
pub use hold::Hold;
pub use period::{PeriodId, PeriodKind, Periods};

pub(crate) use redis::Outbox;

use self::hold::Part;
use crate::error::StoreError;
use crate::health::OnOutage;
use crate::redis::Redis;

/// Whose budget it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The caller's own.
    Key,
    /// That of the whole gateway.
    Global,
}

impl Scope {
    /// Returns the name that messages show.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Global => "global",
        }
    }
}

/// A refusal by a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// Whose budget.
    pub scope: Scope,
    /// Which period.
    pub period: PeriodKind,
    /// The budget.
    pub limit: NanoUsd,
    /// What is left of it, holds of requests in flight taken off; never negative.
    pub left: NanoUsd,
    /// When it resets, milliseconds since 1970-01-01.
    pub resets_at_ms: u64,
}

/// Why nothing was reserved.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReserveError {
    /// A budget is used up.
    #[error("{} budget of this {} used up", .0.scope.as_str(), .0.period.as_str())]
    Exceeded(Exceeded),
    /// The store is unavailable and the policy is to refuse.
    #[error(transparent)]
    Unavailable(StoreError),
}

/// What one scope has spent and holds, as one look at it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Balance {
    pub(crate) day: i64,
    pub(crate) month: i64,
    pub(crate) held: i64,
}

/// The store name of the budget of the whole gateway.
const GLOBAL: &str = "global";

/// The budgets that the rest of the gateway asks: cheap to clone, one per worker.
#[derive(Clone)]
pub struct BudgetStore {
    accounts: Arc<Accounts>,
    remote: Option<(Redis, OnOutage, Arc<Outbox>)>,
}

impl BudgetStore {
    /// Keeps the budgets in this process, and durable if the accounts have a file.
    #[must_use]
    pub fn embedded(accounts: Arc<Accounts>) -> Self {
        Self { accounts, remote: None }
    }

    /// Keeps the budgets in Redis; `accounts` take over while it is out, if the policy is to go on. Call
    /// [`Outbox::run`] on the same worker.
    pub(crate) fn redis(
        redis: Redis,
        on_outage: OnOutage,
        accounts: Arc<Accounts>,
        outbox: Arc<Outbox>,
    ) -> Self {
        Self { accounts, remote: Some((redis, on_outage, outbox)) }
    }

    /// Holds an estimated cost on the caller's budget and on the whole gateway's.
    ///
    /// # Errors
    /// [`ReserveError::Exceeded`] if one of them is used up, and nothing is held then;
    /// [`ReserveError::Unavailable`] when Redis is out and the policy is to refuse.
    pub async fn reserve(
        &self,
        caller: &Caller,
        limits: &BudgetLimits,
        global: &BudgetLimits,
        estimate: NanoUsd,
        now: &Periods,
    ) -> Result<Hold, ReserveError> {
        let mut hold = Hold::new(*now);
        let scopes = [(Scope::Key, limits), (Scope::Global, global)];
        for (scope, limits) in scopes {
            let is_tracked = match scope {
                Scope::Key => caller.key_name().is_some() || *limits != BudgetLimits::default(),
                Scope::Global => true,
            };
            if is_tracked {
                let name: Arc<str> = match scope {
                    Scope::Key => caller.store_id().into(),
                    Scope::Global => GLOBAL.into(),
                };
                // A refusal drops `hold`, which gives back what the scope before has reserved.
                if let Some(part) = self.reserve_one(scope, name, limits, estimate, now).await? {
                    hold.parts.push(part);
                }
            }
        }
        Ok(hold)
    }

    async fn reserve_one(
        &self,
        scope: Scope,
        name: Arc<str>,
        limits: &BudgetLimits,
        estimate: NanoUsd,
        now: &Periods,
    ) -> Result<Option<Part>, ReserveError> {
        let amount = estimate.nano().max(0);
        if let Some((redis, on_outage, outbox)) = &self.remote {
            if *limits == BudgetLimits::default() {
                return Ok(None);
            }
            match redis::reserve(redis, outbox, &name, limits, amount, now).await {
                Ok((balance, part)) => {
                    self.accounts.observe(&name, now, balance);
                    return match part {
                        Some(part) => Ok(Some(Part::Remote(part))),
                        None => Err(exceeded(scope, limits, balance, now)),
                    };
                }
                Err(error) if *on_outage == OnOutage::Reject => return Err(ReserveError::Unavailable(error)),
                Err(_) => redis.count_fallback(),
            }
        }
        match self.accounts.reserve(&name, limits, amount, now) {
            Ok(account) => {
                let owed = self.remote.as_ref().map(|(_, _, outbox)| Arc::clone(outbox));
                Ok(Some(Part::Local { accounts: Arc::clone(&self.accounts), account, name, amount, owed }))
            }
            Err(balance) => Err(exceeded(scope, limits, balance, now)),
        }
    }

    /// Returns what a caller has spent in the day and the month, as far as this process knows.
    #[must_use]
    pub fn spent(&self, caller: &Caller, now: &Periods) -> (NanoUsd, NanoUsd) {
        let balance = self.accounts.balance(&caller.store_id(), now);
        (NanoUsd::new(balance.day), NanoUsd::new(balance.month))
    }

    /// Returns the money held by this process's requests in flight; zero when none is.
    #[must_use]
    pub fn held(&self) -> NanoUsd {
        let remote = self.remote.as_ref().map_or(0, |(_, _, outbox)| outbox.held());
        NanoUsd::new(self.accounts.held().saturating_add(remote))
    }
}

/// Says which limit is used up, the month first as the wait for it is longer.
pub(crate) fn used_up(limits: &BudgetLimits, balance: Balance) -> Option<(PeriodKind, NanoUsd, i64)> {
    [(PeriodKind::Month, limits.month, balance.month), (PeriodKind::Day, limits.day, balance.day)]
        .into_iter()
        .filter_map(|(kind, limit, spent)| {
            let limit = limit?;
            let used = spent.saturating_add(balance.held);
            (used >= limit.nano()).then_some((kind, limit, used))
        })
        .next()
}

fn exceeded(scope: Scope, limits: &BudgetLimits, balance: Balance, now: &Periods) -> ReserveError {
    let (period, limit, used) =
        used_up(limits, balance).unwrap_or((PeriodKind::Day, limits.day.unwrap_or_default(), balance.day));
    ReserveError::Exceeded(Exceeded {
        scope,
        period,
        limit,
        left: limit.minus_floor_zero(NanoUsd::new(used)),
        resets_at_ms: now.ends_ms(period),
    })
}
