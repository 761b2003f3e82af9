//! `sentinel key`: virtual keys in the store, beside a running daemon or without one.

use sentinel_domain::policy::{BudgetLimits, CallerLimits};
use sentinel_domain::{NanoUsd, Secret};
use sentinel_runtime::Clock;
use sentinel_store::keys::{KeyBackend, KeyRecord, KeySpec};
use serde_json::json;

use super::cli::KeyCommand;
use crate::config::Config;
use crate::gateway::build::store_settings;

const DAY_MS: u64 = 24 * 3600 * 1000;

/// Runs the command and returns what to print.
///
/// # Errors
/// A wrong value, or the store's failure.
pub(super) async fn run(config: &Config, command: KeyCommand) -> Result<String, String> {
    let backend =
        sentinel_store::open_keys(&store_settings(config)).await.map_err(|error| error.to_string())?;
    let now = Clock::system().unix_ms();
    match command {
        KeyCommand::Create {
            name,
            rpm,
            tpm,
            max_in_flight,
            budget_usd_day,
            budget_usd_month,
            models,
            expires_in_days,
        } => {
            let spec = KeySpec {
                name,
                limits: CallerLimits {
                    rpm: rpm.unwrap_or(0),
                    tpm: tpm.unwrap_or(0),
                    max_in_flight: max_in_flight.unwrap_or(0),
                },
                budget: BudgetLimits {
                    day: money("--budget-usd-day", budget_usd_day)?,
                    month: money("--budget-usd-month", budget_usd_month)?,
                },
                models,
                expires_ms: expires_in_days
                    .map(|days| now.saturating_add(u64::from(days).saturating_mul(DAY_MS))),
            };
            create(&backend, spec, now).await
        }
        KeyCommand::List { json } => {
            let keys = backend.list().await.map_err(|error| error.to_string())?;
            Ok(if json { as_json(&keys) } else { as_table(&keys, now) })
        }
        KeyCommand::Revoke { id } => {
            let key = backend.revoke(&id, now).await.map_err(|error| error.to_string())?;
            Ok(format!("revoked {} ({})\n", key.id, key.name))
        }
    }
}

fn money(flag: &str, text: Option<String>) -> Result<Option<NanoUsd>, String> {
    let Some(text) = text else { return Ok(None) };
    match text.parse::<NanoUsd>() {
        Ok(amount) if amount >= NanoUsd::ZERO => Ok(Some(amount)),
        _ => Err(format!("{flag}: {text:?} is no amount of US dollars; write one such as 25 or 0.50")),
    }
}

async fn create(backend: &KeyBackend, spec: KeySpec, now: u64) -> Result<String, String> {
    let (record, secret): (KeyRecord, Secret) =
        backend.create(spec, now).await.map_err(|error| error.to_string())?;
    // The one place where a secret is written: to whoever asked for it to be made.
    Ok(format!(
        "id      {}\nname    {}\nsecret  {}\n\nThe secret is shown only now; the store keeps its SHA-256.\n",
        record.id,
        record.name,
        secret.expose()
    ))
}

fn as_json(keys: &[KeyRecord]) -> String {
    let rows: Vec<_> = keys
        .iter()
        .map(|key| {
            json!({ "id": key.id, "name": key.name, "limits": key.limits, "budget": key.budget, "models": key.models,
                "created_ms": key.created_ms, "expires_ms": key.expires_ms, "revoked_ms": key.revoked_ms })
        })
        .collect();
    format!("{:#}\n", json!({ "keys": rows }))
}

fn as_table(keys: &[KeyRecord], now: u64) -> String {
    if keys.is_empty() {
        return "no keys in the store; make one with: sentinel key create --name NAME\n".to_owned();
    }
    let mut text =
        format!("{:<14} {:<24} {:>8} {:>10} {:<12} {}\n", "id", "name", "rpm", "tpm", "state", "models");
    for key in keys {
        let state = match key.revoked_ms {
            Some(_) => "revoked",
            None if key.is_in_force(now) => "in force",
            None => "expired",
        };
        let models = key.models.join(",");
        text.push_str(&format!(
            "{:<14} {:<24} {:>8} {:>10} {:<12} {models}\n",
            key.id, key.name, key.limits.rpm, key.limits.tpm, state
        ));
    }
    text
}
