//! Turning a LiteLLM price map, which many users already have, into a price file.
//!
//! Format: `model_prices_and_context_window.json` of github.com/BerriAI/litellm, read 2026-11-28. It has dollars per
//! *token* as floating point numbers; they are rounded to a nano-dollar per million tokens.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::file::{LongContext, ModelPrice, TierPrice};
use super::{CatalogueError, owner_of};
use crate::money::NanoUsd;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    litellm_provider: Option<String>,
    mode: Option<String>,
    input_cost_per_token: Option<f64>,
    output_cost_per_token: Option<f64>,
    cache_read_input_token_cost: Option<f64>,
    cache_creation_input_token_cost: Option<f64>,
    cache_creation_input_token_cost_above_1hr: Option<f64>,
    input_cost_per_token_batches: Option<f64>,
    input_cost_per_token_flex: Option<f64>,
    input_cost_per_token_priority: Option<f64>,
    cache_read_input_token_cost_priority: Option<f64>,
    output_cost_per_token_priority: Option<f64>,
    input_cost_per_token_above_200k_tokens: Option<f64>,
    output_cost_per_token_above_200k_tokens: Option<f64>,
    input_cost_per_token_above_272k_tokens: Option<f64>,
    output_cost_per_token_above_272k_tokens: Option<f64>,
    max_input_tokens: Option<serde_json::Value>,
    max_output_tokens: Option<serde_json::Value>,
}

/// Reads a LiteLLM price map and writes a price file with the text models of `providers` (LiteLLM's names, such as
/// `openai` or `mistral`); returns it with the number of models.
///
/// # Errors
/// [`CatalogueError::Import`] if it is not a JSON object of models.
pub fn import_litellm(json: &str, providers: &[&str]) -> Result<(String, usize), CatalogueError> {
    let failed = |error: &dyn std::fmt::Display| CatalogueError::Import(error.to_string());
    let entries: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(json).map_err(|error| failed(&error))?;
    let mut rows = Vec::new();
    for (name, value) in entries {
        // The map documents itself in an entry whose numbers are texts.
        let Ok(entry) = serde_json::from_value::<Entry>(value) else { continue };
        let is_wanted = entry.litellm_provider.as_deref().is_some_and(|name| providers.contains(&name))
            && matches!(entry.mode.as_deref(), Some("chat" | "completion" | "responses"));
        if let Some(row) = is_wanted.then(|| row(&name, &entry)).flatten() {
            rows.push(row);
        }
    }
    #[derive(serde::Serialize)]
    struct Out {
        model: Vec<ModelPrice>,
    }
    let count = rows.len();
    let text = toml::to_string(&Out { model: rows }).map_err(|error| failed(&error))?;
    Ok((format!("# Imported from a LiteLLM price map.\n\n{text}"), count))
}

fn row(name: &str, entry: &Entry) -> Option<ModelPrice> {
    let (input, output) = (entry.input_cost_per_token?, entry.output_cost_per_token?);
    // Names of other providers carry them as a prefix: `mistral/mistral-small`.
    let bare = name.split_once('/').map_or(name, |(_, bare)| bare);
    let factor = |price: Option<f64>| price.filter(|_| input > 0.0).map(|price| thousandths(price / input));
    let priority = match (
        entry.input_cost_per_token_priority,
        entry.cache_read_input_token_cost_priority,
        entry.output_cost_per_token_priority,
    ) {
        (Some(input), cache_read, Some(output)) => Some(TierPrice::Prices {
            input: per_million(input)?,
            cache_read: per_million(cache_read.unwrap_or(input))?,
            output: per_million(output)?,
        }),
        _ => None,
    };
    let long = [
        (
            200_000,
            entry.input_cost_per_token_above_200k_tokens,
            entry.output_cost_per_token_above_200k_tokens,
        ),
        (
            272_000,
            entry.input_cost_per_token_above_272k_tokens,
            entry.output_cost_per_token_above_272k_tokens,
        ),
    ]
    .into_iter()
    .find_map(|(above, long_input, long_output)| {
        let (long_input, long_output) = (long_input?, long_output?);
        (input > 0.0 && output > 0.0).then(|| LongContext {
            above,
            input_factor: thousandths(long_input / input),
            output_factor: thousandths(long_output / output),
        })
    });
    let count = |value: &Option<serde_json::Value>| value.as_ref().and_then(serde_json::Value::as_u64);
    Some(ModelPrice {
        name: bare.to_owned(),
        aliases: Vec::new(),
        owner: owner_of(bare),
        provider: None,
        input: per_million(input)?,
        output: per_million(output)?,
        cache_read: entry.cache_read_input_token_cost.and_then(per_million),
        cache_write_5m: entry.cache_creation_input_token_cost.and_then(per_million),
        cache_write_1h: entry.cache_creation_input_token_cost_above_1hr.and_then(per_million),
        batch: factor(entry.input_cost_per_token_batches).map(TierPrice::Factor),
        flex: factor(entry.input_cost_per_token_flex).map(TierPrice::Factor),
        priority,
        long,
        context: count(&entry.max_input_tokens),
        max_output: count(&entry.max_output_tokens),
        source: Some("https://github.com/BerriAI/litellm".to_owned()),
        via: Some("litellm".to_owned()),
        checked: None,
        note: None,
    })
}

/// Dollars per token to nano-dollars per million.
fn per_million(per_token: f64) -> Option<NanoUsd> {
    let nano = (per_token * 1e15).round();
    #[expect(clippy::cast_possible_truncation, reason = "range checked")]
    (0.0..9e18).contains(&nano).then(|| NanoUsd::new(nano as i64))
}

fn thousandths(factor: f64) -> f64 {
    (factor * 1000.0).round() / 1000.0
}
