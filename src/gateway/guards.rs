//! The guards' engines, made from one configuration and shared by all workers.

use std::sync::Arc;

use sentinel_guard::injection::{InjectionConfig, InjectionDetector};
use sentinel_guard::pii::{PatternConfig, PiiConfig, PiiEngine};

use crate::config::Config;

/// The engines of one configuration.
#[derive(Clone)]
pub struct Guards {
    /// Finds personal data and secrets.
    pub pii: Arc<PiiEngine>,
    /// Scores injections.
    pub injection: Arc<InjectionDetector>,
}

impl Guards {
    /// Makes the engines.
    ///
    /// # Errors
    /// An entity is unknown, or a pattern cannot be used.
    pub fn new(config: &Config) -> Result<Self, String> {
        let settings = &config.pii;
        #[expect(clippy::cast_possible_truncation, reason = "a threshold between 0 and 1")]
        let pii = PiiConfig {
            entities: settings.entities.clone(),
            threshold: settings.threshold as f32,
            allow_list: settings.allow.clone(),
            patterns: settings
                .patterns
                .iter()
                .map(|(name, pattern)| PatternConfig {
                    name: name.clone(),
                    pattern: pattern.clone(),
                    score: 0.9,
                })
                .collect(),
            ..PiiConfig::default()
        };
        let pii = PiiEngine::new(&pii).map_err(|error| format!("guard.pii: {error}"))?;
        #[expect(clippy::cast_possible_truncation, reason = "a threshold between 0 and 1")]
        let threshold = config.injection.threshold as f32;
        let injection =
            InjectionConfig { threshold, tool_threshold: threshold, ..InjectionConfig::default() };
        Ok(Self { pii: Arc::new(pii), injection: Arc::new(InjectionDetector::new(injection)) })
    }
}
