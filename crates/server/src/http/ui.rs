//! The web UI: files of `ui/dist` that were there when the binary was built, at `/`. Without them, a page that says how to build it.

use std::borrow::Cow;
use std::fmt::Write;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY};
use rust_embed::RustEmbed;

use super::answer::{self, Answer, Content};
use super::request::Asked;
use crate::refusal::Refusal;

#[derive(RustEmbed)]
#[folder = "../../ui/dist"]
struct Files;

const INDEX: &str = "index.html";
/// Nothing but our own scripts, styles, images and calls.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const NOT_BUILT: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Tally</title>\n\
    <h1>Tally is running</h1>\n<p>This binary was built without the web UI. Build it with <code>cargo xtask run</code>, or with \
    <code>npm ci &amp;&amp; npm run build</code> in <code>ui/</code> and then the server again.</p>\n\
    <p>Everything else works: see <a href=\"/openapi.json\">/openapi.json</a> and <a href=\"/metrics\">/metrics</a>.</p>\n</html>\n";

/// A file of the UI; its first page for every path that is no file, since pages have addresses of their own.
pub(super) fn file(asked: &Asked) -> Result<Answer, Refusal> {
    let path = asked.uri.path().trim_start_matches('/');
    let (name, found) = match Files::get(path).filter(|_| !path.is_empty()) {
        Some(found) => (path, Some(found)),
        None if has_extension(path) => return Err(Refusal::not_found(format!("there is no /{path}"))),
        None => (INDEX, Files::get(INDEX)),
    };
    let Some(found) = found else { return Ok(page(NOT_BUILT)) };
    let tag = tag(&found.metadata.sha256_hash());
    let known = asked
        .headers
        .get(IF_NONE_MATCH)
        .is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let (status, content) = if known {
        (StatusCode::NOT_MODIFIED, Bytes::new())
    } else {
        (
            StatusCode::OK,
            match found.data {
                Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                Cow::Owned(bytes) => bytes.into(),
            },
        )
    };
    let mut answer = answer::of(status, content_type(name), Content::Whole(content));
    guard(&mut answer);
    // The bundler puts a hash of the content into the names below assets/.
    let kept = if name.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    answer::set(&mut answer, CACHE_CONTROL, kept);
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answer.headers_mut().insert(ETAG, tag);
    }
    Ok(answer)
}

fn page(text: &'static str) -> Answer {
    let mut answer = answer::text("text/html; charset=utf-8", text);
    guard(&mut answer);
    answer
}

fn guard(answer: &mut Answer) {
    answer::set(answer, CONTENT_SECURITY_POLICY, POLICY);
    answer::set(answer, REFERRER_POLICY, "no-referrer");
}

fn has_extension(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.contains('.'))
}

fn tag(hash: &[u8]) -> String {
    let mut tag = String::from("\"");
    for byte in hash.iter().take(16) {
        write!(tag, "{byte:02x}").ok();
    }
    tag.push('"');
    tag
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or("") {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "json" | "map" => "application/json",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
