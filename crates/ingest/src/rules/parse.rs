//! Rules from TOML. Strict: what is not known is an error, since a misspelt field would count something else in silence.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::within;
use super::template::Template;
use super::{Amount, Expected, Rule, Rules, RulesError};
use crate::fields::Fields;

/// The longest text of rules, in bytes.
pub const MAX_RULES_BYTES: usize = 1 << 20;
/// The most rules.
pub const MAX_RULES: usize = 1_000;
/// The most keys a rule counts into.
pub const MAX_KEYS_A_RULE: usize = 100;

type Entry<'t> = (&'t Spanned<DeString<'t>>, &'t Spanned<DeValue<'t>>);

pub(super) fn parse(toml: &str) -> Result<Rules, RulesError> {
    if toml.len() > MAX_RULES_BYTES {
        return Err(RulesError::at(
            toml,
            0,
            format!("the rules have more than {MAX_RULES_BYTES} bytes"),
        ));
    }
    let document = DeTable::parse(toml).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        RulesError::at(toml, at, error.message())
    })?;
    let mut parser = Parser {
        toml,
        fields: Fields::default(),
    };
    let mut rules = Vec::new();
    for (name, value) in document.get_ref() {
        if name.get_ref() != "rule" {
            return Err(parser.wrong(
                name,
                format!("unknown `{}`; rules are written as [[rule]]", name.get_ref()),
            ));
        }
        let Some(array) = value.get_ref().as_array() else {
            return Err(parser.wrong(name, "a rule begins with [[rule]], in double brackets"));
        };
        for rule in array {
            if rules.len() == MAX_RULES {
                return Err(parser.wrong(rule, format!("more than {MAX_RULES} rules")));
            }
            rules.push(parser.rule(rule)?);
        }
    }
    if rules.is_empty() {
        return Err(RulesError::at(toml, 0, "there is no rule; one begins with [[rule]]"));
    }
    Ok(Rules {
        fields: parser.fields,
        rules,
    })
}

struct Parser<'t> {
    toml: &'t str,
    fields: Fields,
}

impl Parser<'_> {
    fn wrong<T>(&self, place: &Spanned<T>, message: impl Into<String>) -> RulesError {
        RulesError::at(self.toml, place.span().start, message)
    }

    fn rule(&mut self, rule: &Spanned<DeValue<'_>>) -> Result<Rule, RulesError> {
        let Some(table) = rule.get_ref().as_table() else {
            return Err(self.wrong(rule, "a rule is a table, begun with [[rule]]"));
        };
        let (mut conditions, mut keys, mut amount) = (None, None, Amount::Fixed(1));
        for (name, value) in table {
            match name.get_ref().as_ref() {
                "match" => conditions = Some(self.conditions(value)?),
                "count" => keys = Some(self.keys(value)?),
                "amount" => amount = self.amount(value)?,
                other => {
                    let message = format!("unknown field `{other}`; a rule has `match`, `count` and `amount`");
                    return Err(self.wrong(name, message));
                }
            }
        }
        let conditions = conditions
            .ok_or_else(|| self.wrong(rule, "this rule has no `match`; to count every event, write match = {}"))?;
        let keys = keys.ok_or_else(|| self.wrong(rule, "this rule has no `count`: the keys it counts into"))?;
        Ok(Rule {
            conditions,
            keys,
            amount,
        })
    }

    fn conditions(
        &mut self,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Vec<(crate::fields::Field, Expected)>, RulesError> {
        let Some(table) = value.get_ref().as_table() else {
            return Err(self.wrong(
                value,
                "`match` is a table of fields and values, such as { type = \"web.request\" }",
            ));
        };
        let mut conditions = Vec::new();
        for entry in table {
            self.condition("", entry, &mut conditions)?;
        }
        Ok(conditions)
    }

    /// One field and its value. `data.status = 404` without quotes is a table in TOML, and means the same.
    fn condition(
        &mut self,
        parent: &str,
        (name, value): Entry<'_>,
        conditions: &mut Vec<(crate::fields::Field, Expected)>,
    ) -> Result<(), RulesError> {
        let path = format!("{parent}{}", name.get_ref());
        let expected = match value.get_ref() {
            DeValue::String(text) => Expected::Text(text.clone().into_owned()),
            DeValue::Boolean(truth) => Expected::Bool(*truth),
            DeValue::Integer(_) => Expected::Integer(self.integer(value)?),
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) if f64::is_finite(number) => Expected::of_float(number),
                _ => return Err(self.wrong(value, "no event has this number")),
            },
            DeValue::Table(table) if !table.is_empty() => {
                return table
                    .iter()
                    .try_for_each(|entry| self.condition(&format!("{path}."), entry, conditions));
            }
            DeValue::Datetime(_) => return Err(self.wrong(value, "a time is matched as text: put it in quotes")),
            DeValue::Table(_) | DeValue::Array(_) => {
                return Err(self.wrong(value, "a field is matched with one string, integer, float or boolean"));
            }
        };
        let field = self.fields.take(&path).map_err(|message| self.wrong(name, message))?;
        let expected = if self.fields.is_attribute(field) {
            expected.into_text()
        } else {
            expected
        };
        conditions.push((field, expected));
        Ok(())
    }

    fn keys(&mut self, value: &Spanned<DeValue<'_>>) -> Result<Vec<Template>, RulesError> {
        let Some(array) = value.get_ref().as_array() else {
            return Err(self.wrong(value, "`count` is a list of keys, such as [\"requests:all\"]"));
        };
        if array.is_empty() {
            return Err(self.wrong(value, "`count` is empty: name at least one key"));
        }
        if array.len() > MAX_KEYS_A_RULE {
            return Err(self.wrong(value, format!("`count` has more than {MAX_KEYS_A_RULE} keys")));
        }
        let mut keys = Vec::new();
        for key in array {
            let Some(text) = key.get_ref().as_str() else {
                return Err(self.wrong(key, "a key is a string"));
            };
            let template = Template::parse(text, &mut self.fields).map_err(|wrong| {
                RulesError::at(self.toml, within(self.toml, &key.span(), text, wrong.at), wrong.message)
            })?;
            if keys.contains(&template) {
                return Err(self.wrong(
                    key,
                    "this key stands twice in one rule; to count it twice, write an `amount`",
                ));
            }
            keys.push(template);
        }
        Ok(keys)
    }

    fn amount(&mut self, value: &Spanned<DeValue<'_>>) -> Result<Amount, RulesError> {
        match value.get_ref() {
            DeValue::Integer(_) => Ok(Amount::Fixed(self.integer(value)?)),
            DeValue::String(path) => {
                let field = self.fields.take(path).map_err(|message| self.wrong(value, message))?;
                Ok(Amount::Field(field))
            }
            _ => Err(self.wrong(
                value,
                "`amount` is an integer, or the field that holds one, such as \"data.bytes\"",
            )),
        }
    }

    fn integer(&self, value: &Spanned<DeValue<'_>>) -> Result<i64, RulesError> {
        let written = value.get_ref().as_integer();
        let number = written.and_then(|written| i64::from_str_radix(written.as_str(), written.radix()).ok());
        number.ok_or_else(|| self.wrong(value, "this integer is beyond 64 bits"))
    }
}
