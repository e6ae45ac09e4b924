//! Errors in rules, for the person who wrote them: where, and what to do.

use std::ops::Range;

/// What is wrong with some rules, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct RulesError {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl RulesError {
    /// An error at a byte of the text.
    pub(super) fn at(toml: &str, byte: usize, message: impl Into<String>) -> Self {
        let before = toml.get(..toml.floor_char_boundary(byte)).unwrap_or(toml);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            message: message.into(),
        }
    }
}

/// Where byte `offset` of a TOML string's value stands in the text: exact where the string was written without escapes, else
/// where the string begins.
pub(super) fn within(toml: &str, span: &Range<usize>, value: &str, offset: usize) -> usize {
    let written = toml.get(span.clone()).unwrap_or_default();
    let quotes = written.len().saturating_sub(value.len()) / 2;
    let plain = written.get(quotes..).is_some_and(|inner| inner.starts_with(value));
    if plain {
        span.start + quotes + offset
    } else {
        span.start
    }
}
