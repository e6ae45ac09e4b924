//! Key templates: text with `{field}` in it.

use tally_counter::MAX_KEY_BYTES;

use crate::fields::{Field, Fields};

/// A key template, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

/// A stretch of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(String),
    Field(Field),
}

/// What is wrong with a template, and at which of its bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) at: usize,
    pub(super) message: String,
}

impl Template {
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Reads a template; its fields are taken from then on.
    pub(super) fn parse(text: &str, fields: &mut Fields) -> Result<Self, Wrong> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            let (before, braced) = rest.split_at(brace);
            let at = text.len() - braced.len();
            literal.push_str(before);
            if let Some(doubled) = ["{{", "}}"].into_iter().find(|doubled| braced.starts_with(doubled)) {
                literal.extend(doubled.chars().take(1));
                rest = braced.get(2..).unwrap_or_default();
                continue;
            }
            let Some(inner) = braced.strip_prefix('{') else {
                return Err(Wrong {
                    at,
                    message: "this `}` closes nothing; a brace in a key is written `}}`".to_owned(),
                });
            };
            let Some((path, after)) = inner.split_once('}').filter(|(path, _)| !path.contains('{')) else {
                return Err(Wrong {
                    at,
                    message: "this `{` is never closed; a brace in a key is written `{{`".to_owned(),
                });
            };
            let field = fields.take(path).map_err(|message| Wrong { at, message })?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Field(field));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Self { parts }.checked()
    }

    /// That it can make a valid key at all.
    fn checked(self) -> Result<Self, Wrong> {
        let literals = self.parts.iter().map(|part| match part {
            Part::Literal(text) => text.len(),
            Part::Field(_) => 0,
        });
        let wrong = |message: &str| {
            Err(Wrong {
                at: 0,
                message: message.to_owned(),
            })
        };
        if self.parts.is_empty() {
            return wrong("the key is empty");
        }
        if literals.sum::<usize>() > MAX_KEY_BYTES {
            return wrong("the key is longer than the 1,024 bytes a key may have");
        }
        Ok(self)
    }
}
