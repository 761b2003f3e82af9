//! Which targets a name leads to, in which order, and what a table refuses to be built from.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use sentinel_domain::error::ErrorCode;
use sentinel_domain::money::NanoUsd;
use sentinel_domain::policy::{
    BreakerPolicy, ProviderKind, ProviderSpec, RetryPolicy, RouteSpec, Strategy as Order, TargetSpec,
    Timeouts,
};
use tokio::time::Instant;

use super::*;
use crate::random::Random;
use crate::target::TargetKey;

const SECOND: Duration = Duration::from_secs(1);

fn provider(name: &str, kind: ProviderKind) -> ProviderSpec {
    ProviderSpec {
        name: name.into(),
        kind,
        base_url: "http://127.0.0.1:1".into(),
        api_keys: vec![],
        timeouts: Timeouts { connect: 5 * SECOND, first_byte: 60 * SECOND, idle: 60 * SECOND },
        max_in_flight: 512,
        retry: RetryPolicy { max_attempts: 3, budget: 0.2, base_delay: SECOND / 4, max_delay: 8 * SECOND },
        breaker: BreakerPolicy {
            window: 30 * SECOND,
            minimum_calls: 10,
            failure_rate: 0.5,
            consecutive_failures: 5,
            open_for: 10 * SECOND,
            open_for_max: 120 * SECOND,
            half_open_probes: 3,
        },
    }
}

fn target(provider: &str, model: Option<&str>) -> TargetSpec {
    TargetSpec {
        provider: provider.into(),
        model: model.map(Into::into),
        weight: 1,
        first_byte_timeout: None,
        idle_timeout: None,
    }
}

fn route(model: &str, strategy: Order, targets: Vec<TargetSpec>) -> RouteSpec {
    RouteSpec { model: model.into(), strategy, targets }
}

fn build(routes: Vec<RouteSpec>) -> Result<RouteTable, Vec<RouteProblem>> {
    let providers = vec![
        provider("openai", ProviderKind::OpenAi),
        provider("azure", ProviderKind::OpenAi),
        provider("anthropic", ProviderKind::Anthropic),
    ];
    let owner: Owner = Arc::new(|model| {
        if model.starts_with("gpt-") {
            Some(ProviderKind::OpenAi)
        } else {
            model.starts_with("claude-").then_some(ProviderKind::Anthropic)
        }
    });
    RouteTable::new(providers, routes, owner)
}

/// The targets of a name as `provider/model` texts, with everything that the strategies look at fixed.
fn places(table: &RouteTable, model: &str) -> Vec<String> {
    let (random, latencies) = (Random::always(0.0), Latencies::default());
    let choice = Choice { now: Instant::now(), random: &random, latencies: &latencies, price: &|_| None };
    match table.resolve(model, &choice) {
        Ok(resolved) => resolved.targets.iter().map(|target| target.key.to_string()).collect(),
        Err(error) => {
            assert_eq!((error.code, error.param.as_deref()), (ErrorCode::ModelNotFound, Some("model")));
            vec![]
        }
    }
}

#[test]
fn the_first_matching_route_wins_and_names_are_passed_on() {
    let table = build(vec![
        route("gpt-4o", Order::Failover, vec![target("openai", None), target("anthropic", Some("claude-x"))]),
        route("gpt-*", Order::Failover, vec![target("azure", None)]),
        route("gpt-4o-mini", Order::Failover, vec![target("openai", Some("never"))]),
        route("fast", Order::Failover, vec![target("openai", Some("gpt-4o-mini"))]),
    ])
    .unwrap();
    let table_of_names: &[(&str, &[&str])] = &[
        ("gpt-4o", &["openai/gpt-4o", "anthropic/claude-x"]),
        ("gpt-4o-mini", &["azure/gpt-4o-mini"]),
        ("fast", &["openai/gpt-4o-mini"]),
        ("claude-y", &["anthropic/claude-y"]),
        ("openai/some/thing", &["openai/some/thing"]),
        ("azure/gpt-5", &["azure/gpt-5"]),
        ("openai/", &[]),
        ("nobody/gpt-4o", &[]),
        ("../../x", &[]),
        ("http://169.254.169.254", &[]),
        ("", &[]),
        ("fast\n", &[]),
        ("unheard-of", &[]),
    ];
    for (model, expected) in table_of_names {
        assert_eq!(places(&table, model), *expected, "{model}");
    }
    assert!(places(&table, &format!("gpt-{}", "x".repeat(10_000))).is_empty());
}

#[test]
fn known_models_have_their_name_as_label_and_are_listed_if_their_provider_is_there() {
    let providers = vec![provider("own", ProviderKind::OpenAi)];
    let known = [("known", Some(ProviderKind::OpenAi)), ("foreign", Some(ProviderKind::Anthropic))];
    let owner: Owner = Arc::new(move |name| known.iter().find(|(model, _)| *model == name)?.1);
    let table = RouteTable::new(providers, vec![], owner).unwrap();
    let table = table.with_known(known.map(|(name, kind)| (name.into(), kind)));
    assert_eq!((&*table.label("known"), &*table.label("made up")), ("known", OTHER));
    let listed: Vec<_> = table.models().iter().map(|model| model.id.to_string()).collect();
    assert_eq!(listed, ["known"]);
}

#[test]
fn labels_come_from_the_configuration_alone() {
    let table = build(vec![
        route("gpt-4o", Order::Failover, vec![target("openai", None)]),
        route("*", Order::Failover, vec![target("azure", None), target("openai", Some("gpt-4o-mini"))]),
    ])
    .unwrap();
    let (random, latencies) = (Random::always(0.0), Latencies::default());
    let choice = Choice { now: Instant::now(), random: &random, latencies: &latencies, price: &|_| None };
    let labels = |model| {
        let resolved = table.resolve(model, &choice).unwrap();
        let targets: Vec<_> = resolved.targets.iter().map(|target| target.label.to_string()).collect();
        (resolved.route.to_string(), targets)
    };
    assert_eq!(labels("gpt-4o"), ("gpt-4o".into(), vec!["gpt-4o".into()]));
    assert_eq!(labels("junk"), ("*".into(), vec![OTHER.into(), "gpt-4o-mini".into()]));
    let keys = table.configured_targets();
    assert_eq!(keys, [TargetKey::new("openai", "gpt-4o"), TargetKey::new("openai", "gpt-4o-mini")]);
    let routes: Vec<_> = table.route_labels().iter().map(ToString::to_string).collect();
    assert_eq!(routes, ["gpt-4o", "*", "openai/*", "azure/*", "anthropic/*"]);
    assert_eq!(table.models(), [ListedModel { id: "gpt-4o".into(), owned_by: "openai".into() }]);
}

#[test]
fn a_targets_own_waits_replace_the_providers() {
    let slow = TargetSpec { first_byte_timeout: Some(300 * SECOND), ..target("openai", None) };
    let table = build(vec![route("o1", Order::Failover, vec![slow, target("azure", None)])]).unwrap();
    let (random, latencies) = (Random::always(0.0), Latencies::default());
    let choice = Choice { now: Instant::now(), random: &random, latencies: &latencies, price: &|_| None };
    let targets = table.resolve("o1", &choice).unwrap().targets;
    assert_eq!(targets[0].timeouts.first_byte, 300 * SECOND);
    assert_eq!(targets[0].timeouts.idle, 60 * SECOND);
    assert_eq!(targets[1].timeouts.first_byte, 60 * SECOND);
}

#[test]
fn a_place_that_stands_twice_is_tried_once() {
    let table = build(vec![route(
        "gpt-4o",
        Order::Failover,
        vec![target("openai", None), target("azure", None), target("openai", Some("gpt-4o"))],
    )])
    .unwrap();
    assert_eq!(places(&table, "gpt-4o"), ["openai/gpt-4o", "azure/gpt-4o"]);
}

#[test]
fn weights_are_shares_of_the_first_place_and_the_others_follow() {
    let weighted = |provider, weight| TargetSpec { weight, ..target(provider, None) };
    let table = build(vec![route(
        "m",
        Order::Weighted,
        vec![weighted("openai", 1), weighted("azure", 2), weighted("anthropic", 7)],
    )])
    .unwrap();
    let (random, latencies) = (Random::seeded(11), Latencies::default());
    let choice = Choice { now: Instant::now(), random: &random, latencies: &latencies, price: &|_| None };
    let mut first = HashMap::<Arc<str>, u32>::new();
    for _ in 0..10_000 {
        let targets = table.resolve("m", &choice).unwrap().targets;
        assert_eq!(targets.len(), 3);
        *first.entry(Arc::clone(&targets[0].key.provider)).or_default() += 1;
    }
    for (provider, share) in [("openai", 1_000), ("azure", 2_000), ("anthropic", 7_000)] {
        assert!(first[provider].abs_diff(share) < 200, "{first:?}");
    }
    assert_eq!(places(&table, "m"), ["openai/m", "azure/m", "anthropic/m"]);
}

#[test]
fn the_cheapest_comes_first_and_an_unknown_price_last() {
    let targets = vec![target("openai", None), target("azure", None), target("anthropic", None)];
    let table = build(vec![route("m", Order::Cheapest, targets)]).unwrap();
    let (random, latencies) = (Random::always(0.0), Latencies::default());
    let price = |key: &TargetKey| match &*key.provider {
        "azure" => Some(NanoUsd::new(5)),
        "anthropic" => Some(NanoUsd::new(3)),
        _ => None,
    };
    let choice = Choice { now: Instant::now(), random: &random, latencies: &latencies, price: &price };
    let order: Vec<_> =
        table.resolve("m", &choice).unwrap().targets.iter().map(|target| target.key.to_string()).collect();
    assert_eq!(order, ["anthropic/m", "azure/m", "openai/m"]);
}

#[test]
fn the_fastest_comes_first_and_unmeasured_ones_are_explored_once() {
    let targets = vec![target("openai", None), target("azure", None)];
    let table = build(vec![route("m", Order::Fastest, targets)]).unwrap();
    let (random, latencies) = (Random::always(0.0), Latencies::default());
    let start = Instant::now();
    let first = |now| {
        let choice = Choice { now, random: &random, latencies: &latencies, price: &|_| None };
        table.resolve("m", &choice).unwrap().targets[0].key.provider.to_string()
    };
    assert_eq!(first(start), "openai", "explored");
    assert_eq!(first(start), "azure", "explored");
    latencies.observe(&TargetKey::new("openai", "m"), SECOND, start);
    latencies.observe(&TargetKey::new("azure", "m"), SECOND / 2, start);
    assert_eq!(first(start + SECOND), "azure");
    latencies.observe(&TargetKey::new("azure", "m"), 3 * SECOND, start + SECOND);
    assert_eq!(first(start + SECOND), "openai");
    assert_eq!(first(start + 31 * SECOND), "openai", "due itself");
    assert_eq!(first(start + 31 * SECOND), "azure", "explored again");
    assert_eq!(first(start + 31 * SECOND), "openai");
}

#[test]
fn every_problem_is_listed_with_its_place() {
    let problems = build(vec![
        route("a", Order::Failover, vec![target("b", None)]),
        route("b", Order::Failover, vec![target("a", None), target("opnai", None)]),
        route("c", Order::Failover, vec![]),
    ])
    .unwrap_err();
    let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "routes[0].targets[0].provider: \"b\" is a route; a target names a provider, so that routes can't lead in a circle",
            "routes[1].targets[0].provider: \"a\" is a route; a target names a provider, so that routes can't lead in a circle",
            "routes[1].targets[1].provider: unknown provider \"opnai\"; configured are: anthropic, azure, openai",
            "routes[2].targets: a route needs at least one target",
        ]
    );
    let twice = vec![provider("x", ProviderKind::OpenAi), provider("x", ProviderKind::Anthropic)];
    let problems = RouteTable::new(twice, vec![], Arc::new(|_| None)).unwrap_err();
    assert_eq!(problems[0].path, "providers[1].name");
}

proptest! {
    #[test]
    fn any_name_resolves_or_is_refused_without_a_panic(model in ".{0,40}", random in 0.0f64..1.0) {
        let weighted = |provider, weight| TargetSpec { weight, ..target(provider, None) };
        let table = build(vec![
            route("a*", Order::Weighted, vec![weighted("openai", 3), weighted("azure", u32::MAX)]),
            route("*/?", Order::Fastest, vec![target("azure", None), target("anthropic", Some("m"))]),
        ]).unwrap();
        let (random, latencies) = (Random::always(random), Latencies::default());
        let choice = Choice { now: Instant::now(), random: &random, latencies: &latencies, price: &|_| None };
        if let Ok(resolved) = table.resolve(&model, &choice) {
            prop_assert!(!resolved.targets.is_empty());
            prop_assert!(resolved.targets.iter().all(|target| *target.label == *OTHER || &*target.label == "m"));
        }
    }
}
