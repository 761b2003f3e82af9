//! What a recording has to come out as.

use std::collections::BTreeMap;

use sentinel_domain::policy::ProviderKind;
use sentinel_domain::{ErrorCode, FailureClass};
use sentinel_wire::{Completion, StreamItem, UpstreamFailure};
use serde_json::{Value, json};

use crate::Recording;
use crate::client::{Answer, Call, Choice, arguments};

type Check = Result<(), String>;

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, got: &T, expected: &T) -> Check {
    if got == expected { Ok(()) } else { Err(format!("{what}: got {got:?}, recorded {expected:?}")) }
}

pub(crate) fn failure(recording: &Recording, failure: &UpstreamFailure) -> Check {
    let shown = failure.error.upstream.as_ref().map_or(0, |upstream| upstream.status);
    let code = failure.error.code;
    match recording.status {
        // The account's spent credit is the gateway's affair, whatever status it comes with.
        400 if code == ErrorCode::UpstreamQuota => equal("retry", &failure.error.should_retry, &Some(false))?,
        400 | 404 | 408 | 409 | 413 | 422 => equal("status", &shown, &recording.status)?,
        429 if code == ErrorCode::UpstreamQuota => equal("retry", &failure.error.should_retry, &Some(false))?,
        429 => equal("status", &shown, &429)?,
        401 | 403 => return equal("code", &code, &ErrorCode::UpstreamAuth),
        500 => equal("code", &code, &ErrorCode::UpstreamFailed)?,
        529 => equal("code", &code, &ErrorCode::UpstreamOverloaded)?,
        other => return Err(format!("no rule for status {other}")),
    }
    let Ok(body) = serde_json::from_str::<Value>(&recording.raw) else {
        return if failure.error.message.contains('<') {
            Err("HTML was passed on".to_owned())
        } else {
            Ok(())
        };
    };
    let message = body["error"]["message"].as_str().or(body["detail"].as_str()).or(body["message"].as_str());
    equal("message", &failure.error.message.as_ref(), &message.unwrap_or("?"))
}

fn compare(got: &Answer, expected: &Answer) -> Check {
    equal("choices", &got.choices.keys().collect::<Vec<_>>(), &expected.choices.keys().collect())?;
    for (index, wanted) in &expected.choices {
        let choice = &got.choices[index];
        equal("text", &choice.text, &wanted.text)?;
        equal("refusal", &choice.refusal, &wanted.refusal)?;
        equal("reasoning", &choice.reasoning, &wanted.reasoning)?;
        equal("finish", &choice.finish, &wanted.finish)?;
        equal("function", &choice.function, &wanted.function)?;
        equal("tool indices", &choice.calls.keys().collect::<Vec<_>>(), &wanted.calls.keys().collect())?;
        for (index, call) in &wanted.calls {
            let own = &choice.calls[index];
            equal("tool id", &own.id, &call.id)?;
            equal("tool name", &own.name, &call.name)?;
            equal("arguments", &arguments(&own.arguments), &arguments(&call.arguments))?;
            if call.arguments.is_empty() && own.arguments != "{}" && own.arguments != call.arguments {
                return Err(format!("no arguments came out as {:?}", own.arguments));
            }
        }
    }
    Ok(())
}

fn totals(usage: &Value) -> [Option<u64>; 3] {
    ["prompt_tokens", "completion_tokens", "total_tokens"].map(|name| usage[name].as_u64())
}

pub(crate) fn unary(recording: &Recording, result: Result<Completion, Box<UpstreamFailure>>) -> Check {
    let recorded: Value = serde_json::from_str(&recording.raw).map_err(|error| error.to_string())?;
    let error_body = recorded.get("error").is_some_and(|error| !error.is_null());
    let completion = match result {
        Ok(completion) if !error_body => completion,
        Ok(_) => return Err("an error decoded as an answer".to_owned()),
        Err(failure) if error_body => {
            return equal(
                "message",
                &Some(failure.error.message.as_ref()),
                &recorded["error"]["message"].as_str(),
            );
        }
        Err(failure) => return Err(format!("refused: {failure:?}")),
    };
    let body: Value = serde_json::from_slice(completion.body()).map_err(|error| error.to_string())?;
    let replaced: Vec<_> =
        completion.texts().into_iter().map(|slot| (slot.id, slot.text.into_owned())).collect();
    let same = completion.with_texts(&replaced).map_err(|error| error.to_string())?;
    let same: Value = serde_json::from_slice(same.body()).map_err(|error| error.to_string())?;
    equal("body after replacing texts with themselves", &same, &body)?;
    match recording.kind {
        ProviderKind::OpenAi => {
            if completion.body() != recording.raw.as_bytes() {
                return Err("bytes changed".to_owned());
            }
            usage_agrees(&recorded["usage"], completion.usage())
        }
        ProviderKind::Anthropic => {
            let expected = anthropic_message(&recorded);
            compare(&Answer::of_completion(&body), &expected)?;
            equal(
                "totals",
                &totals(&body["usage"]),
                &totals(expected.usage.as_ref().unwrap_or(&Value::Null)),
            )?;
            let cached = recorded["usage"]["cache_read_input_tokens"].as_u64().unwrap_or(0);
            equal("cached", &body["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64(), &Some(cached))
        }
    }
}

fn usage_agrees(recorded: &Value, usage: Option<sentinel_domain::Usage>) -> Check {
    let expected = recorded["prompt_tokens"].as_u64().zip(recorded["completion_tokens"].as_u64());
    equal("usage", &usage.map(|usage| (usage.prompt(), usage.output)), &expected)
}

fn anthropic_finish(stop_reason: &Value) -> Option<String> {
    let finish = match stop_reason.as_str()? {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        _ => "stop",
    };
    Some(finish.to_owned())
}

/// Input counts include what was read from and written to the cache; with iterations the true count is their sum.
fn anthropic_totals(usage: &Value) -> Value {
    let parts: Vec<&Value> = match usage["iterations"].as_array() {
        Some(iterations) if !iterations.is_empty() => iterations.iter().collect(),
        _ => vec![usage],
    };
    let sum = |names: &[&str]| -> u64 {
        parts.iter().flat_map(|part| names.iter().map(|name| part[*name].as_u64().unwrap_or(0))).sum()
    };
    let prompt = sum(&["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]);
    let output = sum(&["output_tokens"]);
    json!({"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output})
}

fn anthropic_message(message: &Value) -> Answer {
    let mut choice = Choice { finish: anthropic_finish(&message["stop_reason"]), ..Choice::default() };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for block in message["content"].as_array().into_iter().flatten() {
        match block["type"].as_str() {
            Some("text") => choice.text.push_str(&text(&block["text"])),
            Some("thinking") => choice.reasoning.push_str(&text(&block["thinking"])),
            Some("tool_use") => {
                let index = choice.calls.len() as u64;
                let call = Call {
                    id: text(&block["id"]),
                    name: text(&block["name"]),
                    arguments: block["input"].to_string(),
                };
                choice.calls.insert(index, call);
            }
            _ => {}
        }
    }
    Answer { choices: BTreeMap::from([(0, choice)]), usage: Some(anthropic_totals(&message["usage"])) }
}

/// Rebuilds the message that an Anthropic stream describes.
fn anthropic_stream(events: &[Value]) -> Answer {
    let mut message = json!({"content": []});
    let mut inputs: BTreeMap<u64, String> = BTreeMap::new();
    for event in events {
        let index = event["index"].as_u64().unwrap_or(0);
        match event["type"].as_str() {
            Some("message_start") => message["usage"] = event["message"]["usage"].clone(),
            Some("content_block_start") => {
                let blocks = message["content"].as_array_mut().unwrap();
                blocks.push(event["content_block"].clone());
            }
            Some("content_block_delta") => {
                let block = message["content"].as_array_mut().unwrap().last_mut().unwrap();
                let delta = &event["delta"];
                for name in ["text", "thinking"] {
                    if let Some(piece) = delta[name].as_str() {
                        let joined = format!("{}{piece}", block[name].as_str().unwrap_or_default());
                        block[name] = joined.into();
                    }
                }
                if let Some(piece) = delta["partial_json"].as_str() {
                    inputs.entry(index).or_default().push_str(piece);
                }
            }
            Some("content_block_stop") => {
                let block = message["content"].as_array_mut().unwrap().last_mut().unwrap();
                if let Some(input) = inputs.get(&index).filter(|input| !input.is_empty()) {
                    block["input"] = arguments(input);
                }
            }
            Some("message_delta") => {
                message["stop_reason"] = event["delta"]["stop_reason"].clone();
                for (name, count) in event["usage"].as_object().into_iter().flatten() {
                    if count.as_u64() != Some(0) {
                        message["usage"][name] = count.clone();
                    }
                }
            }
            _ => {}
        }
    }
    anthropic_message(&message)
}

/// Reads a recorded stream with nothing but string operations, so that the decoder is not judged by itself.
fn recorded_events(raw: &str) -> Vec<Value> {
    raw.replace("\r\n", "\n")
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .filter_map(|data| serde_json::from_str(data.trim()).ok())
        .collect()
}

pub(crate) fn stream(recording: &Recording, items: &[StreamItem], include_usage: bool) -> Check {
    let events = recorded_events(&recording.raw);
    let mut chunks = Vec::new();
    for item in items {
        if let StreamItem::Chunk(chunk) = item {
            let json: Value = serde_json::from_slice(chunk.json()).map_err(|error| error.to_string())?;
            let pairs: Vec<_> = chunk.texts().map(|piece| (piece.slot, piece.text.into_owned())).collect();
            let same = chunk.clone().with_texts(&pairs);
            let same: Value = serde_json::from_slice(same.json()).map_err(|error| error.to_string())?;
            equal("chunk after replacing texts with themselves", &same, &json)?;
            chunks.push(json);
        }
    }
    shape(&chunks, include_usage)?;
    let failed =
        recording.has("res:midstream-error") || events.iter().any(|event| event["error"].is_object());
    let cut = recording.has("res:cut") || recording.has("sse-no-stop");
    match items.last() {
        Some(StreamItem::Failed(failure)) if failed => {
            let error = events.iter().find_map(|event| event.get("error").filter(|error| error.is_object()));
            let message = error.and_then(|error| error["message"].as_str());
            equal("message", &Some(failure.error.message.as_ref()), &message)?;
        }
        Some(StreamItem::Failed(failure)) if cut => {
            equal("class", &failure.class, &FailureClass::StreamBroken)?;
        }
        Some(StreamItem::Done) if !failed && !cut => {}
        other => return Err(format!("ended with {other:?}")),
    }
    let expected = match recording.kind {
        ProviderKind::OpenAi => Answer::of_chunks(&events),
        ProviderKind::Anthropic => anthropic_stream(&events),
    };
    let got = Answer::of_chunks(&chunks);
    if failed || cut {
        let text =
            |answer: &Answer| answer.choices.get(&0).map(|choice| choice.text.clone()).unwrap_or_default();
        return equal("text before the end", &text(&got), &text(&expected));
    }
    compare(&got, &expected)?;
    // Groq reports usage in a field of its own when nobody asked.
    let groq = events.iter().filter_map(|event| event["x_groq"].get("usage")).next_back();
    match (&got.usage, &expected.usage.clone().or(groq.cloned())) {
        (Some(_), _) if !include_usage => Err("usage that was not asked for".to_owned()),
        (_, _) if !include_usage => Ok(()),
        (Some(got), Some(expected)) => equal("totals", &totals(got), &totals(expected)),
        (got, expected) => equal("usage", got, expected),
    }
}

/// One id, role first, one end a choice, usage last in a chunk of its own, or nowhere.
fn shape(chunks: &[Value], include_usage: bool) -> Check {
    let mut roles: BTreeMap<u64, bool> = BTreeMap::new();
    let mut ends: BTreeMap<u64, u32> = BTreeMap::new();
    for (at, chunk) in chunks.iter().enumerate() {
        equal("id", &chunk["id"], &chunks[0]["id"])?;
        if !include_usage && chunk.get("usage").is_some() {
            return Err("a usage field that was not asked for".to_owned());
        }
        if chunk["usage"].is_object() && (at + 1 != chunks.len() || chunk["choices"] != json!([])) {
            return Err("usage not in a last chunk of its own".to_owned());
        }
        for choice in chunk["choices"].as_array().into_iter().flatten() {
            let index = choice["index"].as_u64().unwrap_or(0);
            let role = choice["delta"]["role"].is_string();
            if !*roles.entry(index).or_insert(role) {
                return Err("no role in the first delta".to_owned());
            }
            *ends.entry(index).or_default() += u32::from(choice["finish_reason"].is_string());
        }
    }
    if ends.values().any(|count| *count > 1) { Err("a choice that ends twice".to_owned()) } else { Ok(()) }
}

/// The rules that the Messages API enforces on every request.
pub(crate) fn anthropic_request(id: &str, body: &[u8]) {
    let body: Value = serde_json::from_slice(body).unwrap();
    assert!(body["max_tokens"].as_u64().unwrap() > 0, "{id}");
    let messages = body["messages"].as_array().unwrap();
    let mut expected = "user";
    for message in messages {
        assert_eq!(message["role"], expected, "{id}: {body}");
        expected = if expected == "user" { "assistant" } else { "user" };
        let content = message["content"].as_array().map_or(&[][..], Vec::as_slice);
        assert!(message["content"].is_string() || !content.is_empty(), "{id}");
        for block in content {
            match block["type"].as_str().unwrap() {
                "text" => assert!(!block["text"].as_str().unwrap().trim().is_empty(), "{id}"),
                "tool_use" => assert!(block["input"].is_object(), "{id}"),
                _ => {}
            }
        }
    }
    assert!(!messages.is_empty(), "{id}");
    for tool in body["tools"].as_array().into_iter().flatten() {
        // The provider's own tools have a type of their own and no schema.
        assert!(tool["type"].is_string() || tool["input_schema"]["type"] == "object", "{id}: {tool}");
    }
}
