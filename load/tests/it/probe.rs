//! The probe against the mock: what it counts is what the mock did.

use std::time::Duration;

use sentinel_load::mock::{Mock, MockConfig, MockHandle};
use sentinel_load::probe::{self, Chat, Plan, ProbeError, Until, Watched};

use crate::support::mock;

fn plan(mock: &MockHandle, model: &str, stream: bool) -> Plan {
    let chat = Chat { model: model.to_owned(), prompt_bytes: 200, stream, unique: true };
    Plan {
        addr: mock.addr(),
        path: "/v1/chat/completions".to_owned(),
        headers: Vec::new(),
        body: Some(chat.body()),
        connections: 4,
        rate: None,
        until: Until::Requests(40),
        warm_up: Duration::ZERO,
        timeout: Duration::from_secs(20),
        never_read: 0,
        leave: 0,
        watched: Vec::new(),
    }
}

#[test]
fn unary_answers_are_counted_by_status() {
    let mock = mock();
    mock.script("*", &["429=1", "503", "ok"]).unwrap();
    let report = probe::run(&plan(&mock, "m", false)).unwrap();
    assert_eq!(
        report.by_status.iter().map(|(status, count)| (*status, *count)).collect::<Vec<_>>(),
        [(200, 38), (429, 1), (503, 1)]
    );
    assert_eq!((report.latency_us.count, report.errors.len()), (40, 0));
    assert!(report.latency_us.p50 > 0.0 && report.latency_us.max >= report.latency_us.p99);
    // Four kept connections, and the one that looks whether anybody is there.
    assert_eq!(mock.counters().connections, 4 + 1);
}

#[test]
fn streams_are_counted_by_event_with_their_gaps() {
    let mock =
        Mock::start(MockConfig { chunk_delay: Duration::from_millis(5), ..MockConfig::default() }).unwrap();
    let plan = Plan { until: Until::Requests(4), ..plan(&mock, "m!chunks=5", true) };
    let report = probe::run(&plan).unwrap();
    // Role, five pieces, finish, usage and [DONE].
    assert_eq!((report.events, report.unterminated_streams), (4 * 9, 0));
    assert!(report.first_event_us.count == 4 && report.gap_us.count > 4 * 4);
    assert!(report.gap_us.p50 > 3_000.0, "{:?}", report.gap_us);
}

#[test]
fn faults_are_told_apart() {
    let mock = mock();
    for (fault, stream, kind) in [
        ("reset", false, "closed_before_head"),
        ("close-after", true, "truncated"),
        ("hang", false, "timeout"),
        ("bad-chunk", true, "malformed"),
    ] {
        let timeout = Duration::from_millis(if fault == "hang" { 50 } else { 20_000 });
        let plan = Plan { until: Until::Requests(2), timeout, ..plan(&mock, &format!("m!{fault}"), stream) };
        let report = probe::run(&plan).unwrap();
        assert_eq!((report.answers, report.errors.get(kind)), (0, Some(&2)), "{fault}: {:?}", report.errors);
    }
    let report = probe::run(&Plan { until: Until::Requests(2), ..plan(&mock, "m!end-after", true) }).unwrap();
    assert_eq!((report.answers, report.unterminated_streams), (2, 2));
    // One connection, or an idle neighbour's would meet the first of its closes before its second request.
    let stale = Plan { until: Until::Requests(3), connections: 1, ..plan(&mock, "m!stale", false) };
    let report = probe::run(&stale).unwrap();
    assert_eq!((report.answers, report.reconnects), (3, 2));
}

#[test]
fn a_fixed_rate_is_kept_and_processes_are_watched() {
    let mock = mock();
    let watched = vec![Watched { label: "own".into(), pids: vec![std::process::id()] }];
    let plan = Plan {
        rate: Some(200.0),
        until: Until::Elapsed(Duration::from_millis(250)),
        watched,
        ..plan(&mock, "m", false)
    };
    let report = probe::run(&plan).unwrap();
    assert_eq!(report.answers, 50);
    assert!(report.seconds >= 0.24 && report.from_schedule_us.count == 50);
    assert!(report.processes["own"].rss_max > 0);
}

#[test]
fn guests_leave_or_never_read() {
    let mock = mock();
    let plan =
        Plan { never_read: 2, leave: 3, until: Until::Requests(1), ..plan(&mock, "m!burst=20000", true) };
    let report = probe::run(&plan).unwrap();
    assert_eq!((report.left, report.answers), (3, 1));
    assert_eq!(mock.counters().requests, 6);
}

#[test]
fn a_plan_that_cannot_run_says_why() {
    let mock = mock();
    let empty = Plan { connections: 0, ..plan(&mock, "m", false) };
    assert!(matches!(probe::run(&empty), Err(ProbeError::Empty)));
    let gone = plan(&mock, "m", false);
    mock.stop();
    assert!(matches!(probe::run(&gone), Err(ProbeError::Unreachable(_))));
}
