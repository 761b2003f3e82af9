//! Stored keys on every backend.

use std::time::Duration;

use sentinel_domain::NanoUsd;
use sentinel_domain::policy::{BudgetLimits, CallerLimits};

use super::{Bench, NOW_MS, eventually, for_every_backend};
use crate::StoreError;
use crate::keys::{KeyCheck, KeySpec};

for_every_backend! {
    a_key_is_made_checked_and_revoked;
    a_name_is_taken_until_it_is_revoked;
    an_expired_key_is_invalid;
    another_process_sees_changes_soon;
}

fn spec(name: &str) -> KeySpec {
    KeySpec { name: name.to_owned(), ..KeySpec::default() }
}

async fn check(bench: &Bench, secret: &str, now_ms: u64) -> KeyCheck {
    bench.worker.keys.refresh(&bench.worker.key_backend).await.unwrap();
    bench.worker.keys.check(secret, now_ms)
}

async fn a_key_is_made_checked_and_revoked(bench: &Bench) {
    let backend = &bench.worker.key_backend;
    let wanted = KeySpec {
        name: "team a".to_owned(),
        limits: CallerLimits { rpm: 7, ..CallerLimits::default() },
        budget: BudgetLimits { day: Some(NanoUsd::new(25_000_000_001)), month: None },
        models: vec!["gpt-*".to_owned()],
        expires_ms: None,
    };
    let (record, secret) = backend.create(wanted, NOW_MS).await.unwrap();
    assert!(secret.expose().starts_with(&format!("sk-sentinel-{}-", record.id)), "{}", record.id);
    assert!(secret.expose().len() >= 12 + 10 + 1 + 43);
    assert!(!serde_json::to_string(&record).unwrap().contains(secret.expose()));

    let KeyCheck::Valid(found) = check(bench, secret.expose(), NOW_MS).await else { panic!("not found") };
    assert_eq!(*found, record);
    assert!(found.may_use("gpt-4o") && !found.may_use("claude-sonnet-4-5"));
    for other in ["", "sk-sentinel-", &secret.expose()[..20], &format!("{}x", secret.expose())] {
        assert_eq!(check(bench, other, NOW_MS).await, KeyCheck::Invalid, "{other}");
    }

    let revoked = backend.revoke(&record.id, NOW_MS + 1).await.unwrap();
    assert_eq!(revoked.revoked_ms, Some(NOW_MS + 1));
    assert_eq!(check(bench, secret.expose(), NOW_MS + 1).await, KeyCheck::Invalid);
    assert_eq!(backend.list().await.unwrap(), [revoked]);
    assert!(matches!(backend.revoke("nobody", NOW_MS).await, Err(StoreError::NotFound("key"))));
}

async fn a_name_is_taken_until_it_is_revoked(bench: &Bench) {
    let backend = &bench.worker.key_backend;
    let (first, _) = backend.create(spec("same"), NOW_MS).await.unwrap();
    let error = backend.create(spec("same"), NOW_MS).await.unwrap_err();
    assert!(error.to_string().contains("\"same\""), "{error}");
    backend.revoke(&first.id, NOW_MS).await.unwrap();
    backend.create(spec("same"), NOW_MS).await.unwrap();
    for bad in ["", "a\nb", "a}b", &"x".repeat(129)] {
        assert!(matches!(backend.create(spec(bad), NOW_MS).await, Err(StoreError::Config(_))), "{bad:?}");
    }
}

async fn an_expired_key_is_invalid(bench: &Bench) {
    let wanted = KeySpec { expires_ms: Some(NOW_MS + 10), ..spec("expires") };
    let (_, secret) = bench.worker.key_backend.create(wanted, NOW_MS).await.unwrap();
    assert!(matches!(check(bench, secret.expose(), NOW_MS + 9).await, KeyCheck::Valid(_)));
    assert_eq!(check(bench, secret.expose(), NOW_MS + 10).await, KeyCheck::Invalid);
}

async fn another_process_sees_changes_soon(bench: &Bench) {
    // What the command line does: the stored keys alone, beside the running daemon.
    let tool = crate::open_keys(&bench.settings).await.unwrap();
    let (record, secret) = tool.create(spec("by tool"), NOW_MS).await.unwrap();
    let is_valid = async || matches!(bench.worker.keys.check(secret.expose(), NOW_MS), KeyCheck::Valid(_));
    eventually("the key is seen", async || is_valid().await).await;
    tool.revoke(&record.id, NOW_MS).await.unwrap();
    let revoked = tokio::time::Instant::now();
    eventually("the revocation is seen", async || !is_valid().await).await;
    assert!(revoked.elapsed() < Duration::from_secs(3));
}
