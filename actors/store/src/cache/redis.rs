//! The cache in Redis: one value per answer, under a time to live.

use std::time::Duration;

use bytes::Bytes;

use super::{CacheEntry, CacheKey, Counters, count};
use crate::error::StoreError;
use crate::redis::Redis;
use crate::redis::script::{LuaScript, Run, key};

static STORE: LuaScript = LuaScript::new("return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])");

fn name(cache_key: &CacheKey) -> String {
    key(&format!("cache:{}", cache_key.to_hex()), "answer")
}

/// Returns a stored answer; whatever cannot be used is deleted and a miss.
pub(super) async fn get(redis: &Redis, cache_key: &CacheKey, counters: &Counters) -> Option<CacheEntry> {
    let name = name(cache_key);
    let outcome: Result<Option<Vec<u8>>, StoreError> = redis.read(redis::cmd("GET").arg(&name)).await;
    let is_damaged = match outcome {
        Ok(None) => return None,
        Ok(Some(bytes)) => match CacheEntry::decode(Bytes::from(bytes)) {
            Some(entry) => return Some(entry),
            None => true,
        },
        Err(StoreError::Damaged(_)) => true,
        Err(_) => {
            redis.count_fallback();
            false
        }
    };
    if is_damaged {
        count(&counters.damaged);
        // If this fails too, the next look-up comes here again.
        let _: Result<i64, _> = redis.read(redis::cmd("DEL").arg(&name)).await;
    }
    None
}

/// Sends an answer to be stored; says whether it could be queued.
pub(super) fn put(redis: &Redis, cache_key: &CacheKey, entry: &CacheEntry, ttl: Duration) -> bool {
    let Some(bytes) = entry.encode() else { return false };
    let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
    let run = Run::default().key(name(cache_key)).arg(bytes.as_ref()).arg(ttl);
    redis.defer(&STORE, run)
}
