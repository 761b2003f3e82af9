//! What a client gets when all goes well: shapes, headers, usage, costs, models.

use serde_json::{Value, json};

use crate::support::daemon::{question, streamed};
use crate::support::{Setup, World};

fn assert_completion(body: &Value) {
    assert_eq!(body["object"], "chat.completion", "{body}");
    assert!(body["id"].as_str().is_some_and(|id| !id.is_empty()), "{body}");
    assert!(body["created"].as_u64().is_some(), "{body}");
    assert_eq!(body["choices"][0]["message"]["role"], "assistant", "{body}");
    assert_eq!(body["choices"][0]["finish_reason"], "stop", "{body}");
    let usage = &body["usage"];
    let sum = usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap();
    assert_eq!(usage["total_tokens"].as_u64(), Some(sum), "{body}");
    assert!(body["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{body}");
}

#[test]
fn unary_answers_have_one_shape_for_both_providers() {
    let world = World::start();
    for (model, provider) in [("gpt-4o", "openai"), ("claude-sonnet-4-5", "anthropic")] {
        let reply = world.ask(model, "Say hello");
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("content-type"), "application/json");
        assert_completion(&reply.json());
        assert!(!reply.content().is_empty());
        assert_eq!(reply.header("x-sentinel-provider"), provider);
        assert_eq!(reply.header("x-sentinel-model"), model);
        assert_eq!(reply.header("x-sentinel-attempts"), "1");
        let cost = reply.header("x-sentinel-cost-usd");
        assert_eq!(cost.parse::<f64>().ok(), reply.json()["cost_usd"].as_f64(), "{}", reply.head);
        assert!(reply.find("x-sentinel-pii").is_none(), "{}", reply.head);
        assert!(!reply.header("x-request-id").is_empty());
        let record = world.record_of(&reply);
        assert_eq!((&record["status"], &record["provider"]), (&json!(200), &json!(provider)), "{record}");
        assert_eq!(record["usage_source"], "provider", "{record}");
        assert_eq!(record["cost_usd"], reply.json()["cost_usd"], "{record}");
    }
}

/// Rows: C31.
#[test]
fn streams_have_one_shape_for_both_providers_and_are_never_compressed() {
    let world = World::start();
    for (model, provider) in [("gpt-4o", "openai"), ("claude-sonnet-4-5", "anthropic")] {
        let reply = world.chat_with(&[("accept-encoding", "gzip, br")], &streamed(model, "Say hello"));
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.header("content-type").starts_with("text/event-stream"), "{}", reply.head);
        assert!(reply.find("content-encoding").is_none(), "{}", reply.head);
        assert_eq!(reply.header("x-accel-buffering"), "no");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("x-sentinel-provider"), provider);
        assert!(reply.find("x-sentinel-cost-usd").is_none(), "{}", reply.head);
        assert!(reply.is_done(), "{}", reply.text());
        assert!(!reply.streamed().is_empty());
        let events = reply.events();
        let chunks: Vec<_> = events.iter().filter(|event| event.is_object()).collect();
        assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"), "{chunks:?}");
        assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]), "{chunks:?}");
        let finished = chunks.iter().filter(|chunk| chunk["choices"][0]["finish_reason"] == "stop").count();
        assert_eq!(finished, 1, "{chunks:?}");
        let last = chunks.last().unwrap();
        assert!(last["usage"]["total_tokens"].as_u64().is_some_and(|total| total > 0), "{last}");
        assert!(last["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{last}");
        let costs = chunks.iter().filter(|chunk| chunk.get("cost_usd").is_some()).count();
        assert_eq!(costs, 1, "the cost stands on the last chunk only");
        let record = world.record_of(&reply);
        assert_eq!((&record["stream"], &record["status"]), (&json!(true), &json!(200)), "{record}");
        assert!(record["ttft_ms"].as_u64().is_some(), "{record}");
    }
}

#[test]
fn usage_in_a_stream_comes_only_if_it_was_asked_for_but_is_always_billed() {
    let world = World::start();
    for model in ["gpt-4o", "claude-sonnet-4-5"] {
        let mut body = streamed(model, "Say hello");
        body.as_object_mut().unwrap().remove("stream_options");
        let reply = world.chat(&body);
        assert!(reply.is_done(), "{}", reply.text());
        let told =
            reply.events().iter().any(|event| event["usage"].is_object() || event.get("cost_usd").is_some());
        assert!(!told, "{}", reply.text());
        let record = world.record_of(&reply);
        assert!(record["completion_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{record}");
        assert!(record["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{record}");
    }
}

/// Rows: C14.
#[test]
fn unknown_fields_pass_to_openai_and_come_back_untouched() {
    let world = World::start();
    let mut body = question("gpt-4o!unknown-fields", "Say hello");
    body["x_future"] = json!({"deep": [1, 2, {"three": null}]});
    body["metadata"] = json!({"team": "a"});
    let reply = world.chat(&body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let sent = world.openai.last_any().unwrap().json();
    assert_eq!(sent["x_future"], body["x_future"], "{sent}");
    assert_eq!(sent["metadata"], body["metadata"], "{sent}");
    assert_eq!(reply.json()["x_mock"], json!({"a": [1, null]}));
}

#[test]
fn what_anthropic_cannot_express_is_listed_or_refused_by_name() {
    let world = World::start();
    let mut body = question("claude-sonnet-4-5", "Say hello");
    body["seed"] = json!(7);
    body["logit_bias"] = json!({"50256": -100});
    let reply = world.chat(&body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let ignored: Vec<_> = reply.header("x-sentinel-ignored").split(',').map(str::trim).collect();
    assert!(ignored.contains(&"seed") && ignored.contains(&"logit_bias"), "{}", reply.head);

    let mut body = question("claude-sonnet-4-5", "Say hello");
    body["n"] = json!(2);
    let reply = world.chat(&body);
    assert_eq!((reply.status, reply.code().as_str()), (400, "unsupported_parameter"), "{}", reply.text());
    assert_eq!(reply.error()["param"], "n");
}

#[test]
fn clients_credentials_never_travel_on() {
    let world = World::start();
    let headers =
        [("authorization", "Bearer sk-of-the-client"), ("cookie", "a=b"), ("x-forwarded-for", "1.2.3.4")];
    for (model, mock) in [("gpt-4o", &world.openai), ("claude-sonnet-4-5", &world.anthropic)] {
        assert_eq!(world.chat_with(&headers, &question(model, "hello")).status, 200);
        let sent = mock.last_any().unwrap();
        let head = String::from_utf8_lossy(&sent.head).to_lowercase();
        for word in ["sk-of-the-client", "cookie", "x-forwarded-for", "1.2.3.4"] {
            assert!(!head.contains(word), "{word} in {head}");
        }
    }
}

#[test]
fn a_trace_of_the_client_is_continued() {
    let world = World::start();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    assert_eq!(world.chat_with(&[("traceparent", trace)], &question("gpt-4o", "hello")).status, 200);
    let sent = world.openai.last_any().unwrap();
    assert!(sent.header("traceparent").unwrap_or_default().contains("4bf92f3577b34da6a3ce929d0e0e4736"));
}

/// Rows: C24.
#[test]
fn request_ids_of_the_client_are_kept_if_they_are_harmless() {
    let world = World::start();
    let ask = |id: &str| {
        let reply = world.get_with("/v1/models", &[("x-request-id", id)]);
        reply.header("x-request-id").to_owned()
    };
    let longest = "a".repeat(128);
    for fine in ["r-1", "A.b_c-9", &longest] {
        assert_eq!(ask(fine), fine);
    }
    let long = "a".repeat(8192);
    for foreign in ["with space", "a\"}{", "[31mred", "ä", "a/b", "", &long, &"a".repeat(129)] {
        let own = ask(foreign);
        assert_eq!(own.len(), 36, "{foreign:?} became {own:?}");
        assert_eq!(own.as_bytes()[14], b'7', "no UUIDv7: {own}");
    }
    assert_ne!(ask("a b"), ask("a b"));
    // A control character in a header is no valid request at all.
    let hostile = world.get_with("/v1/models", &[("x-request-id", "\u{1b}[31mred")]);
    assert_eq!(hostile.status, 400, "{}", hostile.head);
    assert!(!world.log().contains('\u{1b}'), "a control character reached the log");
}

#[test]
fn models_are_those_that_the_caller_may_use() {
    let world = Setup::new().failover("house-model", "gpt-4o").start();
    let list = world.get("/v1/models").json();
    assert_eq!(list["object"], "list", "{list}");
    let ids: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&"house-model"), "{ids:?}");
    let one = world.get("/v1/models/house-model").json();
    assert_eq!((&one["id"], &one["object"]), (&json!("house-model"), &json!("model")), "{one}");
    let missing = world.get("/v1/models/house-model-2");
    assert_eq!((missing.status, missing.code().as_str()), (404, "model_not_found"));
}

#[test]
fn models_reach_their_provider_by_route_by_prefix_and_by_catalogue() {
    let world = Setup::new()
        .failover("house-model", "gpt-4o-mini")
        .add("routes", "model = \"glob-*\"\ntargets = [{ provider = \"openai\" }]")
        .start();
    for (asked, provider, model) in [
        ("house-model", "openai", "gpt-4o-mini"),
        ("glob-anything", "openai", "glob-anything"),
        ("openai/gpt-4o", "openai", "gpt-4o"),
        ("anthropic/claude-haiku-4-5", "anthropic", "claude-haiku-4-5"),
        ("gpt-4.1", "openai", "gpt-4.1"),
        ("claude-opus-4-1", "anthropic", "claude-opus-4-1"),
        ("o3", "openai", "o3"),
    ] {
        let reply = world.ask(asked, "hello");
        assert_eq!(reply.status, 200, "{asked}: {}", reply.text());
        assert_eq!(
            (reply.header("x-sentinel-provider"), reply.header("x-sentinel-model")),
            (provider, model),
            "{asked}"
        );
    }
}

/// Rows: U54.
#[test]
fn a_model_without_price_costs_null_and_is_counted() {
    let world =
        Setup::new().add("routes", "model = \"mystery\"\ntargets = [{ provider = \"openai\" }]").start();
    let reply = world.ask("mystery", "hello");
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.json()["cost_usd"].is_null() && reply.json().get("cost_usd").is_some(), "{}", reply.text());
    assert!(reply.find("x-sentinel-cost-usd").is_none(), "{}", reply.head);
    assert!(world.record_of(&reply)["cost_usd"].is_null());
    assert!((world.metric("sentinel_unpriced_requests_total{model=\"mystery\"}") - 1.0).abs() < 1e-9);
    let streamed = world.stream("mystery", "hello");
    let last = streamed.events().into_iter().rfind(Value::is_object).unwrap();
    assert!(last.get("cost_usd").is_some_and(Value::is_null), "{last}");
}

#[test]
fn costs_are_exact_to_the_nano_dollar_and_add_up_everywhere() {
    let world = World::start();
    // 2.50 and 10.00 USD per million tokens: 1000 in and 500 out.
    world.openai.set_fault("*", "usage=1000:500").unwrap();
    world.anthropic.set_fault("*", "usage=1000:500").unwrap();
    let reply = world.ask("gpt-4o", "hello");
    assert_eq!(reply.header("x-sentinel-cost-usd"), "0.0075", "{}", reply.text());
    let reply = world.ask("claude-sonnet-4-5", "hello");
    // 3.00 and 15.00 USD per million.
    assert_eq!(reply.header("x-sentinel-cost-usd"), "0.0105", "{}", reply.text());
    crate::support::eventually("the ledger has both", || {
        world.get("/v1/usage").json()["total"]["requests"] == 2
    });
    let usage = world.get("/v1/usage?group_by=provider").json();
    assert_eq!(usage["total"]["cost_usd"].as_f64(), Some(0.018), "{usage}");
    let of = |provider: &str| {
        let rows = usage["data"].as_array().unwrap();
        rows.iter().find(|row| row["provider"] == provider).unwrap()["cost_usd"].as_f64()
    };
    assert_eq!((of("openai"), of("anthropic")), (Some(0.0075), Some(0.0105)), "{usage}");
    let metrics = world.get("/metrics").json();
    assert!((metrics["total_cost_usd"].as_f64().unwrap() - 0.018).abs() < 1e-9, "{metrics}");
}
