//! The sample, counted by its rules, against a count that shares no code with them: every counter, every hour.

#![expect(clippy::indexing_slicing, reason = "a missing field of the sample is a failed test")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use tally_counter::{Minute, Outcome, Step};
use tally_ingest::{Adds, Event, Lateness, MAX_LINE_BYTES, Rules, Splitter};

/// Counter, then hour (Unix milliseconds), then amount.
type Hours = BTreeMap<String, BTreeMap<u64, i64>>;

fn example(name: &str) -> String {
    // As it is when the test runs: a test binary may be kept from another checkout.
    let path = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("tests run in cargo"))
        .join("../../examples")
        .join(name);
    std::fs::read_to_string(&path).expect("the examples are in the repository")
}

/// By the rules: the file in chunks that end anywhere, each line judged, each add put into its hour.
fn count(file: &[u8], rules: &Rules, chunk_bytes: usize) -> (Hours, BTreeMap<&'static str, u64>) {
    let (mut event, mut adds) = (Event::default(), Adds::default());
    let mut hours = Hours::new();
    let mut outcomes = BTreeMap::new();
    let mut splitter = Splitter::new(0, MAX_LINE_BYTES);
    let mut held = Vec::new();
    let mut chunks = file.chunks(chunk_bytes).peekable();
    while let Some(chunk) = chunks.next() {
        held.extend_from_slice(chunk);
        let mut lines = splitter.lines(&held, chunks.peek().is_none());
        for line in lines.by_ref() {
            let line = line.content.expect("no line is too long");
            let outcome = rules
                .structured(line, &mut event, &mut adds)
                .map_or(Outcome::Rejected, |outcome| outcome);
            *outcomes.entry(outcome.word()).or_default() += 1;
            for (key, amount) in adds.iter() {
                let minute = event.time_ms().and_then(Minute::of_ms).expect("every event has a time");
                let (chunk, window) = Step::Hour.place(minute);
                let hour = Step::Hour.window_start(chunk, window).start_ms();
                *hours.entry(key.to_owned()).or_default().entry(hour).or_default() += amount;
            }
        }
        let consumed = lines.consumed();
        held.drain(..consumed);
    }
    assert_eq!(
        splitter.position(),
        u64::try_from(file.len()).expect("fits"),
        "the whole file"
    );
    (hours, outcomes)
}

/// By hand: the figures that the rules ask for, straight from the JSON.
fn count_by_hand(file: &str) -> Hours {
    let mut hours = Hours::new();
    for line in file.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        if event["type"] != "web.request" {
            continue;
        }
        let time: jiff::Timestamp = event["time"].as_str().expect("a time").parse().expect("RFC 3339");
        let hour = u64::try_from(time.as_second() / 3_600 * 3_600_000).expect("after 1970");
        let data = &event["data"];
        let path = data["path"].as_str().expect("a path");
        let status = data["status"].as_i64().expect("a status");
        let mut add = |key: String, amount| *hours.entry(key).or_default().entry(hour).or_default() += amount;
        add("requests:all".to_owned(), 1);
        add(format!("page:{path}"), 1);
        add(format!("status:{status}"), 1);
        add("bytes:all".to_owned(), data["bytes"].as_i64().expect("bytes"));
        if status == 404 {
            add(format!("missing:{path}"), 1);
        }
    }
    hours
}

#[test]
fn every_counter_and_every_hour() {
    let file = example("web-requests.ndjson");
    let rules = Rules::parse(&example("web-requests.rules.toml")).expect("the sample's rules");
    let (counted, outcomes) = count(file.as_bytes(), &rules, 1 << 16);
    assert_eq!(outcomes, [("counted", 9_999)].into(), "{outcomes:?}");
    let by_hand = count_by_hand(&file);
    assert_eq!(counted.len(), 1_444);
    assert_eq!(counted.keys().collect::<Vec<_>>(), by_hand.keys().collect::<Vec<_>>());
    for (key, hours) in &by_hand {
        assert_eq!(counted.get(key), Some(hours), "{key}");
    }

    let total = |key: &str| counted.get(key).map(|hours| hours.values().sum::<i64>());
    assert_eq!(total("requests:all"), Some(9_999));
    assert_eq!(total("bytes:all"), Some(2_747_282_505));
    assert_eq!(total("page:/favicon.ico"), Some(807));
    assert_eq!(total("status:404"), Some(213));
    assert_eq!(
        counted.get("requests:all").map(BTreeMap::len),
        Some(84),
        "hours with requests"
    );
    assert_eq!(
        counted.keys().map(String::len).max(),
        Some(600),
        "the longest key, in bytes"
    );

    assert_eq!(
        count(file.as_bytes(), &rules, 997),
        (counted, outcomes),
        "however the file is cut"
    );
}

#[test]
fn other_rules_ignore_it() {
    let rules = Rules::parse("[[rule]]\nmatch = { type = \"web.response\" }\ncount = [\"a\"]").expect("rules");
    let (counted, outcomes) = count(example("web-requests.ndjson").as_bytes(), &rules, 1 << 16);
    assert!(counted.is_empty());
    assert_eq!(outcomes, [("ignored", 9_999)].into());
}

/// What a lateness would reject: the sample is not in the order of its times, but never by a minute.
#[test]
fn the_sample_is_out_of_order_by_little() {
    let file = example("web-requests.ndjson");
    let (rules, mut event, mut adds, mut log) =
        (Rules::default(), Event::default(), Adds::default(), Lateness::default());
    let mut behind = Vec::new();
    for line in file.lines() {
        assert_eq!(
            rules.structured(line.as_bytes(), &mut event, &mut adds),
            Ok(Outcome::Ignored)
        );
        behind.push(log.observe(event.time_ms()));
    }
    assert_eq!(behind.iter().max().copied(), Some(59000));
    assert_eq!(behind.iter().filter(|ms| **ms > 0).count(), 9447);
}
