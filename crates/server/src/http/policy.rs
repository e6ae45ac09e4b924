//! A namespace's policy on the wire.

use serde::{Deserialize, Serialize};
use tally_counter::{Bounds, Consistency, History, Keep, Policy, Template};
use utoipa::ToSchema;

use crate::config::duration_ms;
use crate::levels;
use crate::refusal::Refusal;

const HOUR_MINUTES: u32 = 60;

/// The policy of a namespace, whole: what is not given takes its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PolicyShape {
    /// `eventual`: any node counts, and reads what others have counted as last seen. `strong`: one serial history a counter over all nodes;
    /// fixed by the first add. (`approximate` is not available yet.)
    consistency: String,
    /// `memory` or `disk`; `null`: as the server's setting says.
    ack: Option<String>,
    history: HistoryShape,
    /// How old an add's own time may be (`1h`); `null`: any age is counted.
    lateness: Option<String>,
    /// How keys divide into fields: `req:{method}:{status}`.
    template: Option<String>,
    /// The smallest value of a counter, at most 0; of strong counters only.
    min: Option<i64>,
    /// The largest value of a counter, at least 0; of strong counters only.
    max: Option<i64>,
}

/// How long each step is kept: a time (`2d`), `forever` or `off`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct HistoryShape {
    #[serde(rename = "1m")]
    minutes: String,
    #[serde(rename = "1h")]
    hours: String,
    #[serde(rename = "1d")]
    days: String,
}

impl Default for PolicyShape {
    fn default() -> Self {
        Self::of(&Policy::default())
    }
}

impl Default for HistoryShape {
    fn default() -> Self {
        Self::of(&History::default())
    }
}

impl HistoryShape {
    fn of(history: &History) -> Self {
        Self {
            minutes: keep_text(history.minutes),
            hours: keep_text(history.hours),
            days: keep_text(history.days),
        }
    }
}

impl PolicyShape {
    /// As it is shown.
    pub(super) fn of(policy: &Policy) -> Self {
        let consistency = match policy.consistency {
            Consistency::Strong => "strong",
            Consistency::Eventual => "eventual",
            Consistency::Approximate => "approximate",
        };
        Self {
            consistency: consistency.to_owned(),
            ack: policy.acknowledgement.map(|level| levels::word(level).to_owned()),
            history: HistoryShape::of(&policy.history),
            lateness: policy.lateness_ms.map(duration_text),
            template: policy.template.as_ref().map(|template| template.as_str().to_owned()),
            min: policy.bounds.min,
            max: policy.bounds.max,
        }
    }

    /// The policy, or why it is none.
    pub(super) fn policy(&self, namespace: &str) -> Result<Policy, Refusal> {
        let consistency = match self.consistency.as_str() {
            "eventual" => Consistency::Eventual,
            "strong" => Consistency::Strong,
            "approximate" => {
                let detail = format!(
                    "consistency {} is not available yet; eventual and strong are",
                    self.consistency
                );
                return Err(Refusal::invalid(detail));
            }
            other => {
                return Err(Refusal::invalid(format!(
                    "consistency must be eventual, strong or approximate, not {other:?}"
                )));
            }
        };
        let ack = self.ack.as_deref().map(|text| match levels::parse(text) {
            Some(level) => Ok(level),
            None => Err(Refusal::invalid(format!(
                "ack must be memory, disk or replicated, not {text:?}"
            ))),
        });
        let lateness = self.lateness.as_deref().map(|text| {
            duration_ms(text)
                .ok_or_else(|| Refusal::invalid(format!("lateness must be a time such as 1h, not {text:?}")))
        });
        let template = self
            .template
            .as_deref()
            .map(|text| Template::parse(namespace, text).map_err(|error| Refusal::invalid(error.to_string())));
        Ok(Policy {
            consistency,
            acknowledgement: ack.transpose()?,
            history: History {
                minutes: keep("1m", &self.history.minutes)?,
                hours: keep("1h", &self.history.hours)?,
                days: keep("1d", &self.history.days)?,
            },
            lateness_ms: lateness.transpose()?,
            template: template.transpose()?,
            bounds: Bounds {
                min: self.min,
                max: self.max,
            },
        })
    }
}

fn keep(step: &str, text: &str) -> Result<Keep, Refusal> {
    match text {
        "off" => Ok(Keep::Off),
        "forever" => Ok(Keep::Forever),
        text => {
            let minutes = duration_ms(text)
                .and_then(|ms| u32::try_from(ms / 60_000).ok())
                .filter(|kept| *kept >= HOUR_MINUTES);
            minutes.map(Keep::Minutes).ok_or_else(|| {
                Refusal::invalid(format!(
                    "history {step} must be forever, off or a time of at least 1h such as 2d, not {text:?}"
                ))
            })
        }
    }
}

fn keep_text(keep: Keep) -> String {
    match keep {
        Keep::Off => "off".to_owned(),
        Keep::Forever => "forever".to_owned(),
        Keep::Minutes(minutes) => duration_text(u64::from(minutes).saturating_mul(60_000)),
    }
}

/// In the largest unit that is exact.
fn duration_text(ms: u64) -> String {
    for (unit, length) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if ms > 0 && ms.is_multiple_of(length) {
            return format!("{}{unit}", ms / length);
        }
    }
    format!("{ms}ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_survives_the_wire() {
        let text = r#"{"consistency":"eventual","ack":"memory","history":{"1m":"36h","1h":"forever","1d":"off"},
            "lateness":"90s","template":"req:{method}:{status}","min":null,"max":7}"#;
        let shape: PolicyShape = serde_json::from_str(text).unwrap();
        let policy = shape.policy("req").unwrap();
        assert_eq!(policy.history.minutes, Keep::Minutes(2_160));
        assert_eq!(PolicyShape::of(&policy), shape);
        assert_eq!(
            serde_json::from_str::<PolicyShape>("{}").unwrap().policy("req"),
            Ok(Policy::default())
        );
        for wrong in [
            r#"{"consistency":"approximate"}"#,
            r#"{"ack":"paper"}"#,
            r#"{"history":{"1m":"5m"}}"#,
            r#"{"template":"x:{y}"}"#,
        ] {
            assert!(
                serde_json::from_str::<PolicyShape>(wrong)
                    .unwrap()
                    .policy("req")
                    .is_err(),
                "{wrong}"
            );
        }
        assert!(serde_json::from_str::<PolicyShape>(r#"{"histroy":{}}"#).is_err());
    }
}
