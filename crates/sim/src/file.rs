//! A file of events: its lines follow from the seed, and what they come to is judged here once more, by a reader of its own, which
//! knows them without reading them.

use std::collections::{BTreeMap, BTreeSet};

use tally_counter::Outcome;

use crate::keys;
use crate::model::{Effect, namespace};
use crate::random::Rng;

/// By what the file is counted.
pub(crate) const RULES: &str = r#"
[[rule]]
match = { type = "one" }
count = ["{data.a}"]
amount = "data.n"

[[rule]]
match = { type = "two" }
count = ["{data.a}", "{data.b}"]
amount = "data.n"
"#;

/// How many lines it has.
const LINES: u64 = 300;
/// 1 May 2023: about when the events are.
const FIRST_MS: u64 = 1_682_899_200_000;

/// The lateness of each namespace, as it is declared at some moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) default_ms: Option<u64>,
    pub(crate) declared: BTreeMap<String, Option<u64>>,
}

impl Limits {
    fn of(&self, key: &str) -> Option<u64> {
        let prefix = key.split_once(':').and_then(|(prefix, _)| self.declared.get(prefix));
        prefix.copied().unwrap_or(self.default_ms)
    }
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nothing stands in it.
    Blank,
    /// No JSON.
    Broken,
    /// An event whose amount is none.
    Unusable,
    /// No rule matches it.
    Other,
    /// One add.
    One,
    /// Two adds, which may be to the same counter.
    Two,
}

struct Line {
    kind: Kind,
    /// When it was, after `FIRST_MS`; the first event says so, others may not.
    after_ms: Option<u64>,
    keys: [&'static str; 2],
    amount: i64,
}

/// The file.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    seed: u64,
    bytes: Vec<u8>,
    /// Where each line ends.
    ends: Vec<usize>,
}

impl Lines {
    pub(crate) fn new(seed: u64) -> Self {
        let mut lines = Self {
            seed,
            bytes: Vec::new(),
            ends: Vec::new(),
        };
        for place in 0..LINES {
            let text = lines.line(place).text(place);
            lines.bytes.extend_from_slice(text.as_bytes());
            lines.bytes.push(b'\n');
            lines.ends.push(lines.bytes.len());
        }
        lines
    }

    fn line(&self, place: u64) -> Line {
        let mut rng = Rng::of_part(self.seed ^ 0xF11E, place);
        let kind = match rng.below(20) {
            _ if place == 0 => Kind::One,
            0 | 1 => Kind::Blank,
            2 => Kind::Broken,
            3 => Kind::Unusable,
            4 => Kind::Other,
            5..=11 => Kind::One,
            _ => Kind::Two,
        };
        // Mostly in order, some up to hours behind.
        let behind_ms = if rng.percent(20) { rng.below(3 * 3_600_000) } else { 0 };
        let after_ms = (4 * 3_600_000 + place * 420_000).saturating_sub(behind_ms);
        Line {
            kind,
            after_ms: (place == 0 || rng.percent(90)).then_some(after_ms - after_ms % 1_000),
            keys: [keys::one(&mut rng), keys::one(&mut rng)],
            amount: rng.amount(),
        }
    }

    /// The place of the last line there is.
    pub(crate) fn end() -> u64 {
        LINES
    }

    /// The bytes of some lines.
    pub(crate) fn bytes(&self, from: u64, to: u64) -> &[u8] {
        self.bytes.get(self.offset(from)..self.offset(to)).unwrap_or_default()
    }

    /// The byte at which a line begins.
    pub(crate) fn offset(&self, place: u64) -> usize {
        let before = usize::try_from(place).ok().and_then(|place| place.checked_sub(1));
        before.and_then(|before| self.ends.get(before)).copied().unwrap_or(0)
    }

    /// What each event of some lines comes to: its outcome, adds, and time.
    fn judged(&self, from: u64, to: u64, limits: &Limits) -> Vec<(Outcome, Vec<&'static str>, i64, u64)> {
        let (mut newest_ms, mut judged) = (0, Vec::new());
        for place in 0..to {
            let line = self.line(place);
            let readable = !matches!(line.kind, Kind::Blank | Kind::Broken);
            let time_ms = line.after_ms.map_or(newest_ms, |after_ms| FIRST_MS + after_ms);
            let behind_ms = u64::saturating_sub(newest_ms, time_ms);
            if readable {
                newest_ms = newest_ms.max(time_ms);
            }
            let keys = match line.kind {
                Kind::One => vec![line.keys[0]],
                Kind::Two => line.keys.to_vec(),
                _ => Vec::new(),
            };
            let late = |key: &&str| limits.of(key).is_some_and(|limit_ms| behind_ms > limit_ms);
            let outcome = match line.kind {
                Kind::Blank => continue,
                Kind::Broken | Kind::Unusable => Outcome::Rejected,
                Kind::Other => Outcome::Ignored,
                Kind::One | Kind::Two if keys.iter().any(late) => Outcome::Late,
                Kind::One | Kind::Two => Outcome::Counted,
            };
            if place >= from {
                judged.push((outcome, keys, line.amount, time_ms));
            }
        }
        judged
    }

    /// What some lines do to the map.
    pub(crate) fn effects(
        &self,
        (source, name): (usize, &str),
        (from, to): (u64, u64),
        declared: &BTreeSet<String>,
        limits: &Limits,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (outcome, keys, amount, time_ms) in self.judged(from, to, limits) {
            for key in keys {
                let namespace = namespace(key, declared).to_owned();
                effects.push(if outcome == Outcome::Counted {
                    Effect::SourceAdd {
                        source,
                        namespace,
                        key: key.to_owned(),
                        amount,
                        time_ms,
                    }
                } else {
                    Effect::Noted {
                        namespace,
                        outcome,
                        count: 1,
                    }
                });
            }
            effects.push(Effect::Event {
                source: name.to_owned(),
                outcome,
            });
        }
        effects.push(Effect::SourceEnd { source });
        effects
    }

    /// What some lines add to each counter.
    pub(crate) fn totals(&self, from: u64, to: u64, limits: &Limits) -> BTreeMap<&'static str, i128> {
        let mut totals = BTreeMap::new();
        for (outcome, keys, amount, _) in self.judged(from, to, limits) {
            for key in keys.into_iter().filter(|_| outcome == Outcome::Counted) {
                *totals.entry(key).or_default() += i128::from(amount);
            }
        }
        totals
    }
}

impl Line {
    fn text(&self, place: u64) -> String {
        let kind = match self.kind {
            Kind::Blank => return "  ".to_owned(),
            Kind::Broken => return format!("no event {place}"),
            Kind::One | Kind::Unusable => "one",
            Kind::Two => "two",
            Kind::Other => "other",
        };
        let fraction = if self.kind == Kind::Unusable { ".5" } else { "" };
        let time = self.after_ms.map_or_else(String::new, |after_ms| {
            let seconds = after_ms / 1_000;
            let (day, rest) = (seconds / 86_400 + 1, seconds % 86_400);
            let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
            format!("\"time\":\"2023-05-{day:02}T{hour:02}:{minute:02}:{second:02}Z\",")
        });
        let [a, b] = self.keys;
        let amount = if fraction.is_empty() { self.amount } else { 1 };
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{place}\",\"source\":\"s\",\"type\":\"{kind}\",{time}\"data\":{{\"a\":\"{a}\",\"b\":\"{b}\",\"n\":{amount}{fraction}}}}}"
        )
    }
}
