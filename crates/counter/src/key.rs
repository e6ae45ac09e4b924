//! The counter's name. A `Key` is always valid: UTF-8, 1 to 1,024 bytes.

use crate::slot::Slot;

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 1_024;

/// A counter's name, borrowed and known to be valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key<'a>(&'a str);

/// Why some bytes are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A key has at least one byte.
    #[error("the key is empty")]
    Empty,
    /// A key has at most [`MAX_KEY_BYTES`] bytes.
    #[error("the key has {0} bytes, more than the 1,024 allowed")]
    TooLong(usize),
    /// Keys are text, so that every face can show them.
    #[error("the key is not valid UTF-8 (at byte {0})")]
    NotUtf8(usize),
}

impl<'a> Key<'a> {
    /// Checks that `bytes` are a key.
    pub fn new(bytes: &'a [u8]) -> Result<Self, KeyError> {
        if bytes.is_empty() {
            return Err(KeyError::Empty);
        }
        if bytes.len() > MAX_KEY_BYTES {
            return Err(KeyError::TooLong(bytes.len()));
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self(text)),
            Err(error) => Err(KeyError::NotUtf8(error.valid_up_to())),
        }
    }

    /// The key as text.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// The key's bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0.as_bytes()
    }

    /// The prefix that may be a declared namespace: up to the first `:`, `None` where there is no `:`.
    pub fn prefix(self) -> Option<&'a str> {
        self.0.split_once(':').map(|(prefix, _)| prefix)
    }

    /// The hash range the key belongs to.
    pub fn slot(self) -> Slot {
        Slot::of(self.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_text() {
        assert_eq!(Key::new(b""), Err(KeyError::Empty));
        assert_eq!(Key::new(&[b'x'; 1_025]), Err(KeyError::TooLong(1_025)));
        assert!(Key::new(&[b'x'; 1_024]).is_ok());
        assert_eq!(Key::new(b"ab\xff"), Err(KeyError::NotUtf8(2)));
        assert_eq!(Key::new(b"page:/a:b").map(Key::prefix), Ok(Some("page")));
        assert_eq!(Key::new(b"plain").map(Key::prefix), Ok(None));
    }
}
