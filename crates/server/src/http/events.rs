//! `POST /v1/events`: CloudEvents in structured, binary and batch mode, counted by the rules in force.
//!
//! An event is all or nothing and has one outcome. Its source and id are its token, so sending it again changes nothing.

use hyper::HeaderMap;
use serde::Serialize;
use tally_counter::{Key, Outcome};
use tally_engine::{KeyIndex, Need, Plan, TokenIndex, TokenState, Turn, payload_hash};
use tally_ingest::{Adds, Event, Rejected, Rules};
use utoipa::ToSchema;

use super::Http;
use super::answer::{self, Answer};
use super::request::Asked;
use crate::refusal::{ErrorKind, Refusal};

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
/// Under which source events are noted whose own cannot be read.
const UNKNOWN: &str = "unknown";
const OTHER_EVENT: &str = "another event with this source and id was counted before";

/// What became of the events: `received = counted + duplicate + late + ignored + rejected`.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Received {
    #[serde(rename = "received")]
    all: u64,
    counted: u64,
    /// Counted before: same source and id.
    duplicate: u64,
    /// Older than the policies allow.
    late: u64,
    /// No rule matched.
    ignored: u64,
    rejected: Vec<RejectedEvent>,
}

/// An event that was not counted, and why.
#[derive(Debug, Serialize, ToSchema)]
struct RejectedEvent {
    /// Its place in the request, from 0.
    index: usize,
    /// Its id, as far as it can be read.
    id: String,
    reason: String,
}

/// An event, judged, with its places in the plan.
struct Judged {
    source: String,
    id: String,
    time_ms: Option<u64>,
    verdict: Verdict,
}

enum Verdict {
    Counts {
        adds: Vec<(KeyIndex, i64)>,
        token: TokenIndex,
        payload: u64,
    },
    Ignored,
    Rejected(String),
}

/// Counts CloudEvents.
#[utoipa::path(
    post, path = "/v1/events", tag = "events",
    request_body(description = "A CloudEvent in structured (`application/cloudevents+json`) or binary mode (`ce-*` headers), or a \
        batch (`application/cloudevents-batch+json`)", content = serde_json::Value, content_type = "application/cloudevents+json"),
    responses((status = 200, body = Received), (status = "4XX", body = super::problem::Problem), (status = "5XX", body = super::problem::Problem)),
)]
pub(super) async fn events(http: &Http, asked: &Asked) -> Result<Answer, Refusal> {
    asked.parameters(&[])?;
    let mut plan = Plan::new();
    let most = http.service.limits().max_batch;
    let events = http.rules.with(|rules| judge_all(rules, asked, &mut plan, most))?;
    if http.service.levels().any_strong() && http.service.engine().is_strong(&plan) {
        return Err(Refusal::new(ErrorKind::Unprocessable, STRONG));
    }
    let received = http.service.turn(&mut plan, None, |turn| run(turn, &events)).await??;
    answer::json(&received)
}

const STRONG: &str =
    "the rules count this event into a strong namespace, which only adds of their own can; nothing was applied";

fn judge_all(rules: &Rules, asked: &Asked, plan: &mut Plan, most: usize) -> Result<Vec<Judged>, Refusal> {
    let (mut event, mut adds) = (Event::default(), Adds::default());
    match asked.media_type().as_str() {
        BATCH => {
            let elements =
                tally_ingest::batch(&asked.body).map_err(|error| Refusal::invalid(format!("the batch: {error}")))?;
            if elements.len() > most {
                let detail = format!(
                    "a batch has at most {most} events, not {} (setting max_batch)",
                    elements.len()
                );
                return Err(Refusal::new(ErrorKind::TooLarge, detail));
            }
            let mut judge = |json: &&str| {
                let verdict = rules.structured(json.as_bytes(), &mut event, &mut adds);
                judged(verdict, &event, &adds, plan)
            };
            Ok(elements.iter().map(&mut judge).collect())
        }
        STRUCTURED => {
            let verdict = rules.structured(&asked.body, &mut event, &mut adds);
            Ok(vec![judged(verdict, &event, &adds, plan)])
        }
        _ if asked.headers.contains_key("ce-specversion") || asked.headers.contains_key("ce-id") => {
            let verdict = rules.binary(pairs(&asked.headers), &asked.body, &mut event, &mut adds);
            Ok(vec![judged(verdict, &event, &adds, plan)])
        }
        _ => Err(Refusal::new(
            ErrorKind::MediaType,
            format!("events are sent as Content-Type: {STRUCTURED} or {BATCH}, or with ce-* headers"),
        )),
    }
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
}

fn judged(verdict: Result<Outcome, Rejected>, event: &Event, adds: &Adds, plan: &mut Plan) -> Judged {
    let source = if event.source().is_empty() {
        UNKNOWN
    } else {
        event.source()
    }
    .to_owned();
    let (id, time_ms) = (event.id().to_owned(), event.time_ms());
    match verdict {
        Err(Rejected { id: known, reason }) => Judged {
            source,
            id: known.unwrap_or(id),
            time_ms,
            verdict: Verdict::Rejected(reason),
        },
        Ok(Outcome::Counted) if !adds.is_empty() => {
            let keys = adds
                .iter()
                .filter_map(|(key, amount)| Some((Key::new(key.as_bytes()).ok()?, amount)));
            let adds = keys.map(|(key, amount)| (plan.key(key, Need::Blind), amount)).collect();
            let token = plan.token(&format!("event:{source}"), id.as_bytes());
            // What an event is, in whichever mode it comes; not what the rules make of it, which may have changed since.
            let time = time_ms.map_or(String::new(), |ms| ms.to_string());
            let payload = payload_hash(format!("event {time} {}", event.kind()).as_bytes());
            Judged {
                source,
                id,
                time_ms,
                verdict: Verdict::Counts { adds, token, payload },
            }
        }
        Ok(_) => Judged {
            source,
            id,
            time_ms,
            verdict: Verdict::Ignored,
        },
    }
}

/// All of them in one entry of the journal.
fn run(turn: &mut Turn<'_>, events: &[Judged]) -> Result<Received, Refusal> {
    for event in events {
        // A full table depends on load, which may reject no event: the sender tries again.
        if let Verdict::Counts { token, payload, .. } = event.verdict
            && turn.token(token, payload) == TokenState::Full
        {
            let detail = format!(
                "the source {:?} has sent as many events as are remembered (setting token_limit)",
                event.source
            );
            return Err(Refusal::new(ErrorKind::Exhausted, detail));
        }
    }
    let mut received = Received {
        all: events.len() as u64,
        ..Received::default()
    };
    for (index, event) in events.iter().enumerate() {
        let reason = match &event.verdict {
            Verdict::Rejected(reason) => Some(reason.as_str()),
            Verdict::Ignored => {
                turn.event(&event.source, Outcome::Ignored);
                received.ignored += 1;
                None
            }
            Verdict::Counts { adds, token, payload } => match turn.token(*token, *payload) {
                TokenState::Duplicate(_) => {
                    for (key, _) in adds {
                        turn.duplicate_adds(*key, 1);
                    }
                    turn.event(&event.source, Outcome::Duplicate);
                    received.duplicate += 1;
                    None
                }
                TokenState::OtherPayload => Some(OTHER_EVENT),
                TokenState::New | TokenState::Full => {
                    let outcome = count(turn, event, adds)?;
                    turn.remember(*token, *payload, &[]);
                    turn.event(&event.source, outcome);
                    if outcome == Outcome::Late {
                        received.late += 1;
                    } else {
                        received.counted += 1;
                    }
                    None
                }
            },
        };
        if let Some(reason) = reason {
            turn.reject_event(&event.source, reason, &event.id);
            received.rejected.push(RejectedEvent {
                index,
                id: event.id.clone(),
                reason: reason.to_owned(),
            });
        }
    }
    Ok(received)
}

/// All adds of an event, or none: it is late if it is for any of its namespaces.
fn count(turn: &mut Turn<'_>, event: &Judged, adds: &[(KeyIndex, i64)]) -> Result<Outcome, Refusal> {
    if event
        .time_ms
        .is_some_and(|time_ms| adds.iter().any(|(key, _)| turn.is_late(*key, time_ms)))
    {
        for (key, _) in adds {
            turn.late_adds(*key, 1);
        }
        return Ok(Outcome::Late);
    }
    for (key, amount) in adds {
        turn.add_blind(*key, *amount, event.time_ms)?;
    }
    Ok(Outcome::Counted)
}
