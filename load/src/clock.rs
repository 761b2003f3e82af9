//! The only place of this crate that reads the time.
//!
//! The tools measure real processes over real sockets, so there is nothing to inject; keeping the reads in one
//! file still shows at a glance that no answer of the mock depends on the time, apart from its date fields.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

/// Returns the time since the Unix epoch.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the tools' one reader of the wall clock")]
pub fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Formats a time since the Unix epoch as an HTTP date (RFC 9110, `Sun, 06 Nov 1994 08:49:37 GMT`).
#[must_use]
pub fn http_date(since_epoch: Duration) -> String {
    to_calendar(since_epoch)
        .format(&Rfc2822)
        .map_or_else(|_| String::new(), |text| text.replace("+0000", "GMT"))
}

/// Formats a time since the Unix epoch as RFC 3339 in whole seconds, as Anthropic's reset headers do.
#[must_use]
pub fn rfc3339(since_epoch: Duration) -> String {
    to_calendar(Duration::from_secs(since_epoch.as_secs())).format(&Rfc3339).unwrap_or_default()
}

fn to_calendar(since_epoch: Duration) -> OffsetDateTime {
    let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(0);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_forms_of_their_headers() {
        let moment = Duration::from_secs(784_111_777);
        assert_eq!(http_date(moment), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(rfc3339(moment), "1994-11-06T08:49:37Z");
    }
}
