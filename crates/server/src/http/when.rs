//! Times on the wire: RFC 3339 or Unix milliseconds in, RFC 3339 out.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use tally_counter::MAX_TIME_MS;
use utoipa::PartialSchema;
use utoipa::openapi::schema::{OneOfBuilder, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use crate::refusal::Refusal;

/// Reads a parameter.
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

/// An add's own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(pub(super) u64);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Moment;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a time from 1970 to 9999, as RFC 3339 or Unix milliseconds")
            }

            fn visit_u64<E: Error>(self, ms: u64) -> Result<Moment, E> {
                let known = (ms < MAX_TIME_MS).then_some(Moment(ms));
                known.ok_or_else(|| E::custom(format!("the time {ms} is outside 1970 to 9999")))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Moment, E> {
                tally_ingest::rfc3339_ms(text)
                    .map(Moment)
                    .map_err(|error| E::custom(format!("{error}: {text:?}")))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .item(ObjectBuilder::new().schema_type(Type::String))
            .item(ObjectBuilder::new().schema_type(Type::Integer))
            .description(Some("RFC 3339 or Unix milliseconds, from 1970 to 9999"))
            .into()
    }
}

impl utoipa::ToSchema for Moment {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Moment")
    }
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
