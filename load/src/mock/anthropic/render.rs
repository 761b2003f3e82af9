//! Lays an answer out as a Messages body or stream.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::clock;
use crate::mock::answer::{Answer, Body, Event};
use crate::mock::ask::Ask;
use crate::mock::board::mix;
use crate::mock::compose::{Choice, Finish, Tokens, Turn, id_text, pieces};

/// Returns the signature of a thinking text: any string will do for a client, but only this one is accepted back.
pub(crate) fn signature(thinking: &str) -> String {
    let sum = thinking.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    STANDARD.encode(format!("mock-thinking-signature:{:016x}{:016x}", sum, mix(sum)))
}

/// Returns the answer to `ask`. Only the first choice is used, as this API has no `n`.
pub(crate) fn render(ask: &Ask, turn: &Turn) -> Answer {
    let id = format!("msg_01{}", id_text(turn.id, 22));
    let mut answer = match turn.choices.first() {
        Some(choice) if ask.stream => stream(ask, turn, choice, &id),
        Some(choice) => unary(ask, turn, choice, &id),
        None => Answer::new(200, "application/json", Body::Whole(Vec::new())),
    };
    let now = clock::rfc3339(clock::unix_now());
    for (name, limit, remaining) in [
        ("requests", "4000", "3999"),
        ("input-tokens", "400000", "399000"),
        ("output-tokens", "80000", "80000"),
    ] {
        answer
            .header(format!("anthropic-ratelimit-{name}-limit"), limit)
            .header(format!("anthropic-ratelimit-{name}-remaining"), remaining)
            .header(format!("anthropic-ratelimit-{name}-reset"), now.clone());
    }
    answer
        .header("request-id", format!("req_011C{}", id_text(mix(turn.id), 20)))
        .header("anthropic-organization-id", "00000000-0000-0000-0000-000000000000");
    answer
}

fn stop_reason(choice: &Choice) -> &'static str {
    match choice.finish {
        Finish::Stop => "end_turn",
        Finish::StopSequence => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::Refusal => "refusal",
    }
}

/// Usage as JSON text; `output` differs between the start and the end of a stream.
fn usage(tokens: &Tokens, output: i64, is_final_delta: bool) -> String {
    let (input, read, write) = (tokens.input, tokens.cached, tokens.cache_write);
    let thinking = if tokens.reasoning > 0 && output > 1 {
        format!(",\"output_tokens_details\":{{\"thinking_tokens\":{}}}", tokens.reasoning)
    } else {
        String::new()
    };
    let start = format!(
        "\"input_tokens\":{input},\"cache_creation_input_tokens\":{write},\"cache_read_input_tokens\":{read}"
    );
    if is_final_delta {
        return format!("{{{start},\"output_tokens\":{output}{thinking}}}");
    }
    format!(
        "{{{start},\"cache_creation\":{{\"ephemeral_5m_input_tokens\":{write},\"ephemeral_1h_input_tokens\":0}},\
         \"output_tokens\":{output}{thinking},\"service_tier\":\"standard\",\"inference_geo\":\"not_available\"}}"
    )
}

fn stop_sequence(choice: &Choice) -> Value {
    json!(choice.stop_sequence)
}

fn stop_details(choice: &Choice) -> &'static str {
    match choice.finish {
        Finish::Refusal => r#"{"type":"refusal","category":null,"explanation":null}"#,
        _ => "null",
    }
}

fn unary(ask: &Ask, turn: &Turn, choice: &Choice, id: &str) -> Answer {
    let mut blocks: Vec<String> = turn.provider_blocks.iter().map(|block| (*block).to_owned()).collect();
    if let Some(thinking) = &choice.thinking {
        let (text, signature) = (json!(thinking), signature(thinking));
        blocks.push(format!("{{\"type\":\"thinking\",\"thinking\":{text},\"signature\":\"{signature}\"}}"));
    }
    let text = choice.refusal.as_deref().unwrap_or(&choice.text);
    if !text.is_empty() {
        blocks.push(format!("{{\"type\":\"text\",\"text\":{}}}", json!(text)));
    }
    for call in &choice.calls {
        blocks.push(format!(
            "{{\"type\":\"tool_use\",\"id\":\"toolu_01{}\",\"name\":{},\"input\":{},\"caller\":{{\"type\":\"direct\"}}}}",
            call.id.get(..22).unwrap_or(&call.id),
            json!(call.name),
            // Only a stream can carry arguments that are no JSON.
            if serde_json::from_str::<serde::de::IgnoredAny>(&call.arguments).is_ok() { &call.arguments } else { "{}" },
        ));
    }
    let usage = turn
        .usage
        .map_or(String::new(), |tokens| format!(",\"usage\":{}", usage(&tokens, tokens.output, false)));
    let body = format!(
        "{{\"model\":{},\"id\":\"{id}\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[{}],\
         \"stop_reason\":\"{}\",\"stop_sequence\":{},\"stop_details\":{}{usage}}}",
        json!(ask.model),
        blocks.join(","),
        stop_reason(choice),
        stop_sequence(choice),
        stop_details(choice),
    );
    Answer::new(200, "application/json", Body::Whole(body.into_bytes()))
}

/// Writes the events of one stream.
struct Events {
    padding: u64,
    index: usize,
    has_pinged: bool,
    events: Vec<Event>,
}

impl Events {
    /// Adds an event whose JSON is `{"type":"NAME"` + `rest` + padding + `}`.
    fn push(&mut self, name: &str, rest: &str, is_delta: bool) {
        self.padding = mix(self.padding.wrapping_add(1));
        let spaces = (self.padding % 16) as usize;
        let event = format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}{:spaces$}}}\n\n", "");
        self.events.push(if is_delta { Event::delta(event) } else { Event::control(event) });
    }

    /// Adds one content block: its start, its deltas, its stop.
    fn block(&mut self, start: &str, deltas: impl IntoIterator<Item = String>) {
        let index = self.index;
        self.index += 1;
        self.push("content_block_start", &format!(",\"index\":{index},\"content_block\":{start}"), false);
        if !self.has_pinged {
            self.has_pinged = true;
            self.events.push(Event::control(&b"event: ping\ndata: {\"type\": \"ping\"}\n\n"[..]));
        }
        for delta in deltas {
            self.push("content_block_delta", &format!(",\"index\":{index},\"delta\":{delta}"), true);
        }
        self.push("content_block_stop", &format!(",\"index\":{index}"), false);
    }
}

fn stream(ask: &Ask, turn: &Turn, choice: &Choice, id: &str) -> Answer {
    let mut events = Events { padding: turn.id, index: 0, has_pinged: false, events: Vec::with_capacity(40) };
    // The count in the first event is a placeholder; the true one comes at the end.
    let first_usage =
        turn.usage.map_or(String::new(), |tokens| format!(",\"usage\":{}", usage(&tokens, 1, false)));
    let message = format!(
        ",\"message\":{{\"model\":{},\"id\":\"{id}\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\
         \"stop_reason\":null,\"stop_sequence\":null,\"stop_details\":null{first_usage}}}",
        json!(ask.model),
    );
    events.push("message_start", &message, false);
    for block in &turn.provider_blocks {
        // They arrive whole in their first event.
        events.block(block, []);
    }
    if let Some(thinking) = &choice.thinking {
        let texts = pieces(thinking)
            .into_iter()
            .map(|piece| format!("{{\"type\":\"thinking_delta\",\"thinking\":{}}}", json!(piece)));
        let signature = format!("{{\"type\":\"signature_delta\",\"signature\":\"{}\"}}", signature(thinking));
        events.block(r#"{"type":"thinking","thinking":"","signature":""}"#, texts.chain([signature]));
    }
    let text = choice.refusal.as_deref().unwrap_or(&choice.text);
    if !text.is_empty() {
        let deltas = pieces(text)
            .into_iter()
            .map(|piece| format!("{{\"type\":\"text_delta\",\"text\":{}}}", json!(piece)));
        events.block(r#"{"type":"text","text":""}"#, deltas);
    }
    for call in &choice.calls {
        let start = format!(
            "{{\"type\":\"tool_use\",\"id\":\"toolu_01{}\",\"name\":{},\"input\":{{}},\"caller\":{{\"type\":\"direct\"}}}}",
            call.id.get(..22).unwrap_or(&call.id),
            json!(call.name),
        );
        // The first delta is always empty, and a call without arguments has no other.
        let arguments = if call.arguments == "{}" { "" } else { call.arguments.as_str() };
        let characters: Vec<char> = arguments.chars().collect();
        let parts = characters.chunks(turn.argument_piece.max(1)).map(|part| part.iter().collect::<String>());
        let delta =
            |part: String| format!("{{\"type\":\"input_json_delta\",\"partial_json\":{}}}", json!(part));
        events.block(&start, [String::new()].into_iter().chain(parts).map(delta));
    }
    let last_usage = turn
        .usage
        .map_or(String::new(), |tokens| format!(",\"usage\":{}", usage(&tokens, tokens.output, true)));
    let delta = format!(
        ",\"delta\":{{\"stop_reason\":\"{}\",\"stop_sequence\":{},\"stop_details\":{}}}{last_usage}",
        stop_reason(choice),
        stop_sequence(choice),
        stop_details(choice),
    );
    events.push("message_delta", &delta, false);
    events.push("message_stop", "", false);
    let mut answer = Answer::new(200, "text/event-stream; charset=utf-8", Body::Events(events.events));
    answer.header("cache-control", "no-cache");
    answer
}
