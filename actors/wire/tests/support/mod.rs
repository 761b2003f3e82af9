//! What the tests of answers share: requests that ask for them, and streams fed in pieces.

use bytes::Bytes;
use sentinel_domain::policy::ProviderKind;
use sentinel_wire::{
    ChatRequest, EncodeOptions, Hints, Limits, StreamDecoder, StreamItem, UpstreamFailure, dialect,
};
use serde_json::{Value, json};

/// Returns the hints of a small request with some more fields.
pub(crate) fn hints(kind: ProviderKind, fields: &Value) -> Hints {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let request = ChatRequest::parse(Bytes::from(body.to_string()), &Limits::default()).unwrap();
    let options = EncodeOptions { created: 5, ..EncodeOptions::default() };
    dialect::encode(kind, &request, "claude-sonnet-4-20250514", &options).unwrap().hints
}

/// A stream that was read to its end.
pub(crate) struct Ended {
    pub(crate) chunks: Vec<Value>,
    pub(crate) meaningful: Vec<bool>,
    pub(crate) done: bool,
    pub(crate) failure: Option<Box<UpstreamFailure>>,
    pub(crate) decoder: StreamDecoder,
}

/// Feeds a stream in pieces of every interesting size and checks that this makes no difference.
pub(crate) fn read(kind: ProviderKind, hints: &Hints, text: &str) -> Ended {
    let whole = feed(kind, hints, text, usize::MAX);
    for size in [1, 3, 7] {
        let cut = feed(kind, hints, text, size);
        assert_eq!(cut.chunks, whole.chunks, "in pieces of {size}");
        assert_eq!((cut.done, &cut.failure), (whole.done, &whole.failure), "in pieces of {size}");
    }
    whole
}

fn feed(kind: ProviderKind, hints: &Hints, text: &str, size: usize) -> Ended {
    let mut ended = Ended {
        chunks: Vec::new(),
        meaningful: Vec::new(),
        done: false,
        failure: None,
        decoder: dialect::decode_stream(kind, hints.clone(), 1 << 20),
    };
    for piece in text.as_bytes().chunks(size.min(text.len()).max(1)) {
        ended.decoder.feed(Bytes::copy_from_slice(piece));
        take(&mut ended);
    }
    ended.decoder.finish();
    take(&mut ended);
    assert!(ended.decoder.is_over() && (ended.done != ended.failure.is_some()));
    ended
}

fn take(ended: &mut Ended) {
    while let Some(item) = ended.decoder.next_item() {
        assert!(!ended.done && ended.failure.is_none(), "an item after the end");
        match item {
            StreamItem::Chunk(chunk) => {
                ended.meaningful.push(chunk.is_meaningful());
                ended.chunks.push(serde_json::from_slice(chunk.json()).unwrap());
            }
            StreamItem::Done => ended.done = true,
            StreamItem::Failed(failure) => ended.failure = Some(failure),
        }
    }
}

/// Returns the deltas of the first choice.
pub(crate) fn deltas(chunks: &[Value]) -> Vec<Value> {
    chunks.iter().filter_map(|chunk| chunk["choices"].get(0)).map(|choice| choice["delta"].clone()).collect()
}
