//! Tokens: how a repeat is told (rules 19 and 20). A token's key is its scope and itself, each with its length, so that no
//! token is the beginning of another; a row's key ends with the writer.

use tally_counter::{Corrupt, Reader, Slot, WriterNumber, put_bytes, put_varint};

use crate::core::Token;

/// Appends the key of a token.
pub(crate) fn put_key(out: &mut Vec<u8>, scope: &str, token: &[u8]) {
    put_bytes(out, scope.as_bytes());
    put_bytes(out, token);
}

/// The scope's part of a key.
pub(crate) fn scope(key: &[u8]) -> &[u8] {
    let mut reader = Reader::new("token key", key);
    reader.bytes().unwrap_or_default()
}

/// The slot that a token's rows stand in.
pub(crate) fn slot(key: &[u8]) -> u16 {
    Slot::of(key).number()
}

/// Appends the key of a token's row.
pub(crate) fn put_row_key(out: &mut Vec<u8>, key: &[u8], writer: WriterNumber) {
    out.extend_from_slice(key);
    out.extend(writer.0.to_be_bytes());
}

/// Appends the value of a token's row; the row's position is the round's cut.
pub(crate) fn encode(token: &Token, out: &mut Vec<u8>) {
    put_varint(out, token.time_ms.into());
    out.extend(token.payload.to_le_bytes());
    out.extend_from_slice(&token.answer);
}

/// Reads the value of a token's row.
pub(crate) fn decode(value: &[u8]) -> Result<Token, Corrupt> {
    let mut reader = Reader::new("token row", value);
    let time_ms = reader.varint()?;
    let payload = reader
        .take(8)?
        .try_into()
        .map(u64::from_le_bytes)
        .map_err(|_| reader.corrupt())?;
    let answer = reader.take(reader.remaining())?.into();
    Ok(Token {
        time_ms,
        payload,
        answer,
    })
}
