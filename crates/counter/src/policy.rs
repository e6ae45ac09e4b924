//! What a namespace asks for: consistency, acknowledgement, history, lateness, tokens, the template of its keys.

use crate::{Corrupt, Reader, Step, put_bytes, put_signed, put_varint};

/// Who may write a counter, and what a read sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// One serial history per counter.
    Strong,
    /// Any node, own cell.
    #[default]
    Eventual,
    /// A fixed-memory sketch.
    Approximate,
}

/// When an add is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Acknowledgement {
    /// It is in the hot table.
    Memory,
    /// The journal is synced.
    Disk,
    /// The store has it at quorum.
    Replicated,
}

/// How long a step's windows are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Never written.
    Off,
    /// For ever.
    Forever,
    /// This many minutes, counted back from the namespace's newest window; whole chunks at a time.
    Minutes(u32),
}

/// What is kept of each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Steps of a minute.
    pub minutes: Keep,
    /// Steps of an hour.
    pub hours: Keep,
    /// Steps of a day.
    pub days: Keep,
}

impl Default for History {
    fn default() -> Self {
        Self {
            minutes: Keep::Minutes(2 * 1_440),
            hours: Keep::Forever,
            days: Keep::Forever,
        }
    }
}

impl History {
    /// How long this step is kept.
    pub fn keep(&self, step: Step) -> Keep {
        match step {
            Step::Minute => self.minutes,
            Step::Hour => self.hours,
            Step::Day => self.days,
        }
    }

    /// Whether nothing is kept.
    pub fn is_off(&self) -> bool {
        Step::ALL.into_iter().all(|step| self.keep(step) == Keep::Off)
    }
}

/// A namespace's keys by field: `req:{method}:{status}`; the last field takes the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    fields: Vec<String>,
}

/// Why a policy is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The template does not begin with the namespace, or its fields are not `{name}` between single `:`.
    #[error("the template {0:?} must be the namespace and then fields, such as `req:{{method}}:{{status}}`")]
    Template(String),
}

impl Template {
    /// Reads `namespace:{field}:{field}`.
    pub fn parse(namespace: &str, text: &str) -> Result<Self, PolicyError> {
        let wrong = || PolicyError::Template(text.to_owned());
        let rest = text
            .strip_prefix(namespace)
            .and_then(|rest| rest.strip_prefix(':'))
            .ok_or_else(wrong)?;
        let mut fields = Vec::new();
        for part in rest.split(':') {
            let name = part
                .strip_prefix('{')
                .and_then(|part| part.strip_suffix('}'))
                .ok_or_else(wrong)?;
            let plain = name
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
            if name.is_empty() || !plain || fields.iter().any(|field| field == name) {
                return Err(wrong());
            }
            fields.push(name.to_owned());
        }
        Ok(Self {
            text: text.to_owned(),
            fields,
        })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of its fields.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// The value of a field in a key of this namespace; `None` if the template has no such field or the key too few parts.
    pub fn value<'k>(&self, field: &str, key: &'k str) -> Option<&'k str> {
        let index = self.fields.iter().position(|name| name == field)?;
        let (_, rest) = key.split_once(':')?;
        rest.splitn(self.fields.len(), ':').nth(index)
    }
}

/// Added to the first byte of a policy that has bounds: they stand at its end, and one that is cut off before them is none.
const BOUNDED: u8 = 3;

/// The policy of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Who may write, what a read sees.
    pub consistency: Consistency,
    /// When adds are acknowledged; `None`: as the server's setting says.
    pub acknowledgement: Option<Acknowledgement>,
    /// What history is kept.
    pub history: History,
    /// How old an add's own time may be; `None`: any age is counted.
    pub lateness_ms: Option<u64>,
    /// How keys divide into fields.
    pub template: Option<Template>,
    /// Between which values a counter stays: of strong counters only.
    pub bounds: Bounds,
}

/// The values that a counter may have. Zero, with which each begins, is one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The smallest; `None`: any.
    pub min: Option<i64>,
    /// The largest; `None`: any.
    pub max: Option<i64>,
}

impl Bounds {
    /// Whether a value lies within.
    pub fn allow(self, value: i64) -> bool {
        self.min.is_none_or(|min| min <= value) && self.max.is_none_or(|max| value <= max)
    }
}

impl Policy {
    /// The row's value.
    pub fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let consistency = match self.consistency {
            Consistency::Strong => 0,
            Consistency::Eventual => 1,
            Consistency::Approximate => 2,
        };
        let bounded = self.bounds != Bounds::default();
        out.push(if bounded { consistency + BOUNDED } else { consistency });
        out.push(match self.acknowledgement {
            None => 0,
            Some(Acknowledgement::Memory) => 1,
            Some(Acknowledgement::Disk) => 2,
            Some(Acknowledgement::Replicated) => 3,
        });
        for step in Step::ALL {
            put_varint(
                &mut out,
                match self.history.keep(step) {
                    Keep::Off => 0,
                    Keep::Forever => 1,
                    Keep::Minutes(minutes) => u128::from(minutes).saturating_add(2),
                },
            );
        }
        put_varint(
            &mut out,
            self.lateness_ms.map_or(0, |ms| u128::from(ms).saturating_add(1)),
        );
        put_bytes(&mut out, self.template.as_ref().map_or("", Template::as_str).as_bytes());
        if bounded {
            for bound in [self.bounds.min, self.bounds.max] {
                out.push(u8::from(bound.is_some()));
                put_signed(&mut out, bound.unwrap_or(0).into());
            }
        }
        out
    }

    /// Reads the row's value, the policy of this namespace.
    pub fn decode(namespace: &str, bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new("policy", bytes);
        let first = reader.byte()?;
        let bounded = first >= BOUNDED;
        let consistency = match if bounded { first.saturating_sub(BOUNDED) } else { first } {
            0 => Consistency::Strong,
            1 => Consistency::Eventual,
            2 => Consistency::Approximate,
            _ => return Err(reader.corrupt()),
        };
        let acknowledgement = match reader.byte()? {
            0 => None,
            1 => Some(Acknowledgement::Memory),
            2 => Some(Acknowledgement::Disk),
            3 => Some(Acknowledgement::Replicated),
            _ => return Err(reader.corrupt()),
        };
        let mut keep = || -> Result<Keep, Corrupt> {
            Ok(match reader.optional::<u64>()? {
                None => Keep::Off,
                Some(0) => Keep::Forever,
                Some(more) => Keep::Minutes(u32::try_from(more.saturating_sub(1)).map_err(|_| reader.corrupt())?),
            })
        };
        let history = History {
            minutes: keep()?,
            hours: keep()?,
            days: keep()?,
        };
        let lateness_ms = reader.optional()?;
        let template = match reader.text()? {
            "" => None,
            text => Some(Template::parse(namespace, text).map_err(|_| reader.corrupt())?),
        };
        let mut bounds = Bounds::default();
        if bounded {
            for bound in [&mut bounds.min, &mut bounds.max] {
                let there = reader.byte()? != 0;
                let value = i64::try_from(reader.signed()?).map_err(|_| reader.corrupt())?;
                *bound = there.then_some(value);
            }
        }
        reader.end()?;
        Ok(Self {
            consistency,
            acknowledgement,
            history,
            lateness_ms,
            template,
            bounds,
        })
    }
}
