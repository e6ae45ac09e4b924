//! A client of the HTTP API. Values are asked for as strings, so that every digit arrives.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;

use super::Failure;

/// The largest answer.
const MAX_ANSWER_BYTES: u64 = 1 << 30;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_mins(2);

/// A server to call.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    url: String,
    token: Option<String>,
}

/// Why a call was not answered as hoped.
#[derive(Debug)]
pub(super) enum CallError {
    /// The server did not answer.
    Unreachable(String),
    /// It refused.
    Refused {
        /// The status.
        status: u16,
        /// What it said.
        detail: String,
    },
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unreachable(why) => Self::Failed(why),
            CallError::Refused { detail, .. } => Self::Failed(detail),
        }
    }
}

impl CallError {
    /// Whether the same call may succeed a little later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { status, .. } => matches!(status, 429 | 503 | 504),
        }
    }
}

impl Client {
    pub(super) fn new(url: &str, token: Option<&str>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(CALL_TIMEOUT));
        let url = if url.contains("://") {
            url.to_owned()
        } else {
            format!("http://{url}")
        };
        Self {
            agent: config.build().new_agent(),
            url: url.trim_end_matches('/').to_owned(),
            token: token.map(|token| format!("Bearer {token}")),
        }
    }

    /// GET with parameters.
    pub(super) fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, CallError> {
        let mut request = self.agent.get(format!("{}{path}", self.url)).query("int64", "string");
        for (name, value) in parameters {
            request = request.query(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        self.answer(request.call())
    }

    /// POST of JSON.
    pub(super) fn post(&self, path: &str, body: &Value, token: Option<&str>) -> Result<Value, CallError> {
        let headers: &[(&str, &str)] = &token
            .map(|token| ("idempotency-key", token))
            .into_iter()
            .collect::<Vec<_>>();
        self.post_bytes(path, &[], "application/json", headers, body.to_string().as_bytes())
    }

    /// POST of bytes.
    pub(super) fn post_bytes(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
        content_type: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Value, CallError> {
        let mut request = self
            .agent
            .post(format!("{}{path}", self.url))
            .query("int64", "string")
            .content_type(content_type);
        for (name, value) in parameters {
            request = request.query(*name, *value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        self.answer(request.send(body))
    }

    fn answer(&self, called: Result<Response<ureq::Body>, ureq::Error>) -> Result<Value, CallError> {
        let unreachable = |error: ureq::Error| {
            CallError::Unreachable(format!(
                "cannot reach {}: {error}; is the server running there? (--server)",
                self.url
            ))
        };
        let response = called.map_err(unreachable)?;
        let status = response.status().as_u16();
        let text = response
            .into_body()
            .into_with_config()
            .limit(MAX_ANSWER_BYTES)
            .read_to_string()
            .map_err(unreachable)?;
        let json: Option<Value> = serde_json::from_str(&text).ok();
        if (200..300).contains(&status) {
            let not_tally = || CallError::Refused {
                status,
                detail: format!("{} does not answer as Tally does", self.url),
            };
            return json.ok_or_else(not_tally);
        }
        let said = json
            .as_ref()
            .and_then(|problem| problem.get("detail"))
            .and_then(Value::as_str);
        let mut detail = said.map_or_else(|| format!("{} answered with status {status}", self.url), str::to_owned);
        if status == 401 {
            detail.push_str(" (--auth-token or TALLY_AUTH_TOKEN)");
        }
        if json
            .as_ref()
            .and_then(|problem| problem.get("maybe_applied"))
            .and_then(Value::as_bool)
            == Some(true)
        {
            detail.push_str("; it may have been applied: repeat it only with its token");
        }
        Err(CallError::Refused { status, detail })
    }
}

/// A field as text: digits of values, names; empty where it is missing or null.
pub(super) fn text<'v>(value: &'v Value, field: &str) -> std::borrow::Cow<'v, str> {
    match value.get(field) {
        None | Some(Value::Null) => "".into(),
        Some(Value::String(text)) => text.as_str().into(),
        Some(other) => other.to_string().into(),
    }
}

/// A field as an exact integer; 0 where it is none.
pub(super) fn integer(value: &Value, field: &str) -> i128 {
    text(value, field).parse().unwrap_or(0)
}

/// The elements of a field; none where it is no array.
pub(super) fn elements<'v>(value: &'v Value, field: &str) -> &'v [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
