//! An add's own time in a JSON body.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use tally_counter::MAX_TIME_MS;
use utoipa::PartialSchema;
use utoipa::openapi::schema::{OneOfBuilder, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

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
