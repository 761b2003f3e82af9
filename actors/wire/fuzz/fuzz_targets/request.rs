//! A request that parses is translated or refused, and its texts can be replaced with themselves.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sentinel_domain::policy::ProviderKind;
use sentinel_wire::{ChatRequest, EncodeOptions, Limits, dialect};

fuzz_target!(|data: &[u8]| {
    let Ok(request) = ChatRequest::parse(Bytes::copy_from_slice(data), &Limits::default()) else { return };
    for kind in [ProviderKind::OpenAi, ProviderKind::Anthropic] {
        let _ = dialect::encode(kind, &request, "claude-sonnet-4-5", &EncodeOptions::default());
    }
    let texts: Vec<_> = request.texts().into_iter().map(|slot| (slot.id, slot.text.into_owned())).collect();
    let same = request.with_texts(&texts).expect("the same texts are valid");
    assert_eq!(same.canonical_key(), request.canonical_key());
});
