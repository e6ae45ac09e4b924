//! `GET /v1/namespaces`, `GET` and `PUT /v1/namespaces/{name}`.

use serde::Serialize;
use tally_engine::NamespaceView;
use utoipa::ToSchema;

use super::Http;
use super::answer::{self, Answer};
use super::policy::PolicyShape;
use super::request::Asked;
use crate::refusal::Refusal;

/// The longest name of a namespace, in bytes: it labels metrics.
const MAX_NAME_BYTES: usize = 128;

/// A namespace.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Namespace {
    name: String,
    /// Whether it was declared; `default` is there without.
    declared: bool,
    policy: PolicyShape,
}

/// All namespaces.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Namespaces {
    namespaces: Vec<Namespace>,
}

fn shape(view: NamespaceView) -> Namespace {
    Namespace {
        policy: PolicyShape::of(&view.policy),
        name: view.name,
        declared: view.declared,
    }
}

/// The declared namespaces, and `default`.
#[utoipa::path(get, path = "/v1/namespaces", tag = "namespaces", responses((status = 200, body = Namespaces)))]
pub(super) fn list(http: &Http, asked: &Asked) -> Result<Answer, Refusal> {
    asked.parameters(&[])?;
    answer::json(&Namespaces {
        namespaces: http.service.engine().namespaces().into_iter().map(shape).collect(),
    })
}

/// The policy of a namespace.
#[utoipa::path(
    get, path = "/v1/namespaces/{name}", tag = "namespaces", params(("name" = String, Path)),
    responses((status = 200, body = PolicyShape), (status = 404, body = super::problem::Problem)),
)]
pub(super) fn get(http: &Http, asked: &Asked, name: &str) -> Result<Answer, Refusal> {
    asked.parameters(&[])?;
    let found = http
        .service
        .engine()
        .namespaces()
        .into_iter()
        .find(|namespace| namespace.name == name);
    let found = found.ok_or_else(|| Refusal::not_found(format!("the namespace {name:?} is not declared")))?;
    answer::json(&PolicyShape::of(&found.policy))
}

/// Declares a namespace, or changes its policy; answered when that is durable.
#[utoipa::path(
    put, path = "/v1/namespaces/{name}", tag = "namespaces", params(("name" = String, Path)),
    request_body = PolicyShape,
    responses((status = 200, body = PolicyShape), (status = "4XX", body = super::problem::Problem)),
)]
pub(super) async fn put(http: &Http, asked: &Asked, name: &str) -> Result<Answer, Refusal> {
    asked.parameters(&[])?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(plain) {
        return Err(Refusal::invalid(
            "a namespace's name has 1 to 128 letters, digits, _, - and .",
        ));
    }
    let shape: PolicyShape = asked.json()?;
    let policy = shape.policy(name)?;
    if let Some(level) = policy.acknowledgement {
        http.service.levels().check(level)?;
    }
    let (declared, wanted) = (name.to_owned(), policy.clone());
    http.service
        .blocking(move |engine| engine.declare(&declared, wanted))
        .await?;
    http.service.levels().refresh(&http.service.engine().namespaces());
    answer::json(&PolicyShape::of(&policy))
}
