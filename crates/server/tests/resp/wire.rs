//! Commands into bytes, and replies as the bytes they are.

use std::io::{Read, Write};

/// A connection whose replies are read one by one.
pub(crate) struct Wire<S> {
    pub(crate) stream: S,
    buffer: Vec<u8>,
}

impl<S: Read + Write> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The bytes of one reply; empty at the end of the stream.
    pub(crate) fn reply(&mut self) -> Vec<u8> {
        loop {
            if let Some(end) = reply_end(&self.buffer, 0) {
                let rest = self.buffer.split_off(end);
                return std::mem::replace(&mut self.buffer, rest);
            }
            let mut chunk = [0; 8 * 1_024];
            let read = self.stream.read(&mut chunk).unwrap();
            if read == 0 {
                assert!(
                    self.buffer.is_empty(),
                    "the stream ends within a reply: {:?}",
                    shown(&self.buffer)
                );
                return Vec::new();
            }
            self.buffer.extend_from_slice(&chunk[..read]);
        }
    }

    /// Sends a command and reads its reply.
    pub(crate) fn call(&mut self, words: &[&str]) -> String {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        self.send(&command(&words));
        shown(&self.reply())
    }

    /// All until the end of the stream.
    pub(crate) fn rest(mut self) -> Vec<u8> {
        // A connection that is closed with bytes unread is reset, after what was sent.
        let mut chunk = [0; 4_096];
        while let Ok(read @ 1..) = self.stream.read(&mut chunk) {
            self.buffer.extend_from_slice(&chunk[..read]);
        }
        self.buffer
    }
}

/// A command as an array of bulk strings.
pub(crate) fn command(words: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Where the reply that begins at `start` ends, if it is all there.
fn reply_end(bytes: &[u8], start: usize) -> Option<usize> {
    let line = start + bytes[start..].windows(2).position(|pair| pair == b"\r\n")? + 2;
    let count = |factor: usize| {
        let text = std::str::from_utf8(&bytes[start + 1..line - 2]).unwrap();
        usize::try_from(text.parse::<i64>().unwrap()).unwrap_or(0) * factor
    };
    let elements = match bytes[start] {
        b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => return Some(line),
        b'$' | b'=' if bytes[start + 1] == b'-' => return Some(line),
        b'$' | b'=' => return Some(line + count(1) + 2).filter(|end| *end <= bytes.len()),
        b'*' | b'~' | b'>' => count(1),
        b'%' => count(2),
        other => panic!("no reply begins with {:?}", char::from(other)),
    };
    let mut end = line;
    for _ in 0..elements {
        if end >= bytes.len() {
            return None;
        }
        end = reply_end(bytes, end)?;
    }
    Some(end)
}

/// Bytes as text, a line for each of the reply's.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let lines = bytes.strip_suffix(b"\r\n").unwrap_or(bytes);
    let mut text = String::new();
    let mut rest = lines;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        text.push_str(&rest[..end].escape_ascii().to_string());
        text.push('\n');
        rest = &rest[end + 2..];
    }
    text.push_str(&rest.escape_ascii().to_string());
    text.push('\n');
    text
}

/// Splits a line into words as redis-cli does: double quotes with `\n`, `\r`, `\t`, `\x41`.
pub(crate) fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut bytes = line.bytes().peekable();
    while bytes.peek().is_some() {
        let mut word = Vec::new();
        let quoted = bytes.next_if_eq(&b'"').is_some();
        while let Some(byte) = bytes.next() {
            match byte {
                b'"' if quoted => break,
                b' ' if !quoted => break,
                b'\\' if quoted => word.push(match bytes.next().unwrap() {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'x' => {
                        let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                        u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                    }
                    other => other,
                }),
                _ => word.push(byte),
            }
        }
        while bytes.next_if_eq(&b' ').is_some() {}
        words.push(word);
    }
    words
}
