//! Any bytes: the engine must not panic, and its findings must be in order, on char boundaries, without overlaps.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sentinel_guard::pii::{PiiConfig, PiiEngine};

static ENGINE: OnceLock<PiiEngine> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let engine = ENGINE.get_or_init(|| {
        PiiEngine::new(&PiiConfig { entities: vec!["all".to_owned()], ..PiiConfig::default() }).expect("built-in tables")
    });
    let text = String::from_utf8_lossy(data);
    let mut last = 0;
    for finding in engine.scan(&text) {
        assert!(finding.start >= last && text.get(finding.start..finding.end).is_some());
        last = finding.end;
    }
});
