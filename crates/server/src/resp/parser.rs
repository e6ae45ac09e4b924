//! Bytes into commands: arrays of bulk strings, and lines as people type them. Arguments stay where they are in the read buffer;
//! a command that has come in part is taken up where it was left, so that a long one costs one pass.
//!
//! Guards: nothing is allocated for what was only announced, every length has a limit, and no bytes make it panic. After an error
//! the stream has no known place any more, so the connection answers it and closes.

use super::inline;
use super::number;

/// The longest line: one that is typed, or one that announces a length. As in Redis.
const MAX_LINE_BYTES: usize = 64 * 1_024;
/// What a connection may send that has not shown the credential yet. As in Redis.
const MAX_ARGUMENTS_BEFORE_AUTH: i64 = 10;
/// The same for the length of one argument.
const MAX_BULK_BYTES_BEFORE_AUTH: i64 = 16_384;

/// What a connection may send.
#[expect(clippy::struct_field_names, reason = "the names of the settings behind them")]
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The longest argument, in bytes.
    pub(super) max_bulk_bytes: usize,
    /// The most arguments of a command, its name included.
    pub(super) max_arguments: usize,
    /// The longest command, in bytes as sent.
    pub(super) max_request_bytes: usize,
    /// The most commands that are parsed before they are run.
    pub(super) max_batch: usize,
    /// About how many bytes are parsed before they are run.
    pub(super) max_batch_bytes: usize,
}

/// Why the stream cannot be read on. The texts are Redis's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProtocolError {
    #[error("Protocol error: invalid multibulk length")]
    ArrayLength,
    #[error("Protocol error: unauthenticated multibulk length")]
    ArrayLengthBeforeAuth,
    #[error("Protocol error: too big mbulk count string")]
    ArrayLine,
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0))]
    NotBulk(u8),
    #[error("Protocol error: invalid bulk length")]
    BulkLength,
    #[error("Protocol error: unauthenticated bulk length")]
    BulkLengthBeforeAuth,
    #[error("Protocol error: too big bulk count string")]
    BulkLine,
    #[error("Protocol error: too big inline request")]
    InlineLine,
    #[error("Protocol error: unbalanced quotes in request")]
    Quotes,
    #[error("Protocol error: expected the end of a line after a bulk string")]
    BulkEnd,
    #[error("Protocol error: too big request")]
    TooLarge,
}

/// Where an argument lies in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Bounds below 4 GiB, which `max_request_bytes` keeps buffers under.
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            end: u32::try_from(end).unwrap_or(u32::MAX),
        }
    }

    fn moved(self, by: usize) -> Self {
        let by = u32::try_from(by).unwrap_or(u32::MAX);
        Self {
            start: self.start.saturating_sub(by),
            end: self.end.saturating_sub(by),
        }
    }
}

/// The arguments of a command, its name first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Args<'a> {
    buffer: &'a [u8],
    spans: &'a [Span],
    inline: bool,
}

impl<'a> Args<'a> {
    /// How many.
    pub(super) fn len(self) -> usize {
        self.spans.len()
    }

    /// The argument at this place; empty past the last one, where the arity has been checked anyway.
    pub(super) fn at(self, place: usize) -> &'a [u8] {
        self.spans.get(place).map_or(&[], |span| self.bytes(*span))
    }

    /// Without the first ones.
    pub(super) fn from(self, place: usize) -> Self {
        Self {
            spans: self.spans.get(place..).unwrap_or_default(),
            ..self
        }
    }

    /// Each in order.
    pub(super) fn iter(self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator {
        self.spans.iter().map(move |span| self.bytes(*span))
    }

    /// Whether it was typed as a line.
    pub(super) fn is_inline(self) -> bool {
        self.inline
    }

    /// How many bytes the arguments have.
    pub(super) fn total_bytes(self) -> usize {
        self.iter().map(<[u8]>::len).sum()
    }

    fn bytes(self, span: Span) -> &'a [u8] {
        let range = usize::try_from(span.start).unwrap_or(usize::MAX)..usize::try_from(span.end).unwrap_or(0);
        self.buffer.get(range).unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug)]
struct Command {
    first: usize,
    after: usize,
    inline: bool,
}

/// Whether there are more commands in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// No: what is left is the beginning of one, or nothing.
    All,
    /// Perhaps: the limit of a batch was reached.
    Batch,
}

/// The parser of one connection.
#[derive(Debug)]
pub(super) struct Parser {
    bounds: Bounds,
    commands: Vec<Command>,
    /// Of all commands, then of the one that has come in part.
    spans: Vec<Span>,
    /// How many spans belong to whole commands.
    whole_spans: usize,
    /// Where the first byte lies that belongs to no whole command.
    whole: usize,
    /// The next byte to look at.
    place: usize,
    /// How many arguments of the begun command are still to come.
    remaining: usize,
    /// The length of the argument whose bytes are to come.
    bulk: Option<usize>,
}

impl Parser {
    /// Before the first byte.
    pub(super) fn new(bounds: Bounds) -> Self {
        let (commands, spans) = (Vec::new(), Vec::new());
        Self {
            bounds,
            commands,
            spans,
            whole_spans: 0,
            whole: 0,
            place: 0,
            remaining: 0,
            bulk: None,
        }
    }

    /// Finds whole commands in `buffer`, whose beginning must be as the last call left it. Quotes in typed lines are resolved in
    /// place. On an error the commands before it are valid.
    pub(super) fn parse(&mut self, buffer: &mut [u8], authenticated: bool) -> Result<Parsed, ProtocolError> {
        // Whether the next command may have long arguments is known only when an AUTH before it has run.
        let max_batch = if authenticated { self.bounds.max_batch } else { 1 };
        let start = self.whole;
        loop {
            if self.commands.len() >= max_batch || self.whole.saturating_sub(start) >= self.bounds.max_batch_bytes {
                return Ok(Parsed::Batch);
            }
            let complete = if self.remaining > 0 {
                self.arguments(buffer, authenticated)?
            } else {
                match buffer.get(self.place) {
                    None => false,
                    Some(b'*') => self.array(buffer, authenticated)?,
                    Some(_) => self.line(buffer)?,
                }
            };
            if !complete {
                let partial = buffer.len().saturating_sub(self.whole);
                return if partial > self.bounds.max_request_bytes {
                    Err(ProtocolError::TooLarge)
                } else {
                    Ok(Parsed::All)
                };
            }
        }
    }

    /// How many whole commands there are.
    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    /// The arguments of a command.
    pub(super) fn command<'a>(&'a self, buffer: &'a [u8], number: usize) -> Args<'a> {
        let (spans, inline) = match self.commands.get(number) {
            Some(command) => (
                self.spans.get(command.first..command.after).unwrap_or_default(),
                command.inline,
            ),
            None => (&[][..], false),
        };
        Args { buffer, spans, inline }
    }

    /// Forgets the whole commands and takes their bytes out of the buffer.
    pub(super) fn release(&mut self, buffer: &mut Vec<u8>) {
        self.forget();
        let gone = self.whole;
        if gone == 0 {
            return;
        }
        if gone >= buffer.len() {
            buffer.clear();
        } else {
            buffer.drain(..gone);
        }
        for span in &mut self.spans {
            *span = span.moved(gone);
        }
        self.place = self.place.saturating_sub(gone);
        self.whole = 0;
    }

    /// Forgets the whole commands, whose bytes stay, since more follow.
    pub(super) fn forget(&mut self) {
        self.commands.clear();
        self.spans.drain(..self.whole_spans.min(self.spans.len()));
        self.whole_spans = 0;
    }

    /// Gives memory back that a long command needed.
    pub(super) fn shrink(&mut self, most_spans: usize) {
        if self.spans.is_empty() {
            self.spans.shrink_to(most_spans);
        }
    }

    /// `*count`. Answers whether a command or an empty array is complete.
    fn array(&mut self, buffer: &[u8], authenticated: bool) -> Result<bool, ProtocolError> {
        let count = match length(buffer, self.place.saturating_add(1)) {
            Line::Incomplete => return Ok(false),
            Line::TooLong => return Err(ProtocolError::ArrayLine),
            Line::Bad => return Err(ProtocolError::ArrayLength),
            Line::Length(count, after) => {
                self.place = after;
                count
            }
        };
        if count <= 0 {
            self.whole = self.place;
            return Ok(true);
        }
        if !authenticated && count > MAX_ARGUMENTS_BEFORE_AUTH {
            return Err(ProtocolError::ArrayLengthBeforeAuth);
        }
        self.remaining = usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.bounds.max_arguments)
            .ok_or(ProtocolError::ArrayLength)?;
        self.arguments(buffer, authenticated)
    }

    /// The arguments still to come. Answers whether all are there.
    fn arguments(&mut self, buffer: &[u8], authenticated: bool) -> Result<bool, ProtocolError> {
        while self.remaining > 0 {
            let bulk = match self.bulk {
                Some(bulk) => bulk,
                None => match self.bulk_length(buffer, authenticated)? {
                    Some(bulk) => bulk,
                    None => return Ok(false),
                },
            };
            let end = self.place.saturating_add(bulk);
            match buffer.get(end..end.saturating_add(2)) {
                None => {
                    self.bulk = Some(bulk);
                    return Ok(false);
                }
                Some(b"\r\n") => {}
                Some(_) => return Err(ProtocolError::BulkEnd),
            }
            self.spans.push(Span::new(self.place, end));
            self.place = end.saturating_add(2);
            self.bulk = None;
            self.remaining = self.remaining.saturating_sub(1);
        }
        self.complete(false);
        Ok(true)
    }

    fn bulk_length(&mut self, buffer: &[u8], authenticated: bool) -> Result<Option<usize>, ProtocolError> {
        match buffer.get(self.place) {
            None => return Ok(None),
            Some(b'$') => {}
            // As in Redis, only a whole line is complained about.
            Some(other) => {
                let line = buffer.get(self.place..).unwrap_or_default();
                return if line.contains(&b'\r') {
                    Err(ProtocolError::NotBulk(*other))
                } else if line.len() > MAX_LINE_BYTES {
                    Err(ProtocolError::BulkLine)
                } else {
                    Ok(None)
                };
            }
        }
        let (sent, after) = match length(buffer, self.place.saturating_add(1)) {
            Line::Incomplete => return Ok(None),
            Line::TooLong => return Err(ProtocolError::BulkLine),
            Line::Bad => return Err(ProtocolError::BulkLength),
            Line::Length(sent, after) => (sent, after),
        };
        let bulk = usize::try_from(sent)
            .ok()
            .filter(|bulk| *bulk <= self.bounds.max_bulk_bytes)
            .ok_or(ProtocolError::BulkLength)?;
        if !authenticated && sent > MAX_BULK_BYTES_BEFORE_AUTH {
            return Err(ProtocolError::BulkLengthBeforeAuth);
        }
        self.place = after;
        Ok(Some(bulk))
    }

    /// A typed line. Answers whether it is complete.
    fn line(&mut self, buffer: &mut [u8]) -> Result<bool, ProtocolError> {
        let rest = buffer.get(self.place..).unwrap_or_default();
        let Some(length) = rest
            .iter()
            .take(MAX_LINE_BYTES.saturating_add(1))
            .position(|byte| *byte == b'\n')
        else {
            return if rest.len() > MAX_LINE_BYTES {
                Err(ProtocolError::InlineLine)
            } else {
                Ok(false)
            };
        };
        let end = self.place.saturating_add(length);
        inline::split(buffer, self.place, end, &mut self.spans).map_err(|inline::Unbalanced| ProtocolError::Quotes)?;
        self.place = end.saturating_add(1);
        if self.spans.len() == self.whole_spans {
            self.whole = self.place;
        } else {
            self.complete(true);
        }
        Ok(true)
    }

    fn complete(&mut self, inline: bool) {
        self.commands.push(Command {
            first: self.whole_spans,
            after: self.spans.len(),
            inline,
        });
        self.whole_spans = self.spans.len();
        self.whole = self.place;
    }
}

enum Line {
    Incomplete,
    TooLong,
    Bad,
    /// The number, and where the next line begins.
    Length(i64, usize),
}

/// The number on the line that begins at `start`.
fn length(buffer: &[u8], start: usize) -> Line {
    let line = buffer.get(start..).unwrap_or_default();
    // Nearly all lengths have one or two digits and are all there.
    match line {
        [one @ b'0'..=b'9', b'\r', b'\n', ..] => {
            return Line::Length(i64::from(one.wrapping_sub(b'0')), start.saturating_add(3));
        }
        [ten @ b'1'..=b'9', one @ b'0'..=b'9', b'\r', b'\n', ..] => {
            let (ten, one) = (i64::from(ten.wrapping_sub(b'0')), i64::from(one.wrapping_sub(b'0')));
            return Line::Length(ten.saturating_mul(10).saturating_add(one), start.saturating_add(4));
        }
        _ => {}
    }
    let Some(digits) = line
        .iter()
        .take(MAX_LINE_BYTES.saturating_add(1))
        .position(|byte| *byte == b'\r')
    else {
        return if line.len() > MAX_LINE_BYTES {
            Line::TooLong
        } else {
            Line::Incomplete
        };
    };
    match (
        line.get(digits.saturating_add(1)),
        line.get(..digits).and_then(number::parse),
    ) {
        (None, _) => Line::Incomplete,
        (Some(b'\n'), Some(number)) => Line::Length(number, start.saturating_add(digits).saturating_add(2)),
        (Some(_), _) => Line::Bad,
    }
}

#[cfg(test)]
#[path = "parser_tests.rs"]
mod tests;
