//! An event: CloudEvents 1.0, judged. A required attribute that is missing, empty or of another type, a time that is none, a
//! field that stands twice: each is a reason to reject it. Reasons come from a bounded set and hold nothing of the event but
//! the names of fields that the rules wrote down, since the ledger counts by them.

use std::ops::Range;

use crate::fields::{Field, Fields};
use crate::json;
use crate::time::{TimeError, rfc3339_ms};

/// The longest `id`, `source` and `type`, in bytes: with its source, an id is a token that the store keeps.
pub const MAX_NAME_BYTES: usize = 1_024;

/// What an event says where a field is expected.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Value {
    /// Nothing.
    #[default]
    Missing,
    /// JSON's null, which counts as nothing.
    Null,
    /// A place in the event's text.
    Text(Range<usize>),
    /// A whole number, however it was written (5, 5.0, 5e0).
    Integer(i128),
    /// Any other number, or one too large to be known exactly.
    Float(f64),
    Bool(bool),
    Array,
    Object,
}

impl Value {
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Missing | Self::Null)
    }
}

/// An event that is not counted, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The event's id, where one could be read, shortened to 128 bytes.
    pub id: Option<String>,
    /// Why: a short text of a bounded set.
    pub reason: String,
}

/// An event, or the room for one: it is filled again and again, and allocates only where an event is larger than those before.
#[derive(Clone, Debug, Default)]
pub struct Event {
    text: String,
    values: Vec<Value>,
    /// A field that stands twice.
    repeated: Option<Field>,
    time_ms: Option<u64>,
}

impl Event {
    /// The event's id; empty if it could not be read.
    pub fn id(&self) -> &str {
        self.text_of(Field::ID).unwrap_or_default()
    }

    /// Who sent it; empty if it could not be read.
    pub fn source(&self) -> &str {
        self.text_of(Field::SOURCE).unwrap_or_default()
    }

    /// What kind of event it is; empty if it could not be read.
    pub fn kind(&self) -> &str {
        self.text_of(Field::TYPE).unwrap_or_default()
    }

    /// When it happened, Unix milliseconds, below the year 10000; `None` if it does not say, or could not be read.
    pub fn time_ms(&self) -> Option<u64> {
        self.time_ms
    }

    /// Fills it from structured JSON.
    pub(crate) fn read_structured(&mut self, fields: &Fields, json: &[u8]) -> Result<(), Rejected> {
        self.begin(fields);
        match json::read(json, fields, Field::ROOT, self) {
            Ok(()) if *self.value(Field::ROOT) != Value::Object => Err(self.reject("no JSON object")),
            Ok(()) => self.judge(fields),
            Err(wrong) => Err(self.reject(wrong.reason())),
        }
    }

    /// Empties it, with a place for each field.
    pub(crate) fn begin(&mut self, fields: &Fields) {
        self.text.clear();
        self.values.clear();
        self.values.resize(fields.len(), Value::Missing);
        self.repeated = None;
        self.time_ms = None;
    }

    pub(crate) fn value(&self, field: Field) -> &Value {
        self.values.get(field.index()).unwrap_or(&Value::Missing)
    }

    pub(crate) fn text_of(&self, field: Field) -> Option<&str> {
        match self.value(field) {
            Value::Text(range) => self.text.get(range.clone()),
            _ => None,
        }
    }

    pub(crate) fn set(&mut self, field: Field, value: Value) {
        if let Some(place) = self.values.get_mut(field.index()) {
            if *place != Value::Missing && self.repeated.is_none() {
                self.repeated = Some(field);
            }
            *place = value;
        }
    }

    pub(crate) fn set_text(&mut self, field: Field, text: &str) {
        let start = self.text.len();
        self.text.push_str(text);
        self.set(field, Value::Text(start..self.text.len()));
    }

    /// The rejection of this event. It keeps its time, where that was read: the rest of its log is measured against it.
    pub(crate) fn reject(&self, reason: impl Into<String>) -> Rejected {
        let id = Some(self.id()).filter(|id| !id.is_empty());
        let short = |id: &str| id.get(..id.floor_char_boundary(128)).unwrap_or_default().to_owned();
        Rejected {
            id: id.map(short),
            reason: reason.into(),
        }
    }

    /// That it is an event of CloudEvents 1.0.
    pub(crate) fn judge(&mut self, fields: &Fields) -> Result<(), Rejected> {
        if let Some(field) = self.repeated {
            return Err(self.reject(format!("`{}` stands twice", fields.path(field))));
        }
        for field in [Field::SPECVERSION, Field::ID, Field::SOURCE, Field::TYPE] {
            let path = fields.path(field);
            match (self.value(field), self.text_of(field)) {
                (Value::Missing | Value::Null, _) => return Err(self.reject(format!("no `{path}`"))),
                (_, None) => return Err(self.reject(format!("`{path}` is no string"))),
                (_, Some("")) => return Err(self.reject(format!("`{path}` is empty"))),
                (_, Some(text)) if text.len() > MAX_NAME_BYTES => {
                    return Err(self.reject(format!("`{path}` is longer than 1,024 bytes")));
                }
                _ => {}
            }
        }
        if self.text_of(Field::SPECVERSION) != Some("1.0") {
            return Err(self.reject("`specversion` is not 1.0"));
        }
        if !self.value(Field::DATA).is_absent() && !self.value(Field::DATA_BASE64).is_absent() {
            return Err(self.reject("both `data` and `data_base64`"));
        }
        if !self.value(Field::TIME).is_absent() {
            let time = self.text_of(Field::TIME).map_or(Err(TimeError::NotRfc3339), rfc3339_ms);
            self.time_ms = Some(time.map_err(|error| {
                self.reject(match error {
                    TimeError::NotRfc3339 => "`time` is not RFC 3339",
                    TimeError::OutOfRange => "`time` is before 1970 or beyond the year 9999",
                })
            })?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
