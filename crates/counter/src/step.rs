//! The steps of history and how they are packed: an hour of minutes, a day of hours, a month of days. All in UTC; a time zone
//! is applied when history is read.

/// The latest time an add may carry, exclusive: the year 10000, in Unix milliseconds.
pub const MAX_TIME_MS: u64 = 253_402_300_800_000;

/// A minute since 1970, the finest time that is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minute(pub u32);

impl Minute {
    /// The minute of a time; `None` from the year 10000 on.
    pub fn of_ms(time_ms: u64) -> Option<Self> {
        if time_ms >= MAX_TIME_MS {
            return None;
        }
        u32::try_from(time_ms / 60_000).ok().map(Self)
    }

    /// When it begins, Unix milliseconds.
    pub fn start_ms(self) -> u64 {
        u64::from(self.0).saturating_mul(60_000)
    }
}

/// The length of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Packed by the hour.
    Minute,
    /// Packed by the day.
    Hour,
    /// Packed by the month.
    Day,
}

/// Which chunk of a step: hours, days or months since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chunk(pub u32);

impl Step {
    /// All, finest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// The byte that stands for it in a row's key.
    pub fn code(self) -> u8 {
        match self {
            Self::Minute => 0,
            Self::Hour => 1,
            Self::Day => 2,
        }
    }

    /// The step with this byte.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.code() == code)
    }

    /// How people write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Minute => "1m",
            Self::Hour => "1h",
            Self::Day => "1d",
        }
    }

    /// Its length in minutes.
    pub fn minutes(self) -> u32 {
        match self {
            Self::Minute => 1,
            Self::Hour => 60,
            Self::Day => 1_440,
        }
    }

    /// The most windows a chunk has.
    pub fn chunk_windows(self) -> u8 {
        match self {
            Self::Minute => 60,
            Self::Hour => 24,
            Self::Day => 31,
        }
    }

    /// Where a minute falls: its chunk, and the window within it.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "remainders of 60 and 24, a day of a month"
    )]
    pub fn place(self, minute: Minute) -> (Chunk, u8) {
        match self {
            // The last minute of an hour goes to the next one.
            Self::Minute if crate::planted!(ChunkEdge) && minute.0 % 60 == 59 => (Chunk(minute.0 / 60 + 1), 0),
            Self::Minute => (Chunk(minute.0 / 60), (minute.0 % 60) as u8),
            Self::Hour => (Chunk(minute.0 / 1_440), (minute.0 / 60 % 24) as u8),
            Self::Day => {
                let (month, day) = month_of_day(minute.0 / 1_440);
                (Chunk(month), day as u8)
            }
        }
    }

    /// The first minute of a chunk.
    pub fn chunk_start(self, chunk: Chunk) -> Minute {
        match self {
            Self::Minute => Minute(chunk.0.saturating_mul(60)),
            Self::Hour => Minute(chunk.0.saturating_mul(1_440)),
            Self::Day => Minute(day_of_month(chunk.0).saturating_mul(1_440)),
        }
    }

    /// The first minute of a window of a chunk.
    pub fn window_start(self, chunk: Chunk, window: u8) -> Minute {
        Minute(
            self.chunk_start(chunk)
                .0
                .saturating_add(u32::from(window).saturating_mul(self.minutes())),
        )
    }
}

/// Months since 1970 and the day within the month, from days since 1970. Source: Howard Hinnant, `civil_from_days`.
fn month_of_day(days: u32) -> (u32, u32) {
    let shifted = u64::from(days).saturating_add(719_468);
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era
        .saturating_sub(day_of_era / 1_460)
        .saturating_add(day_of_era / 36_524))
    .saturating_sub(day_of_era / 146_096)
        / 365;
    let before_year = year_of_era
        .saturating_mul(365)
        .saturating_add(year_of_era / 4)
        .saturating_sub(year_of_era / 100);
    let day_of_year = day_of_era.saturating_sub(before_year);
    let march_month = day_of_year.saturating_mul(5).saturating_add(2) / 153;
    let day = day_of_year.saturating_sub(march_month.saturating_mul(153).saturating_add(2) / 5);
    // March is month 0 of a year that begins in March: ten months more count from January of the same year.
    let months = era
        .saturating_mul(4_800)
        .saturating_add(year_of_era.saturating_mul(12))
        .saturating_add(march_month);
    let since_1970 = months.saturating_add(2).saturating_sub(1_970 * 12);
    (
        u32::try_from(since_1970).unwrap_or(u32::MAX),
        u32::try_from(day).unwrap_or(0),
    )
}

/// Days since 1970 at which a month since 1970 begins. Source: Howard Hinnant, `days_from_civil`.
fn day_of_month(month: u32) -> u32 {
    // Counted from March of the year 0, so that the leap day is the last of a year.
    let months = u64::from(month).saturating_add(1_970 * 12).saturating_sub(2);
    let year = months / 12;
    let day_of_year = (months % 12).saturating_mul(153).saturating_add(2) / 5;
    let days = year
        .saturating_mul(365)
        .saturating_add(year / 4)
        .saturating_sub(year / 100)
        .saturating_add(year / 400)
        .saturating_add(day_of_year);
    u32::try_from(days.saturating_sub(719_468)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_where_the_calendar_says() {
        assert_eq!(month_of_day(0), (0, 0));
        assert_eq!(month_of_day(31), (1, 0));
        assert_eq!(month_of_day(11_016), (361, 28), "29 February 2000");
        assert_eq!(day_of_month(362), 11_017, "1 March 2000");
        assert_eq!(month_of_day(16_572), (544, 16), "17 May 2015");
        for day in 0..200_000 {
            let (month, within) = month_of_day(day);
            assert_eq!(day_of_month(month).saturating_add(within), day);
            assert!(within < 31);
        }
    }

    #[test]
    fn every_minute_lies_in_its_window() {
        for step in Step::ALL {
            for minute in (0..40_000_000).step_by(7_919).map(Minute) {
                let (chunk, window) = step.place(minute);
                let start = step.window_start(chunk, window);
                assert!(
                    start <= minute && minute.0 < start.0.saturating_add(step.minutes()),
                    "{step:?} {minute:?}"
                );
                assert!(window < step.chunk_windows());
            }
        }
    }
}
