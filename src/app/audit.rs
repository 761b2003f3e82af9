//! `sentinel audit`: verify, export and look at the trail, of a daemon that is not running.

use std::io::Write;

use sentinel_runtime::Clock;
use sentinel_store::audit::{AuditReader, Query, VerifyRange, parse_ms};

use super::cli::AuditCommand;
use crate::config::Config;
use crate::gateway::build::audit_settings;

/// Runs the command; results go to standard output. Returns whether the trail is in order.
///
/// # Errors
/// The trail cannot be read, or a value is wrong.
pub(super) fn run(config: &Config, command: &AuditCommand, mut output: impl Write) -> Result<bool, String> {
    let settings = audit_settings(config, &Clock::system());
    let reader = AuditReader::open_offline(&settings.directory).map_err(|error| {
        format!(
            "{error}\nwhile a gateway runs, ask it instead: GET /v1/audit, /v1/audit/verify (see its address in the log)"
        )
    })?;
    let broken = |error: std::io::Error| format!("cannot write: {error}");
    let failed = |error: sentinel_store::audit::AuditError| error.to_string();
    match command {
        AuditCommand::Verify { from, to } => {
            let range = VerifyRange {
                from_ms: moment("--from", from.as_ref())?,
                to_ms: moment("--to", to.as_ref())?,
            };
            let report = reader.verify(range).map_err(failed)?;
            let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
            writeln!(output, "{text}").map_err(broken)?;
            Ok(report.ok)
        }
        AuditCommand::Export { format: _ } => {
            for row in reader.export() {
                writeln!(output, "{}", row.map_err(failed)?.json()).map_err(broken)?;
            }
            Ok(true)
        }
        AuditCommand::Tail { limit } => {
            let query =
                Query { limit: (*limit).clamp(1, sentinel_store::audit::MAX_LIMIT), ..Query::default() };
            for row in reader.page(&query).map_err(failed)?.rows.iter().rev() {
                writeln!(output, "{}", row.json()).map_err(broken)?;
            }
            Ok(true)
        }
        AuditCommand::Stats => {
            let stats = reader.stats().map_err(failed)?;
            let text = serde_json::to_string_pretty(&stats).map_err(|error| error.to_string())?;
            writeln!(output, "{text}").map_err(broken)?;
            Ok(true)
        }
    }
}

fn moment(flag: &str, text: Option<&String>) -> Result<Option<u64>, String> {
    let Some(text) = text else { return Ok(None) };
    match parse_ms(text).or_else(|| parse_ms(&format!("{text}T00:00:00Z"))) {
        Some(ms) => Ok(Some(ms)),
        None => Err(format!("{flag}: {text:?} is no moment; write one such as 2026-11-28T12:00:00Z")),
    }
}
