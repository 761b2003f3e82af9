//! What the operator chooses, checked once when the engine is built.

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::Look;

use super::entity::{Class, Entity};

/// Longest source of an operator's pattern, in bytes.
pub const MAX_PATTERN_SOURCE: usize = 1024;
/// Longest text an operator's pattern may match, in bytes. A stream holds back that much.
pub const MAX_PATTERN_MATCH: usize = 256;
/// Most patterns of the operator.
pub const MAX_PATTERNS: usize = 64;
/// Memory of one compiled pattern, in bytes.
const MAX_PROGRAM: usize = 1 << 20;

/// Settings of a [`PiiEngine`](super::PiiEngine).
#[derive(Debug, Clone, PartialEq)]
pub struct PiiConfig {
    /// Entity names, `default` (all kinds with a check) or `all`; names may be mixed with the two.
    pub entities: Vec<String>,
    /// Least score of a finding, 0 to 1.
    pub threshold: f32,
    /// Exact values that are never findings.
    pub allow_list: Vec<String>,
    /// Patterns of the operator.
    pub patterns: Vec<PatternConfig>,
    /// Passes private, loopback, link-local and documentation addresses.
    pub pass_private_ips: bool,
}

impl Default for PiiConfig {
    fn default() -> Self {
        Self {
            entities: vec!["default".to_owned()],
            threshold: 0.5,
            allow_list: Vec::new(),
            patterns: Vec::new(),
            pass_private_ips: false,
        }
    }
}

/// One pattern of the operator, in the syntax of the linear-time `regex` crate.
#[derive(Debug, Clone, PartialEq)]
pub struct PatternConfig {
    /// Entity name of its findings: upper-case letters, digits and underscores.
    pub name: String,
    /// The pattern.
    pub pattern: String,
    /// Score of its findings, 0 to 1.
    pub score: f32,
}

/// A setting that the engine cannot work with.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PiiConfigError {
    /// An entity name is unknown.
    #[error("unknown entity `{0}`; use `default`, `all` or a name such as EMAIL_ADDRESS")]
    UnknownEntity(String),
    /// The entity exists only in an outside engine.
    #[error("entity `{0}` has no native detector; it needs an outside engine")]
    NoDetector(String),
    /// The threshold or a score is outside 0 to 1.
    #[error("{what} is {value}, expected 0 to 1")]
    OutOfRange {
        /// Which setting.
        what: String,
        /// Its value.
        value: f32,
    },
    /// There are more patterns than [`MAX_PATTERNS`].
    #[error("{0} patterns, at most {MAX_PATTERNS} are allowed")]
    TooManyPatterns(usize),
    /// A pattern cannot be used.
    #[error("pattern `{name}`: {reason}")]
    Pattern {
        /// Name of the pattern.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A built-in automaton could not be built.
    #[error("built-in tables: {0}")]
    Tables(String),
}

/// A checked pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) entity: Entity,
    pub(crate) regex: Regex,
    pub(crate) score: f32,
    pub(crate) longest: usize,
}

/// Returns the chosen kinds.
pub(crate) fn select(names: &[String]) -> Result<Vec<Entity>, PiiConfigError> {
    let mut chosen = Vec::new();
    for name in names {
        let mut add = |accept: fn(Class) -> bool| {
            chosen.extend(Entity::ALL.iter().filter(|entity| accept(entity.class())).cloned());
        };
        match name.as_str() {
            "default" => add(|class| matches!(class, Class::Certain | Class::Checked)),
            "all" => add(|class| class != Class::Foreign),
            name => {
                let entity: Entity =
                    name.parse().map_err(|_| PiiConfigError::UnknownEntity(name.to_owned()))?;
                if entity.class() == Class::Foreign {
                    return Err(PiiConfigError::NoDetector(name.to_owned()));
                }
                chosen.push(entity);
            }
        }
    }
    chosen.sort();
    chosen.dedup();
    Ok(chosen)
}

pub(crate) fn unit(what: &str, value: f32) -> Result<f32, PiiConfigError> {
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(PiiConfigError::OutOfRange { what: what.to_owned(), value })
    }
}

/// Checks and compiles the operator's patterns.
pub(crate) fn compile(patterns: &[PatternConfig]) -> Result<Vec<Pattern>, PiiConfigError> {
    if patterns.len() > MAX_PATTERNS {
        return Err(PiiConfigError::TooManyPatterns(patterns.len()));
    }
    patterns.iter().map(compile_one).collect()
}

fn compile_one(config: &PatternConfig) -> Result<Pattern, PiiConfigError> {
    let refuse = |reason: String| PiiConfigError::Pattern { name: config.name.clone(), reason };
    let named = !config.name.is_empty()
        && config.name.len() <= 40
        && config.name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        && config.name.bytes().next().is_some_and(|first| first.is_ascii_uppercase())
        && config.name.bytes().last().is_some_and(|last| last.is_ascii_uppercase());
    if !named {
        return Err(refuse(
            "the name must be upper-case letters, digits and underscores, beginning and ending with a letter"
                .to_owned(),
        ));
    }
    if config.pattern.len() > MAX_PATTERN_SOURCE {
        return Err(refuse(format!("longer than {MAX_PATTERN_SOURCE} bytes")));
    }
    let syntax = regex_syntax::parse(&config.pattern).map_err(|error| refuse(error.to_string()))?;
    let properties = syntax.properties();
    let Some(longest) = properties.maximum_len().filter(|longest| *longest <= MAX_PATTERN_MATCH) else {
        return Err(refuse(format!(
            "it may match more than {MAX_PATTERN_MATCH} bytes; bound repetitions, as in {{1,20}}"
        )));
    };
    if properties.minimum_len().unwrap_or(0) == 0 {
        return Err(refuse("it matches the empty text".to_owned()));
    }
    let anchors = properties.look_set();
    if anchors.contains(Look::Start) || anchors.contains(Look::End) {
        return Err(refuse("it is anchored to the text; use (?m) with ^ and $, or \\b".to_owned()));
    }
    let regex = RegexBuilder::new(&config.pattern)
        .size_limit(MAX_PROGRAM)
        .dfa_size_limit(MAX_PROGRAM)
        .build()
        .map_err(|error| refuse(error.to_string()))?;
    let entity = config.name.parse().unwrap_or_else(|_| Entity::Custom(config.name.as_str().into()));
    Ok(Pattern {
        entity,
        regex,
        score: unit(&format!("score of pattern `{}`", config.name), config.score)?,
        longest,
    })
}
