//! Puts chunks together the way the official client does.

use std::collections::BTreeMap;

use serde_json::Value;

/// What one choice amounts to. Missing text and empty text are the same.
#[derive(Debug, Default, PartialEq, Clone)]
pub(crate) struct Choice {
    pub(crate) text: String,
    pub(crate) refusal: String,
    pub(crate) reasoning: String,
    pub(crate) calls: BTreeMap<u64, Call>,
    pub(crate) function: Option<(String, String)>,
    pub(crate) finish: Option<String>,
}

#[derive(Debug, Default, PartialEq, Clone)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

#[derive(Debug, Default, PartialEq, Clone)]
pub(crate) struct Answer {
    pub(crate) choices: BTreeMap<u64, Choice>,
    pub(crate) usage: Option<Value>,
}

fn add(text: &mut String, value: &Value) {
    match value {
        Value::String(piece) => text.push_str(piece),
        Value::Array(parts) => parts.iter().for_each(|part| add(text, &part["text"])),
        _ => {}
    }
}

impl Choice {
    /// Adds a delta, or a whole message, which is read the same way.
    pub(crate) fn add(&mut self, delta: &Value) {
        add(&mut self.text, &delta["content"]);
        add(&mut self.refusal, &delta["refusal"]);
        add(&mut self.reasoning, &delta["reasoning_content"]);
        add(&mut self.reasoning, &delta["reasoning"]);
        for (at, call) in delta["tool_calls"].as_array().into_iter().flatten().enumerate() {
            let index = call["index"].as_u64().unwrap_or_else(|| {
                // Without an index a call with an id is a new one.
                let last = self.calls.len() as u64;
                if call["id"].is_string() || last == 0 { last } else { last - 1 }
            });
            let _ = at;
            let entry = self.calls.entry(index).or_default();
            add(&mut entry.arguments, &call["function"]["arguments"]);
            if entry.id.is_empty() {
                add(&mut entry.id, &call["id"]);
            }
            if entry.name.is_empty() {
                add(&mut entry.name, &call["function"]["name"]);
            }
        }
        if let Some(call) = delta["function_call"].as_object() {
            let entry = self.function.get_or_insert_default();
            for (name, text) in [("name", &mut entry.0), ("arguments", &mut entry.1)] {
                if let Some(value) = call.get(name) {
                    add(text, value);
                }
            }
        }
    }
}

impl Answer {
    pub(crate) fn of_chunks<'a>(chunks: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut answer = Self::default();
        for chunk in chunks {
            for choice in chunk["choices"].as_array().into_iter().flatten() {
                let entry = answer.choices.entry(choice["index"].as_u64().unwrap_or(0)).or_default();
                entry.add(&choice["delta"]);
                if let Some(reason) = choice["finish_reason"].as_str() {
                    entry.finish = Some(reason.to_owned());
                }
            }
            if chunk["usage"].is_object() {
                answer.usage = Some(chunk["usage"].clone());
            }
        }
        answer
    }

    pub(crate) fn of_completion(body: &Value) -> Self {
        let mut answer = Self::default();
        for choice in body["choices"].as_array().into_iter().flatten() {
            let entry = answer.choices.entry(choice["index"].as_u64().unwrap_or(0)).or_default();
            entry.add(&choice["message"]);
            entry.finish = choice["finish_reason"].as_str().map(str::to_owned);
        }
        answer.usage = body.get("usage").filter(|usage| usage.is_object()).cloned();
        answer
    }
}

/// Arguments are compared as JSON, or as text where the model was cut off.
pub(crate) fn arguments(text: &str) -> Value {
    if text.is_empty() {
        Value::Object(serde_json::Map::new())
    } else {
        serde_json::from_str(text).unwrap_or_else(|_| text.into())
    }
}
