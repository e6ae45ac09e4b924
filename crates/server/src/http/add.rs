//! `POST /v1/add`: adds, refused whole or applied whole, in one turn.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};
use tally_counter::{Key, Reader, put_signed};
use tally_engine::{AddError, KeyIndex, Need, Plan, TokenIndex, TokenState, Turn, payload_hash};
use utoipa::ToSchema;

use super::Http;
use super::answer::{self, Answer};
use super::moment::Moment;
use super::number::{Exact, Form};
use super::request::{Asked, check_token};
use crate::levels;
use crate::refusal::{ErrorKind, Refusal};

/// What is to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Adds<'b> {
    /// All of them are applied, or none.
    #[serde(borrow)]
    adds: Vec<Add<'b>>,
    /// Whether the new values are wanted. Without them an add to a counter that is not in memory waits for no read.
    #[serde(default, rename = "return")]
    wanted: Wanted,
}

/// An add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Add<'b> {
    /// The counter's name: 1 to 1,024 bytes.
    #[serde(borrow)]
    #[schema(value_type = String)]
    key: Cow<'b, str>,
    /// How much, negative too; 1 if it is not given.
    #[serde(default)]
    #[schema(value_type = i64, default = 1)]
    amount: Amount,
    /// Makes a repeat safe: the same token with the same add changes nothing and gets the first answer again.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    token: Option<Cow<'b, str>>,
    /// When it happened; now, if it is not given.
    time: Option<Moment>,
}

/// A whole number of 64 bits, and nothing that would have to be rounded.
#[derive(Clone, Copy, Debug)]
struct Amount(i64);

impl Default for Amount {
    fn default() -> Self {
        Self(1)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Amount;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an amount: an integer of 64 bits")
            }

            fn visit_i64<E: Error>(self, amount: i64) -> Result<Amount, E> {
                Ok(Amount(amount))
            }

            fn visit_u64<E: Error>(self, amount: u64) -> Result<Amount, E> {
                let fitting = i64::try_from(amount).map(Amount);
                fitting.map_err(|_| E::custom(format!("the amount {amount} is beyond 64 bits")))
            }
        }
        deserializer.deserialize_any(Whole)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    #[default]
    None,
    Values,
}

/// What became of the adds, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Added<'b> {
    results: Vec<Outcome<'b>>,
    /// The level at which they are acknowledged.
    ack: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
struct Outcome<'b> {
    #[schema(value_type = String)]
    key: &'b str,
    /// The counter's value after the add, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Exact>,
    /// Whether its token had been counted before.
    duplicate: bool,
    /// Its time is older than the namespace's policy allows: it is in the ledger, not in the value.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    late: bool,
}

/// What one add did, as it is remembered with a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Done {
    value: Option<i128>,
    late: bool,
    duplicate: bool,
}

/// An add with its places in the plan.
struct Planned<'a> {
    key: Key<'a>,
    index: KeyIndex,
    amount: i64,
    time_ms: Option<u64>,
    token: Option<(TokenIndex, u64)>,
    /// An earlier add of the same request with the same token, which this one repeats.
    repeats: Option<usize>,
}

/// Adds to counters.
#[utoipa::path(
    post, path = "/v1/add", tag = "counters",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "A token for the whole request"),
        ("int64" = Option<String>, Query, description = "`string`: values as strings"),
    ),
    request_body = Adds,
    responses((status = 200, body = Added), (status = "4XX", body = super::problem::Problem), (status = "5XX", body = super::problem::Problem)),
)]
pub(super) async fn add(http: &Http, asked: &Asked) -> Result<Answer, Refusal> {
    let form = asked.parameters(&[])?.form()?;
    let Adds { adds, wanted } = asked.json()?;
    let service = &http.service;
    let most = service.limits().max_batch;
    if adds.is_empty() || adds.len() > most {
        return Err(Refusal::invalid(format!(
            "adds must be 1 to {most}, not {} (setting max_batch)",
            adds.len()
        )));
    }
    let scope = service.access().token_scope();
    let mut plan = Plan::new();
    let planned = planned(&adds, wanted, scope, &mut plan)?;
    let whole = match asked.token()? {
        Some(token) => {
            let payload = payload_hash(&[b"POST /v1/add ", asked.body.as_ref()].concat());
            Some((plan.token(scope, token), payload))
        }
        None => None,
    };
    let levels = service.levels();
    let level = if planned.iter().any(|add| levels.strong_part(add.key).is_some()) {
        levels.of_strong()
    } else {
        levels.of_keys(planned.iter().map(|add| add.key))
    };
    let done = service
        .turn(&mut plan, Some(level), |turn| run(turn, &planned, wanted, whole))
        .await??;
    let results = planned
        .iter()
        .zip(done)
        .map(|(add, done)| outcome(add.key.as_str(), done, form))
        .collect();
    answer::json(&Added {
        results,
        ack: levels::word(level),
    })
}

fn outcome(key: &str, done: Done, form: Form) -> Outcome<'_> {
    Outcome {
        key,
        value: done.value.map(|value| form.of(value)),
        duplicate: done.duplicate,
        late: done.late,
    }
}

fn planned<'a>(adds: &'a [Add<'_>], wanted: Wanted, scope: &str, plan: &mut Plan) -> Result<Vec<Planned<'a>>, Refusal> {
    let need = if wanted == Wanted::Values {
        Need::Value
    } else {
        Need::Blind
    };
    let mut tokens: HashMap<&str, (usize, u64)> = HashMap::new();
    let mut planned = Vec::with_capacity(adds.len());
    for (place, add) in adds.iter().enumerate() {
        let at = |refusal: Refusal| Refusal {
            detail: format!("adds[{place}]: {}", refusal.detail),
            ..refusal
        };
        let key = Key::new(add.key.as_bytes()).map_err(|error| at(Refusal::invalid(error.to_string())))?;
        let (amount, time_ms) = (add.amount.0, add.time.map(|time| time.0));
        let mut one = Planned {
            key,
            index: plan.key(key, need),
            amount,
            time_ms,
            token: None,
            repeats: None,
        };
        if let Some(token) = &add.token {
            check_token(token.as_bytes()).map_err(at)?;
            let payload = payload_of(key, amount, time_ms);
            match tokens.get(token.as_ref()) {
                Some((first, same)) if *same == payload => one.repeats = Some(*first),
                Some(_) => return Err(at(other_payload())),
                None => {
                    tokens.insert(token, (place, payload));
                    one.token = Some((plan.token(scope, token.as_bytes()), payload));
                }
            }
        }
        planned.push(one);
    }
    Ok(planned)
}

/// The same whichever face an add with a token comes by, so that a retry may take another one.
fn payload_of(key: Key<'_>, amount: i64, time_ms: Option<u64>) -> u64 {
    let time = time_ms.map_or(String::new(), |ms| ms.to_string());
    payload_hash(format!("add {amount} {time} {}", key.as_str()).as_bytes())
}

fn other_payload() -> Refusal {
    Refusal::new(
        ErrorKind::Unprocessable,
        "this token came before with another payload; nothing was applied",
    )
}

fn tokens_full() -> Refusal {
    Refusal::new(
        ErrorKind::Exhausted,
        "as many tokens are remembered as may be (setting token_limit); nothing was applied",
    )
}

/// Everything is looked at before anything is applied.
fn run(
    turn: &mut Turn<'_>,
    adds: &[Planned<'_>],
    wanted: Wanted,
    whole: Option<(TokenIndex, u64)>,
) -> Result<Vec<Done>, Refusal> {
    let mut done: Vec<Option<Done>> = vec![None; adds.len()];
    if let Some(known) = whole.map_or(Ok(None), |(token, payload)| remembered(turn, token, payload))? {
        for add in adds {
            turn.duplicate_adds(add.index, 1);
        }
        return decode(&known).ok_or_else(|| Refusal::internal("the answer of this token cannot be read"));
    }
    for (add, done) in adds.iter().zip(&mut done) {
        let Some((token, payload)) = add.token else { continue };
        if let Some(known) = remembered(turn, token, payload)? {
            let known = decode(&known).and_then(|known| known.first().copied());
            *done = Some(known.ok_or_else(|| Refusal::internal("the answer of this token cannot be read"))?);
        }
    }
    fits(turn, adds, &done)?;
    for place in 0..adds.len() {
        let Some(add) = adds.get(place) else { break };
        let one = match (done.get(place).copied().flatten(), add.repeats) {
            (Some(known), _) => {
                turn.duplicate_adds(add.index, 1);
                known
            }
            (None, Some(first)) => {
                turn.duplicate_adds(add.index, 1);
                let first = done.get(first).copied().flatten().unwrap_or_default();
                Done {
                    duplicate: true,
                    ..first
                }
            }
            (None, None) => apply(turn, add, wanted)?,
        };
        if let Some(done) = done.get_mut(place) {
            *done = Some(one);
        }
    }
    let done: Vec<Done> = done.into_iter().flatten().collect();
    if let Some((token, payload)) = whole {
        turn.remember(token, payload, &encode(&done));
    }
    Ok(done)
}

fn remembered(turn: &mut Turn<'_>, token: TokenIndex, payload: u64) -> Result<Option<Vec<u8>>, Refusal> {
    match turn.token(token, payload) {
        TokenState::New => Ok(None),
        TokenState::Duplicate(known) => Ok(Some(known)),
        TokenState::OtherPayload => Err(other_payload()),
        TokenState::Full => Err(tokens_full()),
    }
}

fn fits(turn: &mut Turn<'_>, adds: &[Planned<'_>], done: &[Option<Done>]) -> Result<(), Refusal> {
    let fresh: Vec<&Planned<'_>> = adds
        .iter()
        .zip(done)
        .filter(|(add, done)| done.is_none() && add.repeats.is_none())
        .map(|(add, _)| add)
        .collect();
    let amounts: Vec<(KeyIndex, i64)> = fresh.iter().map(|add| (add.index, add.amount)).collect();
    turn.fits(&amounts).map_err(|(first, error)| {
        let key = fresh.get(first).map_or("", |add| add.key.as_str());
        let detail = match error {
            AddError::Overflow => format!("the value of {key:?} would leave 64 bits; nothing was applied"),
            error => format!("{key:?}: {error}"),
        };
        Refusal::new(ErrorKind::Unprocessable, detail)
    })
}

fn apply(turn: &mut Turn<'_>, add: &Planned<'_>, wanted: Wanted) -> Result<Done, Refusal> {
    let mut done = Done::default();
    if wanted == Wanted::Values {
        let value = turn.add(add.index, add.amount, add.time_ms)?.map(i128::from);
        done.late = value.is_none();
        done.value = value.or_else(|| Some(turn.value(add.index).unwrap_or(0)));
    } else {
        done.late = !turn.add_blind(add.index, add.amount, add.time_ms)?;
    }
    if let Some((token, payload)) = add.token {
        turn.remember(token, payload, &encode(&[done]));
    }
    Ok(done)
}

const HAS_VALUE: u8 = 1;
const IS_LATE: u8 = 2;

fn encode(done: &[Done]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(done.len());
    for one in done {
        bytes.push(u8::from(one.value.is_some()) * HAS_VALUE + u8::from(one.late) * IS_LATE);
        if let Some(value) = one.value {
            put_signed(&mut bytes, value);
        }
    }
    bytes
}

/// What a token remembers, as duplicates.
fn decode(bytes: &[u8]) -> Option<Vec<Done>> {
    let mut reader = Reader::new("the answer of a token", bytes);
    let mut done = Vec::new();
    while let Ok(flags) = reader.byte() {
        let value = if flags & HAS_VALUE == 0 {
            None
        } else {
            Some(reader.signed().ok()?)
        };
        done.push(Done {
            value,
            late: flags & IS_LATE != 0,
            duplicate: true,
        });
    }
    Some(done)
}

/// What was understood holds together: only valid keys and amounts that a journal's entry can carry make adds.
#[cfg(feature = "fuzz")]
pub(super) fn fuzz(adds: &Adds<'_>) {
    for add in &adds.adds {
        let valid = Key::new(add.key.as_bytes()).is_ok();
        assert_eq!(
            valid,
            (1..=tally_counter::MAX_KEY_BYTES).contains(&add.key.len()),
            "{add:?}"
        );
        assert!(
            add.time.is_none_or(|time| time.0 < tally_counter::MAX_TIME_MS),
            "{add:?}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_remembered() {
        let done = [
            Done {
                value: Some(-5),
                late: false,
                duplicate: true,
            },
            Done {
                value: None,
                late: true,
                duplicate: true,
            },
            Done {
                value: Some(i128::from(i64::MAX)),
                late: false,
                duplicate: true,
            },
        ];
        assert_eq!(decode(&encode(&done)).unwrap(), done);
    }

    #[test]
    fn bodies_are_strict() {
        let read = |text: &'static str| serde_json::from_str::<Adds<'static>>(text).map_err(|error| error.to_string());
        assert_eq!(
            read(r#"{"adds":[{"key":"a"}]}"#)
                .unwrap()
                .adds
                .first()
                .unwrap()
                .amount
                .0,
            1
        );
        for (wrong, why) in [
            (r#"{"adds":[{"key":"a","amount":1.5}]}"#, "integer"),
            (
                r#"{"adds":[{"key":"a","amount":9223372036854775808}]}"#,
                "beyond 64 bits",
            ),
            (r#"{"adds":[{"key":"a","amount":"1"}]}"#, "integer"),
            (r#"{"adds":[{"key":"a","amout":1}]}"#, "unknown field `amout`"),
            (r#"{"adds":[{"key":"a","time":"now"}]}"#, "now"),
            (r#"{"adds":[],"return":"all"}"#, "unknown variant"),
            (r#"{"adds":[{"key":7}]}"#, "string"),
            (r#"{"adds":[{"key":"a"}"#, "EOF"),
        ] {
            assert!(
                read(wrong).unwrap_err().contains(why),
                "{wrong}: {}",
                read(wrong).unwrap_err()
            );
        }
    }
}
