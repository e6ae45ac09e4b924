//! Rules: what an event adds to which counters. Written in TOML, compiled once, then evaluated without building the event.
//!
//! ```toml
//! [[rule]]
//! match = { type = "web.request", "data.status" = 404 }
//! count = ["missing:{data.path}", "status:{data.status}"]
//! amount = "data.bytes"
//! ```
//!
//! - A **field** is an attribute (`type`, `source`, `subject`, `id`, `time`, extensions) or a path into the data: `data.path`,
//!   `data.items.0.name`. Attributes are text, whatever JSON type they have, since they are text in binary mode. JSON's null is
//!   a field that is missing; data that is not JSON has no fields. A name with a dot or a brace in it cannot be reached.
//! - **match** compares fields with strings, integers, floats and booleans; all must be equal. Numbers are equal by value
//!   (404 and 404.0), never equal to strings. A missing field does not match. `match = {}` is every event.
//! - **count** names keys; `{field}` takes a value out of the event, `{{` and `}}` are braces. Strings stand as they are,
//!   whole numbers in digits, other numbers as their shortest decimal, booleans as `true` and `false`.
//! - **amount** is an integer or a field, 1 where it is not given.
//! - Every rule that matches counts. An event is all or nothing: it is **rejected**, and nothing of it counts, if a rule that
//!   matches finds a field missing or no scalar, a number in a key that is too large to be exact, an amount that is not a
//!   whole number of 64 bits, or a key that is empty or longer than 1,024 bytes.

mod error;
mod parse;
mod template;

use tally_counter::{Outcome, planted};

use crate::adds::{Adds, NoKey};
use crate::event::{Event, Rejected, Value};
use crate::fields::{Field, Fields};
use crate::json;

pub use error::RulesError;
pub use parse::{MAX_KEYS_A_RULE, MAX_RULES, MAX_RULES_BYTES};
use template::{Part, Template};

/// Compiled rules. The default has no rule: every event is ignored.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    fields: Fields,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    conditions: Vec<(Field, Expected)>,
    keys: Vec<Template>,
    amount: Amount,
}

#[derive(Clone, Debug, PartialEq)]
enum Expected {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
}

#[derive(Clone, Copy, Debug)]
enum Amount {
    Fixed(i64),
    Field(Field),
}

impl Rules {
    /// Reads rules from TOML. The error says where and what, to whoever wrote them.
    pub fn parse(toml: &str) -> Result<Self, RulesError> {
        parse::parse(toml)
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Judges one event in structured JSON. `event` and `adds` are filled anew, whatever stood in them.
    ///
    /// `Counted` with what it adds, `Ignored` if no rule matches. Rejected, it adds nothing; `event` still has its time, where
    /// that could be read.
    pub fn structured(&self, json: &[u8], event: &mut Event, adds: &mut Adds) -> Result<Outcome, Rejected> {
        adds.clear();
        event.read_structured(&self.fields, json)?;
        self.evaluate(event, adds)
    }

    /// Judges one event in binary mode: HTTP headers, of which `ce-…` and `content-type` are read, and the body.
    /// Else as [`Rules::structured`].
    pub fn binary<'h>(
        &self,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        body: &[u8],
        event: &mut Event,
        adds: &mut Adds,
    ) -> Result<Outcome, Rejected> {
        adds.clear();
        event.read_binary(&self.fields, headers, body)?;
        self.evaluate(event, adds)
    }

    fn evaluate(&self, event: &Event, adds: &mut Adds) -> Result<Outcome, Rejected> {
        let mut outcome = Outcome::Ignored;
        for rule in self.rules.iter().filter(|rule| rule.matches(event)) {
            outcome = Outcome::Counted;
            if let Err(reason) = self.count(rule, event, adds) {
                if planted!(RefusedInPart) {
                    continue;
                }
                adds.clear();
                return Err(event.reject(reason));
            }
        }
        Ok(outcome)
    }

    fn count(&self, rule: &Rule, event: &Event, adds: &mut Adds) -> Result<(), String> {
        let amount = match rule.amount {
            Amount::Fixed(amount) => amount,
            Amount::Field(field) => self.amount(field, event)?,
        };
        for key in &rule.keys {
            for part in key.parts() {
                match part {
                    Part::Literal(text) => adds.key_buffer().push_str(text),
                    Part::Field(field) => self.write(*field, event, adds.key_buffer())?,
                }
            }
            adds.finish_key(amount).map_err(|no_key| match no_key {
                NoKey::Empty => "a key is empty",
                NoKey::TooLong => "a key is longer than 1,024 bytes",
            })?;
        }
        Ok(())
    }

    fn amount(&self, field: Field, event: &Event) -> Result<i64, String> {
        let path = self.fields.path(field);
        let no_integer = || format!("`{path}` is no integer");
        match event.value(field) {
            Value::Missing | Value::Null => Err(format!("no `{path}`")),
            Value::Integer(number) => i64::try_from(*number).map_err(|_| format!("`{path}` is beyond 64 bits")),
            // An attribute is text; a string in the data is no number.
            Value::Text(_) if self.fields.is_attribute(field) => event
                .text_of(field)
                .and_then(|text| text.parse().ok())
                .ok_or_else(no_integer),
            Value::Text(_) | Value::Float(_) | Value::Bool(_) | Value::Array | Value::Object => Err(no_integer()),
        }
    }

    fn write(&self, field: Field, event: &Event, key: &mut String) -> Result<(), String> {
        let path = self.fields.path(field);
        match event.value(field) {
            Value::Missing | Value::Null => return Err(format!("no `{path}`")),
            Value::Array | Value::Object => return Err(format!("`{path}` is no text, number or boolean")),
            Value::Text(_) => key.push_str(event.text_of(field).unwrap_or_default()),
            Value::Integer(number) => key.push_str(itoa::Buffer::new().format(*number)),
            // Two large numbers may be one float, and would be one counter.
            Value::Float(number) if number.fract() == 0.0 => return Err(format!("`{path}` is too large to be exact")),
            Value::Float(number) => key.push_str(&number.to_string()),
            Value::Bool(truth) => key.push_str(if *truth { "true" } else { "false" }),
        }
        Ok(())
    }
}

impl Rule {
    #[expect(
        clippy::float_cmp,
        reason = "the same decimal is the same float; nothing was calculated"
    )]
    fn matches(&self, event: &Event) -> bool {
        self.conditions
            .iter()
            .all(|(field, expected)| match (event.value(*field), expected) {
                (Value::Text(_), Expected::Text(expected)) => event.text_of(*field) == Some(expected.as_str()),
                (Value::Integer(number), Expected::Integer(expected)) => *number == i128::from(*expected),
                (Value::Float(number), Expected::Float(expected)) => number == expected,
                (Value::Bool(truth), Expected::Bool(expected)) => truth == expected,
                _ => false,
            })
    }
}

impl Expected {
    /// As it is compared: attributes by their text, whole numbers as integers.
    fn of_float(number: f64) -> Self {
        match json::whole(number).and_then(|whole| i64::try_from(whole).ok()) {
            Some(whole) => Self::Integer(whole),
            None => Self::Float(number),
        }
    }

    fn into_text(self) -> Self {
        Self::Text(match self {
            Self::Text(text) => text,
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Bool(truth) => truth.to_string(),
        })
    }
}

#[cfg(test)]
mod tests;
