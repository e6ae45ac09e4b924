//! When a counter ends, as commands say it: in seconds or milliseconds, from now or since 1970.

use tally_counter::MAX_TIME_MS;

use super::fault::{Fault, NOT_AN_INTEGER};
use super::number;

/// A time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// So long after the turn.
    In(i64),
    /// Since 1970. May lie in the past.
    At(i64),
}

/// How it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// EX.
    Seconds,
    /// PX.
    Ms,
    /// EXAT.
    AtSeconds,
    /// PXAT.
    AtMs,
}

impl Unit {
    /// The unit of an option of SET and GETEX, in small letters.
    pub(super) fn of_option(word: &[u8]) -> Option<Self> {
        match word {
            b"ex" => Some(Self::Seconds),
            b"px" => Some(Self::Ms),
            b"exat" => Some(Self::AtSeconds),
            b"pxat" => Some(Self::AtMs),
            _ => None,
        }
    }
}

impl When {
    /// Any number, as EXPIRE takes it. The error of a time beyond 64 bits names `command`.
    pub(super) fn any(sent: &[u8], unit: Unit, command: &str) -> Result<Self, Fault> {
        // No clock is later than this.
        const LATEST_NOW_MS: i64 = MAX_TIME_MS.cast_signed();
        let number = number::parse(sent).ok_or(NOT_AN_INTEGER)?;
        let too_far = || Fault::expire_time(command);
        let ms = match unit {
            Unit::Seconds | Unit::AtSeconds => number.checked_mul(1_000).ok_or_else(too_far)?,
            Unit::Ms | Unit::AtMs => number,
        };
        match unit {
            Unit::AtSeconds | Unit::AtMs => Ok(Self::At(ms)),
            Unit::Seconds | Unit::Ms if ms > i64::MAX.saturating_sub(LATEST_NOW_MS) => Err(too_far()),
            Unit::Seconds | Unit::Ms => Ok(Self::In(ms)),
        }
    }

    /// Only what is above zero, as SET takes it.
    pub(super) fn positive(sent: &[u8], unit: Unit, command: &str) -> Result<Self, Fault> {
        match number::parse(sent) {
            Some(number) if number <= 0 => Err(Fault::expire_time(command)),
            _ => Self::any(sent, unit, command),
        }
    }

    /// The time in a turn at `now_ms`, `None` if it has passed.
    pub(super) fn future_ms(self, now_ms: u64) -> Option<u64> {
        let at = match self {
            Self::In(ms) => i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_add(ms),
            Self::At(ms) => ms,
        };
        u64::try_from(at).ok().filter(|at| *at > now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_their_limits() {
        assert_eq!(When::any(b"5", Unit::Seconds, "expire"), Ok(When::In(5_000)));
        assert_eq!(When::any(b"-5", Unit::AtMs, "expire"), Ok(When::At(-5)));
        assert_eq!(
            When::any(b"9223372036854775807", Unit::Seconds, "expire"),
            Err(Fault::expire_time("expire"))
        );
        assert_eq!(
            When::any(b"9223372036854775807", Unit::Ms, "expire"),
            Err(Fault::expire_time("expire"))
        );
        assert_eq!(When::any(b"x", Unit::Ms, "expire"), Err(NOT_AN_INTEGER));
        assert_eq!(When::positive(b"0", Unit::Ms, "set"), Err(Fault::expire_time("set")));
        assert_eq!(When::In(5).future_ms(10), Some(15));
        assert_eq!(When::In(-5).future_ms(10), None);
        assert_eq!(When::At(10).future_ms(10), None);
        assert_eq!(When::At(-1).future_ms(10), None);
    }
}
