//! RFC 3339 times, strictly: `2015-05-17T10:05:03Z`, with any number of decimals and any offset. No more than that is a time
//! in an event, so that what is counted where does not depend on a library's idea of leniency.

use tally_counter::MAX_TIME_MS;

/// Why a text is no time that an event can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Another form, or a day that does not exist.
    #[error("not RFC 3339, such as 2015-05-17T10:05:03Z")]
    NotRfc3339,
    /// History begins in 1970 and ends with the year 9999.
    #[error("before 1970 or beyond the year 9999")]
    OutOfRange,
}

const DAY_MS: i64 = 86_400_000;

/// Reads a time as Unix milliseconds; decimals beyond milliseconds are cut off. A leap second counts as the last millisecond
/// of its minute.
pub fn rfc3339_ms(text: &str) -> Result<u64, TimeError> {
    let local = parse(text.as_bytes()).ok_or(TimeError::NotRfc3339)?;
    u64::try_from(local)
        .ok()
        .filter(|ms| *ms < MAX_TIME_MS)
        .ok_or(TimeError::OutOfRange)
}

fn parse(bytes: &[u8]) -> Option<i64> {
    let (date, rest) = bytes.split_at_checked(10)?;
    let [year @ .., b'-', m1, m2, b'-', d1, d2] = date else {
        return None;
    };
    let day = days(number(year)?, number(&[*m1, *m2])?, number(&[*d1, *d2])?)?;
    let (clock, rest) = rest.split_at_checked(9)?;
    let [b'T' | b't', h1, h2, b':', n1, n2, b':', s1, s2] = clock else {
        return None;
    };
    let (hour, minute, second) = (number(&[*h1, *h2])?, number(&[*n1, *n2])?, number(&[*s1, *s2])?);
    let (fraction_ms, rest) = fraction(rest)?;
    let offset_minutes = offset(rest)?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let minute_ms = day * DAY_MS + (hour * 60 + minute - offset_minutes) * 60_000;
    if second < 60 {
        return Some(minute_ms + second * 1_000 + fraction_ms);
    }
    // A leap second is inserted at the end of a UTC day, nowhere else.
    ((minute_ms + 60_000) % DAY_MS == 0).then_some(minute_ms + 59_999)
}

/// Decimal digits and nothing else.
fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'))
    })
}

/// Days since 1970 of a day that exists. Source: Howard Hinnant, `days_from_civil`.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if day < 1 || day > length {
        return None;
    }
    // Years that begin in March have their leap day at the end.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468)
}

/// Milliseconds, and what follows the decimals.
fn fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some(decimals) = bytes.strip_prefix(b".") else {
        return Some((0, bytes));
    };
    let count = decimals.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (decimals, rest) = decimals
        .split_at_checked(count)
        .filter(|(decimals, _)| !decimals.is_empty())?;
    let places = decimals.iter().chain(b"000").take(3);
    Some((
        places.fold(0, |number, digit| number * 10 + i64::from(digit - b'0')),
        rest,
    ))
}

/// Minutes east of UTC.
fn offset(bytes: &[u8]) -> Option<i64> {
    let [sign, h1, h2, b':', m1, m2] = bytes else {
        return matches!(bytes, b"Z" | b"z").then_some(0);
    };
    let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
    let east = Some(hours * 60 + minutes).filter(|_| hours < 24 && minutes < 60)?;
    match sign {
        b'+' => Some(east),
        b'-' => Some(-east),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_and_what_is_none() {
        let ms = |text| rfc3339_ms(text);
        assert_eq!(ms("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(ms("2015-05-17T10:05:03Z"), Ok(1_431_857_103_000));
        assert_eq!(ms("2015-05-17t12:05:03.5+02:00"), Ok(1_431_857_103_500));
        assert_eq!(ms("2015-05-17T10:05:03.123999999999z"), Ok(1_431_857_103_123));
        assert_eq!(ms("9999-12-31T23:59:59.999Z"), Ok(MAX_TIME_MS - 1));
        assert_eq!(ms("2016-12-31T23:59:60Z"), Ok(1_483_228_799_999));
        assert_eq!(ms("2017-01-01T01:59:60+02:00"), Ok(1_483_228_799_999));
        for out in [
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "1970-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
        ] {
            assert_eq!(ms(out), Err(TimeError::OutOfRange), "{out}");
        }
        let wrong = [
            "",
            "2015",
            "2015-05-17",
            "2015-05-17T10:05:03",
            "2015-05-17 10:05:03Z",
            "2015-02-29T00:00:00Z",
            "2015-13-01T00:00:00Z",
            "2015-00-01T00:00:00Z",
            "2015-01-00T00:00:00Z",
            "2015-05-17T24:00:00Z",
            "2015-05-17T10:60:00Z",
            "2015-05-17T10:05:61Z",
            "2015-05-17T10:05:60Z",
            "2015-05-17T10:05:03.Z",
            "2015-05-17T10:05:03+0200",
            "2015-05-17T10:05:03+24:00",
            "2015-05-17T10:05:03Zjunk",
            "+015-05-17T10:05:03Z",
            "2015-05-1７T10:05:03Z",
            "20150517T100503Z",
        ];
        for wrong in wrong {
            assert_eq!(ms(wrong), Err(TimeError::NotRfc3339), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_another_calendar(ms in 0..MAX_TIME_MS - 86_400_000, offset in -1_439..1_440_i32) {
            let at = jiff::Timestamp::from_millisecond(i64::try_from(ms).expect("fits")).expect("in range");
            prop_assert_eq!(rfc3339_ms(&at.to_string()), Ok(ms));
            let zone = jiff::tz::Offset::from_seconds(offset * 60).expect("in range");
            let text = at.display_with_offset(zone).to_string();
            // A local year below 1970 or of five digits is still a time of ours where UTC's is.
            prop_assume!(!text.starts_with(['-', '+']));
            prop_assert_eq!(rfc3339_ms(&text), Ok(ms), "{}", text);
        }

        #[test]
        fn no_text_panics(text in ".{0,40}", near in "[0-9TZ:.+-]{0,30}") {
            prop_assert!(rfc3339_ms(&text).is_err());
            prop_assert!(rfc3339_ms(&near).is_ok_and(|ms| ms < MAX_TIME_MS) || rfc3339_ms(&near).is_err());
        }
    }
}
