//! Bodies and queries, any bytes of them.

use bytes::Bytes;
use hyper::{HeaderMap, Method, Uri};
use tally_counter::Policy;

use super::policy::PolicyShape;
use super::request::Asked;
use crate::buffers::Buffers;

fn asked(uri: Uri, body: &[u8]) -> Asked {
    let mut headers = HeaderMap::new();
    headers.insert(
        "content-type",
        hyper::header::HeaderValue::from_static("application/json"),
    );
    Asked {
        method: Method::POST,
        uri,
        headers,
        body: Bytes::copy_from_slice(body),
        _share: Buffers::new(usize::MAX).share(),
    }
}

/// The first byte says of which call the rest is.
pub(crate) fn fuzz(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    match kind % 4 {
        0 => {
            let asked = asked(Uri::from_static("/v1/add"), rest);
            if let Ok(adds) = asked.json::<super::add::Adds<'_>>() {
                super::add::fuzz(&adds);
            }
        }
        1 => {
            let asked = asked(Uri::from_static("/v1/namespaces/name"), rest);
            let shape = asked.json::<PolicyShape>();
            if let Ok(policy) = shape.and_then(|shape| shape.policy("name")) {
                // What is accepted is shown in a way that is accepted, and means the same; and so it is stored.
                assert_eq!(PolicyShape::of(&policy).policy("name").ok(), Some(policy.clone()));
                assert_eq!(Policy::decode("name", &policy.encoded()), Ok(policy));
            }
        }
        2 => {
            let text = format!("/v1/counter?{}", String::from_utf8_lossy(rest));
            let longest = text.len();
            let Ok(uri) = text.parse::<Uri>() else { return };
            if let Ok(parameters) = asked(uri, b"").parameters(&["key", "from", "limit"]) {
                let one = parameters.one("key");
                assert!(one.ok().flatten().is_none_or(|key| key.len() <= longest));
            }
        }
        _ => {
            let text = String::from_utf8_lossy(rest);
            if let Ok(ms) = crate::when::parse("time", &text) {
                // What was understood is written in a way that is understood the same.
                assert_eq!(crate::when::parse("time", &crate::when::utc(ms)).ok(), Some(ms));
            }
        }
    }
}
