//! Lays an answer out as a Chat Completions body or stream.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use crate::clock;
use crate::mock::answer::{Answer, Body, Event};
use crate::mock::ask::Ask;
use crate::mock::board::mix;
use crate::mock::compose::{Choice, Finish, Tokens, Turn, id_text, pieces};

const FINGERPRINT: &str = "fp_mock000001";

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<CompletionChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    service_tier: &'static str,
    system_fingerprint: &'static str,
}

#[derive(Serialize)]
struct CompletionChoice<'a> {
    index: usize,
    message: Message<'a>,
    logprobs: Option<Value>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    refusal: Option<&'a str>,
    annotations: [(); 0],
}

#[derive(Serialize)]
struct Call<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: i64,
    completion_tokens: i64,
    total_tokens: i64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: i64,
    audio_tokens: i64,
}

#[derive(Serialize)]
struct CompletionDetails {
    reasoning_tokens: i64,
    audio_tokens: i64,
    accepted_prediction_tokens: i64,
    rejected_prediction_tokens: i64,
}

impl Usage {
    fn new(tokens: &Tokens) -> Self {
        let prompt_tokens = tokens.input.saturating_add(tokens.cached).saturating_add(tokens.cache_write);
        Self {
            prompt_tokens,
            completion_tokens: tokens.output,
            total_tokens: prompt_tokens.saturating_add(tokens.output),
            prompt_tokens_details: PromptDetails { cached_tokens: tokens.cached, audio_tokens: 0 },
            completion_tokens_details: CompletionDetails {
                reasoning_tokens: tokens.reasoning,
                audio_tokens: 0,
                accepted_prediction_tokens: 0,
                rejected_prediction_tokens: 0,
            },
        }
    }
}

/// Returns the answer to `ask`.
pub(crate) fn render(ask: &Ask, turn: &Turn) -> Answer {
    let id = format!("chatcmpl-{}", id_text(turn.id, 29));
    let mut answer = if ask.stream { stream(ask, turn, &id) } else { unary(ask, turn, &id) };
    answer
        .header("x-request-id", format!("req_{:016x}{:016x}", mix(turn.id), mix(turn.id ^ 1)))
        .header("openai-organization", "org-mock")
        .header("openai-processing-ms", "12")
        .header("openai-version", "2020-10-01")
        .header("x-ratelimit-limit-requests", "10000")
        .header("x-ratelimit-limit-tokens", "30000000")
        .header("x-ratelimit-remaining-requests", "9999")
        .header("x-ratelimit-remaining-tokens", "29999994")
        .header("x-ratelimit-reset-requests", "6ms")
        .header("x-ratelimit-reset-tokens", "0s");
    answer
}

fn unary(ask: &Ask, turn: &Turn, id: &str) -> Answer {
    let choices = turn.choices.iter().enumerate().map(|(index, choice)| CompletionChoice {
        index,
        message: Message {
            role: "assistant",
            content: (choice.refusal.is_none() && choice.calls.is_empty()).then_some(choice.text.as_str()),
            tool_calls: choice
                .calls
                .iter()
                .map(|call| Call {
                    id: format!("call_{}", call.id),
                    kind: "function",
                    function: Function { name: &call.name, arguments: &call.arguments },
                })
                .collect(),
            refusal: choice.refusal.as_deref(),
            annotations: [],
        },
        logprobs: ask.logprobs.then(|| logprobs(pieces(&choice.text))),
        finish_reason: finish_reason(choice, turn),
    });
    let completion = Completion {
        id,
        object: "chat.completion",
        created: clock::unix_now().as_secs(),
        model: &ask.model,
        choices: choices.collect(),
        usage: turn.usage.as_ref().map(Usage::new),
        service_tier: "default",
        system_fingerprint: FINGERPRINT,
    };
    let mut body = Vec::with_capacity(1024);
    // Serialising these plain structs into memory cannot fail.
    let _ = serde_json::to_writer_pretty(&mut body, &completion);
    body.push(b'\n');
    Answer::new(200, "application/json", Body::Whole(body))
}

fn logprobs(tokens: Vec<&str>) -> Value {
    let entry = |token: &str| json!({"token": token, "logprob": -0.25, "bytes": token.as_bytes(), "top_logprobs": []});
    json!({"content": tokens.into_iter().map(entry).collect::<Vec<_>>(), "refusal": null})
}

fn finish_reason(choice: &Choice, turn: &Turn) -> &'static str {
    match choice.finish {
        Finish::Length => "length",
        Finish::ToolCalls if !turn.tool_choice_was_named => "tool_calls",
        Finish::Stop | Finish::StopSequence | Finish::Refusal | Finish::ToolCalls => "stop",
    }
}

/// Writes the chunks of one stream; everything before and after the choices is the same in each of them.
struct Chunks<'a> {
    ask: &'a Ask,
    before: String,
    padding: u64,
    events: Vec<Event>,
}

fn stream(ask: &Ask, turn: &Turn, id: &str) -> Answer {
    let before = format!(
        "data: {{\"id\":\"{id}\",\"object\":\"chat.completion.chunk\",\"created\":{},\"model\":{},\
         \"service_tier\":\"default\",\"system_fingerprint\":\"{FINGERPRINT}\",\"choices\":[",
        clock::unix_now().as_secs(),
        json!(ask.model),
    );
    let mut chunks = Chunks { ask, before, padding: turn.id, events: Vec::with_capacity(40) };
    let deltas: Vec<Vec<(String, bool)>> = turn.choices.iter().map(|choice| deltas(choice, turn)).collect();
    let longest = deltas.iter().map(Vec::len).max().unwrap_or(0);
    // With several choices their chunks come in turns, as the real ones do.
    for position in 0..longest {
        for (index, deltas) in deltas.iter().enumerate() {
            if let Some((delta, is_delta)) = deltas.get(position) {
                chunks.push(index, delta, None, *is_delta);
            }
        }
    }
    for (index, choice) in turn.choices.iter().enumerate() {
        chunks.push(index, "{}", Some(finish_reason(choice, turn)), false);
    }
    if let (true, Some(tokens)) = (ask.include_usage, &turn.usage) {
        let usage = serde_json::to_string(&Usage::new(tokens)).unwrap_or_default();
        let padding = chunks.obfuscation();
        let event = format!("{}],\"usage\":{usage}{padding}}}\n\n", chunks.before);
        chunks.events.push(Event::control(event));
    }
    chunks.events.push(Event::control(&b"data: [DONE]\n\n"[..]));
    let mut answer = Answer::new(200, "text/event-stream; charset=utf-8", Body::Events(chunks.events));
    answer.header("cache-control", "no-cache");
    answer
}

/// Returns the deltas of one choice as JSON, with whether each carries output.
fn deltas(choice: &Choice, turn: &Turn) -> Vec<(String, bool)> {
    let mut deltas = Vec::new();
    if let Some(refusal) = &choice.refusal {
        deltas.push((r#"{"role":"assistant","content":null,"refusal":""}"#.to_owned(), false));
        deltas
            .extend(pieces(refusal).iter().map(|piece| (format!("{{\"refusal\":{}}}", json!(piece)), true)));
        return deltas;
    }
    for (index, call) in choice.calls.iter().enumerate() {
        let start = format!(
            "\"tool_calls\":[{{\"index\":{index},\"id\":\"call_{}\",\"type\":\"function\",\"function\":{{\"name\":{},\"arguments\":\"\"}}}}]",
            call.id,
            json!(call.name),
        );
        // The role and the first call come in one chunk.
        deltas.push(if index == 0 {
            (format!("{{\"role\":\"assistant\",\"content\":null,{start},\"refusal\":null}}"), true)
        } else {
            (format!("{{{start}}}"), true)
        });
        for piece in argument_pieces(&call.arguments, turn.argument_piece) {
            let arguments = json!(piece);
            let delta = format!(
                "{{\"tool_calls\":[{{\"index\":{index},\"function\":{{\"arguments\":{arguments}}}}}]}}"
            );
            deltas.push((delta, true));
        }
    }
    if choice.calls.is_empty() {
        deltas.push((r#"{"role":"assistant","content":"","refusal":null}"#.to_owned(), false));
        deltas.extend(
            pieces(&choice.text).iter().map(|piece| (format!("{{\"content\":{}}}", json!(piece)), true)),
        );
    }
    deltas
}

/// Splits arguments into pieces of so many characters.
fn argument_pieces(arguments: &str, size: usize) -> Vec<String> {
    let characters: Vec<char> = arguments.chars().collect();
    characters.chunks(size.max(1)).map(|piece| piece.iter().collect()).collect()
}

impl Chunks<'_> {
    fn push(&mut self, index: usize, delta: &str, finish: Option<&str>, is_delta: bool) {
        let mut event = String::with_capacity(self.before.len() + delta.len() + 128);
        let _ = write!(event, "{}{{\"index\":{index},\"delta\":{delta},\"logprobs\":", self.before);
        if self.ask.logprobs && is_delta && delta.starts_with("{\"content\"") {
            let content: Value = serde_json::from_str(delta).unwrap_or_default();
            let token = content.get("content").and_then(Value::as_str).unwrap_or_default();
            let _ = write!(event, "{}", logprobs(vec![token]));
        } else {
            event.push_str("null");
        }
        match finish {
            Some(reason) => {
                let _ = write!(event, ",\"finish_reason\":\"{reason}\"}}]");
            }
            None => event.push_str(",\"finish_reason\":null}]"),
        }
        if self.ask.include_usage {
            event.push_str(",\"usage\":null");
        }
        event.push_str(&self.obfuscation());
        event.push_str("}\n\n");
        self.events.push(if is_delta { Event::delta(event) } else { Event::control(event) });
    }

    /// Padding of random length, which hides the size of tokens from an observer of the connection.
    fn obfuscation(&mut self) -> String {
        if !self.ask.obfuscate {
            return String::new();
        }
        self.padding = mix(self.padding.wrapping_add(1));
        format!(",\"obfuscation\":\"{}\"", id_text(self.padding, (self.padding % 16) as usize))
    }
}
