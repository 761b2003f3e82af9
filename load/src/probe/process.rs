//! What the system says about the processes under load: CPU time, memory, file descriptors (Linux `/proc`).

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde::Serialize;

/// Ticks a second in `/proc/PID/stat`. The kernel scales them from its exact run time, and Linux fixes their rate at
/// 100 for user space on every architecture that this tool runs on.
const TICKS_PER_SECOND: u64 = 100;
/// Bytes of a page in `/proc/PID/statm` on the same architectures.
const PAGE: u64 = 4096;

/// One reading of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) cpu: Duration,
    pub(crate) rss: u64,
    pub(crate) fds: u64,
}

impl Reading {
    /// Reads a process; `None` when it is gone or not ours to see.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.count() as u64);
        Some(Self { cpu: cpu_in(&stat)?, rss: pages * PAGE, fds })
    }

    fn plus(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, rss: self.rss + other.rss, fds: self.fds + other.fds }
    }
}

fn cpu_in(stat: &str) -> Option<Duration> {
    // The name in parentheses may hold anything, so the fields are counted after its last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Processes under one name, such as a master and its workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// The name in the report.
    pub label: String,
    /// The processes that are added up.
    pub pids: Vec<u32>,
}

impl Watched {
    /// Reads `LABEL=PID,PID` as the command line has it.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (label, pids) = text.split_once('=').ok_or("expected LABEL=PID[,PID]")?;
        let pids: Result<Vec<u32>, _> = pids.split(',').map(str::parse).collect();
        Ok(Self { label: label.to_owned(), pids: pids.map_err(|error| format!("{text}: {error}"))? })
    }

    fn read(&self) -> Reading {
        self.pids.iter().filter_map(|pid| Reading::of(*pid)).fold(Reading::default(), Reading::plus)
    }
}

/// What a process used during a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ProcessReport {
    /// CPU time, microseconds.
    pub cpu_us: u64,
    /// CPU time for each completed request, microseconds.
    pub cpu_us_per_request: f64,
    /// CPU time for each stream event, microseconds; 0 without events.
    pub cpu_us_per_event: f64,
    /// Resident memory before the run, bytes.
    pub rss_start: u64,
    /// The most that was seen, bytes.
    pub rss_max: u64,
    /// Resident memory after the run, bytes.
    pub rss_end: u64,
    /// The most open file descriptors that were seen.
    pub fds_max: u64,
}

/// Samples of all watched processes.
#[derive(Debug)]
pub(crate) struct Samples {
    watched: Vec<Watched>,
    first: Vec<Reading>,
    most: Vec<Reading>,
}

impl Samples {
    pub(crate) fn start(watched: Vec<Watched>) -> Self {
        let first: Vec<_> = watched.iter().map(Watched::read).collect();
        Self { watched, most: first.clone(), first }
    }

    pub(crate) fn sample(&mut self) {
        for (watched, most) in self.watched.iter().zip(&mut self.most) {
            let now = watched.read();
            most.rss = most.rss.max(now.rss);
            most.fds = most.fds.max(now.fds);
        }
    }

    pub(crate) fn finish(mut self, requests: u64, events: u64) -> BTreeMap<String, ProcessReport> {
        self.sample();
        let per = |cpu_us: u64, count: u64| if count == 0 { 0.0 } else { cpu_us as f64 / count as f64 };
        let rows = self.watched.iter().zip(self.first).zip(self.most).map(|((watched, first), most)| {
            let last = watched.read();
            let cpu_us = u64::try_from(last.cpu.saturating_sub(first.cpu).as_micros()).unwrap_or(u64::MAX);
            let report = ProcessReport {
                cpu_us,
                cpu_us_per_request: per(cpu_us, requests),
                cpu_us_per_event: per(cpu_us, events),
                rss_start: first.rss,
                rss_max: most.rss,
                rss_end: last.rss,
                fds_max: most.fds,
            };
            (watched.label.clone(), report)
        });
        rows.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_read_behind_any_process_name() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 3 0 100 1000 10";
        assert_eq!(cpu_in(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_in("garbage"), None);
    }

    #[test]
    fn this_process_can_be_read_and_a_missing_one_not() {
        let reading = Reading::of(std::process::id()).unwrap();
        assert!(reading.rss > 0 && reading.fds > 0);
        assert_eq!(Reading::of(u32::MAX), None);
    }

    #[test]
    fn labels_are_read_with_their_processes() {
        assert_eq!(Watched::parse("nginx=1,2").unwrap(), Watched { label: "nginx".into(), pids: vec![1, 2] });
        assert!(Watched::parse("nginx").is_err() && Watched::parse("nginx=x").is_err());
    }
}
