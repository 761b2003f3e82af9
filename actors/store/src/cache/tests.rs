//! Eviction, expiry and the stored form.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use sentinel_domain::{NanoUsd, Usage};
use tokio::time::Instant;

use super::{CacheBody, CacheEntry, CacheKey, MemoryCache};

const TTL: Duration = Duration::from_secs(60);

fn key(name: usize) -> CacheKey {
    CacheKey::new("s", "m", "1", name.to_string().as_bytes())
}

fn entry(bytes: usize, nano: i64) -> Arc<CacheEntry> {
    Arc::new(CacheEntry {
        body: CacheBody::Unary(vec![b'x'; bytes].into()),
        provider: String::new(),
        model: String::new(),
        usage: Usage::default(),
        cost: Some(NanoUsd::new(nano)),
        created_ms: 0,
    })
}

#[test]
fn an_answer_expires() {
    let (cache, now) = (MemoryCache::new(10_000), Instant::now());
    cache.put(key(1), entry(10, 1), TTL, now);
    assert!(cache.get(&key(1), now + TTL - Duration::from_millis(1)).is_some());
    assert!(cache.get(&key(1), now + TTL).is_none());
    assert_eq!((cache.stats().entries, cache.stats().bytes), (0, 0), "and is gone");
}

#[test]
fn the_size_is_bounded_and_large_answers_are_refused() {
    let (cache, now) = (MemoryCache::new(10_000), Instant::now());
    for name in 0..100 {
        cache.put(key(name), entry(1000, 1), TTL, now);
        assert!(cache.stats().bytes <= 10_000);
    }
    let stats = cache.stats();
    assert_eq!((stats.entries, stats.stored, stats.evicted), (7, 100, 93));
    cache.put(key(0), entry(20_000, 1), TTL, now);
    assert_eq!((cache.stats().too_large, cache.stats().entries), (1, 7));
    cache.put(key(99), entry(2000, 1), TTL, now);
    let stats = cache.stats();
    assert_eq!((stats.entries, stats.bytes), (7, 6 * 1256 + 2256), "replacing counts the new size only");
    cache.clear();
    assert_eq!((cache.stats().entries, cache.stats().bytes), (0, 0));
}

#[test]
fn what_was_expensive_per_byte_is_kept() {
    let (cache, now) = (MemoryCache::new(10_000), Instant::now());
    // Twenty dollar-cents in a small answer, and a stream of cheap ones that would push it out if age alone counted.
    cache.put(key(0), entry(500, 200_000_000), TTL, now);
    for name in 1..200 {
        cache.put(key(name), entry(1000, 100_000), TTL, now);
    }
    assert!(cache.get(&key(0), now).is_some());
    assert!(cache.get(&key(1), now).is_none());
}

#[test]
fn even_an_expensive_answer_goes_when_nobody_asks_for_it() {
    let (cache, now) = (MemoryCache::new(10_000), Instant::now());
    cache.put(key(0), entry(500, 2_000_000), TTL, now);
    for name in 1..2000 {
        cache.put(key(name), entry(1000, 1_000_000), TTL, now);
    }
    assert!(cache.get(&key(0), now).is_none());
}

#[test]
fn an_answer_in_use_outlives_others_of_its_price() {
    let (cache, now) = (MemoryCache::new(10_000), Instant::now());
    cache.put(key(0), entry(1000, 100_000), TTL, now);
    for name in 1..100 {
        assert!(cache.get(&key(0), now).is_some(), "before {name}");
        cache.put(key(name), entry(1000, 100_000), TTL, now);
    }
}

fn any_entry() -> impl Strategy<Value = CacheEntry> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from);
    let body = prop_oneof![
        bytes().prop_map(CacheBody::Unary),
        proptest::collection::vec(bytes(), 0..8).prop_map(CacheBody::Events),
    ];
    (body, ".*", ".*", any::<(u32, u32)>(), any::<Option<i64>>(), any::<u64>()).prop_map(
        |(body, provider, model, (input, output), cost, created_ms)| CacheEntry {
            body,
            provider,
            model,
            usage: Usage { input: input.into(), output: output.into(), ..Usage::default() },
            cost: cost.map(NanoUsd::new),
            created_ms,
        },
    )
}

proptest! {
    #[test]
    fn a_stored_answer_is_read_back(entry in any_entry()) {
        let bytes = entry.encode().unwrap();
        prop_assert_eq!(CacheEntry::decode(bytes), Some(entry));
    }

    #[test]
    fn a_changed_bit_a_cut_or_another_version_is_no_answer(entry in any_entry(), at in any::<prop::sample::Index>(), bit in 0u32..8) {
        let bytes = entry.encode().unwrap();
        let mut flipped = bytes.to_vec();
        let index = at.index(bytes.len());
        flipped[index] ^= 1u8 << bit;
        prop_assert_eq!(CacheEntry::decode(flipped.into()), None);
        prop_assert_eq!(CacheEntry::decode(bytes.slice(..index)), None);
        let mut longer = bytes.to_vec();
        longer.push(0);
        prop_assert_eq!(CacheEntry::decode(longer.into()), None);
        let mut other = bytes.to_vec();
        other[4] = 2;
        prop_assert_eq!(CacheEntry::decode(other.into()), None);
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(CacheEntry::decode(bytes.into()), None);
    }
}
