//! One virtual key.

use rand::Rng as _;
use sentinel_domain::Secret;
use sentinel_domain::policy::{BudgetLimits, CallerLimits, glob_matches};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::StoreError;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID_LENGTH: usize = 10;
/// Characters that hold 32 random bytes: 43 digits of base 62 are 256.03 bits.
const SECRET_LENGTH: usize = 43;
const MAX_NAME: usize = 128;

/// What a new key is to be.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KeySpec {
    /// Unique name, used in limits, budgets, usage and audit.
    pub name: String,
    /// Limits; zero means none.
    pub limits: CallerLimits,
    /// Budgets.
    pub budget: BudgetLimits,
    /// Patterns of models it may use; empty means all.
    pub models: Vec<String>,
    /// When it ends, milliseconds since 1970-01-01.
    pub expires_ms: Option<u64>,
}

/// One key as it is kept: everything but its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Short public id, for listing and revoking.
    pub id: String,
    /// Unique name.
    pub name: String,
    /// SHA-256 of the secret.
    #[serde(with = "hash_hex")]
    pub sha256: [u8; 32],
    /// Limits; zero means none.
    #[serde(default)]
    pub limits: CallerLimits,
    /// Budgets.
    #[serde(default)]
    pub budget: BudgetLimits,
    /// Patterns of models it may use; empty means all.
    #[serde(default)]
    pub models: Vec<String>,
    /// When it ends, milliseconds since 1970-01-01.
    #[serde(default)]
    pub expires_ms: Option<u64>,
    /// When it was made, milliseconds since 1970-01-01.
    #[serde(default)]
    pub created_ms: u64,
    /// When it was revoked, milliseconds since 1970-01-01.
    #[serde(default)]
    pub revoked_ms: Option<u64>,
}

impl KeyRecord {
    /// Makes the record of a key whose hash is known, as the configuration has it.
    #[must_use]
    pub fn configured(spec: KeySpec, sha256: [u8; 32]) -> Self {
        Self {
            id: format!("config-{}", spec.name),
            name: spec.name,
            sha256,
            limits: spec.limits,
            budget: spec.budget,
            models: spec.models,
            expires_ms: spec.expires_ms,
            created_ms: 0,
            revoked_ms: None,
        }
    }

    /// Says whether the key is neither revoked nor expired.
    #[must_use]
    pub fn is_in_force(&self, now_ms: u64) -> bool {
        self.revoked_ms.is_none() && self.expires_ms.is_none_or(|expires| now_ms < expires)
    }

    /// Says whether the key may use a model.
    #[must_use]
    pub fn may_use(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| glob_matches(pattern, model))
    }
}

/// Makes a record and its secret, `sk-sentinel-<id>-<43 characters>`.
pub(super) fn fresh(spec: KeySpec, now_ms: u64) -> Result<(KeyRecord, Secret), StoreError> {
    let is_usable = (1..=MAX_NAME).contains(&spec.name.len())
        && spec.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._- @/".contains(&byte));
    if !is_usable {
        return Err(StoreError::Config(format!(
            "key name must be 1 to {MAX_NAME} characters of A-Z a-z 0-9 . _ - @ / and space, not {:?}",
            spec.name
        )));
    }
    let id = base62(ID_LENGTH);
    let secret = format!("sk-sentinel-{id}-{}", base62(SECRET_LENGTH));
    let mut record = KeyRecord::configured(spec, Sha256::digest(secret.as_bytes()).into());
    record.id = id;
    record.created_ms = now_ms;
    Ok((record, Secret::new(secret)))
}

/// Returns random digits; the thread's generator is cryptographically strong and seeded by the system.
fn base62(length: usize) -> String {
    let mut generator = rand::rng();
    (0..length)
        .filter_map(|_| BASE62.get(generator.random_range(0..BASE62.len())))
        .map(|byte| char::from(*byte))
        .collect()
}

mod hash_hex {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(hash: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(hash))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = hex::decode(&text).map_err(serde::de::Error::custom)?;
        bytes.try_into().map_err(|_| serde::de::Error::custom("a SHA-256 has 64 hex digits"))
    }
}
