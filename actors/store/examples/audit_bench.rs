//! Measures the embedded trail: a sustained rate with the tail of its commits, paging, verification, reopening, expiry.
//!
//! `cargo run --release -p sentinel-store --example audit_bench -- [RECORDS_PER_SECOND] [SECONDS]`

use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::audit::AuditRecord;
use sentinel_domain::money::NanoUsd;
use sentinel_runtime::Clock;
use sentinel_store::audit::{AuditConfig, AuditTrail, Durability, Intent, Query, VerifyRange, format_ms};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let rate: u64 = arguments.next().map_or(Ok(20_000), |text| text.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(20), |text| text.parse())?;
    // The writer needs a core of its own to be compared with a daemon's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(rate, seconds))
}

async fn measure(rate: u64, seconds: u64) -> Result<(), Failure> {
    let directory = tempfile::tempdir_in(".")?;
    let clock = Clock::system();
    let wall = clock.clone();
    let mut config = AuditConfig::new(directory.path().to_path_buf(), Arc::new(move || wall.unix_ms()));
    config.durability = Durability::Strict;
    config.commit_interval = Duration::from_millis(20);
    let trail = AuditTrail::open_embedded(&config)?;

    // A thousandth of the records waits for the disk and so measures the commits; the others only append.
    let (count, begin, cpu) = (rate * seconds, clock.now(), cpu_ms()?);
    let mut pace = tokio::time::interval(Duration::from_millis(1));
    let (mut sent, mut waiters, mut refused, mut backlog) = (0, Vec::new(), 0_u64, 0);
    while sent < count {
        pace.tick().await;
        let due = u64::try_from(clock.now().duration_since(begin).as_micros())? * rate / 1_000_000;
        while sent < due.min(count) {
            let id = format!("019f0000-0000-7000-8000-{sent:012x}");
            let timestamp = format_ms(clock.unix_ms());
            let intent = Intent { request_id: id.clone(), timestamp: timestamp.clone(), ..Intent::default() };
            sent += 1;
            let Ok(slot) = trail.reserve(intent) else {
                refused += 1;
                continue;
            };
            let (receipt, at, clock) = (slot.append(record(id, timestamp)), clock.now(), clock.clone());
            if sent % 1_000 == 0 {
                waiters.push(tokio::spawn(async move {
                    let written = receipt.written().await;
                    written.map(|()| clock.now().duration_since(at))
                }));
            }
        }
        backlog = backlog.max(trail.health().backlog);
    }
    trail.flush().written().await?;
    let time = clock.now().duration_since(begin);
    let cpu = cpu_ms()? - cpu;
    let mut waits = Vec::new();
    for waiter in waiters {
        waits.push(waiter.await??);
    }
    let health = trail.health();
    say(&format!("{} records in {time:.1?}, {refused} refused, {} commits", health.entries, health.commits));
    say(&format!("append to disk: {}, longest backlog {backlog}", tail(&mut waits)));
    say(&format!("CPU {:.1} us a record (producer and writer)", cpu as f64 * 1_000.0 / count as f64));

    let reader = trail.reader();
    let mut pages = Vec::new();
    let mut query = Query { limit: 50, ..Query::default() };
    while pages.len() < 2_000 {
        let at = clock.now();
        let page = reader.page(&query)?;
        pages.push(clock.now().duration_since(at));
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    say(&format!("page of 50, newest first: {}", tail(&mut pages)));
    let mut rare = Vec::new();
    let mut query = Query { key: Some("nobody".to_owned()), ..Query::default() };
    loop {
        let at = clock.now();
        query.cursor = reader.page(&query)?.next_cursor;
        rare.push(clock.now().duration_since(at));
        if query.cursor.is_none() {
            break;
        }
    }
    say(&format!("page of a filter that matches nothing: {}", tail(&mut rare)));
    let at = clock.now();
    let report = reader.verify(VerifyRange::default())?;
    say(&format!(
        "verify: ok={} {} rows in {:.2?}",
        report.ok,
        report.entries,
        clock.now().duration_since(at)
    ));
    let bytes = std::fs::metadata(directory.path().join("audit.redb"))?.len();
    say(&format!("on disk: {} bytes a record", bytes / health.entries.max(1)));

    // The copy is what a killed process leaves; the original is closed cleanly.
    let copy = tempfile::tempdir_in(".")?;
    for name in ["audit.redb", "head"] {
        std::fs::copy(directory.path().join(name), copy.path().join(name))?;
    }
    trail.close().await;
    for (name, path) in [("clean", directory.path()), ("unclean", copy.path())] {
        let config = AuditConfig { directory: path.to_path_buf(), ..config.clone() };
        let at = clock.now();
        let again = AuditTrail::open_embedded(&config)?;
        let opened = clock.now().duration_since(at);
        again.flush().written().await?;
        say(&format!(
            "{name} reopen: {opened:.1?}, first commit after {:.1?}",
            clock.now().duration_since(at)
        ));
        again.close().await;
    }
    Ok(())
}

fn record(request_id: String, timestamp: String) -> AuditRecord {
    AuditRecord {
        request_id,
        timestamp,
        key: Some("team-a".to_owned()),
        client_addr: "127.0.0.1".to_owned(),
        route: Some("gpt-4o".to_owned()),
        provider: Some("openai".to_owned()),
        model: Some("gpt-4o".to_owned()),
        prompt_tokens: 812,
        completion_tokens: 164,
        cost_usd: Some(NanoUsd::new(3_670_000)),
        latency_ms: 912,
        ttft_ms: Some(211),
        attempts: 1,
        cache: Some("miss".to_owned()),
        finish_reason: Some("stop".to_owned()),
        injection_score: Some(0.02),
        status: 200,
        ..AuditRecord::default()
    }
}

fn tail(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index within the slice"
        )]
        let index = (times.len().saturating_sub(1) as f64 * share) as usize;
        times.get(index).copied().unwrap_or_default()
    };
    format!("p50 {:.1?}, p99 {:.1?}, p99.9 {:.1?}, max {:.1?}", at(0.5), at(0.99), at(0.999), at(1.0))
}

/// Processor time of this process, in milliseconds, from the kernel's own accounts (ticks of 10 ms).
fn cpu_ms() -> Result<u64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(')').ok_or("unreadable /proc/self/stat")?.1;
    let fields: Vec<_> = after_name.split_ascii_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    Ok((ticks(11) + ticks(12)) * 10)
}

fn say(line: &str) {
    use std::io::Write;
    // A reader that has gone away does not need the line.
    let _ = writeln!(std::io::stdout(), "{line}");
}
