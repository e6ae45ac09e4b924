//! How late an event may be, by namespace, as of a round's cut. Kept with the cut, so that a round which is repeated after a policy was
//! changed, or a namespace declared, comes to the same (rule 7).

use std::collections::BTreeMap;

use tally_counter::{Corrupt, Reader, put_bytes, put_varint};
use tally_engine::Engine;

/// The lateness of each namespace, in milliseconds; one that has none is in it all the same: its keys are not `default`'s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    default_ms: Option<u64>,
    declared: BTreeMap<String, Option<u64>>,
}

/// The namespace of keys without a declared one.
const DEFAULT: &str = "default";

impl Limits {
    /// As they are declared now.
    pub(crate) fn now(engine: &Engine) -> Self {
        let mut limits = Self::default();
        for namespace in engine.namespaces() {
            if namespace.name == DEFAULT {
                limits.default_ms = namespace.policy.lateness_ms;
            } else {
                limits.declared.insert(namespace.name, namespace.policy.lateness_ms);
            }
        }
        limits
    }

    /// That of the namespace of a key.
    pub(crate) fn lateness_ms(&self, key: &str) -> Option<u64> {
        let prefix = key.split_once(':').map(|(prefix, _)| prefix);
        let declared = prefix.and_then(|prefix| self.declared.get(prefix));
        declared.copied().unwrap_or(self.default_ms)
    }

    /// Appends them.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let put = |out: &mut Vec<u8>, ms: Option<u64>| put_varint(out, ms.map_or(0, |ms| u128::from(ms) + 1));
        put(out, self.default_ms);
        put_varint(out, self.declared.len() as u128);
        for (name, ms) in &self.declared {
            put_bytes(out, name.as_bytes());
            put(out, *ms);
        }
    }

    /// Reads what `encode` appended.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let default_ms = reader.varint::<u64>()?.checked_sub(1);
        let count: usize = reader.varint()?;
        let mut declared = BTreeMap::new();
        for _ in 0..count {
            let name = reader.text()?.to_owned();
            declared.insert(name, reader.varint::<u64>()?.checked_sub(1));
        }
        Ok(Self { default_ms, declared })
    }
}
