//! The commands, one file a family: each takes its arguments apart (before the turn), is carried out (in the turn) and replies.

pub(super) mod add;
pub(super) mod client;
pub(super) mod config;
pub(super) mod docs;
pub(super) mod expire;
pub(super) mod flush;
pub(super) mod handshake;
pub(super) mod history;
pub(super) mod info;
pub(super) mod object;
pub(super) mod query;
pub(super) mod read;
pub(super) mod scan;
pub(super) mod set;
pub(super) mod tally;

use super::fault::Fault;
use super::parser::Args;

/// Compares an option or a subcommand, which may come in any case.
pub(super) fn is(sent: &[u8], word: &str) -> bool {
    sent.eq_ignore_ascii_case(word.as_bytes())
}

/// An option's name in small letters, for a `match`; empty where it is longer than any.
pub(super) struct Word {
    bytes: [u8; 16],
    length: usize,
}

impl Word {
    /// Of an argument.
    pub(super) fn of(sent: &[u8]) -> Self {
        let mut bytes = [0; 16];
        let length = match bytes.get_mut(..sent.len()) {
            Some(place) => {
                place.copy_from_slice(sent);
                place.make_ascii_lowercase();
                sent.len()
            }
            None => 0,
        };
        Self { bytes, length }
    }

    /// Its bytes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// A pattern of Redis's kind: `*`, `?`, `[a-c]`, `[^a]`, `\x`. Takes time in proportion to both lengths, whatever the pattern.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut place) = (0, 0);
    // Where to go on if the last star has to take one byte more.
    let mut retry: Option<(usize, usize)> = None;
    while place < text.len() || at < pattern.len() {
        let rest = pattern.get(at..).unwrap_or_default();
        if rest.first() == Some(&b'*') {
            retry = Some((at, place.saturating_add(1)));
            at = at.saturating_add(1);
            continue;
        }
        if let Some(byte) = text.get(place)
            && let Some(length) = one(rest, *byte)
        {
            at = at.saturating_add(length);
            place = place.saturating_add(1);
            continue;
        }
        match retry {
            Some((star, next)) if next <= text.len() => (at, place) = (star, next),
            _ => return false,
        }
    }
    true
}

/// How many bytes of the pattern stand for this one byte; `None` if they do not match it.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [b'[', class @ ..] => {
            let (negated, mut rest) = match class {
                [b'^', rest @ ..] => (true, rest),
                _ => (false, class),
            };
            let mut found = false;
            loop {
                rest = match rest {
                    [] => break,
                    [b']', after @ ..] => {
                        rest = after;
                        break;
                    }
                    [b'\\', escaped, after @ ..] => {
                        found |= *escaped == byte;
                        after
                    }
                    [low, b'-', high, after @ ..] => {
                        found |= (*low.min(high)..=*low.max(high)).contains(&byte);
                        after
                    }
                    [one, after @ ..] => {
                        found |= *one == byte;
                        after
                    }
                };
            }
            (found != negated).then_some(pattern.len().saturating_sub(rest.len()))
        }
        [literal, ..] => (*literal == byte).then_some(1),
    }
}

/// An argument that must be text.
fn utf8<'a>(what: &str, sent: &'a [u8]) -> Result<&'a str, Fault> {
    std::str::from_utf8(sent).map_err(|_| Fault::Composed(format!("ERR {what} is not UTF-8")))
}

/// Text of an argument that is shown again.
pub(super) fn text(args: Args<'_>, place: usize) -> String {
    String::from_utf8_lossy(args.at(place)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "a", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("h[\\]]llo", "h]llo", true),
            ("a\\*c", "a*c", true),
            ("a\\*c", "abc", false),
            ("**b*", "aab", true),
            ("", "", true),
            ("", "a", false),
            ("page:*:x*", "page:a:b:xy", true),
            ("[abc", "a", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
        let stars = "*a".repeat(200);
        assert!(
            !matches(stars.as_bytes(), "a".repeat(199).as_bytes()),
            "and it takes no time"
        );
    }

    #[test]
    fn words() {
        assert_eq!(Word::of(b"KeepTTL").as_bytes(), b"keepttl");
        assert_eq!(Word::of(&[b'a'; 17]).as_bytes(), b"");
    }
}
