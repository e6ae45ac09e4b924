//! Events in all three modes, and what is none.

use proptest::prelude::*;
use tally_counter::Outcome;

use super::*;
use crate::{Adds, Rules, batch};

const RULES: &str = "[[rule]]\nmatch = { type = \"t\" }\ncount = [\"k:{data.x}:{subject}\"]\namount = \"data.n\"";

fn rules() -> Rules {
    Rules::parse(RULES).expect("valid rules")
}

fn structured(json: &str) -> Result<(Event, Adds), Rejected> {
    let (mut event, mut adds) = (Event::default(), Adds::default());
    rules()
        .structured(json.as_bytes(), &mut event, &mut adds)
        .map(|_| (event, adds))
}

fn binary(headers: &[(&str, &str)], body: &str) -> Result<(Outcome, Event, Adds), Rejected> {
    let (mut event, mut adds) = (Event::default(), Adds::default());
    let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    rules()
        .binary(headers, body.as_bytes(), &mut event, &mut adds)
        .map(|outcome| (outcome, event, adds))
}

#[test]
fn an_event_in_structured_mode() {
    let json = r#" {"id":"a\u00e9","data":{"n":4,"other":[{"x":1}],"x":"y"},"specversion":"1.0","source":"/s","type":"t",
        "subject":"z","time":"2015-05-17T10:05:03Z","ext":{"id":"not this"},"dataschema":null} "#;
    let (event, adds) = structured(json).expect("an event");
    assert_eq!((event.id(), event.source(), event.kind()), ("aé", "/s", "t"));
    assert_eq!(event.time_ms(), Some(1_431_857_103_000));
    assert_eq!(adds.iter().collect::<Vec<_>>(), [("k:y:z", 4)]);
}

#[test]
fn what_is_no_event_says_why() {
    let json = |specversion: &str, id: &str, rest: &str| {
        format!(r#"{{"specversion":{specversion},"id":{id},"source":"/s","type":"u"{rest}}}"#)
    };
    let event = |rest: &str| json("\"1.0\"", "\"7\"", rest);
    assert!(
        structured(&event("")).is_ok(),
        "data may be missing, and so may the time"
    );
    assert!(structured(&event(r#","time":null,"data":null,"data_base64":"AA==""#)).is_ok());
    let shortened = "é".repeat(64);
    let cases = [
        (String::new(), None, "not JSON"),
        ("nonsense".to_owned(), None, "not JSON"),
        (event("") + "x", Some("7"), "not JSON"),
        (r#"{"id":"7","#.to_owned(), Some("7"), "not JSON"),
        ("[]".to_owned(), None, "no JSON object"),
        ("5".to_owned(), None, "no JSON object"),
        ("null".to_owned(), None, "no JSON object"),
        ("{}".to_owned(), None, "no `specversion`"),
        (json("1.0", "\"7\"", ""), Some("7"), "`specversion` is no string"),
        (json("\"0.3\"", "\"7\"", ""), Some("7"), "`specversion` is not 1.0"),
        (json("\"1.0\"", "null", ""), None, "no `id`"),
        (json("\"1.0\"", "7", ""), None, "`id` is no string"),
        (json("\"1.0\"", "\"\"", ""), None, "`id` is empty"),
        (json("\"1.0\"", "{\"a\":1}", ""), None, "`id` is no string"),
        (
            json("\"1.0\"", &format!("\"{}\"", "é".repeat(513)), ""),
            Some(shortened.as_str()),
            "`id` is longer than 1,024 bytes",
        ),
        (
            r#"{"specversion":"1.0","id":"7","type":"t"}"#.to_owned(),
            Some("7"),
            "no `source`",
        ),
        (
            r#"{"specversion":"1.0","id":"7","source":"s"}"#.to_owned(),
            Some("7"),
            "no `type`",
        ),
        (event(r#","id":"8""#), Some("8"), "`id` stands twice"),
        (event(r#","data":{"x":1,"x":1}"#), Some("7"), "`data.x` stands twice"),
        (event(r#","time":"yesterday""#), Some("7"), "`time` is not RFC 3339"),
        (event(r#","time":1431857103"#), Some("7"), "`time` is not RFC 3339"),
        (
            event(r#","time":"1969-12-31T23:59:59Z""#),
            Some("7"),
            "`time` is before 1970 or beyond the year 9999",
        ),
        (
            event(r#","data":1,"data_base64":"AA==""#),
            Some("7"),
            "both `data` and `data_base64`",
        ),
        (
            event(&format!(r#","data":{}{}"#, "[".repeat(200), "]".repeat(199))),
            Some("7"),
            "not JSON",
        ),
    ];
    for (json, id, reason) in cases {
        let expected = Rejected {
            id: id.map(ToOwned::to_owned),
            reason: reason.to_owned(),
        };
        assert_eq!(structured(&json).map(|_| ()), Err(expected), "{json}");
    }
    let (mut room, mut adds) = (Event::default(), Adds::default());
    let broken = rules().structured(b"{\"other\":\"\xff\"}", &mut room, &mut adds);
    assert_eq!(
        broken.map_err(|rejected| rejected.reason),
        Err("not UTF-8".to_owned()),
        "in a field that no rule wants"
    );
}

#[test]
fn an_event_leaves_nothing_for_the_next() {
    let (rules, mut event, mut adds) = (rules(), Event::default(), Adds::default());
    let full = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"a","data":{"x":1,"n":2},"time":"2015-05-17T10:05:03Z"}"#;
    assert_eq!(
        rules.structured(full.as_bytes(), &mut event, &mut adds),
        Ok(Outcome::Counted)
    );
    let bare = r#"{"specversion":"1.0","id":"2","source":"/s","type":"t"}"#;
    assert_eq!(
        rules
            .structured(bare.as_bytes(), &mut event, &mut adds)
            .map_err(|rejected| rejected.reason),
        Err("no `data.n`".to_owned())
    );
    assert_eq!((event.id(), event.time_ms(), adds.len()), ("2", None, 0));
    assert!(rules.structured(b"{", &mut event, &mut adds).is_err());
    assert_eq!(
        (event.id(), event.source(), event.kind(), event.time_ms()),
        ("", "", "", None)
    );
}

#[test]
fn an_event_rejected_by_a_rule_keeps_its_time() {
    let (mut event, mut adds) = (Event::default(), Adds::default());
    let json = r#"{"specversion":"1.0","id":"2","source":"/s","type":"t","time":"1970-01-01T00:00:01Z"}"#;
    assert!(rules().structured(json.as_bytes(), &mut event, &mut adds).is_err());
    assert_eq!(
        event.time_ms(),
        Some(1_000),
        "the rest of its log is measured against it"
    );
}

const HEADERS: [(&str, &str); 6] = [
    ("CE-SpecVersion", "1.0"),
    ("ce-id", "a%20b"),
    ("ce-source", "\"/s\""),
    ("ce-type", "t"),
    ("ce-time", "2015-05-17T10:05:03Z"),
    ("ce-subject", "s"),
];

#[test]
fn an_event_in_binary_mode() {
    let headers = [
        &HEADERS[..],
        &[
            ("host", "h"),
            ("ce-data", "not this"),
            ("ce-unknown", "%ff"),
            ("content-type", "application/json"),
        ],
    ];
    let (outcome, event, adds) = binary(&headers.concat(), r#"{"x":"y","n":5}"#).expect("an event");
    assert_eq!(outcome, Outcome::Counted);
    assert_eq!(
        (event.id(), event.source(), event.time_ms()),
        ("a b", "/s", Some(1_431_857_103_000))
    );
    assert_eq!(adds.iter().collect::<Vec<_>>(), [("k:y:s", 5)]);
    assert!(
        binary(&HEADERS, r#"{"x":"y","n":5}"#).is_ok(),
        "without a content type it is JSON"
    );
}

#[test]
fn what_is_no_event_in_binary_mode() {
    let with = |more: &[(&'static str, &'static str)], body: &str| {
        binary(&[&HEADERS[..], more].concat(), body)
            .map(|_| ())
            .map_err(|rejected| (rejected.id, rejected.reason))
    };
    let wrong = |id: Option<&str>, reason: &str| Err((id.map(ToOwned::to_owned), reason.to_owned()));
    assert_eq!(with(&[], "{"), wrong(Some("a b"), "the data is not JSON"));
    assert_eq!(with(&[], ""), wrong(Some("a b"), "no `data.n`"));
    assert_eq!(
        with(&[("content-type", "text/plain")], r#"{"x":"y","n":5}"#),
        wrong(Some("a b"), "no `data.n`")
    );
    assert_eq!(with(&[("ce-id", "c")], "{}"), wrong(Some("c"), "`id` stands twice"));
    assert_eq!(
        with(&[("ce-type", "%C0%A0")], "{}"),
        wrong(Some("a b"), "a header is not UTF-8")
    );
    assert_eq!(
        binary(&[], "{}").map(|_| ()).map_err(|rejected| rejected.reason),
        Err("no `specversion`".to_owned())
    );
}

#[test]
fn a_batch_is_judged_one_by_one() {
    let good = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"a","data":{"x":1,"n":2}}"#;
    let json = format!("[{good},{{\"id\":\"2\"}},7,{good}]");
    let outcomes: Vec<_> = batch(json.as_bytes())
        .expect("an array")
        .into_iter()
        .map(|element| {
            structured(element)
                .map(|(_, adds)| adds.len())
                .map_err(|rejected| rejected.reason)
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            Ok(1),
            Err("no `specversion`".to_owned()),
            Err("no JSON object".to_owned()),
            Ok(1)
        ]
    );
}

/// Bytes that are nearly an event.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let whole = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"a","data":{"x":[1],"n":2},"time":"2015-05-17T10:05:03Z"}"#;
    let piece = prop::sample::select(b"\"{}[],:\\u0e.-1xn\xff\x00".to_vec());
    let damaged = proptest::collection::vec((0..whole.len(), piece), 0..4).prop_map(move |damage| {
        let mut bytes = whole.as_bytes().to_vec();
        for (at, byte) in damage {
            bytes[at] = byte;
        }
        bytes
    });
    prop_oneof![3 => damaged, 1 => proptest::collection::vec(any::<u8>(), 0..100)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// No bytes panic; what is rejected adds nothing; and reading is a function of the bytes, whatever stood in the room.
    #[test]
    fn arbitrary_bytes_never_panic(bytes in nearly(), before in nearly(), header in "(ce-)?[a-z%\"\\\\]{0,9}") {
        let (rules, mut event, mut adds) = (rules(), Event::default(), Adds::default());
        let outcome = rules.structured(&bytes, &mut event, &mut adds);
        prop_assert_eq!(matches!(outcome, Ok(Outcome::Counted)), !adds.is_empty());
        let (mut used, mut used_adds) = (Event::default(), Adds::default());
        prop_assert!(rules.structured(&before, &mut used, &mut used_adds).is_ok() || used_adds.is_empty());
        prop_assert_eq!(rules.structured(&bytes, &mut used, &mut used_adds), outcome);
        prop_assert_eq!((used.id(), used.time_ms(), &used_adds), (event.id(), event.time_ms(), &adds));
        if let Ok(elements) = batch(&bytes) {
            prop_assert!(elements.len() <= bytes.len());
        }
        let headers = [(header.as_str(), bytes.as_slice()), ("ce-id", header.as_bytes()), ("content-type", &before)];
        if rules.binary(headers, &bytes, &mut event, &mut adds).is_err() {
            prop_assert!(adds.is_empty());
        }
    }
}
