//! The budgets of this process: one account per scope, exact under any number of threads.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use sentinel_domain::policy::BudgetLimits;

use super::period::{PeriodId, Periods};
use super::{Balance, used_up};
use crate::embedded::StateFile;
use crate::error::StoreError;

/// Periods remembered per account: today and this month, and their neighbours in case the clock is set.
const PERIODS_KEPT: usize = 6;

#[derive(Debug, Default)]
pub(crate) struct Balances {
    spent: BTreeMap<PeriodId, i64>,
    held: i64,
}

impl Balances {
    fn at(&self, now: &Periods) -> Balance {
        let spent = |period| self.spent.get(&period).copied().unwrap_or(0);
        Balance { day: spent(now.day), month: spent(now.month), held: self.held }
    }

    fn spend(&mut self, period: PeriodId, nano: i64) {
        let sum = self.spent.entry(period).or_default();
        *sum = sum.saturating_add(nano);
        if self.spent.len() > PERIODS_KEPT {
            // The oldest of the same kind; days and months are ordered apart.
            let oldest = self.spent.keys().find(|key| key.kind == period.kind).copied();
            oldest.map(|oldest| self.spent.remove(&oldest));
        }
    }
}

pub(crate) type Account = Mutex<Balances>;

/// All accounts of one process, shared by its workers.
pub struct Accounts {
    accounts: RwLock<ahash::HashMap<Arc<str>, Arc<Account>>>,
    file: Option<Arc<StateFile>>,
}

impl Accounts {
    /// Makes accounts that last as long as the process.
    #[must_use]
    pub fn in_memory() -> Arc<Self> {
        Arc::new(Self { accounts: RwLock::default(), file: None })
    }

    /// Makes accounts that are kept in a file, and loads what the current day and month have spent. Blocks on the disk.
    ///
    /// # Errors
    /// The file's failure.
    pub fn durable(file: Arc<StateFile>, now: &Periods) -> Result<Arc<Self>, StoreError> {
        let mut accounts: ahash::HashMap<Arc<str>, Arc<Account>> = ahash::HashMap::default();
        for (scope, period, nano) in file.budgets(&[now.day, now.month])? {
            accounts.entry(scope).or_default().lock().spend(period, nano);
        }
        Ok(Arc::new(Self { accounts: RwLock::new(accounts), file: Some(file) }))
    }

    fn account(&self, scope: &Arc<str>) -> Arc<Account> {
        if let Some(account) = self.accounts.read().get(scope) {
            return Arc::clone(account);
        }
        Arc::clone(self.accounts.write().entry(Arc::clone(scope)).or_default())
    }

    /// Holds `amount`, or returns the balance that refuses it.
    pub(crate) fn reserve(
        &self,
        scope: &Arc<str>,
        limits: &BudgetLimits,
        amount: i64,
        now: &Periods,
    ) -> Result<Arc<Account>, Balance> {
        let account = self.account(scope);
        {
            let mut balances = account.lock();
            let balance = balances.at(now);
            if used_up(limits, balance).is_some() {
                return Err(balance);
            }
            balances.held = balances.held.saturating_add(amount);
        }
        Ok(account)
    }

    /// Ends a hold of `amount` and spends `actual`, in the periods in which it was reserved.
    pub(crate) fn settle(
        &self,
        account: &Account,
        scope: &Arc<str>,
        amount: i64,
        actual: i64,
        then: &Periods,
    ) {
        {
            let mut balances = account.lock();
            balances.held = balances.held.saturating_sub(amount).max(0);
            if actual > 0 {
                balances.spend(then.day, actual);
                balances.spend(then.month, actual);
            }
        }
        if let (Some(file), true) = (&self.file, actual > 0) {
            file.add(|batch| {
                for period in [then.day, then.month] {
                    let sum = batch.budgets.entry((Arc::clone(scope), period)).or_default();
                    *sum = sum.saturating_add(actual);
                }
            });
        }
    }

    /// Takes over what Redis says, so that the fall-back starts from there. Amounts only grow within a period.
    pub(super) fn observe(&self, scope: &Arc<str>, now: &Periods, balance: Balance) {
        let account = self.account(scope);
        let mut balances = account.lock();
        for (period, nano) in [(now.day, balance.day), (now.month, balance.month)] {
            let known = balances.spent.get(&period).copied().unwrap_or(0);
            if nano > known {
                balances.spend(period, nano - known);
            }
        }
    }

    pub(crate) fn balance(&self, scope: &str, now: &Periods) -> Balance {
        self.accounts.read().get(scope).map(|account| account.lock().at(now)).unwrap_or_default()
    }

    /// Sums the holds of the widest scope, which every request is part of.
    pub(super) fn held(&self) -> i64 {
        self.accounts.read().values().map(|account| account.lock().held).max().unwrap_or(0)
    }
}
