//! Events in their three modes, the rules that judge them, and the lines of a file. What comes of an event depends on it and the rules alone,
//! not on what was judged before it, nor on where a file was cut into chunks.

use std::sync::LazyLock;

use tally_counter::{Key, Outcome};
use tally_ingest::{Adds, Event, MAX_RULES, Rejected, Rules, Splitter, batch};

/// The sample's rules.
static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let text = include_str!("../../examples/web-requests.rules.toml");
    Rules::parse(text).unwrap_or_else(|error| panic!("the sample's rules: {error}"))
});

type Judged = (Result<Outcome, Rejected>, Vec<(String, i64)>, Option<u64>, String);

fn judged(rules: &Rules, json: &[u8], event: &mut Event, adds: &mut Adds) -> Judged {
    let outcome = rules.structured(json, event, adds);
    checked(outcome, event, adds)
}

fn checked(outcome: Result<Outcome, Rejected>, event: &Event, adds: &Adds) -> Judged {
    let counted: Vec<(String, i64)> = adds.iter().map(|(key, amount)| (key.to_owned(), amount)).collect();
    assert!(
        counted.iter().all(|(key, _)| Key::new(key.as_bytes()).is_ok()),
        "{counted:?}"
    );
    assert!(
        outcome.is_ok() || counted.is_empty(),
        "rejected, and counted: {counted:?}"
    );
    assert_eq!(
        outcome == Ok(Outcome::Ignored) || outcome.is_err(),
        counted.is_empty(),
        "{outcome:?}"
    );
    (outcome, counted, event.time_ms(), event.id().to_owned())
}

/// The first byte says in which mode the rest is.
pub(crate) fn events(input: &[u8]) {
    let Some((mode, rest)) = input.split_first() else {
        return;
    };
    let (mut event, mut adds) = (Event::default(), Adds::default());
    match mode % 3 {
        0 => {
            let first = judged(&RULES, rest, &mut event, &mut adds);
            // Into room that another event has left.
            assert_eq!(judged(&RULES, rest, &mut event, &mut adds), first);
        }
        1 => {
            let Ok(elements) = batch(rest) else { return };
            assert!(elements.len() <= rest.len());
            for element in elements {
                let reused = judged(&RULES, element.as_bytes(), &mut event, &mut adds);
                let alone = judged(&RULES, element.as_bytes(), &mut Event::default(), &mut Adds::default());
                assert_eq!(reused, alone);
            }
        }
        _ => {
            let (head, body) = match rest.windows(2).position(|pair| pair == b"\n\n") {
                Some(at) => (
                    rest.get(..at).unwrap_or_default(),
                    rest.get(at + 2..).unwrap_or_default(),
                ),
                None => (rest, &b""[..]),
            };
            let lines = head.split(|byte| *byte == b'\n');
            let headers: Vec<(&str, &[u8])> = lines
                .filter_map(|line| {
                    let colon = line.iter().position(|byte| *byte == b':')?;
                    let name = std::str::from_utf8(line.get(..colon)?).ok()?;
                    Some((name, line.get(colon + 1..)?))
                })
                .collect();
            let mut judge = |event: &mut Event| {
                let outcome = RULES.binary(headers.iter().copied(), body, event, &mut adds);
                checked(outcome, event, &adds)
            };
            let first = judge(&mut event);
            assert_eq!(judge(&mut event), first);
        }
    }
}

/// Rules, and then what they make of an event.
pub(crate) fn rules(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (first, second) = (Rules::parse(text), Rules::parse(text));
    let Ok(rules) = first else {
        assert!(second.is_err());
        return;
    };
    assert!(rules.len() <= MAX_RULES && second.is_ok());
    let event = br#"{"specversion":"1.0","id":"1","source":"/s","type":"web.request","time":"2015-05-20T21:05:00Z",
        "data":{"path":"/a b","status":200,"bytes":512,"method":"GET","agent":null,"nested":{"a":[1,2]},"ok":true}}"#;
    let one = judged(&rules, event, &mut Event::default(), &mut Adds::default());
    assert_eq!(judged(&rules, event, &mut Event::default(), &mut Adds::default()), one);
}

/// The first two bytes say where the rest is cut into two chunks.
pub(crate) fn lines(input: &[u8]) {
    let Some((place, rest)) = input.split_first_chunk::<2>() else {
        return;
    };
    let cut = usize::from(u16::from_le_bytes(*place))
        .checked_rem(rest.len() + 1)
        .unwrap_or(0);
    let (one, other) = rest.split_at(cut);
    let whole = split(&[rest]);
    assert_eq!(split(&[one, other]), whole);
    assert!(whole.windows(2).all(|pair| matches!(pair, [a, b] if a.0 < b.0)));
}

/// The longest line of this target, short enough to be met.
const LONGEST: usize = 64;

fn split(chunks: &[&[u8]]) -> Vec<(u64, Option<Vec<u8>>)> {
    let mut splitter = Splitter::new(0, LONGEST);
    let (mut found, mut rest) = (Vec::new(), Vec::new());
    for (number, chunk) in chunks.iter().enumerate() {
        rest.extend_from_slice(chunk);
        let mut lines = splitter.lines(&rest, number + 1 == chunks.len());
        for line in lines.by_ref() {
            found.push((line.position, line.content.ok().map(<[u8]>::to_vec)));
        }
        let consumed = lines.consumed();
        rest.drain(..consumed);
    }
    found
}
