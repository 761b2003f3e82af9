//! Any text and any split: the stream must emit what redacting the whole text emits.

#![no_main]

use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use sentinel_guard::pii::{PiiConfig, PiiEngine, StreamOptions, TextStream, Vault};

static ENGINE: OnceLock<Arc<PiiEngine>> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let engine = ENGINE.get_or_init(|| {
        let config = PiiConfig { entities: vec!["all".to_owned()], ..PiiConfig::default() };
        Arc::new(PiiEngine::new(&config).expect("built-in tables"))
    });
    let Some((step, text)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let options = StreamOptions { redact: Some(Arc::clone(engine)), restore: false, json: false };
    let (expected, _) = TextStream::whole(options.clone(), &text, &mut Vault::new());
    let mut vault = Vault::new();
    let mut stream = TextStream::new(options);
    let mut out = String::new();
    let chars: Vec<char> = text.chars().collect();
    for piece in chars.chunks(usize::from(*step % 32) + 1) {
        out.push_str(&stream.push(&piece.iter().collect::<String>(), &mut vault));
    }
    out.push_str(&stream.flush(&mut vault));
    assert_eq!(out, expected);
});
