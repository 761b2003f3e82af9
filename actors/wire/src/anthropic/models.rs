//! What each generation of Claude models accepts. The one place to edit when a model appears.
//!
//! Sources, read 2026-11 on platform.claude.com: "Models overview" (output limits), "Extended thinking", "Adaptive
//! thinking", "Effort", "Structured outputs" (4.5 and later), "Claude Opus 4.7" and "Claude Opus 5.5" migration guides
//! (sampling parameters and thinking budgets refused). Models are recognised by family and version in their names, so a
//! new date or alias needs no edit; a name that is no Claude's gets what nearly every current model accepts.

/// How a model is asked to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thinking {
    /// Not at all.
    None,
    /// With a number of tokens, `budget_tokens`.
    Budget,
    /// By itself, with an effort to guide it.
    Adaptive,
}

/// What a model accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Model {
    /// The most tokens it writes; asked for when the client gives no number.
    pub(crate) max_output: u64,
    /// How it is asked to think.
    pub(crate) thinking: Thinking,
    /// It refuses a thinking budget, and any sampling parameter that is not the default.
    pub(crate) fixed_sampling: bool,
    /// It refuses `temperature` and `top_p` in one request.
    pub(crate) one_sampling: bool,
    /// It has `output_config.format` and strict tools.
    pub(crate) structured: bool,
    /// It knows the efforts `xhigh` and `max`.
    pub(crate) high_efforts: bool,
}

impl Model {
    /// For names that are no Claude's: another vendor's, or a gateway's alias.
    const UNKNOWN: Self = Self {
        max_output: 8192,
        thinking: Thinking::Adaptive,
        fixed_sampling: false,
        one_sampling: false,
        structured: true,
        high_efforts: true,
    };

    /// Returns what the model of this name accepts.
    pub(crate) fn named(name: &str) -> Self {
        let Some((family, version)) = parse(name) else { return Self::UNKNOWN };
        let opus = family == Family::Opus;
        let thinking = match version {
            (..=2, _) | (3, ..=6) => Thinking::None,
            (3, _) | (4, ..=5) => Thinking::Budget,
            _ => Thinking::Adaptive,
        };
        Self {
            max_output: match version {
                (..=2, _) | (3, ..=4) => 4096,
                (3, ..=6) => 8192,
                (4, ..=4) if opus => 32_000,
                (3, _) | (4, ..=5) => 64_000,
                _ => 128_000,
            },
            thinking,
            fixed_sampling: version >= (4, 7),
            one_sampling: version >= (4, 5) || (opus && version >= (4, 1)),
            structured: version >= (4, 5),
            high_efforts: version >= (4, 7),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Opus,
    Other,
}

/// Reads `claude-opus-4-1-20250805`, `claude-3-5-haiku-latest`, `us.anthropic.claude-sonnet-4-5-…`, `claude-opus-4.6`.
fn parse(name: &str) -> Option<(Family, (u32, u32))> {
    let name = name.to_ascii_lowercase();
    let (_, rest) = name.split_once("claude-")?;
    let family = if rest.contains("opus") { Family::Opus } else { Family::Other };
    let mut words = rest.split(['-', '.', '@', ':', '_', '/']).skip_while(|word| number(word).is_none());
    let major = number(words.next()?)?;
    let minor = words.next().and_then(number).unwrap_or(0);
    Some((family, (major, minor)))
}

/// Versions have one or two digits; what is longer is a date.
fn number(word: &str) -> Option<u32> {
    if word.len() <= 2 { word.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_every_spelling() {
        for (name, version) in [
            ("claude-3-haiku-20240307", Some((3, 0))),
            ("claude-3-5-haiku-latest", Some((3, 5))),
            ("claude-3-7-sonnet-20250219", Some((3, 7))),
            ("claude-sonnet-4-20250514", Some((4, 0))),
            ("claude-opus-4-1-20250805", Some((4, 1))),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Some((4, 5))),
            ("anthropic/claude-opus-4.6", Some((4, 6))),
            ("claude-opus-5-5", Some((5, 5))),
            ("claude-haiku-4-5@20251001", Some((4, 5))),
            ("gpt-4o", None),
            ("claude-next", None),
        ] {
            assert_eq!(parse(name).map(|(_, version)| version), version, "{name}");
        }
    }

    #[test]
    fn each_generation_has_its_own_rules() {
        let haiku = Model::named("claude-3-haiku-20240307");
        assert_eq!((haiku.max_output, haiku.thinking, haiku.structured), (4096, Thinking::None, false));
        let opus = Model::named("claude-opus-4-1-20250805");
        assert_eq!((opus.max_output, opus.thinking, opus.one_sampling), (32_000, Thinking::Budget, true));
        let sonnet = Model::named("claude-sonnet-4-6");
        assert_eq!(
            (sonnet.thinking, sonnet.fixed_sampling, sonnet.structured),
            (Thinking::Adaptive, false, true)
        );
        assert!(
            Model::named("claude-opus-4-7").fixed_sampling && Model::named("claude-opus-5-5").fixed_sampling
        );
        assert_eq!(Model::named("some-alias"), Model::UNKNOWN);
    }
}
