//! Appends records at a steady pace until it is killed, and says which ones it may rely on. The kill tests run it.
//!
//! `audit_writer DIRECTORY strict|batched [LIMIT]` writes one line `ID MICROSECONDS` for each record that counts as written,
//! `READY` when the trail is open, and `FAILED text` when a record was refused.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::audit::AuditRecord;
use sentinel_runtime::Clock;
use sentinel_store::audit::{AuditConfig, AuditTrail, Durability, Intent, format_ms};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("DIRECTORY is missing")?);
    let strict = arguments.next().is_some_and(|mode| mode == "strict");
    let limit: u64 = arguments.next().map_or(Ok(u64::MAX), |limit| limit.parse())?;
    let clock = Clock::system();
    let wall = clock.clone();
    let mut config = AuditConfig::new(directory, Arc::new(move || wall.unix_ms()));
    config.durability = if strict { Durability::Strict } else { Durability::Batched };
    let trail = AuditTrail::open_embedded(&config)?;
    // What the opening had to say is on disk before anything else happens.
    trail.flush().written().await?;
    say("READY");

    let origin = clock.now();
    let process = std::process::id();
    let mut pace = tokio::time::interval(Duration::from_millis(2));
    // Some requests stay open over several commits, as streams do.
    let mut streams = std::collections::VecDeque::new();
    for number in 0..limit {
        if number % 8 == 0 {
            pace.tick().await;
        }
        let intent = Intent {
            request_id: format!("{process}-{number}"),
            timestamp: format_ms(clock.unix_ms()),
            ..Intent::default()
        };
        let slot = match trail.reserve(intent) {
            Ok(slot) => slot,
            Err(error) => {
                say(&format!("FAILED {error}"));
                break;
            }
        };
        streams.push_back(slot);
        if streams.len() < 200 && number % 3 == 0 {
            continue;
        }
        let Some(slot) = streams.pop_front() else { continue };
        let id = slot.intent().request_id.clone();
        let timestamp = slot.intent().timestamp.clone();
        let receipt = slot.append(AuditRecord {
            request_id: id.clone(),
            timestamp,
            provider: Some("openai".to_owned()),
            model: Some("gpt-4o".to_owned()),
            status: 200,
            ..AuditRecord::default()
        });
        let told = format!("{id} {}", clock.now().duration_since(origin).as_micros());
        if strict {
            tokio::spawn(async move {
                if receipt.written().await.is_ok() {
                    say(&told);
                }
            });
        } else {
            say(&told);
        }
    }
    streams.clear();
    trail.close().await;
    Ok(())
}

/// Writes one line at once.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that has gone away does not need the line.
    let _ = writeln!(out, "{line}");
}
