//! Grouping of ledger rows for `GET /v1/usage`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{RowKey, Totals};

/// A dimension to group by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupBy {
    /// Who answered.
    Provider,
    /// The model that answered.
    Model,
    /// The virtual key.
    Key,
    /// The UTC day.
    Day,
}

impl GroupBy {
    /// Reads a name as the query string has it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "provider" => Self::Provider,
            "model" => Self::Model,
            "key" => Self::Key,
            "day" => Self::Day,
            _ => return None,
        })
    }
}

/// What to sum, and how finely.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsageQuery {
    /// Dimensions; none gives one group with everything.
    pub group_by: Vec<GroupBy>,
    /// First day, days since 1970-01-01.
    pub since: u32,
    /// Last day, included.
    pub until: u32,
    /// Only this virtual key.
    pub key: Option<Arc<str>>,
}

/// One group's totals; a dimension that was not asked for is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageGroup {
    /// Who answered.
    pub provider: Option<Arc<str>>,
    /// The model that answered.
    pub model: Option<Arc<str>>,
    /// The virtual key's name; empty for callers without one.
    pub key: Option<Arc<str>>,
    /// Days since 1970-01-01.
    pub day: Option<u32>,
    /// The sums.
    pub totals: Totals,
}

type Dimensions = (Option<u32>, Option<Arc<str>>, Option<Arc<str>>, Option<Arc<str>>);

impl UsageQuery {
    /// Sums rows into groups, ordered by day, provider, model and key.
    pub(super) fn group(&self, rows: Vec<(RowKey, Totals)>) -> Vec<UsageGroup> {
        let by = |dimension| self.group_by.contains(&dimension);
        let mut groups: BTreeMap<Dimensions, Totals> = BTreeMap::new();
        for (row, totals) in rows {
            if self.key.as_ref().is_some_and(|key| *key != row.key) {
                continue;
            }
            let dimensions = (
                by(GroupBy::Day).then_some(row.day),
                by(GroupBy::Provider).then_some(row.provider),
                by(GroupBy::Model).then_some(row.model),
                by(GroupBy::Key).then_some(row.key),
            );
            groups.entry(dimensions).or_default().add(&totals);
        }
        groups
            .into_iter()
            .map(|((day, provider, model, key), totals)| UsageGroup { provider, model, key, day, totals })
            .collect()
    }
}
