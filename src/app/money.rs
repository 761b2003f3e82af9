//! `sentinel prices` and `sentinel usage`: what models cost, and what was spent.

use std::path::Path;
use std::sync::Arc;

use sentinel_domain::catalogue::{check, import_litellm};
use sentinel_domain::policy::{ProviderKind, glob_matches};
use sentinel_store::budget::period::day_text;
use sentinel_store::usage::{GroupBy, UsageQuery};
use sentinel_store::{Backend, Stores};

use super::cli::{PricesCommand, UsageCommand};
use crate::config::Config;
use crate::gateway::build::store_settings;
use crate::gateway::prices::Prices;

/// Runs `sentinel prices` and returns what to print, and whether all is well.
///
/// # Errors
/// A file cannot be read.
pub(super) fn prices(config: &Config, command: &PricesCommand) -> Result<(String, bool), String> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    };
    match command {
        PricesCommand::List { model } => {
            let prices = Prices::load(config.cost.prices.as_deref())?;
            let catalogue = prices.catalogue();
            let mut text = format!(
                "# prices {}: USD per million tokens\n{:<34} {:>9} {:>9} {:>11} {:>12} {:>12}\n",
                catalogue.version(),
                "model",
                "input",
                "output",
                "cache read",
                "write 5 min",
                "write 1 h"
            );
            for row in catalogue.list().iter().filter(|row| row.names().any(|name| glob_matches(model, name)))
            {
                let price = row.standard();
                text.push_str(&format!(
                    "{:<34} {:>9} {:>9} {:>11} {:>12} {:>12}\n",
                    row.name,
                    price.input.to_string(),
                    price.output.to_string(),
                    price.cache_read.to_string(),
                    price.cache_write_5m.to_string(),
                    price.cache_write_1h.to_string()
                ));
            }
            Ok((text, true))
        }
        PricesCommand::Check { file } => {
            let findings = check(&read(file)?);
            if findings.is_empty() {
                return Ok((format!("{}: in order\n", file.display()), true));
            }
            let lines = findings
                .iter()
                .map(|finding| format!("{:?} {}: {}\n", finding.severity, finding.model, finding.message));
            let is_bad = findings
                .iter()
                .any(|finding| finding.severity == sentinel_domain::catalogue::Severity::Error);
            Ok((lines.collect(), !is_bad))
        }
        PricesCommand::Import { file } => {
            let (text, _count) = import_litellm(&read(file)?, &[]).map_err(|error| error.to_string())?;
            Ok((text, true))
        }
    }
}

/// Runs `sentinel usage` and returns what to print. The embedded store must not be in use.
///
/// # Errors
/// The store cannot be opened.
pub(super) async fn usage(config: &Config, command: &UsageCommand, now_ms: u64) -> Result<String, String> {
    let settings = store_settings(config);
    let is_embedded = settings.backend == Backend::Embedded;
    let stores = Stores::open(settings, Vec::new(), now_ms).map_err(|error| {
        let hint = if is_embedded { "\nwhile a gateway runs, ask it instead: GET /v1/usage" } else { "" };
        format!("{error}{hint}")
    })?;
    let worker = stores.worker();
    match command {
        UsageCommand::Show { group_by } => {
            let dimensions: Option<Vec<_>> = group_by.iter().map(|name| GroupBy::parse(name)).collect();
            let group_by = dimensions.ok_or("--group-by takes any of provider, model, key and day")?;
            let query = UsageQuery { group_by, since: 0, until: u32::MAX, key: None };
            let groups = worker.usage.query(&query).await.map_err(|error| error.to_string())?;
            let mut text = String::new();
            for group in groups {
                let names = [
                    group.day.map(day_text),
                    group.provider.map(|p| p.to_string()),
                    group.model.map(|m| m.to_string()),
                    group.key.map(|k| k.to_string()),
                ];
                let names = names.into_iter().flatten().collect::<Vec<_>>().join("  ");
                let usage = group.totals.usage();
                text.push_str(&format!(
                    "{names}  {} requests  {} in  {} out  {} USD\n",
                    group.totals.requests,
                    usage.prompt(),
                    usage.output,
                    group.totals.cost()
                ));
            }
            Ok(if text.is_empty() { "nothing has been used yet\n".to_owned() } else { text })
        }
        UsageCommand::Reprice => {
            let prices = Prices::load(config.cost.prices.as_deref())?;
            let kinds: std::collections::HashMap<Arc<str>, ProviderKind> =
                config.providers.iter().map(|spec| (Arc::clone(&spec.name), spec.kind)).collect();
            let version = prices.catalogue().version().to_string();
            let changed = worker
                .usage
                .reprice(move |row, usage| {
                    let kind = kinds.get(&row.provider).copied().or_else(|| prices.owner(&row.model))?;
                    prices.catalogue().reprice(&row.provider, kind, &row.model, &row.class, usage)
                })
                .await
                .map_err(|error| error.to_string())?;
            Ok(format!("{changed} rows priced again with prices {version}\n"))
        }
    }
}
