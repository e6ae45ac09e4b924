//! JSON straight into an event's fields, in one pass: what no rule wants is checked to be JSON and skipped. Of that, only the
//! grammar is checked: a number beyond all floats or half a surrogate pair is an error where a rule wants it, and only there.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::event::{Event, Value};
use crate::fields::{Field, Fields};

/// Why some bytes are no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotJson {
    NotUtf8,
    NotJson,
}

impl NotJson {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::NotUtf8 => "not UTF-8",
            Self::NotJson => "not JSON",
        }
    }
}

/// Reads one whole JSON value as `field` of `event`.
pub(crate) fn read(json: &[u8], fields: &Fields, field: Field, event: &mut Event) -> Result<(), NotJson> {
    // All of it, whether a rule wants it or not: or the same bytes were an event by some rules and none by others.
    let text = std::str::from_utf8(json).map_err(|_| NotJson::NotUtf8)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Place { fields, field, event }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    read.map_err(|_| NotJson::NotJson)
}

/// Where the next value goes.
struct Place<'e> {
    fields: &'e Fields,
    field: Field,
    event: &'e mut Event,
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Place<'_> {
    fn set_integer(self, number: i128) {
        if self.fields.is_plain_attribute(self.field) {
            self.event.set_text(self.field, itoa::Buffer::new().format(number));
        } else {
            self.event.set(self.field, Value::Integer(number));
        }
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.event.set_text(self.field, text);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.set_integer(number.into());
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.set_integer(number.into());
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        match whole(number) {
            Some(whole) => self.set_integer(whole),
            None if self.fields.is_plain_attribute(self.field) => self.event.set_text(self.field, &number.to_string()),
            None => self.event.set(self.field, Value::Float(number)),
        }
        Ok(())
    }

    fn visit_bool<E>(self, truth: bool) -> Result<(), E> {
        if self.fields.is_plain_attribute(self.field) {
            self.event.set_text(self.field, if truth { "true" } else { "false" });
        } else {
            self.event.set(self.field, Value::Bool(truth));
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.event.set(self.field, Value::Null);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { fields, field, event } = self;
        event.set(field, Value::Array);
        for index in 0.. {
            let more = match fields.at(field, index) {
                Some(field) => elements.next_element_seed(Place { fields, field, event })?.is_some(),
                None => elements.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Self { fields, field, event } = self;
        event.set(field, Value::Object);
        if fields.is_leaf(field) {
            while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        while let Some(wanted) = entries.next_key_seed(Name { fields, parent: field })? {
            match wanted {
                Some(field) => entries.next_value_seed(Place { fields, field, event })?,
                None => entries.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        Ok(())
    }
}

/// The name of an object's entry, looked up without being kept.
struct Name<'f> {
    fields: &'f Fields,
    parent: Field,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Field>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<Field>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<Field>, E> {
        Ok(self.fields.named(self.parent, name))
    }
}

/// A float that is a whole number and exactly known: up to 2^53 each has its own.
#[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
pub(crate) fn whole(number: f64) -> Option<i128> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i128)
}
