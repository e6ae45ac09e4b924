//! Replies in RESP 2 and 3, appended to a buffer. Allocates nothing.

use super::fault::Fault;

/// Which version of the protocol a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Protocol {
    /// The first that everybody speaks.
    #[default]
    Resp2,
    /// With maps, sets, a null of its own.
    Resp3,
}

impl Protocol {
    /// Its number.
    pub(super) fn number(self) -> i64 {
        match self {
            Self::Resp2 => 2,
            Self::Resp3 => 3,
        }
    }
}

/// Where replies go, in the connection's version.
#[derive(Debug)]
pub(super) struct Reply<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl<'a> Reply<'a> {
    /// Appends to `out`.
    pub(super) fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// What has been rendered before.
    pub(super) fn rendered(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// `+text`.
    pub(super) fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// `+OK`.
    pub(super) fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// An error; line ends in its text become spaces.
    pub(super) fn error(&mut self, fault: &Fault) {
        self.out.push(b'-');
        let one_line = fault
            .as_str()
            .bytes()
            .map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte });
        self.out.extend(one_line);
        self.out.extend_from_slice(b"\r\n");
    }

    /// `:number`.
    pub(super) fn integer(&mut self, number: i64) {
        self.line(b':', itoa::Buffer::new().format(number).as_bytes());
    }

    /// The integer of a number of things.
    pub(super) fn amount_of(&mut self, things: usize) {
        self.line(b':', itoa::Buffer::new().format(things).as_bytes());
    }

    /// Bytes with their length.
    pub(super) fn bulk(&mut self, bytes: &[u8]) {
        self.header(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A value as GET answers it: all its digits, within 64 bits or not.
    pub(super) fn value(&mut self, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.bulk(itoa::Buffer::new().format(value).as_bytes()),
            Err(_) => self.bulk(itoa::Buffer::new().format(value).as_bytes()),
        }
    }

    /// A number as an integer where it fits one, else all its digits.
    pub(super) fn number(&mut self, number: i128) {
        match i64::try_from(number) {
            Ok(number) => self.integer(number),
            Err(_) => self.value(number),
        }
    }

    /// A value, or null where there is none.
    pub(super) fn value_or_nil(&mut self, value: Option<i128>) {
        match value {
            Some(value) => self.value(value),
            None => self.nil(),
        }
    }

    /// Nothing.
    pub(super) fn nil(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// Text that RESP 3 marks as to be shown as it is.
    pub(super) fn verbatim(&mut self, text: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => {
                self.header(b'=', text.len().saturating_add(4));
                self.out.extend_from_slice(b"txt:");
                self.out.extend_from_slice(text.as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// The head of an array of so many replies.
    pub(super) fn array(&mut self, length: usize) {
        self.header(b'*', length);
    }

    /// The head of a map of so many pairs.
    pub(super) fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', pairs.saturating_mul(2)),
            Protocol::Resp3 => self.header(b'%', pairs),
        }
    }

    /// The head of a set of so many replies.
    pub(super) fn set(&mut self, length: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', length),
            Protocol::Resp3 => self.header(b'~', length),
        }
    }

    fn header(&mut self, kind: u8, length: usize) {
        self.line(kind, itoa::Buffer::new().format(length).as_bytes());
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.push(kind);
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(protocol: Protocol, write: impl FnOnce(&mut Reply<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Reply::new(&mut out, protocol));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn both_versions() {
        let all = |reply: &mut Reply<'_>| {
            reply.nil();
            reply.map(1);
            reply.set(1);
            reply.verbatim("a\n");
            reply.value(i128::from(i64::MAX) + 1);
            reply.integer(-5);
        };
        let tail = "$19\r\n9223372036854775808\r\n:-5\r\n";
        assert_eq!(
            rendered(Protocol::Resp2, all),
            format!("$-1\r\n*2\r\n*1\r\n$2\r\na\n\r\n{tail}")
        );
        assert_eq!(
            rendered(Protocol::Resp3, all),
            format!("_\r\n%1\r\n~1\r\n=6\r\ntxt:a\n\r\n{tail}")
        );
    }

    #[test]
    fn errors_stay_on_one_line() {
        let fault = Fault::unknown([&b"A\r\nB"[..], b"x"].into_iter());
        let text = rendered(Protocol::Resp2, |reply| reply.error(&fault));
        assert_eq!(text, "-ERR unknown command 'A  B', with args beginning with: 'x' \r\n");
    }
}
