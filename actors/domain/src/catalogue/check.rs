//! What `sentinel prices check` looks for.

use std::collections::HashMap;

use super::{CatalogueError, ModelPrice, file};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// Probably a slip.
    Warning,
}

/// One finding about one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The row's name; empty if it is about the file.
    pub model: String,
    /// What is wrong.
    pub message: String,
}

/// Looks through a price file and returns everything that is wrong or odd.
#[must_use]
pub fn check(text: &str) -> Vec<Finding> {
    let rows = match file::read(text) {
        Ok(rows) => rows,
        Err(
            CatalogueError::Syntax(message) | CatalogueError::Row(message) | CatalogueError::Import(message),
        ) => {
            return vec![Finding { severity: Severity::Error, model: String::new(), message }];
        }
    };
    let mut findings = Vec::new();
    let mut seen: HashMap<(Option<&str>, &str), &str> = HashMap::new();
    for row in &rows {
        let mut report = |severity, message: String| {
            findings.push(Finding { severity, model: row.name.clone(), message });
        };
        if let Some(problem) = row.problem() {
            report(Severity::Error, problem);
        }
        for name in row.names() {
            if let Some(other) = seen.insert((row.provider.as_deref(), name), &row.name) {
                report(Severity::Warning, format!("{name:?} is also a name of {other}; the later row wins"));
            }
        }
        for oddity in oddities(row) {
            report(Severity::Warning, oddity.to_owned());
        }
    }
    findings
}

fn oddities(row: &ModelPrice) -> Vec<&'static str> {
    let price = row.standard();
    [
        (price.cache_read > price.input, "reading the cache costs more than input"),
        (price.cache_write_5m < price.cache_read, "writing the cache costs less than reading it"),
        (price.cache_write_1h < price.cache_write_5m, "an hour of cache costs less than five minutes"),
        (price.output < price.input, "output costs less than input"),
        (row.source.is_none() || row.checked.is_none(), "no source and date"),
    ]
    .into_iter()
    .filter_map(|(is_odd, message)| is_odd.then_some(message))
    .collect()
}
