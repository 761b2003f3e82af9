//! Token counts in OpenAI's shape, with the spellings of compatible vendors.

use sentinel_domain::Usage;

use crate::json::Value;

/// Counts beyond this are no counts.
const ABSURD: u64 = 10_000_000_000;

fn count(object: Value<'_>, name: &str) -> Option<u64> {
    object.get(name)?.as_count().filter(|count| *count < ABSURD)
}

/// Reads a usage object; `None` if it holds no usable counts.
///
/// `prompt_tokens` includes cached tokens, so they are taken out of the full-price part. `cached_tokens` is OpenAI's
/// name, `prompt_cache_hit_tokens` DeepSeek's; `cache_write_tokens` is OpenRouter's for tokens written to a cache.
pub(crate) fn read_usage(usage: Value<'_>) -> Option<Usage> {
    let prompt = count(usage, "prompt_tokens");
    let output = count(usage, "completion_tokens");
    if prompt.is_none() && output.is_none() {
        return None;
    }
    let prompt = prompt.unwrap_or_default();
    let details = usage.set("prompt_tokens_details");
    let detail = |name: &str| details.and_then(|details| count(details, name));
    let cache_read = detail("cached_tokens")
        .or_else(|| count(usage, "prompt_cache_hit_tokens"))
        .or_else(|| count(usage, "cached_tokens"))
        .unwrap_or_default()
        .min(prompt);
    let cache_write = detail("cache_write_tokens")
        .or_else(|| detail("cache_creation_tokens"))
        .unwrap_or_default()
        .min(prompt - cache_read);
    let output = output.unwrap_or_default();
    let reasoning = usage
        .set("completion_tokens_details")
        .and_then(|details| count(details, "reasoning_tokens"))
        .unwrap_or_default()
        .min(output);
    Some(Usage {
        input: prompt - cache_read - cache_write,
        cache_read,
        cache_write_5m: cache_write,
        cache_write_1h: 0,
        output,
        reasoning,
    })
}
