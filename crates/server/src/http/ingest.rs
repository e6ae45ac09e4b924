//! `POST /v1/ingest/open|chunk|finish`: files as replayable sources, counted by writers of their own (`tally_ingest`).

use std::sync::Arc;

use super::Http;
use super::answer::Answer;
use super::request::Asked;
use crate::refusal::Refusal;

/// Answers the call with this name.
pub(super) async fn dispatch(http: &Arc<Http>, asked: &Asked, call: &str) -> Result<Answer, Refusal> {
    let _: (&Arc<Http>, &Asked) = (http, asked);
    Err(Refusal::not_found(format!("there is no /v1/ingest/{call} yet")))
}
