//! Times as people and programs write them: RFC 3339 or Unix milliseconds in, RFC 3339 out.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tally_counter::MAX_TIME_MS;

use crate::refusal::Refusal;

/// Reads a time; `name` is what the caller calls it.
pub(crate) fn parse(name: &str, text: &str) -> Result<u64, Refusal> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let ms = if digits {
        text.parse()
            .ok()
            .filter(|ms| *ms < MAX_TIME_MS)
            .ok_or_else(|| "the time is outside 1970 to 9999".to_owned())
    } else {
        tally_ingest::rfc3339_ms(text).map_err(|error| error.to_string())
    };
    ms.map_err(|why| {
        Refusal::invalid(format!(
            "{name}: {why}; RFC 3339 or Unix milliseconds are understood, not {text:?}"
        ))
    })
}

/// Writes a time in UTC, with milliseconds only where there are any.
pub(crate) fn utc(ms: u64) -> String {
    timestamp(ms).to_string()
}

/// Writes a time with the offset of a zone.
pub(crate) fn zoned(ms: u64, zone: &TimeZone) -> String {
    if *zone == TimeZone::UTC {
        return utc(ms);
    }
    let timestamp = timestamp(ms);
    timestamp.display_with_offset(zone.to_offset(timestamp)).to_string()
}

/// The instant.
pub(crate) fn timestamp(ms: u64) -> Timestamp {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        assert_eq!(parse("from", "2015-05-17T10:05:03Z"), Ok(1_431_857_103_000));
        assert_eq!(parse("from", "1431857103000"), Ok(1_431_857_103_000));
        assert!(parse("from", "yesterday").is_err());
        assert!(parse("from", "99999999999999999999").is_err());
        assert_eq!(utc(1_431_857_103_000), "2015-05-17T10:05:03Z");
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(zoned(1_431_857_103_000, &zone), "2015-05-17T12:05:03+02:00");
    }
}
