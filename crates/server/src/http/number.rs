//! Integers on the wire: exact digits as JSON numbers, or as strings for clients that hold numbers as doubles.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use utoipa::PartialSchema;
use utoipa::openapi::schema::{OneOfBuilder, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

/// How a caller wants values (`int64=`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// JSON numbers.
    Number,
    /// Strings of digits.
    Text,
}

impl Form {
    /// A value in this form.
    pub(super) fn of(self, value: i128) -> Exact {
        Exact { value, form: self }
    }
}

/// An exact integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exact {
    pub(super) value: i128,
    form: Form,
}

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.form {
            Form::Number => match i64::try_from(self.value) {
                Ok(value) => serializer.serialize_i64(value),
                Err(_) => serializer.serialize_i128(self.value),
            },
            Form::Text => serializer.collect_str(&self.value),
        }
    }
}

impl PartialSchema for Exact {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(Type::Integer);
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^-?[0-9]+$"));
        OneOfBuilder::new()
            .item(number)
            .item(text)
            .description(Some(
                "An exact integer, mostly within 64 bits; a string of digits with `int64=string`",
            ))
            .into()
    }
}

impl utoipa::ToSchema for Exact {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Exact")
    }
}
