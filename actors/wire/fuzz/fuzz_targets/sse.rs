//! Events do not depend on how the bytes are cut: the first byte of the input says where.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sentinel_wire::sse::{SseDecoder, SseEvent};

fn events(pieces: &[&[u8]]) -> Option<Vec<SseEvent>> {
    let mut decoder = SseDecoder::new(4096);
    let mut all = Vec::new();
    for piece in pieces {
        decoder.feed(Bytes::copy_from_slice(piece));
        while let Some(event) = decoder.next_event().ok()? {
            all.push(event);
        }
    }
    while let Some(event) = decoder.finish().ok()? {
        all.push(event);
    }
    Some(all)
}

fuzz_target!(|data: &[u8]| {
    let Some((size, bytes)) = data.split_first() else { return };
    let pieces: Vec<&[u8]> = bytes.chunks(usize::from(*size).max(1)).collect();
    assert_eq!(events(&pieces), events(&[bytes]));
});
