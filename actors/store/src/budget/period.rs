//! Days and months of the budgets, in UTC.

use time::{Date, Duration, Month, OffsetDateTime};

/// The kinds of period that a budget can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeriodKind {
    /// A UTC day.
    Day,
    /// A UTC calendar month.
    Month,
}

impl PeriodKind {
    /// Returns the name that messages show.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

/// One certain day or month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeriodId {
    /// Day or month.
    pub kind: PeriodKind,
    /// Days since 1970-01-01, or months since January of year 0.
    pub number: u32,
}

impl PeriodId {
    /// Returns one number for both kinds, for the embedded table.
    pub(crate) fn code(self) -> u32 {
        match self.kind {
            PeriodKind::Day => self.number,
            PeriodKind::Month => self.number | 0x8000_0000,
        }
    }

    /// Returns a short text for store keys.
    pub(crate) fn name(self) -> String {
        format!("{}:{}", self.kind.as_str(), self.number)
    }
}

/// The day and the month of one moment, with their ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periods {
    /// The day.
    pub day: PeriodId,
    /// The month.
    pub month: PeriodId,
    /// When the day ends, milliseconds since 1970-01-01.
    pub day_ends_ms: u64,
    /// When the month ends, milliseconds since 1970-01-01.
    pub month_ends_ms: u64,
    /// The moment itself, milliseconds since 1970-01-01.
    pub now_ms: u64,
}

const DAY_MS: u64 = 24 * 3600 * 1000;

impl Periods {
    /// Takes milliseconds since 1970-01-01, UTC.
    #[must_use]
    pub fn at(now_ms: u64) -> Self {
        let seconds = i64::try_from(now_ms / 1000).unwrap_or(0);
        let date = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH).date();
        let day = u32::try_from(now_ms / DAY_MS).unwrap_or(u32::MAX);
        let year = u32::try_from(date.year()).unwrap_or(0);
        Self {
            day: PeriodId { kind: PeriodKind::Day, number: day },
            month: PeriodId {
                kind: PeriodKind::Month,
                number: year * 12 + u32::from(u8::from(date.month())) - 1,
            },
            day_ends_ms: u64::from(day).saturating_add(1).saturating_mul(DAY_MS),
            month_ends_ms: month_end(date),
            now_ms,
        }
    }

    /// Returns when a period of this kind ends, milliseconds since 1970-01-01.
    #[must_use]
    pub fn ends_ms(&self, kind: PeriodKind) -> u64 {
        match kind {
            PeriodKind::Day => self.day_ends_ms,
            PeriodKind::Month => self.month_ends_ms,
        }
    }
}

fn month_end(date: Date) -> u64 {
    let (year, month) = match date.month() {
        Month::December => (date.year() + 1, Month::January),
        month => (date.year(), month.next()),
    };
    let first = Date::from_calendar_date(year, month, 1).unwrap_or(date + Duration::DAY);
    u64::try_from(first.midnight().assume_utc().unix_timestamp()).unwrap_or(0).saturating_mul(1000)
}

/// Writes a day number as `YYYY-MM-DD`.
#[must_use]
pub fn day_text(day: u32) -> String {
    let date = Date::from_julian_day(2_440_588_i32.saturating_add_unsigned(day)).unwrap_or(Date::MAX);
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_months_end_at_midnight_utc() {
        for (now_ms, day, day_ends, month_ends) in [
            (0, "1970-01-01", 86_400_000, 2_678_400_000),
            // 2024-02-29T23:59:59.999Z
            (1_709_251_199_999, "2024-02-29", 1_709_251_200_000, 1_709_251_200_000),
            // 2026-12-31T00:00:00Z
            (1_798_675_200_000, "2026-12-31", 1_798_761_600_000, 1_798_761_600_000),
        ] {
            let periods = Periods::at(now_ms);
            assert_eq!(day_text(periods.day.number), day);
            assert_eq!((periods.day_ends_ms, periods.month_ends_ms), (day_ends, month_ends), "{day}");
        }
    }

    #[test]
    fn the_month_changes_with_the_year() {
        let (december, january) = (Periods::at(1_798_675_200_000), Periods::at(1_798_761_600_000));
        assert_eq!(january.month.number, december.month.number + 1);
        assert_ne!(december.day.code(), december.month.code());
    }
}
