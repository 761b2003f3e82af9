//! Kills a writing process at random moments and looks at what is left.
//!
//! Ten rounds for each durability by default; `SENTINEL_KILL_ROUNDS=50` runs the long version.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sentinel_domain::audit::AuditEvent;
use sentinel_runtime::Clock;
use sentinel_store::audit::{AuditReader, VerifyRange};

/// What a batched writer may lose: its window, and a commit that a busy disk holds up.
const WINDOW: Duration = Duration::from_millis(20 + 400);

fn writer() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join("examples/audit_writer");
    assert!(path.exists(), "{} is missing: build the examples", path.display());
    path
}

fn rounds() -> u32 {
    std::env::var("SENTINEL_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

/// Lets the writer run for `time` once it is open, kills it, and returns what it said, with when it said so.
fn run_and_kill(directory: &Path, mode: &str, time: Duration) -> BTreeMap<String, Duration> {
    let mut child = Command::new(writer()).arg(directory).arg(mode).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(lines.next().as_deref(), Some("READY"));
    let mut told = BTreeMap::new();
    let clock = Clock::system();
    let ready = clock.now();
    // What was in the pipe when the process died can still be read; a line that was cut has no number.
    let mut killed = false;
    for line in lines {
        if let Some((id, micros)) = line.split_once(' ')
            && let Ok(micros) = micros.parse()
        {
            told.insert(id.to_owned(), Duration::from_micros(micros));
        }
        if !killed && clock.now().duration_since(ready) >= time {
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    told
}

/// Reads the trail as a process that comes after the killed one.
fn stored(directory: &Path) -> (BTreeSet<String>, u64) {
    let reader = AuditReader::open_offline(directory).unwrap();
    let report = reader.verify(VerifyRange::default()).unwrap();
    assert!(report.ok, "{report:?}");
    let (mut ids, mut recovered) = (BTreeSet::new(), 0);
    for row in reader.export() {
        let record = row.unwrap().record().unwrap();
        match record.event {
            Some(AuditEvent::Recovered { .. }) => recovered += 1,
            Some(AuditEvent::Anchor { .. }) => {}
            None => assert!(ids.insert(record.request_id), "twice"),
        }
    }
    (ids, recovered)
}

fn moments() -> impl Iterator<Item = Duration> {
    // Uneven steps, so that the kills fall on all phases of a commit.
    (0..rounds()).map(|round| Duration::from_millis(60 + u64::from(round) * 37 % 190))
}

#[test]
fn strict_loses_nothing_that_was_acknowledged_when_killed() {
    let directory = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut killed) = (BTreeSet::new(), 0);
    for time in moments() {
        acknowledged.extend(run_and_kill(directory.path(), "strict", time).into_keys());
        killed += 1;
        let (ids, recovered) = stored(directory.path());
        let lost: Vec<_> = acknowledged.difference(&ids).collect();
        assert!(lost.is_empty(), "lost {lost:?}");
        // The last kill is found by the next start.
        assert_eq!(recovered, killed - 1);
    }
    assert!(acknowledged.len() > 100, "{} acknowledged", acknowledged.len());
}

#[test]
fn batched_loses_at_most_its_window_when_killed() {
    let directory = tempfile::tempdir().unwrap();
    let (mut appended, mut lost_in_all) = (0, 0);
    for time in moments() {
        let told = run_and_kill(directory.path(), "batched", time);
        let (ids, _) = stored(directory.path());
        let last = told.values().max().copied().unwrap_or_default();
        let lost: Vec<_> = told.iter().filter(|(id, _)| !ids.contains(*id)).collect();
        let oldest = lost.iter().map(|(_, at)| **at).min().unwrap_or(last);
        assert!(last - oldest <= WINDOW, "lost {} records of {:?}", lost.len(), last - oldest);
        appended += told.len();
        lost_in_all += lost.len();
    }
    assert!(appended > 1_000, "{appended} appended");
    println!("batched: {appended} appended, {lost_in_all} lost in {} kills", rounds());
}

#[test]
fn a_request_under_way_when_killed_has_a_record_after_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    run_and_kill(directory.path(), "batched", Duration::from_millis(400));
    // The next start writes the records and ends at once.
    let next = Command::new(writer()).arg(directory.path()).args(["batched", "0"]).output().unwrap();
    assert!(next.status.success());
    let reader = AuditReader::open_offline(directory.path()).unwrap();
    let records = reader.export().map(|row| row.unwrap().record().unwrap());
    let ended = records.filter(|record| record.error_code.as_deref() == Some("process_ended")).count();
    // A busy machine opens fewer than the 200 that the writer holds open at most.
    assert!(ended >= 10, "{ended} open requests have a record");
    assert!(reader.verify(VerifyRange::default()).unwrap().ok);
}

#[test]
fn a_file_size_limit_is_an_error_and_not_the_end() {
    let directory = tempfile::tempdir().unwrap();
    // 512-byte or 1,024-byte blocks, depending on the shell: 4 to 8 MiB.
    let script = format!(
        "trap '' XFSZ; ulimit -f 8000; exec '{}' '{}' batched",
        writer().display(),
        directory.path().display()
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = text.lines().find(|line| line.starts_with("FAILED")).unwrap_or_default();
    assert!(failed.contains("the audit store is unavailable"), "{failed:?} {output:?}");
    assert!(output.status.success(), "{:?}", output.status);
    // Without the limit the trail opens and verifies.
    let next = Command::new(writer()).arg(directory.path()).args(["batched", "50"]).output().unwrap();
    assert!(next.status.success());
    stored(directory.path());
}
