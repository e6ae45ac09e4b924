//! Refusals as `application/problem+json` (RFC 9457): the one place where kinds become statuses.

use hyper::StatusCode;
use hyper::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{self, Answer, Content};
use crate::refusal::{ErrorKind, Refusal};

/// An error.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem<'r> {
    /// Always `about:blank`: the kind says more.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// What the caller can do about it: `invalid`, `unauthorized`, `forbidden`, `not_found`, `conflict`, `exhausted`,
    /// `unavailable`, `corrupt`, `internal`.
    kind: &'static str,
    /// What is wrong.
    detail: &'r str,
    /// Whether the request may have been applied all the same: repeat it only with its token.
    maybe_applied: bool,
}

/// The status of a refusal.
fn status(refusal: &Refusal) -> StatusCode {
    match refusal.kind {
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Method => StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorKind::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Exhausted => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Unavailable if refusal.maybe_applied => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Corrupt | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The answer to a refused request.
pub(super) fn answer(refusal: &Refusal) -> Answer {
    let status = status(refusal);
    let problem = Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        kind: refusal.kind.word(),
        detail: &refusal.detail,
        maybe_applied: refusal.maybe_applied,
    };
    let bytes = serde_json::to_vec(&problem).unwrap_or_default();
    let mut answer = answer::of(status, "application/problem+json", Content::Whole(bytes.into()));
    if let Some(seconds) = refusal.retry_after_s {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    if refusal.kind == ErrorKind::Unauthorized {
        answer::set(&mut answer, WWW_AUTHENTICATE, "Bearer");
    }
    answer
}

/// The answer to a method that a path does not have.
pub(super) fn wrong_method(allowed: &[&'static str]) -> Answer {
    let allowed = allowed.join(", ");
    let mut answer = answer(&Refusal::new(ErrorKind::Method, format!("this path has {allowed}")));
    if let Ok(value) = HeaderValue::from_str(&allowed) {
        answer.headers_mut().insert(ALLOW, value);
    }
    answer
}
