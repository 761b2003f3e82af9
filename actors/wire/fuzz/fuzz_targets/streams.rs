//! Streams of both dialects end well or badly, the same way however they are cut.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sentinel_domain::policy::ProviderKind;
use sentinel_wire::{Hints, StreamItem, dialect};

fn run(kind: ProviderKind, bytes: &[u8], size: usize) -> (Vec<Bytes>, bool) {
    let mut decoder = dialect::decode_stream(kind, Hints::default(), 4096);
    let mut chunks = Vec::new();
    let mut done = false;
    let mut take = |item| match item {
        StreamItem::Chunk(chunk) => chunks.push(chunk.json().clone()),
        StreamItem::Done => done = true,
        StreamItem::Failed(_) => {}
    };
    for piece in bytes.chunks(size.max(1)) {
        decoder.feed(Bytes::copy_from_slice(piece));
        while let Some(item) = decoder.next_item() {
            take(item);
        }
    }
    decoder.finish();
    while let Some(item) = decoder.next_item() {
        take(item);
    }
    assert!(decoder.is_over());
    (chunks, done)
}

fuzz_target!(|data: &[u8]| {
    let Some((size, bytes)) = data.split_first() else { return };
    for kind in [ProviderKind::OpenAi, ProviderKind::Anthropic] {
        assert_eq!(run(kind, bytes, usize::from(*size)), run(kind, bytes, bytes.len()));
    }
});
