//! Lines of a file of events, each with the position behind it. A chunk may end anywhere: what is no whole line stays with
//! the caller, and the position never stands within a line, so that a run that broke off goes on at a line's beginning.

/// The longest line, in bytes, unless a setting says otherwise.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// A line that is longer than the limit. It is an event that is rejected, for this reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line too long")]
pub struct TooLong;

/// A line that is not blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'c> {
    /// The byte offset in the file after the line and its newline.
    pub position: u64,
    /// The line without newline and the blanks around it.
    pub content: Result<&'c [u8], TooLong>,
}

/// Where a file has been split up to.
#[derive(Clone, Copy, Debug)]
pub struct Splitter {
    limit_bytes: usize,
    position: u64,
    /// How many bytes of a line that is too long were taken from the caller.
    dropped: u64,
}

impl Splitter {
    /// Splits from `position`, the beginning of a line.
    pub fn new(position: u64, limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            position,
            dropped: 0,
        }
    }

    /// The byte offset behind the last whole line, blank ones included: go on from here after a crash.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The lines of a chunk: what was left of the one before, and what follows it in the file. `last` when nothing follows:
    /// then a line without newline counts if it is a whole JSON value by itself; else it is left for the next run, when the
    /// file has grown.
    pub fn lines<'s, 'c>(&'s mut self, chunk: &'c [u8], last: bool) -> Lines<'s, 'c> {
        Lines {
            splitter: self,
            rest: chunk,
            last,
            consumed: 0,
        }
    }
}

/// The lines of a chunk.
#[derive(Debug)]
pub struct Lines<'s, 'c> {
    splitter: &'s mut Splitter,
    rest: &'c [u8],
    last: bool,
    consumed: usize,
}

impl Lines<'_, '_> {
    /// How many bytes of the chunk are done with; the others belong at the beginning of the next chunk. Ask when there are no
    /// more lines. So the caller keeps at most the limit.
    pub fn consumed(&self) -> usize {
        self.consumed
    }
}

impl<'c> Iterator for Lines<'_, 'c> {
    type Item = Line<'c>;

    fn next(&mut self) -> Option<Line<'c>> {
        loop {
            let Some(length) = memchr::memchr(b'\n', self.rest) else {
                return self.unfinished();
            };
            let (line, rest) = self.rest.split_at_checked(length)?;
            self.rest = rest.get(1..).unwrap_or_default();
            if let Some(line) = self.finish(line, 1) {
                return Some(line);
            }
        }
    }
}

impl<'c> Lines<'_, 'c> {
    fn finish(&mut self, line: &'c [u8], newline: usize) -> Option<Line<'c>> {
        let splitter = &mut *self.splitter;
        let taken = line.len() + newline;
        self.consumed += taken;
        let at_start = splitter.position == 0;
        let too_long = splitter.dropped > 0 || line.len() > splitter.limit_bytes;
        splitter.position += splitter.dropped + taken as u64;
        splitter.dropped = 0;
        let position = splitter.position;
        if too_long {
            return Some(Line {
                position,
                content: Err(TooLong),
            });
        }
        let content = content(line, at_start);
        (!content.is_empty()).then_some(Line {
            position,
            content: Ok(content),
        })
    }

    /// What stands behind the last newline.
    fn unfinished(&mut self) -> Option<Line<'c>> {
        let rest = std::mem::take(&mut self.rest);
        let splitter = &mut *self.splitter;
        if splitter.dropped > 0 || rest.len() > splitter.limit_bytes {
            splitter.dropped += rest.len() as u64;
            self.consumed += rest.len();
            return None;
        }
        if self.last && is_whole(content(rest, splitter.position == 0)) {
            return self.finish(rest, 0);
        }
        None
    }
}

/// The line without the blanks around it and, in the file's first line, without a byte order mark.
fn content(line: &[u8], first: bool) -> &[u8] {
    let line = if first {
        line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
    } else {
        line
    };
    line.trim_ascii()
}

/// A JSON value that no byte behind it could make another. A number is none: it may have been cut within.
fn is_whole(line: &[u8]) -> bool {
    let closed = matches!(line.last(), Some(b'}' | b']' | b'"' | b'e' | b'l'));
    closed && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A line's position and content, none if it is too long.
    type Seen = (u64, Option<Vec<u8>>);

    /// Splits chunk by chunk as a reader of a file does, and returns what a reader sees.
    fn split(file: &[u8], sizes: &[usize], limit: usize, last: bool) -> (Vec<Seen>, u64) {
        let mut splitter = Splitter::new(0, limit);
        let mut seen = Vec::new();
        let mut held = Vec::new();
        let mut rest = file;
        let mut sizes = sizes.iter().cycle();
        loop {
            let size = sizes
                .next()
                .copied()
                .unwrap_or(usize::MAX)
                .clamp(1, rest.len().max(1))
                .min(rest.len());
            let (chunk, after) = rest.split_at(size);
            held.extend_from_slice(chunk);
            rest = after;
            let mut lines = splitter.lines(&held, last && rest.is_empty());
            seen.extend(
                lines
                    .by_ref()
                    .map(|line| (line.position, line.content.ok().map(<[u8]>::to_vec))),
            );
            let consumed = lines.consumed();
            held.drain(..consumed);
            assert!(held.len() <= limit, "bounded");
            if rest.is_empty() {
                return (seen, splitter.position());
            }
        }
    }

    #[test]
    fn lines_and_their_positions() {
        let file = b"{\"a\":1}\n\n  \r\n {\"b\":2} \r\n{\"c\":";
        let (lines, position) = split(file, &[], 100, true);
        assert_eq!(
            lines,
            [(8, Some(b"{\"a\":1}".to_vec())), (24, Some(b"{\"b\":2}".to_vec()))]
        );
        assert_eq!(position, 24, "the last line is no whole value: left for the next run");
        assert_eq!(
            split(b"\xef\xbb\xbf{}\n", &[], 9, false).0,
            [(6, Some(b"{}".to_vec()))],
            "a byte order mark"
        );
    }

    #[test]
    fn a_last_line_without_newline() {
        assert_eq!(split(b"{}\n{}", &[], 9, false), (vec![(3, Some(b"{}".to_vec()))], 3));
        assert_eq!(split(b"{}\n{}", &[], 9, true).1, 5);
        for left in [
            &b"12"[..],
            b"-1e5",
            b"tru",
            b"{\"a\":{}",
            b"nonsense}",
            b"\"a",
            b"",
            b"  ",
        ] {
            assert_eq!(split(left, &[], 99, true), (vec![], 0), "{left:?}");
        }
        for whole in [&b"true"[..], b"null", b"[1]", b"\"a\"", b"{}"] {
            assert_eq!(
                split(whole, &[], 99, true).0,
                [(whole.len() as u64, Some(whole.to_vec()))]
            );
        }
    }

    #[test]
    fn long_lines_are_rejected_and_the_next_one_is_read() {
        let file = b"123456789\n1234\n12345\n\n123456";
        let expected = (vec![(10, None), (15, Some(b"1234".to_vec())), (21, None)], 22);
        for size in 1..30 {
            assert_eq!(split(file, &[size], 4, true), expected, "{size}");
        }
    }

    proptest! {
        #[test]
        fn the_chunks_do_not_matter(
            file in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..200),
                proptest::collection::vec(prop::sample::select(b"{}\n\"a1 \r".to_vec()), 0..200),
            ],
            sizes in proptest::collection::vec(1..20_usize, 1..9),
            limit in 1..30_usize,
            last: bool,
        ) {
            let whole = split(&file, &[usize::MAX], limit, last);
            prop_assert_eq!(split(&file, &sizes, limit, last), whole.clone());
            prop_assert!(whole.0.is_sorted_by(|a, b| a.0 < b.0));
            prop_assert!(whole.1 <= file.len() as u64);
        }
    }
}
