//! A request, taken apart strictly: parameters that are known and stand once, a body within the limit and of the right type.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request, Uri};
use serde::Deserialize;

use super::number::Form;
use crate::buffers::Share;
use crate::limits::Limits;
use crate::refusal::{ErrorKind, Refusal};

/// The longest Idempotency-Key, in bytes.
const MAX_TOKEN_BYTES: usize = 1_024;

/// A request whose body has been read.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The body's part of what all connections hold.
    pub(super) _share: Share,
}

impl Asked {
    /// Reads the body, within the limits of size and time.
    pub(super) async fn read(request: Request<Incoming>, limits: &Limits, mut share: Share) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let patience = Duration::from_millis(limits.request_timeout_ms);
        let body = read_body(body, &parts.headers, limits.max_body_bytes, &mut share);
        let body = tokio::time::timeout(patience, body)
            .await
            .map_err(|_| Refusal::invalid("the body did not arrive in time (setting request_timeout)"))??;
        Ok(Self {
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
            body,
            _share: share,
        })
    }

    /// The parameters; `known` are those of this call, `int64` is known everywhere.
    pub(super) fn parameters(&self, known: &[&str]) -> Result<Parameters, Refusal> {
        Parameters::parse(self.uri.query().unwrap_or(""), known)
    }

    /// The JSON body. What is wrong with it is said with line and column.
    pub(super) fn json<'b, T: Deserialize<'b>>(&'b self) -> Result<T, Refusal> {
        self.must_be("application/json")?;
        serde_json::from_slice(&self.body).map_err(|error| Refusal::invalid(format!("the body: {error}")))
    }

    /// The media type without parameters, in lower case; empty where none is given.
    pub(super) fn media_type(&self) -> String {
        let text = self
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("");
        text.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
    }

    /// Refuses other media types. A missing one too: a browser sends such bodies for any page without asking us first.
    pub(super) fn must_be(&self, wanted: &str) -> Result<(), Refusal> {
        let found = self.media_type();
        if found == wanted {
            return Ok(());
        }
        let found = if found.is_empty() { "none" } else { found.as_str() };
        Err(Refusal::new(
            ErrorKind::MediaType,
            format!("the body must have Content-Type: {wanted}, not {found}"),
        ))
    }

    /// The header `Idempotency-Key`.
    pub(super) fn token(&self) -> Result<Option<&[u8]>, Refusal> {
        let Some(value) = self.headers.get("idempotency-key") else {
            return Ok(None);
        };
        check_token(value.as_bytes()).map(Some)
    }
}

/// A token that may stand: 1 to 1,024 bytes.
pub(super) fn check_token(token: &[u8]) -> Result<&[u8], Refusal> {
    if token.is_empty() || token.len() > MAX_TOKEN_BYTES {
        return Err(Refusal::invalid("a token has 1 to 1,024 bytes"));
    }
    Ok(token)
}

async fn read_body(
    mut body: Incoming,
    headers: &HeaderMap,
    limit_bytes: usize,
    share: &mut Share,
) -> Result<Bytes, Refusal> {
    let too_large = || {
        Refusal::new(
            ErrorKind::TooLarge,
            format!("the body has more than {limit_bytes} bytes (setting max_body)"),
        )
    };
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > limit_bytes as u64) || body.size_hint().lower() > limit_bytes as u64 {
        return Err(too_large());
    }
    let mut whole = Bytes::new();
    let mut parts = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::invalid(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = whole.len().saturating_add(parts.len()).saturating_add(data.len());
        if length > limit_bytes {
            return Err(too_large());
        }
        if !share.hold(length) {
            return Err(Refusal::unavailable(
                "the buffers of all connections are full (setting max_buffers); nothing was applied",
            ));
        }
        // Most bodies come in one piece, which is not copied.
        if whole.is_empty() && parts.is_empty() {
            whole = data;
        } else {
            if parts.is_empty() {
                parts.extend_from_slice(&std::mem::take(&mut whole));
            }
            parts.extend_from_slice(&data);
        }
    }
    Ok(if parts.is_empty() { whole } else { parts.freeze() })
}

/// The parameters of a call.
#[derive(Debug)]
pub(super) struct Parameters {
    pairs: Vec<(String, String)>,
}

impl Parameters {
    fn parse(query: &str, known: &[&str]) -> Result<Self, Refusal> {
        let mut pairs = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name)?.into_owned();
            if name != "int64" && !known.contains(&name.as_str()) {
                return Err(Refusal::invalid(format!(
                    "there is no parameter {name:?} here; known are {}",
                    list(known)
                )));
            }
            pairs.push((name, decode(value)?.into_owned()));
        }
        let parameters = Self { pairs };
        parameters.form()?;
        Ok(parameters)
    }

    /// The value of a parameter that may stand once.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut found = self.all(name);
        let first = found.next();
        if found.next().is_some() {
            return Err(Refusal::invalid(format!("the parameter {name} stands more than once")));
        }
        Ok(first)
    }

    /// The value of a parameter that must stand once.
    pub(super) fn must(&self, name: &str) -> Result<&str, Refusal> {
        self.one(name)?
            .ok_or_else(|| Refusal::invalid(format!("the parameter {name} is missing")))
    }

    /// The values of a parameter that may be repeated.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// A number from 1 to `most`.
    pub(super) fn limit(&self, name: &str, usual: usize, most: usize) -> Result<usize, Refusal> {
        let Some(text) = self.one(name)? else { return Ok(usual) };
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| Refusal::invalid(format!("{name} must be a number from 1 to {most}, not {text:?}")))
    }

    /// One of some words; the first one is usual.
    pub(super) fn word<'w>(&self, name: &str, words: &[&'w str]) -> Result<&'w str, Refusal> {
        let Some(text) = self.one(name)? else {
            return Ok(words.first().copied().unwrap_or(""));
        };
        let found = words.iter().find(|word| **word == text);
        found
            .copied()
            .ok_or_else(|| Refusal::invalid(format!("{name} must be one of {}, not {text:?}", list(words))))
    }

    /// How values are to be written.
    pub(super) fn form(&self) -> Result<Form, Refusal> {
        Ok(if self.word("int64", &["number", "string"])? == "string" {
            Form::Text
        } else {
            Form::Number
        })
    }
}

fn list(words: &[&str]) -> String {
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(", ")
    }
}

/// Percent-decodes; `+` is a space, as forms and `URLSearchParams` write it.
fn decode(text: &str) -> Result<Cow<'_, str>, Refusal> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let wrong = || Refusal::invalid(format!("a parameter is not percent-encoded UTF-8: {text:?}"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| {
                    char::from(byte?)
                        .to_digit(16)
                        .and_then(|digit| u8::try_from(digit).ok())
                };
                let (high, low) = (
                    digit(rest.next()).ok_or_else(wrong)?,
                    digit(rest.next()).ok_or_else(wrong)?,
                );
                high << 4 | low
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_strict() {
        let parameters = Parameters::parse("key=a%3Ab&key=c+d&limit=5", &["key", "limit"]).unwrap();
        assert_eq!(parameters.all("key").collect::<Vec<_>>(), ["a:b", "c d"]);
        assert_eq!(parameters.limit("limit", 10, 100), Ok(5));
        assert!(parameters.one("key").is_err());
        for wrong in ["other=1", "key=%zz", "key=%ff", "key=%4", "int64=maybe"] {
            assert!(Parameters::parse(wrong, &["key"]).is_err(), "{wrong}");
        }
    }
}
