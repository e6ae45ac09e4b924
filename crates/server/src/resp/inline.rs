//! Typed lines into arguments, by Redis's rules of quoting. Quoted arguments are resolved in place: they never get longer.

use super::parser::Span;

/// A quote has no end, or something stands right behind its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unbalanced;

/// Splits `buffer[start..end]` and appends where the arguments lie.
pub(super) fn split(buffer: &mut [u8], start: usize, end: usize, spans: &mut Vec<Span>) -> Result<(), Unbalanced> {
    let mut line = Cursor {
        buffer,
        read: start,
        end,
    };
    loop {
        while line.peek().is_some_and(is_space) {
            line.skip();
        }
        if line.peek().is_none() {
            return Ok(());
        }
        let begin = line.read;
        let after = line.argument(begin)?;
        spans.push(Span::new(begin, after));
    }
}

struct Cursor<'a> {
    buffer: &'a mut [u8],
    read: usize,
    end: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.buffer.get(self.read).copied().filter(|_| self.read < self.end)
    }

    fn skip(&mut self) {
        self.read = self.read.saturating_add(1);
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.skip();
        Some(byte)
    }

    /// Reads one argument and writes it resolved from `write` on, which is never ahead of what is read. Answers where it ends.
    fn argument(&mut self, mut write: usize) -> Result<usize, Unbalanced> {
        while let Some(byte) = self.peek().filter(|byte| !is_space(*byte)) {
            self.skip();
            match byte {
                b'"' | b'\'' => write = self.quoted(byte, write)?,
                _ => self.put(&mut write, byte),
            }
        }
        Ok(write)
    }

    fn quoted(&mut self, quote: u8, mut write: usize) -> Result<usize, Unbalanced> {
        loop {
            let byte = self.next().ok_or(Unbalanced)?;
            if byte == quote {
                return if self.peek().is_none_or(is_space) {
                    Ok(write)
                } else {
                    Err(Unbalanced)
                };
            }
            let resolved = match (byte, quote) {
                (b'\\', b'"') => self.escaped().ok_or(Unbalanced)?,
                (b'\\', _) if self.peek() == Some(b'\'') => self.next().ok_or(Unbalanced)?,
                _ => byte,
            };
            self.put(&mut write, resolved);
        }
    }

    /// What follows a backslash within double quotes.
    fn escaped(&mut self) -> Option<u8> {
        let digits = self
            .buffer
            .get(self.read.saturating_add(1)..self.read.saturating_add(3).min(self.end));
        if let (Some(b'x'), Some([high, low])) = (self.peek(), digits)
            && let (Some(high), Some(low)) = (hexadecimal(*high), hexadecimal(*low))
        {
            self.read = self.read.saturating_add(3);
            return Some((high << 4) | low);
        }
        Some(match self.next()? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 8,
            b'a' => 7,
            other => other,
        })
    }

    fn put(&mut self, write: &mut usize, byte: u8) {
        if let Some(place) = self.buffer.get_mut(*write) {
            *place = byte;
        }
        *write = write.saturating_add(1);
    }
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// As C's `isspace`; the line end counts.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}
