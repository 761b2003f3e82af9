//! The panic hook, and what may be told about a panic.
//!
//! The default hook prints several lines to stderr and, with `RUST_BACKTRACE` set, symbolises on the dying thread (about 100 ms of a
//! worker's time). This one writes a single structured line without a backtrace, and leaves text and place for the supervisor to keep.
//! A panic's text may quote what a client sent (slicing a string prints the string), so quoted parts are blanked before anything is
//! logged or shown.

use std::any::Any;
use std::cell::RefCell;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::{Clock, millis};

/// Longest panic text that is kept, in characters.
const MAX_CHARS: usize = 200;
/// Lines the hook writes per second; the rest is counted.
const LINES_PER_SECOND: u64 = 20;

thread_local! {
    static LAST: RefCell<Option<Report>> = const { RefCell::new(None) };
}

/// Text and place of a panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) message: String,
    pub(crate) location: Option<String>,
}

/// Replaces the process's panic hook by one that logs a single line through `tracing`, at most 20 a second, without a backtrace.
///
/// While no `tracing` subscriber is set the previous hook is called instead, so that a panic during start-up is not swallowed. Call it
/// once from `main`.
pub fn install() {
    let clock = Clock::system();
    let epoch = clock.now();
    let limiter = LineLimiter::default();
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let report = report(info);
        if !tracing::dispatcher::has_been_set() {
            previous(info);
        } else if let Some(suppressed) =
            limiter.admit(millis(clock.now().saturating_duration_since(epoch)) / 1_000)
        {
            let location = report.location.as_deref().unwrap_or("unknown");
            let thread = std::thread::current();
            let thread = thread.name().unwrap_or("unnamed");
            tracing::error!(message = "panic", text = report.message, location, thread, suppressed);
        }
        // A thread that is being torn down has no slot left; the log line is enough then.
        let _ = LAST.try_with(|last| last.replace(Some(report)));
    }));
}

fn report(info: &PanicHookInfo<'_>) -> Report {
    let location = info.location().map(|place| format!("{}:{}", place.file(), place.line()));
    Report { message: text(info.payload()), location }
}

/// Says what a caught panic was, with the place if the hook saw it on this thread.
pub(crate) fn describe(payload: &(dyn Any + Send)) -> Report {
    let message = text(payload);
    let seen = LAST.try_with(RefCell::take).ok().flatten();
    match seen {
        Some(report) if report.message == message => report,
        _ => Report { message, location: None },
    }
}

/// Says what a caught panic was, in one bounded line without quoted content: for whoever catches panics outside a supervised actor,
/// such as a thread's loop or an HTTP handler's guard.
pub fn text(payload: &(dyn Any + Send)) -> String {
    let raw = payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic with a payload that is not text");
    presentable(raw)
}

/// Shortens a panic's text to one line and blanks what stands between quotes or backticks, except for the standard library's own names.
pub(crate) fn presentable(raw: &str) -> String {
    let mut shown = String::new();
    let mut rest = raw;
    while let Some(open) = rest.find(['`', '"']) {
        let (before, quoted) = rest.split_at(open);
        let Some(quote) = quoted.chars().next() else { break };
        shown.push_str(before);
        shown.push(quote);
        let inner = quoted.get(1..).unwrap_or_default();
        // What a client sent may itself hold quotes, so everything up to the last one is blanked.
        let std_name = inner.find(quote).filter(|&close| inner.get(..close).is_some_and(is_std_name));
        let close = std_name.or_else(|| inner.rfind(quote));
        let Some(close) = close else {
            shown.push('…');
            rest = "";
            break;
        };
        let (content, tail) = inner.split_at(close);
        shown.push_str(if is_std_name(content) { content } else { "…" });
        shown.push(quote);
        rest = tail.get(1..).unwrap_or_default();
    }
    shown.push_str(rest);
    let mut line: String =
        shown.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_CHARS).collect();
    if shown.chars().nth(MAX_CHARS).is_some() {
        line.push('…');
    }
    line
}

fn is_std_name(content: &str) -> bool {
    matches!(
        content,
        "Option::unwrap()"
            | "Result::unwrap()"
            | "Result::unwrap_err()"
            | "Some"
            | "None"
            | "Ok"
            | "Err"
            | "RefCell"
    )
}

/// Admits a bounded number of lines in each second.
#[derive(Debug, Default)]
struct LineLimiter {
    /// The second in the upper bits, lines written in it in the lower 16.
    cell: AtomicU64,
    suppressed: AtomicU64,
}

impl LineLimiter {
    /// Returns the number of lines suppressed since the last one written, or `None` if this one is to be suppressed.
    fn admit(&self, second: u64) -> Option<u64> {
        let admitted = self.cell.fetch_update(Ordering::AcqRel, Ordering::Acquire, |cell| {
            let lines = if cell >> 16 == second { cell & 0xFFFF } else { 0 };
            (lines < LINES_PER_SECOND).then_some((second << 16) | (lines + 1))
        });
        if admitted.is_ok() {
            Some(self.suppressed.swap(0, Ordering::AcqRel))
        } else {
            self.suppressed.fetch_add(1, Ordering::AcqRel);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_content_is_blanked_and_the_text_is_one_bounded_line() {
        let long = "x".repeat(500);
        let table = [
            ("boom", "boom".to_owned()),
            ("two\nlines\r", "two lines ".to_owned()),
            (
                "byte index 1 is not a char boundary; it is inside 'é' (bytes 0..2) of `my secret`",
                "byte index 1 is not a char boundary; it is inside 'é' (bytes 0..2) of `…`".to_owned(),
            ),
            (
                "called `Option::unwrap()` on a `None` value",
                "called `Option::unwrap()` on a `None` value".to_owned(),
            ),
            (
                r#"called `Result::unwrap()` on an `Err` value: Error("a \" b")"#,
                r#"called `Result::unwrap()` on an `Err` value: Error("…")"#.to_owned(),
            ),
            ("of `a ` b `c` d", "of `…` d".to_owned()),
            ("open `quote only", "open `…".to_owned()),
            ("", String::new()),
            (long.as_str(), format!("{}…", "x".repeat(MAX_CHARS))),
        ];
        for (raw, expected) in table {
            assert_eq!(presentable(raw), expected);
        }
    }

    #[test]
    fn lines_are_limited_per_second_and_the_suppressed_are_counted() {
        let limiter = LineLimiter::default();
        let first: Vec<_> = (0..25).map(|_| limiter.admit(1)).collect();
        assert_eq!(first.iter().flatten().count(), 20);
        assert_eq!(limiter.admit(2), Some(5));
        assert_eq!(limiter.admit(2), Some(0));
    }
}
