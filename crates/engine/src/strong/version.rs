//! The version of a partition: the row that every batch is conditional on. Its position only grows, so that a batch whose condition once
//! failed never applies later; its batch id says whose it was.

use std::collections::BTreeMap;

use tally_counter::{Corrupt, Position, Reader, put_varint};

use crate::namespaces::{self, Boundaries, Kept};

/// The key of the version's row.
pub(super) const KEY: &[u8] = &[0];
/// What keys of the rows begin with in which each node says which batch it applied last.
const APPLIED: u8 = 1;

/// What the store has of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version {
    /// Up to where its log goes.
    pub(crate) position: Position,
    /// Which batch brought it there.
    pub(crate) batch: u128,
    /// From where the windows of its namespaces are kept.
    pub(super) kept: BTreeMap<String, Kept>,
}

impl Version {
    /// From where the windows of a namespace are kept.
    pub(crate) fn boundaries(&self, namespace: &str) -> Boundaries {
        self.kept
            .get(namespace)
            .map_or_else(Boundaries::default, |kept| kept.boundaries)
    }

    pub(super) fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.position.number().into());
        out.extend(self.batch.to_be_bytes());
        namespaces::encode_kept(&self.kept, &mut out);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new("version of a partition", bytes);
        let number: u64 = reader.varint()?;
        let position = Position::new(number).map_err(|_| reader.corrupt())?;
        let batch = batch(reader.take(16)?).ok_or_else(|| reader.corrupt())?;
        let kept = namespaces::decode_kept(&mut reader)?;
        reader.end()?;
        Ok(Self { position, batch, kept })
    }
}

/// A batch id from its bytes.
pub(super) fn batch(bytes: &[u8]) -> Option<u128> {
    bytes.try_into().ok().map(u128::from_be_bytes)
}

/// The key of the row that says which batch a node applied last.
pub(super) fn applied_key(node: u32) -> Vec<u8> {
    let mut key = vec![APPLIED];
    key.extend(node.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_it_was_written() {
        let mut version = Version {
            position: Position::new(70_000).unwrap(),
            batch: u128::MAX - 5,
            kept: BTreeMap::new(),
        };
        assert_eq!(Version::decode(&version.encoded()).unwrap(), version);
        version.kept.insert("votes".to_owned(), Kept::default());
        assert_eq!(Version::decode(&version.encoded()).unwrap(), version);
        let encoded = version.encoded();
        assert!(Version::decode(&encoded[..encoded.len() - 1]).is_err());
    }
}
