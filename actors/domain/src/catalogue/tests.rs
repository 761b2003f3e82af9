//! The built-in prices and the rules of looking them up.

use super::*;

fn usd(text: &str) -> NanoUsd {
    text.parse().unwrap()
}

fn quote(model: &str, tier: Option<&str>, usage: &Usage) -> Option<Quote> {
    let kind = owner_of(model).unwrap_or(ProviderKind::OpenAi);
    Catalogue::built_in().unwrap().quote("p", kind, model, Tier::parse(tier), usage)
}

#[test]
fn the_built_in_file_has_nothing_odd_in_it() {
    assert_eq!(check(BUILT_IN), []);
    let rows = Catalogue::built_in().unwrap().list();
    assert!(rows.len() > 70);
    for row in rows {
        assert_eq!(row.owner, owner_of(&row.name), "{}", row.name);
        assert!(row.source.is_some() && row.via.is_some(), "{}", row.name);
    }
}

#[test]
fn costs_of_known_calls_are_as_computed_by_hand() {
    let usage = |input, cache_read, w5, w1, output| Usage {
        input,
        cache_read,
        cache_write_5m: w5,
        cache_write_1h: w1,
        output,
        reasoning: 0,
    };
    for (model, tier, usage, cost) in [
        // 1000 x 2.50 + 500 x 10 = 0.0025 + 0.005
        ("gpt-4o", None, usage(1000, 0, 0, 0, 500), "0.0075"),
        // The snapshot of May 2024 costs twice as much: 1000 x 5 + 500 x 15.
        ("gpt-4o-2024-05-13", None, usage(1000, 0, 0, 0, 500), "0.0125"),
        // 24 x 0.15 + 1000 x 0.075 + 7 x 0.60, per million: 3.6 + 75 + 4.2 micro-dollars.
        ("gpt-4o-mini-2024-07-18", None, usage(24, 1000, 0, 0, 7), "0.0000828"),
        // Priority: 1000 x 4.25 + 500 x 17.
        ("gpt-4o", Some("priority"), usage(1000, 0, 0, 0, 500), "0.01275"),
        // Flex halves everything: 1000 x 0.625 + 1000 x 0.0625 + 100 x 5.
        ("gpt-5", Some("flex"), usage(1000, 1000, 0, 0, 100), "0.0011875"),
        // 10 x 3 + 2000 x 0.30 + 1000 x 3.75 + 500 x 6 + 200 x 15, per million.
        ("claude-sonnet-4-5-20250929", Some("standard"), usage(10, 2000, 1000, 500, 200), "0.01038"),
        // Batch halves it.
        ("claude-sonnet-4-5", Some("batch"), usage(10, 2000, 1000, 500, 200), "0.00519"),
        // 1 x 1 + 1 x 5.
        ("claude-haiku-4-5", None, usage(1, 0, 0, 0, 1), "0.000006"),
        // Exactly at the threshold the ordinary price holds: 272,000 x 2 + 10 x 10.
        ("gpt-6.1-sol", None, usage(272_000, 0, 0, 0, 10), "0.5441"),
        // Past it the whole request is long: 272,000 x 4 + 1 x 0.20 + 10 x 15.
        ("gpt-6.1-sol", None, usage(272_000, 1, 0, 0, 10), "1.0881502"),
    ] {
        let quote = quote(model, tier, &usage).unwrap_or_else(|| panic!("{model} has no price"));
        assert_eq!(quote.price.cost(&usage), usd(cost), "{model} {tier:?}");
    }
}

#[test]
fn unknown_names_and_tiers_have_no_price() {
    for (model, tier) in [
        ("gpt-4o-mini-2", None),
        ("gpt-4o-turbo", None),
        ("gpt-4o-20", None),
        ("gpt-4o-2024-13-01", None),
        ("gpt-4o-20241399", None),
        ("ft:gpt-4o-mini-2024-07-18:org::id", None),
        ("openai/gpt-4o", None),
        ("claude-sonnet", None),
        ("claude-sonnet-9-20300101", None),
        ("", None),
        ("-2024-01-01", None),
        ("ä-2024-01-01", None),
        ("gpt-4o", Some("scale")),
        ("gpt-4o", Some("flex")),
        ("claude-sonnet-5", Some("priority")),
    ] {
        assert_eq!(quote(model, tier, &Usage::default()), None, "{model} {tier:?}");
    }
}

#[test]
fn a_dated_name_falls_back_to_its_own_model_only() {
    let catalogue = Catalogue::built_in().unwrap();
    let name =
        |model: &str| catalogue.lookup("p", owner_of(model).unwrap(), model).map(|row| row.name.clone());
    for (model, found) in [
        ("gpt-4o-2031-01-01", Some("gpt-4o")),
        ("gpt-4o-mini-2031-01-01", Some("gpt-4o-mini")),
        ("claude-opus-4-7-20310101", Some("claude-opus-4-7")),
        ("claude-opus-4-20250514", Some("claude-opus-4-0")),
        ("claude-3-5-haiku-latest", Some("claude-3-5-haiku-20241022")),
        ("gpt-4o-2024-05-13", Some("gpt-4o-2024-05-13")),
        ("gpt-4o-nano-2031-01-01", None),
    ] {
        assert_eq!(name(model).as_deref(), found, "{model}");
    }
}

#[test]
fn a_resellers_claude_is_not_priced_as_anthropics() {
    let catalogue = Catalogue::built_in().unwrap();
    assert!(catalogue.lookup("p", ProviderKind::Anthropic, "claude-haiku-4-5").is_some());
    assert!(catalogue.lookup("p", ProviderKind::OpenAi, "claude-haiku-4-5").is_none());
}

#[test]
fn own_rows_win_and_change_the_version() {
    let built_in = Catalogue::built_in().unwrap();
    let own = built_in
        .with_overrides(
            "[[model]]\nname = \"gpt-4o\"\ninput = 1\noutput = 2\n\
             [[model]]\nname = \"gpt-4o\"\nprovider = \"azure\"\ninput = \"0.5\"\noutput = 1\n\
             [[model]]\nname = \"mistral-small\"\ninput = 0.1\noutput = 0.3\n",
        )
        .unwrap();
    let input = |provider, model| own.lookup(provider, ProviderKind::OpenAi, model).unwrap().input;
    assert_eq!(input("openai", "gpt-4o"), usd("1"));
    assert_eq!(input("azure", "gpt-4o"), usd("0.5"));
    assert_eq!(input("azure", "mistral-small"), usd("0.1"));
    assert_ne!(own.version(), built_in.version());
    assert_eq!(own.version().as_str().len(), 12);
    assert_eq!(
        own.version(),
        built_in
            .with_overrides(
                "[[model]]\nname = \"gpt-4o\"\ninput = 1\noutput = 2\n\
             [[model]]\nname = \"gpt-4o\"\nprovider = \"azure\"\ninput = \"0.5\"\noutput = 1\n\
             [[model]]\nname = \"mistral-small\"\ninput = 0.1\noutput = 0.3\nnote = \"no price\"\n"
            )
            .unwrap()
            .version()
    );
    for (text, problem) in [
        ("[[model]]\nname = \"x\"\ninput = -1\noutput = 1\n", "x: a price is negative"),
        ("[[model]]\nname = \"x\"\ninput = 1\noutput = 1\nbatch = -2\n", "factor -2"),
        ("[[model]]\nname = \"x\"\ninput = 1\n", "missing field `output`"),
        ("[[model]]\nname = \"x\"\ninput = 1\noutput = 1\nprice = 3\n", "unknown field `price`"),
        ("nonsense", "not a price file"),
    ] {
        let error = built_in.with_overrides(text).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn checking_names_what_is_odd() {
    let messages: Vec<_> = check(
        "[[model]]\nname = \"a\"\naliases = [\"b\"]\ninput = 2\noutput = 1\ncache_read = 3\n\
         source = \"s\"\nchecked = \"2026-01-01\"\n[[model]]\nname = \"b\"\ninput = 1\noutput = 1\n",
    )
    .into_iter()
    .map(|finding| format!("{}: {}", finding.model, finding.message))
    .collect();
    assert_eq!(
        messages,
        [
            "a: reading the cache costs more than input",
            "a: writing the cache costs less than reading it",
            "a: output costs less than input",
            "b: \"b\" is also a name of a; the later row wins",
            "b: no source and date",
        ]
    );
    assert_eq!(check("[[model]]").first().unwrap().severity, Severity::Error);
}

#[test]
fn stored_classes_are_priced_again_in_their_tier() {
    let catalogue = Catalogue::built_in().unwrap();
    let usage = Usage { input: 1_000_000, ..Usage::default() };
    let again = |class: &str| catalogue.reprice("p", ProviderKind::OpenAi, "gpt-6.1-sol", class, &usage);
    // The sum of many short calls is long, and still short calls.
    assert_eq!(again("old/standard"), Some(usd("2")));
    assert_eq!(again("old/standard+long"), Some(usd("4")));
    assert_eq!(again("old/flex"), Some(usd("1")));
    assert_eq!(again("old/priority+long"), Some(usd("8")));
    assert_eq!(again(""), Some(usd("2")));
    assert_eq!(again("old/unknown"), None);
    let class = catalogue.class(Some(Tier::Flex), true);
    assert_eq!(&*class, format!("{}/flex+long", catalogue.version()));
}

#[test]
fn names_have_owners_by_their_family_alone() {
    for (model, owner) in [
        ("gpt-4o", Some(ProviderKind::OpenAi)),
        ("gpt-99-unheard-of", Some(ProviderKind::OpenAi)),
        ("o1", Some(ProviderKind::OpenAi)),
        ("o3-mini", Some(ProviderKind::OpenAi)),
        ("chatgpt-4o-latest", Some(ProviderKind::OpenAi)),
        ("claude-sonnet-4-5", Some(ProviderKind::Anthropic)),
        ("o", None),
        ("olmo-2", None),
        ("gpt4", None),
        ("mistral-small", None),
        ("", None),
    ] {
        assert_eq!(owner_of(model), owner, "{model}");
    }
}

#[test]
fn a_litellm_map_becomes_a_price_file() {
    let json = r#"{
        "sample_spec": {"input_cost_per_token": 0.0, "max_input_tokens": "a text", "mode": "one of: chat"},
        "gpt-x": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1.25e-06,
            "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 1.25e-07,
            "input_cost_per_token_batches": 6.25e-07, "input_cost_per_token_priority": 2.5e-06,
            "output_cost_per_token_priority": 2e-05, "input_cost_per_token_above_272k_tokens": 2.5e-06,
            "output_cost_per_token_above_272k_tokens": 1.5e-05, "max_input_tokens": 272000},
        "mistral/small": {"litellm_provider": "mistral", "mode": "chat", "input_cost_per_token": 1e-07,
            "output_cost_per_token": 3e-07},
        "dall-e": {"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_pixel": 2e-08},
        "elsewhere": {"litellm_provider": "bedrock", "mode": "chat", "input_cost_per_token": 1e-07,
            "output_cost_per_token": 3e-07}
    }"#;
    let (text, count) = import_litellm(json, &["openai", "mistral"]).unwrap();
    assert_eq!(count, 2);
    let catalogue = Catalogue::built_in().unwrap().with_overrides(&text).unwrap();
    let row = catalogue.lookup("p", ProviderKind::OpenAi, "gpt-x").unwrap();
    assert_eq!((row.input, row.output, row.cache_read), (usd("1.25"), usd("10"), Some(usd("0.125"))));
    assert_eq!(row.price(Tier::Batch, false).unwrap().input, usd("0.625"));
    assert_eq!(row.price(Tier::Priority, false).unwrap().output, usd("20"));
    assert_eq!(row.price(Tier::Standard, true).unwrap().output, usd("15"));
    assert!(catalogue.lookup("p", ProviderKind::OpenAi, "small").is_some());
    assert!(import_litellm("[]", &["openai"]).is_err());
}
