//! CloudEvents in binary mode: attributes in `ce-` headers, the data in the body. Source: CloudEvents, HTTP Protocol Binding
//! 1.0.2, section 3.1.

use std::borrow::Cow;

use crate::event::{Event, Rejected, Value};
use crate::fields::{Field, Fields};
use crate::json;

impl Event {
    /// Fills it from headers and a body. Data that is not JSON by its content type has no fields; without a content type it
    /// is JSON, as the specification has it.
    pub(crate) fn read_binary<'h>(
        &mut self,
        fields: &Fields,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        body: &[u8],
    ) -> Result<(), Rejected> {
        self.begin(fields);
        let mut is_json = true;
        for (name, value) in headers {
            if name.eq_ignore_ascii_case("content-type") {
                is_json = is_json_type(value);
                self.set_text(Field::DATACONTENTTYPE, &String::from_utf8_lossy(value));
            } else if let Some(field) = attribute(fields, name) {
                let Some(text) = decode(value) else {
                    return Err(self.reject("a header is not UTF-8"));
                };
                self.set_text(field, &text);
            }
        }
        if body.is_empty() {
            return self.judge(fields);
        }
        if !is_json {
            // Something is there, and none of it can be named.
            self.set(Field::DATA, Value::Object);
            return self.judge(fields);
        }
        json::read(body, fields, Field::DATA, self).map_err(|_| self.reject("the data is not JSON"))?;
        self.judge(fields)
    }
}

/// The attribute that a header carries, where one is wanted. The content type has a header of its own.
fn attribute(fields: &Fields, header: &str) -> Option<Field> {
    let (prefix, name) = header.split_at_checked(3)?;
    if !prefix.eq_ignore_ascii_case("ce-") {
        return None;
    }
    let field = fields.named(Field::ROOT, &name.to_ascii_lowercase())?;
    Some(field).filter(|field| fields.is_attribute(*field) && *field != Field::DATACONTENTTYPE)
}

/// `application/json`, `text/json`, or anything with `+json`.
fn is_json_type(value: &[u8]) -> bool {
    let essence = value
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii()
        .to_ascii_lowercase();
    matches!(essence.as_slice(), b"" | b"application/json" | b"text/json") || essence.ends_with(b"+json")
}

/// A header's value: unquoted where it is in double quotes, then percent-decoded once. A `%` that begins no byte stands for
/// itself. `None` for what is not UTF-8 then.
fn decode(value: &[u8]) -> Option<Cow<'_, str>> {
    if !value.contains(&b'%') && !value.starts_with(b"\"") {
        return std::str::from_utf8(value).ok().map(Cow::Borrowed);
    }
    let value = unquote(value);
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_ref();
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => hex(*high, *low).map_or((b'%', rest.get(1..)?), |byte| (byte, after)),
            _ => (*first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn unquote(value: &[u8]) -> Cow<'_, [u8]> {
    let Some(inner) = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")) else {
        return Cow::Borrowed(value);
    };
    let mut escaped = false;
    let plain = inner.iter().filter(|byte| {
        escaped = !escaped && **byte == b'\\';
        !escaped
    });
    Cow::Owned(plain.copied().collect())
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_decoded_once() {
        let text = |value: &'static str| decode(value.as_bytes()).map(Cow::into_owned);
        assert_eq!(text("Euro%20%E2%82%AC%20%F0%9F%98%80").as_deref(), Some("Euro € 😀"));
        assert_eq!(text(r#""a \"b\" \\ %41""#).as_deref(), Some(r#"a "b" \ A"#));
        assert_eq!(text("%2541").as_deref(), Some("%41"));
        assert_eq!(text("50% %4 %zz%").as_deref(), Some("50% %4 %zz%"));
        assert_eq!(text("%C0%A0"), None, "an overlong space");
        assert_eq!(decode(b"\xff"), None);
    }

    #[test]
    fn json_by_its_content_type() {
        for json in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "text/json",
            "application/geo+json",
            "",
        ] {
            assert!(is_json_type(json.as_bytes()), "{json}");
        }
        for other in [
            "text/plain",
            "application/xml",
            "application/jsonp",
            "application/x-www-form-urlencoded",
        ] {
            assert!(!is_json_type(other.as_bytes()), "{other}");
        }
    }
}
