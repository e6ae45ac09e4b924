//! The steps of an answer: minutes to months, in a time zone, with its days of 23 and 25 hours.
//!
//! Steps up to an hour have one length everywhere; longer ones begin where the zone's clocks say so: hours from midnight, weeks on
//! Monday, months on the first.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use tally_counter::{MAX_TIME_MS, Step};

use crate::refusal::Refusal;
use crate::when;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// 5 January 1970 was a Monday.
const FIRST_MONDAY_MS: i64 = 4 * DAY_MS;
/// The steps to choose from where none is asked for.
const CHOICE: [&str; 11] = ["1m", "5m", "15m", "30m", "1h", "3h", "6h", "12h", "1d", "1w", "1M"];

/// How long a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Length {
    count: i64,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Minute,
    Hour,
    Day,
    Week,
    Month,
}

impl Length {
    /// An hour.
    pub(crate) const HOUR: Self = Self {
        count: 1,
        unit: Unit::Hour,
    };

    /// Reads `15m`, `1h`, `1d`, `1w`, `1M`.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        let wrong = || {
            Refusal::invalid(format!(
                "step must be minutes that divide an hour (5m), hours that divide a day (6h), days (1d), weeks (1w) or months (1M), not {text:?}"
            ))
        };
        let split = text.len().saturating_sub(1);
        let (count, unit) = text.split_at_checked(split).ok_or_else(wrong)?;
        let digits = count.len() <= 4 && count.bytes().all(|byte| byte.is_ascii_digit());
        let count: i64 = count.parse().ok().filter(|_| digits).ok_or_else(wrong)?;
        let (count, unit) = match unit {
            "m" if count > 0 && count % 60 == 0 => (count / 60, Unit::Hour),
            "m" => (count, Unit::Minute),
            "h" => (count, Unit::Hour),
            "d" => (count, Unit::Day),
            "w" => (count, Unit::Week),
            "M" => (count, Unit::Month),
            _ => return Err(wrong()),
        };
        let divides = |whole: i64| whole.checked_rem(count) == Some(0);
        let fits = match unit {
            Unit::Minute => divides(60),
            Unit::Hour => divides(24),
            Unit::Day | Unit::Week | Unit::Month => count > 0,
        };
        if fits { Ok(Self { count, unit }) } else { Err(wrong()) }
    }

    /// The finest step that cuts `span_ms` into at most `most` points, coarser ones following.
    pub(crate) fn fitting(span_ms: u64, most: u64) -> impl Iterator<Item = Self> {
        let fits = move |length: &Self| span_ms / length.about_ms() <= most;
        let months = span_ms
            / Self {
                count: 1,
                unit: Unit::Month,
            }
            .about_ms()
            / most;
        let many = Self {
            count: i64::try_from(months).unwrap_or(1).saturating_add(1),
            unit: Unit::Month,
        };
        CHOICE
            .iter()
            .filter_map(|text| Self::parse(text).ok())
            .filter(fits)
            .chain(std::iter::once(many))
    }

    /// About how long it is.
    pub(crate) fn about_ms(self) -> u64 {
        let unit_ms = match self.unit {
            Unit::Minute => MINUTE_MS,
            Unit::Hour => HOUR_MS,
            Unit::Day => DAY_MS,
            Unit::Week => 7 * DAY_MS,
            Unit::Month => 30 * DAY_MS,
        };
        u64::try_from(self.count.saturating_mul(unit_ms))
            .unwrap_or(u64::MAX)
            .max(1)
    }

    /// Whether it is made from minutes.
    pub(crate) fn is_of_minutes(self) -> bool {
        self.unit == Unit::Minute
    }
}

impl fmt::Display for Length {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Minute => "m",
            Unit::Hour => "h",
            Unit::Day => "d",
            Unit::Week => "w",
            Unit::Month => "M",
        };
        write!(formatter, "{}{unit}", self.count)
    }
}

/// Steps of one length in one zone.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    pub(crate) length: Length,
    pub(crate) zone: TimeZone,
}

impl Calendar {
    /// The start of the step that a time lies in.
    pub(crate) fn floor(&self, ms: u64) -> u64 {
        let local = self.local(ms);
        let start = match self.fixed_ms() {
            Some(length) => signed(ms).saturating_sub(local.rem_euclid(length)),
            None => self.instant(self.civil_floor(local)),
        };
        // Where clocks are put back, a civil start may stand for a later instant than the time itself.
        u64::try_from(start).unwrap_or(0).min(ms)
    }

    /// The start of the step after the one that begins at `start`.
    pub(crate) fn next(&self, start: u64) -> u64 {
        if let Some(length) = self.fixed_ms() {
            let next = start.saturating_add(u64::try_from(length).unwrap_or(1));
            let aligned = self.floor(next);
            return if aligned > start { aligned } else { next };
        }
        let mut civil = self.civil_floor(self.local(start));
        // Twice at most: the civil start that clocks were put back over, and the one after it.
        for _ in 0..3 {
            civil = self.civil_next(civil);
            if let Some(next) = u64::try_from(self.instant(civil)).ok().filter(|next| *next > start) {
                return next;
            }
        }
        start.saturating_add(self.length.about_ms())
    }

    /// The kept steps that this one can be made from, best first.
    pub(crate) fn bases(&self, from: u64, to: u64) -> &'static [Step] {
        let whole_hours = [from, to].into_iter().all(|ms| self.offset_ms(ms) % HOUR_MS == 0);
        match (self.length.unit, whole_hours) {
            (Unit::Minute, _) => &[Step::Minute],
            (Unit::Hour, true) => &[Step::Hour, Step::Minute],
            (Unit::Hour, false) => &[Step::Minute, Step::Hour],
            (_, true) if self.zone == TimeZone::UTC => &[Step::Day, Step::Hour, Step::Minute],
            (_, true) => &[Step::Hour, Step::Minute, Step::Day],
            (_, false) => &[Step::Minute, Step::Hour, Step::Day],
        }
    }

    /// The length where every step has the same one.
    fn fixed_ms(&self) -> Option<i64> {
        match self.length {
            Length {
                unit: Unit::Minute,
                count,
            } => Some(count.saturating_mul(MINUTE_MS)),
            Length {
                unit: Unit::Hour,
                count: 1,
            } => Some(HOUR_MS),
            _ => None,
        }
    }

    fn offset_ms(&self, ms: u64) -> i64 {
        i64::from(self.zone.to_offset(when::timestamp(ms)).seconds()).saturating_mul(1_000)
    }

    /// What the zone's clocks show, as if it were UTC.
    fn local(&self, ms: u64) -> i64 {
        signed(ms).saturating_add(self.offset_ms(ms))
    }

    fn instant(&self, local: i64) -> i64 {
        let timestamp = self.zone.to_timestamp(datetime(local));
        timestamp.map_or(local, Timestamp::as_millisecond)
    }

    fn civil_floor(&self, local: i64) -> i64 {
        let Length { count, unit } = self.length;
        let down = |origin: i64, length: i64| {
            let length = length.saturating_mul(count).max(1);
            local.saturating_sub(local.saturating_sub(origin).rem_euclid(length))
        };
        match unit {
            Unit::Minute => down(0, MINUTE_MS),
            Unit::Hour => down(0, HOUR_MS),
            Unit::Day => down(0, DAY_MS),
            Unit::Week => down(FIRST_MONDAY_MS, 7 * DAY_MS),
            Unit::Month => {
                let date = datetime(local).date();
                let months = i64::from(date.year())
                    .saturating_mul(12)
                    .saturating_add(i64::from(date.month()))
                    .saturating_sub(1);
                first_of(months.saturating_sub(months.rem_euclid(count.max(1))))
            }
        }
    }

    fn civil_next(&self, start: i64) -> i64 {
        let Length { count, unit } = self.length;
        match unit {
            Unit::Minute => start.saturating_add(count.saturating_mul(MINUTE_MS)),
            Unit::Hour => start.saturating_add(count.saturating_mul(HOUR_MS)),
            Unit::Day => start.saturating_add(count.saturating_mul(DAY_MS)),
            Unit::Week => start.saturating_add(count.saturating_mul(7 * DAY_MS)),
            Unit::Month => {
                let date = datetime(start).date();
                let months = i64::from(date.year())
                    .saturating_mul(12)
                    .saturating_add(i64::from(date.month()))
                    .saturating_sub(1);
                first_of(months.saturating_add(count))
            }
        }
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms.min(MAX_TIME_MS)).unwrap_or(i64::MAX)
}

fn datetime(local: i64) -> DateTime {
    let timestamp = Timestamp::from_millisecond(local).unwrap_or(Timestamp::MAX);
    TimeZone::UTC.to_datetime(timestamp)
}

/// The first day of a month, counted from the year 0.
fn first_of(months: i64) -> i64 {
    let year = i16::try_from(months.div_euclid(12)).ok();
    let month = i8::try_from(months.rem_euclid(12).saturating_add(1)).ok();
    let date = year.zip(month).and_then(|(year, month)| Date::new(year, month, 1).ok());
    let midnight = date.map(|date| date.at(0, 0, 0, 0));
    midnight
        .and_then(|midnight| TimeZone::UTC.to_timestamp(midnight).ok())
        .map_or(i64::MAX, Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(length: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let zone = if zone == "UTC" {
            TimeZone::UTC
        } else {
            TimeZone::get(zone).unwrap()
        };
        let calendar = Calendar {
            length: Length::parse(length).unwrap(),
            zone,
        };
        let mut at = calendar.floor(when::parse("from", from).unwrap());
        let mut found = Vec::new();
        for _ in 0..count {
            found.push(when::zoned(at, &calendar.zone));
            assert_eq!(calendar.floor(at), at, "a start is its own start");
            let next = calendar.next(at);
            assert!(next > at);
            assert_eq!(calendar.floor(next - 1), at, "the last millisecond belongs to the step");
            at = next;
        }
        found
    }

    #[test]
    fn steps_follow_the_zone() {
        assert_eq!(
            steps("15m", "UTC", "2015-05-17T10:05:03Z", 2),
            ["2015-05-17T10:00:00Z", "2015-05-17T10:15:00Z"]
        );
        assert_eq!(
            steps("1h", "Asia/Kolkata", "2015-05-17T10:05:03Z", 2),
            ["2015-05-17T15:00:00+05:30", "2015-05-17T16:00:00+05:30"]
        );
        assert_eq!(
            steps("1d", "Europe/Berlin", "2026-03-28T12:00:00Z", 3),
            [
                "2026-03-28T00:00:00+01:00",
                "2026-03-29T00:00:00+01:00",
                "2026-03-30T00:00:00+02:00"
            ]
        );
        assert_eq!(
            steps("1d", "Europe/Berlin", "2026-10-24T12:00:00Z", 3),
            [
                "2026-10-24T00:00:00+02:00",
                "2026-10-25T00:00:00+02:00",
                "2026-10-26T00:00:00+01:00"
            ]
        );
        assert_eq!(
            steps("1w", "UTC", "2015-05-17T10:05:03Z", 2),
            ["2015-05-11T00:00:00Z", "2015-05-18T00:00:00Z"]
        );
        assert_eq!(
            steps("1M", "UTC", "2015-12-17T10:05:03Z", 2),
            ["2015-12-01T00:00:00Z", "2016-01-01T00:00:00Z"]
        );
        assert_eq!(
            steps("3M", "UTC", "2015-12-17T10:05:03Z", 2),
            ["2015-10-01T00:00:00Z", "2016-01-01T00:00:00Z"]
        );
    }

    #[test]
    fn every_hour_of_a_day_with_a_change_is_its_own() {
        let spring = steps("1h", "Europe/Berlin", "2026-03-29T00:00:00Z", 3);
        assert_eq!(
            spring,
            [
                "2026-03-29T01:00:00+01:00",
                "2026-03-29T03:00:00+02:00",
                "2026-03-29T04:00:00+02:00"
            ]
        );
        let autumn = steps("1h", "Europe/Berlin", "2026-10-25T00:00:00Z", 3);
        assert_eq!(
            autumn,
            [
                "2026-10-25T02:00:00+02:00",
                "2026-10-25T02:00:00+01:00",
                "2026-10-25T03:00:00+01:00"
            ]
        );
        for zone in [
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "America/Sao_Paulo",
            "Asia/Kathmandu",
        ] {
            for length in ["6h", "12h", "1d", "2d", "1w", "1M"] {
                steps(length, zone, "2017-01-01T00:00:00Z", 500);
            }
        }
    }

    #[test]
    fn lengths_are_strict() {
        for wrong in ["", "m", "0m", "7m", "-1h", "5h", "1y", "1", "99999d", "1é", "é"] {
            assert!(Length::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Length::parse("120m").unwrap().to_string(), "2h");
        let chosen = |span_ms| Length::fitting(span_ms, 400).next().unwrap().to_string();
        assert_eq!(chosen(3_600_000), "1m");
        assert_eq!(chosen(4 * 86_400_000), "15m");
        assert_eq!(chosen(8_000 * 365 * 86_400_000), "244M");
    }
}
