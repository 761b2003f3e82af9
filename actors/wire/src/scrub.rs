//! Takes credentials out of texts that come from providers.

/// Beginnings of the keys that providers hand out, each long enough not to hit ordinary words.
const PREFIXES: [&str; 9] = ["sk-", "sk_", "gsk_", "xai-", "pplx-", "hf_", "AIza", "r8_", "Bearer "];
/// A key is at least this long, prefix included.
const SHORTEST: usize = 16;

/// Returns the text with everything that looks like a provider's key replaced.
pub(crate) fn scrub(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let hit = PREFIXES
            .iter()
            .filter_map(|prefix| rest.find(prefix).map(|at| (at, *prefix)))
            .min_by_key(|(at, _)| *at);
        let Some((at, prefix)) = hit else {
            out.push_str(rest);
            return out;
        };
        let (before, tail) = rest.split_at(at);
        let starts_word = before.chars().next_back().is_none_or(|letter| !letter.is_alphanumeric());
        let after = tail.get(prefix.len()..).unwrap_or_default();
        let end = after
            .find(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '-' | '_' | '.' | '*'))
            .unwrap_or(after.len());
        out.push_str(before);
        if starts_word && prefix.len() + end >= SHORTEST {
            out.push_str("[redacted]");
            rest = after.get(end..).unwrap_or_default();
        } else {
            out.push_str(prefix);
            rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::scrub;

    #[test]
    fn keys_are_taken_out_and_words_are_left() {
        for (text, expected) in [
            (
                "Incorrect API key provided: sk-proj-abcdefghijklmnop.",
                "Incorrect API key provided: [redacted]",
            ),
            ("header Authorization: Bearer abcdefghijklmnopqrstuvw x", "header Authorization: [redacted] x"),
            ("x-api-key=sk-ant-api03-AAAAAAAAAAAAAAAA, no", "x-api-key=[redacted], no"),
            ("a risk-averse-and-very-long-word here", "a risk-averse-and-very-long-word here"),
            ("sk-short", "sk-short"),
            ("é sk-ééé sk-", "é sk-ééé sk-"),
            ("", ""),
        ] {
            assert_eq!(scrub(text), expected, "{text}");
        }
    }
}
