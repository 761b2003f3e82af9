//! The cache on every backend.

use bytes::Bytes;
use sentinel_domain::{NanoUsd, Usage};
use tokio::time::Instant;

use super::{Bench, NOW_MS, eventually, for_every_backend};
use crate::cache::{CacheBody, CacheEntry, CacheKey};

for_every_backend! {
    an_answer_is_found_again;
    scopes_models_and_policies_do_not_mix;
    large_answers_are_not_kept;
}

fn entry(body: CacheBody) -> CacheEntry {
    CacheEntry {
        body,
        provider: "openai".to_owned(),
        model: "gpt-4o".to_owned(),
        usage: Usage { input: 3, output: 4, ..Usage::default() },
        cost: Some(NanoUsd::new(1_000)),
        created_ms: NOW_MS,
    }
}

async fn an_answer_is_found_again(bench: &Bench) {
    let cache = &bench.worker.cache;
    let events = CacheBody::Events(vec![Bytes::from_static(b"a"), Bytes::new(), Bytes::from_static(b"bc")]);
    for (name, body) in [("unary", CacheBody::Unary(Bytes::from_static(b"{}"))), ("events", events)] {
        let key = CacheKey::new("scope", "openai/gpt-4o", "1", name.as_bytes());
        let before = cache.stats();
        assert!(cache.get(&key, Instant::now()).await.is_none());
        let stored = entry(body);
        cache.put(&key, stored.clone(), Instant::now());
        eventually("it is stored", async || {
            cache.get(&key, Instant::now()).await.is_some_and(|found| *found == stored)
        })
        .await;
        let after = cache.stats();
        assert_eq!((after.stored, after.hits), (before.stored + 1, before.hits + 1));
        assert_eq!(after.saved_nano, before.saved_nano + 1_000);
        assert!(after.misses > before.misses);
    }
}

async fn scopes_models_and_policies_do_not_mix(bench: &Bench) {
    let cache = &bench.worker.cache;
    let key = CacheKey::new("a", "m", "1", b"request");
    cache.put(&key, entry(CacheBody::Unary(Bytes::from_static(b"{}"))), Instant::now());
    eventually("it is stored", async || cache.get(&key, Instant::now()).await.is_some()).await;
    for other in [
        CacheKey::new("b", "m", "1", b"request"),
        CacheKey::new("a", "n", "1", b"request"),
        CacheKey::new("a", "m", "2", b"request"),
        CacheKey::new("a", "m", "1", b"Request"),
        CacheKey::new("am", "", "1", b"request"),
        CacheKey::new("", "am", "1", b"request"),
    ] {
        assert_ne!(other, key);
        assert!(cache.get(&other, Instant::now()).await.is_none());
    }
}

async fn large_answers_are_not_kept(bench: &Bench) {
    let cache = &bench.worker.cache;
    let key = CacheKey::new("a", "m", "1", b"large");
    let before = cache.stats().too_large;
    cache.put(&key, entry(CacheBody::Unary(vec![0; 300 * 1024].into())), Instant::now());
    assert_eq!(cache.stats().too_large, before + 1);
    assert!(cache.get(&key, Instant::now()).await.is_none());
}
