//! What the hot paths cost: a request in, a chunk through, an answer out.
#![expect(clippy::unwrap_used, reason = "a bench that cannot set up fails; criterion's macro makes items")]

use std::hint::black_box;
use std::time::SystemTime;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sentinel_domain::policy::ProviderKind::{self, Anthropic, OpenAi};
use sentinel_wire::sse::SseDecoder;
use sentinel_wire::{ChatRequest, EncodeOptions, Hints, Limits, NoHeaders, StreamItem, dialect};

const CHUNKS: usize = 200;

/// A request of about 2 KB: a system prompt, a few turns, one tool.
fn request_body(stream: bool) -> Bytes {
    let text = "The quick brown fox jumps over the lazy dog; it's 7\u{b0}C outside. ".repeat(4);
    let turn = format!(
        r#"{{"role":"user","content":"{text}"}},{{"role":"assistant","content":"{text}"}},{{"role":"user","content":[{{"type":"text","text":"{text}"}}]}}"#
    );
    let tool = r#"{"type":"function","function":{"name":"weather","description":"Tells the weather of a city","parameters":{"type":"object","properties":{"city":{"type":"string"},"unit":{"type":"string","enum":["c","f"]}},"required":["city"]}}}"#;
    Bytes::from(format!(
        r#"{{"model":"gpt-4o","temperature":0.2,"max_tokens":400,"stream":{stream},"messages":[{{"role":"system","content":"{text}"}},{turn},{{"role":"user","content":"{text}"}}],"tools":[{tool}]}}"#
    ))
}

fn openai_stream() -> Bytes {
    let chunk = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-CoyYOqlEPe5d5ZDp8ke9WKiuDZwVD\",\"object\":\"chat.completion.chunk\",\"created\":1766265204,\"model\":\"gpt-4o-2024-08-06\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_e413f45763\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}],\"usage\":null,\"obfuscation\":\"ieRE2s31JOWT9v0\"}}\n\n"
        )
    };
    let mut text = chunk(r#"{"role":"assistant","content":"","refusal":null}"#, "null");
    for _ in 0..CHUNKS {
        text.push_str(&chunk(r#"{"content":" word"}"#, "null"));
    }
    text.push_str(&chunk("{}", "\"stop\""));
    text.push_str("data: [DONE]\n\n");
    Bytes::from(text)
}

fn anthropic_stream() -> Bytes {
    let mut text = String::from(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_01\",\"model\":\"claude-x\",\"content\":[],\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    );
    for _ in 0..CHUNKS {
        text.push_str("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" word\"}           }\n\n");
    }
    text.push_str("event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":200}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    Bytes::from(text)
}

/// Cuts a stream at its blank lines, as it usually arrives.
fn pieces(stream: &Bytes) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut rest = stream.clone();
    while let Some(at) = rest.windows(2).position(|pair| pair == b"\n\n") {
        pieces.push(rest.split_to(at + 2));
    }
    pieces
}

fn decode(kind: ProviderKind, hints: &Hints, pieces: &[Bytes]) -> usize {
    let mut decoder = dialect::decode_stream(kind, hints.clone(), 1 << 20);
    let mut bytes = 0;
    for piece in pieces {
        decoder.feed(piece.clone());
        while let Some(item) = decoder.next_item() {
            if let StreamItem::Chunk(chunk) = item {
                bytes += chunk.json().len();
            }
        }
    }
    bytes
}

fn requests(criterion: &mut Criterion) {
    let body = request_body(true);
    let mut group = criterion.benchmark_group("request");
    group.throughput(Throughput::Bytes(body.len() as u64));
    let parse = || ChatRequest::parse(body.clone(), &Limits::default()).unwrap();
    group.bench_function("parse", |bencher| bencher.iter(|| black_box(parse())));
    let request = parse();
    let options = EncodeOptions::default();
    group.bench_function("texts", |bencher| bencher.iter(|| black_box(request.texts().len())));
    group.bench_function("canonical key", |bencher| bencher.iter(|| black_box(request.canonical_key())));
    for (name, kind) in [("encode openai", OpenAi), ("encode anthropic", Anthropic)] {
        group.bench_function(name, |bencher| {
            bencher
                .iter(|| black_box(dialect::encode(kind, &request, "claude-sonnet-4-5", &options).unwrap()));
        });
    }
    group.finish();
}

fn streams(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream of 200 chunks");
    let request = ChatRequest::parse(request_body(true), &Limits::default()).unwrap();
    group.throughput(Throughput::Elements(CHUNKS as u64));
    for (name, kind, stream) in
        [("openai", OpenAi, openai_stream()), ("anthropic", Anthropic, anthropic_stream())]
    {
        let pieces = pieces(&stream);
        group.bench_function(format!("{name} framing only"), |bencher| {
            bencher.iter(|| {
                let mut decoder = SseDecoder::default();
                let mut bytes = 0;
                for piece in &pieces {
                    decoder.feed(piece.clone());
                    while let Ok(Some(event)) = decoder.next_event() {
                        bytes += event.data.len();
                    }
                }
                black_box(bytes)
            });
        });
        let hints =
            dialect::encode(kind, &request, "claude-sonnet-4-5", &EncodeOptions::default()).unwrap().hints;
        group.bench_function(name, |bencher| bencher.iter(|| black_box(decode(kind, &hints, &pieces))));
    }
    group.finish();
}

fn answers(criterion: &mut Criterion) {
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(20);
    let openai = Bytes::from(format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":9,"completion_tokens":200,"total_tokens":209}}}}"#
    ));
    let anthropic = Bytes::from(format!(
        r#"{{"id":"msg_01","type":"message","role":"assistant","model":"m","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","usage":{{"input_tokens":9,"output_tokens":200}}}}"#
    ));
    let mut group = criterion.benchmark_group("answer");
    for (name, kind, body) in [("openai", OpenAi, openai), ("anthropic", Anthropic, anthropic)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let hints = Hints::default();
                black_box(
                    dialect::decode_unary(
                        kind,
                        200,
                        &NoHeaders,
                        body.clone(),
                        &hints,
                        SystemTime::UNIX_EPOCH,
                    )
                    .unwrap(),
                )
            });
        });
    }
    group.finish();
}

criterion_group!(benches, requests, streams, answers);
criterion_main!(benches);
