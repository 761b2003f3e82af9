//! Cost of the PII engine: clean prompts, dense ones, adversarial ones, and one piece of a stream.
//!
//! The goal on one core is 10 us for a clean 2 KB prompt, 200 us for 32 KB, and linear growth on any text.

#![expect(clippy::expect_used, reason = "a benchmark without its engine has nothing to measure")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sentinel_guard::pii::{PiiConfig, PiiEngine, StreamOptions, TextStream, Vault};

const PROSE: &str = "Please summarise the attached report in three paragraphs. The board wants to know why the migration \
    took longer than planned, what the team would do differently, and which of the open risks could delay the second \
    phase. Keep the tone factual, avoid jargon, and end with a list of decisions that are needed before the summer. ";
const DENSE: &str = "Ann Lee, ann.lee@corp.example.co.uk, +49 89 5782016, card 4111 1111 1111 1111, IBAN GB82 WEST 1234 5698 \
    7654 32, SSN 536-90-1234, host 132.198.20.229, key sk-proj-a8Fj2kLm9QpXz7Rt4Vw1Yb6Nc3Hd5Gs0EuTiOaWq2ZxCvB. ";
const LOGS: &str = "2025-09-18T04:51:11.059Z INFO order_id=718702472120 sku=IJL-618190 qty=2 total=6195.40 offset=204788305889 \
    request_id=1527e1d0-6077-4ee9-af85-78076c0b3fc3 checksum=f3f20a78\n";

fn text(unit: &str, bytes: usize) -> String {
    unit.chars().cycle().take(bytes).collect()
}

fn engine() -> Arc<PiiEngine> {
    let config = PiiConfig { entities: vec!["all".to_owned()], ..PiiConfig::default() };
    Arc::new(PiiEngine::new(&config).expect("the built-in tables"))
}

fn scan(criterion: &mut Criterion) {
    let engine = engine();
    let mut group = criterion.benchmark_group("pii_scan");
    for (name, unit) in [
        ("prose", PROSE),
        ("logs", LOGS),
        ("dense", DENSE),
        ("digits", "123456789 "),
        ("keys", "key=key="),
        ("begins", "-----BEGIN PRIVATE KEY-----"),
        ("web_tokens", "eyJ.=eyJ."),
        ("ats", "a@a."),
    ] {
        for bytes in [2048, 32 * 1024] {
            let text = text(unit, bytes);
            group.throughput(Throughput::Bytes(bytes as u64));
            group.bench_with_input(BenchmarkId::new(name, bytes), &text, |bencher, text| {
                bencher.iter(|| black_box(engine.scan(black_box(text))));
            });
        }
    }
    group.finish();
}

fn stream(criterion: &mut Criterion) {
    let engine = engine();
    let mut group = criterion.benchmark_group("pii_stream");
    for (name, unit) in [("prose", PROSE), ("dense", DENSE)] {
        let text = text(unit, 4096);
        let pieces: Vec<&str> = text.split_inclusive(' ').collect();
        group.throughput(Throughput::Elements(pieces.len() as u64));
        group.bench_function(BenchmarkId::new("per_piece", name), |bencher| {
            bencher.iter(|| {
                let mut vault = Vault::new();
                let mut stream = TextStream::new(StreamOptions {
                    redact: Some(Arc::clone(&engine)),
                    restore: true,
                    json: false,
                });
                let sent: usize = pieces.iter().map(|piece| stream.push(piece, &mut vault).len()).sum();
                black_box(sent + stream.flush(&mut vault).len())
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1));
    targets = scan, stream
}
criterion_main!(benches);
