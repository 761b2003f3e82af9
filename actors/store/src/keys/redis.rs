//! Stored keys in Redis: one hash, and a version that every change counts up.

use super::record::KeyRecord;
use crate::error::StoreError;
use crate::redis::Redis;
use crate::redis::script::{LuaScript, Run, key};

static INSERT: LuaScript = LuaScript::new(include_str!("insert.lua"));
static REPLACE: LuaScript = LuaScript::new(include_str!("replace.lua"));
const TAG: &str = "keys";

/// The stored keys in Redis.
#[derive(Clone)]
pub struct KeyHash {
    redis: Redis,
}

impl KeyHash {
    /// Takes a connection.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    pub(super) async fn version(&self) -> Result<String, StoreError> {
        let version: Option<String> = self.redis.read(redis::cmd("GET").arg(key(TAG, "version"))).await?;
        Ok(version.unwrap_or_default())
    }

    pub(super) async fn read(&self) -> Result<Vec<KeyRecord>, StoreError> {
        let values: Vec<String> = self.redis.read(redis::cmd("HVALS").arg(key(TAG, "records"))).await?;
        let mut keys = Vec::with_capacity(values.len());
        for value in values {
            match serde_json::from_str(&value) {
                Ok(record) => keys.push(record),
                // One damaged record must not lock out everybody else.
                Err(error) => tracing::error!(%error, "a stored key cannot be read and is ignored"),
            }
        }
        Ok(keys)
    }

    pub(super) async fn insert(&self, record: &KeyRecord) -> Result<(), StoreError> {
        let run = Run::default()
            .key(key(TAG, "records"))
            .key(key(TAG, "version"))
            .key(key(TAG, "names"))
            .arg(record.id.as_str())
            .arg(encode(record)?)
            .arg(record.name.as_str());
        match self.redis.script::<i64>(&INSERT, &run).await? {
            1 => Ok(()),
            _ => Err(StoreError::Config(format!("there is a key named {:?} already", record.name))),
        }
    }

    pub(super) async fn revoke(&self, id: &str, now_ms: u64) -> Result<KeyRecord, StoreError> {
        let stored: Option<String> =
            self.redis.read(redis::cmd("HGET").arg(key(TAG, "records")).arg(id)).await?;
        let stored = stored.ok_or(StoreError::NotFound("key"))?;
        let mut record: KeyRecord =
            serde_json::from_str(&stored).map_err(|error| StoreError::Damaged(error.to_string()))?;
        record.revoked_ms.get_or_insert(now_ms);
        let run = Run::default()
            .key(key(TAG, "records"))
            .key(key(TAG, "version"))
            .key(key(TAG, "names"))
            .arg(id)
            .arg(encode(&record)?)
            .arg(record.name.as_str());
        self.redis.script::<i64>(&REPLACE, &run).await?;
        Ok(record)
    }
}

fn encode(record: &KeyRecord) -> Result<String, StoreError> {
    serde_json::to_string(record).map_err(|error| StoreError::Damaged(error.to_string()))
}
