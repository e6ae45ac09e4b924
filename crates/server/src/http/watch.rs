//! `GET /v1/watch`: values as they change, as server-sent events.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::Http;
use super::answer::{self, Answer, Content};
use super::number::Form;
use super::read::{self, Counter, Counters};
use super::request::Asked;
use crate::refusal::{ErrorKind, Refusal};

/// How many counters one client may watch.
const MAX_KEYS: usize = 64;
/// How often values are looked at.
const POLL: Duration = Duration::from_millis(100);
/// After so many looks without a change a comment is sent, so that a client that has gone is noticed, and no proxy gives up.
const QUIET_POLLS: u32 = 150;
/// Events that wait for a slow client; until it reads them nothing is looked at for it.
const WAITING: usize = 4;

/// Values as they change: first all, then those that changed.
#[utoipa::path(
    get, path = "/v1/watch", tag = "counters",
    params(("key" = Vec<String>, Query), ("int64" = Option<String>, Query, description = "`string`: values as strings")),
    responses((status = 200, body = Counters, content_type = "text/event-stream")),
)]
pub(super) fn watch(http: &Arc<Http>, asked: &Asked) -> Result<Answer, Refusal> {
    let parameters = asked.parameters(&["key"])?;
    let form = parameters.form()?;
    let mut seen = HashSet::new();
    let keys: Vec<String> = parameters
        .all("key")
        .filter(|key| seen.insert(*key))
        .map(str::to_owned)
        .collect();
    if keys.is_empty() || keys.len() > MAX_KEYS {
        return Err(Refusal::invalid(format!(
            "1 to {MAX_KEYS} keys can be watched, not {}",
            keys.len()
        )));
    }
    for key in &keys {
        read::key(key)?;
    }
    let permit = Arc::clone(&http.watchers).try_acquire_owned().map_err(|_| Refusal {
        retry_after_s: Some(5),
        ..Refusal::new(
            ErrorKind::Unavailable,
            "too many clients watch already (setting max_watchers)",
        )
    })?;
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(send_changes(Arc::clone(http), keys, form, sender, permit));
    Ok(answer::of(
        StatusCode::OK,
        "text/event-stream",
        Content::Stream(receiver),
    ))
}

async fn send_changes(
    http: Arc<Http>,
    keys: Vec<String>,
    form: Form,
    sender: mpsc::Sender<Bytes>,
    _permit: OwnedSemaphorePermit,
) {
    let mut draining = http.service.draining();
    let mut known: Vec<Option<Option<i128>>> = vec![None; keys.len()];
    let mut quiet = 0;
    loop {
        // A refused look (the engine is draining) ends the stream; the client comes back.
        let Ok(values) = read::values(&http, &keys, false).await else {
            return;
        };
        let mut changed = Vec::new();
        for ((key, value), known) in keys.iter().zip(values).zip(&mut known) {
            if *known != Some(value) {
                *known = Some(value);
                changed.push(Counter {
                    key: key.clone(),
                    value: value.map(|value| form.of(value)),
                });
            }
        }
        quiet = if changed.is_empty() { quiet + 1 } else { 0 };
        let event = match (changed.is_empty(), quiet >= QUIET_POLLS) {
            (false, _) => Some(event(&Counters { counters: changed })),
            (true, true) => Some(Bytes::from_static(b": still here\n\n")),
            (true, false) => None,
        };
        if let Some(event) = event {
            quiet = 0;
            if sender.send(event).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = sender.closed() => return,
            _ = draining.wait_for(|draining| *draining) => return,
        }
    }
}

fn event(counters: &Counters) -> Bytes {
    let data = serde_json::to_string(counters).unwrap_or_default();
    format!("event: values\ndata: {data}\n\n").into()
}
