//! CloudEvents in batch mode: a JSON array, taken apart so that its elements are judged one by one.

use serde_json::value::RawValue;

/// A body that is no JSON array, so that nothing in it can be judged by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a batch of events is a JSON array of them; this is none (line {line}, column {column})")]
pub struct NotABatch {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in bytes.
    pub column: usize,
}

/// The JSON of each element of a batch, in order; whether it is an event is judged by [`Rules::structured`].
/// Its size is bounded by that of the body, which is the caller's to bound.
///
/// [`Rules::structured`]: crate::Rules::structured
pub fn batch(json: &[u8]) -> Result<Vec<&str>, NotABatch> {
    let elements: Vec<&RawValue> = serde_json::from_slice(json).map_err(|error| NotABatch {
        line: error.line(),
        column: error.column(),
    })?;
    Ok(elements.into_iter().map(RawValue::get).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_stand_alone() {
        let json = br#" [ {"id":"a"}, 5 , {"id":{"b":[]}},null] "#;
        assert_eq!(
            batch(json),
            Ok(vec![r#"{"id":"a"}"#, "5", r#"{"id":{"b":[]}}"#, "null"])
        );
        assert_eq!(batch(b"[]"), Ok(vec![]));
    }

    #[test]
    fn what_is_no_array_is_no_batch() {
        for wrong in [
            &b"{}"[..],
            b"",
            b"[1,]",
            b"[1",
            b"[1] 2",
            b"nonsense",
            b"\"\xff\"",
            b"[\"\xff\"]",
        ] {
            assert!(batch(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(batch(b"[1,\n}"), Err(NotABatch { line: 2, column: 1 }));
    }
}
