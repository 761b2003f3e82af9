//! Money held for one request, which always ends: settled, or released when dropped.

use std::fmt;
use std::sync::Arc;

use sentinel_domain::NanoUsd;

use super::accounts::{Account, Accounts};
use super::period::Periods;
use super::redis::{Outbox, RemoteHold};

/// A hold on one scope.
pub(super) enum Part {
    /// In this process.
    Local {
        accounts: Arc<Accounts>,
        account: Arc<Account>,
        name: Arc<str>,
        amount: i64,
        /// With Redis out: where to leave the amount for when it is back.
        owed: Option<Arc<Outbox>>,
    },
    /// In Redis.
    Remote(RemoteHold),
}

/// The holds of one request. Dropped without [`Hold::settle`], it spends what [`Hold::note`] last said: nothing, if it
/// was never told.
#[must_use = "dropping a hold releases it"]
pub struct Hold {
    pub(super) parts: smallvec::SmallVec<[Part; 2]>,
    period: Periods,
    known: NanoUsd,
}

impl Hold {
    pub(super) fn new(period: Periods) -> Self {
        Self { parts: smallvec::SmallVec::new(), period, known: NanoUsd::ZERO }
    }

    /// Notes what the request has cost so far, so that a hold that is dropped by a panic or a disconnect spends that.
    pub fn note(&mut self, known: NanoUsd) {
        self.known = known;
    }

    /// Replaces the estimate by the true cost, which is spent in the day and month of the reservation.
    pub fn settle(mut self, actual: NanoUsd) {
        self.known = actual;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let actual = self.known.nano().max(0);
        for part in self.parts.drain(..) {
            match part {
                Part::Local { accounts, account, name, amount, owed } => {
                    accounts.settle(&account, &name, amount, actual, &self.period);
                    if let Some(outbox) = owed
                        && actual > 0
                    {
                        outbox.owe(&name, actual, &self.period);
                    }
                }
                Part::Remote(hold) => hold.settle(actual, &self.period),
            }
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("scopes", &self.parts.len()).finish_non_exhaustive()
    }
}
