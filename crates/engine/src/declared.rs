//! Policies and documents, each kept as a version that names its writer. What one node declares the others adopt, through their own journals, so
//! that a fold still goes by its own log alone (rule 7): from the entry of the adoption on, and a copy of what was adopted is kept
//! under the adopter's own versions for its next start. Of two declarations of one name the one with the larger version holds everywhere.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tally_counter::{Policy, WriterNumber, WriterRow, planted};
use tally_store::{Address, Batch, Order, Row, Store, Table};

use crate::Error;
use crate::core::{Closing, Core};
use crate::engine::Engine;
use crate::entry::{self, Op};
use crate::namespaces::DEFAULT;
use crate::recovery::corrupt;
use crate::registry::Registry;
use crate::round::Own;

const POLICY: u8 = b'p';
const DOCUMENT: u8 = b'd';
/// On a shared store the lower bits of a version are its writer's number, so that two nodes never write the same one.
const WRITER_BITS: u32 = 32;
/// Every so many heartbeats all are read, also where no node says that it has newer ones: a copy may have brought them.
const READ_EVERY: u64 = 30;

/// What is declared: its kind, then its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DeclaredName(Vec<u8>);

impl DeclaredName {
    pub(crate) fn policy(namespace: &str) -> Self {
        Self([&[POLICY], namespace.as_bytes()].concat())
    }

    pub(crate) fn document(name: &str) -> Self {
        Self([&[DOCUMENT], name.as_bytes()].concat())
    }

    /// The key of a version. A copy of another node's has a kind of its own, which nobody adopts.
    fn key(&self, version: u64, adopted: bool) -> Vec<u8> {
        let mut key = self.0.clone();
        if adopted && let Some(kind) = key.first_mut() {
            *kind = kind.to_ascii_uppercase();
        }
        key.push(0);
        key.extend(version.to_be_bytes());
        key
    }

    /// The name in a key, and whether it is a copy.
    fn of_key(key: &[u8]) -> Option<(Self, bool)> {
        let (name, _) = key.split_at_checked(key.len().checked_sub(9)?)?;
        let kind = *name.first()?;
        let mut name = name.to_vec();
        *name.first_mut()? = kind.to_ascii_lowercase();
        Some((Self(name), kind.is_ascii_uppercase()))
    }

    fn text(&self) -> Result<(u8, &str), Error> {
        let (kind, name) = self
            .0
            .split_first()
            .ok_or_else(|| Error::Corrupt("a declaration has no kind".to_owned()))?;
        let name = std::str::from_utf8(name).map_err(|error| Error::Corrupt(error.to_string()))?;
        Ok((*kind, name))
    }
}

/// Whether a row of [`Table::Policies`] is a node's copy of what another one has declared.
pub(crate) fn is_copy(key: &[u8]) -> bool {
    key.first().is_some_and(u8::is_ascii_uppercase)
}

/// Whether a version is this writer's.
fn is_of(version: u64, writer: WriterNumber) -> bool {
    version & u64::from(u32::MAX) == u64::from(writer.0)
}

/// The version after `newest`, on a shared store of this writer's own.
fn next(newest: u64, writer: WriterNumber, shared: bool) -> u64 {
    if shared {
        let count = (newest >> WRITER_BITS).saturating_add(1);
        (count << WRITER_BITS) | u64::from(writer.0)
    } else {
        newest.saturating_add(1)
    }
}

/// The newest declarations that this node knows of.
#[derive(Default)]
pub(crate) struct Newest {
    known: Mutex<BTreeMap<DeclaredName, u64>>,
    version: AtomicU64,
    looks: AtomicU64,
    /// Counts what was adopted.
    adopted: AtomicU64,
}

/// A row of [`Table::Policies`].
struct Declaration {
    name: DeclaredName,
    version: u64,
    value: Vec<u8>,
    copy: bool,
}

/// All that is in the store.
fn all(store: &dyn Store) -> Result<Vec<Declaration>, Error> {
    let mut found = Vec::new();
    let mut cursor = Some(Vec::new());
    while let Some(from) = cursor {
        cursor = store.walk(Table::Policies, &from, 1_000, &mut |_, row| {
            if let Some((name, copy)) = DeclaredName::of_key(row.address.key) {
                found.push(Declaration {
                    name,
                    version: row.position,
                    value: row.value.to_vec(),
                    copy,
                });
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// Of each name the newest.
fn newest(all: impl Iterator<Item = Declaration>) -> BTreeMap<DeclaredName, (u64, Vec<u8>)> {
    let mut newest: BTreeMap<DeclaredName, (u64, Vec<u8>)> = BTreeMap::new();
    for one in all {
        if newest.get(&one.name).is_none_or(|(known, _)| *known < one.version) {
            newest.insert(one.name, (one.version, one.value));
        }
    }
    newest
}

/// What a writer's log goes by as of its applied position: of each name the newest version that is not beyond its row's, on a shared store
/// of its own versions.
pub(crate) fn read(store: &dyn Store, row: &WriterRow, shared: bool, core: &mut Core) -> Result<(), Error> {
    let own = |one: &Declaration| {
        let own = if shared {
            is_of(one.version, row.number)
        } else {
            !one.copy
        };
        own && (one.version <= row.policies || planted!(PoliciesOfTheFuture))
    };
    let found = newest(all(store)?.into_iter().filter(own));
    for (declared, (_, value)) in found {
        match declared.text()? {
            (POLICY, name) => {
                let policy = Policy::decode(name, &value).map_err(corrupt)?;
                core.namespaces.put(name, policy, name != DEFAULT);
            }
            (DOCUMENT, name) => {
                let text = String::from_utf8(value).map_err(|error| Error::Corrupt(error.to_string()))?;
                core.documents.insert(name.to_owned(), text);
            }
            _ => {}
        }
    }
    Ok(())
}

/// A new node on a store of its own goes by all that is there: a copy has brought it.
pub(crate) fn with_all(store: &dyn Store, registry: &Registry, row: WriterRow) -> Result<WriterRow, Error> {
    let declared = all(store)?.into_iter().filter(|one| !one.copy);
    let newest = declared.map(|one| one.version).max().unwrap_or(0);
    if newest <= row.policies {
        return Ok(row);
    }
    let with = WriterRow {
        policies: newest,
        ..row.clone()
    };
    registry.change(&row, with)
}

impl Engine {
    /// Policies and documents that changed, each as a new version; answers the newest version there is.
    pub(crate) fn put_declared(&self, own: &mut Own, closing: &Closing) -> Result<u64, Error> {
        let open = &closing.open;
        if open.declared.is_empty() && open.adopted.is_empty() {
            return Ok(own.row.policies);
        }
        // The same in a repeat of this round: more may have been declared elsewhere since.
        let repeats = own.version > own.row.policies;
        if !repeats {
            let newest = self.newest.version.load(Ordering::Relaxed).max(own.row.policies);
            own.version = next(newest, own.row.number, self.is_shared());
        }
        let version = own.version;
        let mut rows = Batch::new();
        let declared = open.declared.iter().map(|(name, value)| (name, value, false));
        let adopted = open.adopted.iter().map(|(name, value)| (name, value, true));
        for (name, value, adopted) in declared.chain(adopted) {
            rows.push(Row {
                address: Address {
                    table: Table::Policies,
                    slot: 0,
                    key: &name.key(version, adopted),
                },
                position: version,
                value,
            });
        }
        self.world.store.put(&rows, Order::Any)?;
        Ok(version)
    }

    /// How much this node has adopted since its start: whoever keeps something of policies and documents looks again when it moves.
    pub fn adopted(&self) -> u64 {
        self.newest.adopted.load(Ordering::Relaxed)
    }

    /// Adopts what others have declared, where a node says that there is something newer, and now and then all the same.
    pub(crate) fn adopt_if_due(&self, newest: u64) -> Result<(), Error> {
        let looks = self.newest.looks.fetch_add(1, Ordering::Relaxed);
        if newest > self.newest.version.load(Ordering::Relaxed) || looks.is_multiple_of(READ_EVERY) {
            self.adopt()?;
        }
        Ok(())
    }

    /// Adopts what others have declared. Blocks.
    pub(crate) fn adopt(&self) -> Result<(), Error> {
        if !self.is_shared() {
            return Ok(());
        }
        let all = all(self.world.store.as_ref())?;
        let version = all.iter().map(|one| one.version).max().unwrap_or(0);
        self.newest.version.fetch_max(version, Ordering::Relaxed);
        let newest = newest(all.into_iter().filter(|one| !one.copy));
        let mut known = self.newest.known.lock();
        for (name, (version, value)) in newest {
            if known.get(&name).is_none_or(|known| *known < version) {
                self.adopt_one(&name, &value)?;
                known.insert(name, version);
            }
        }
        Ok(())
    }

    fn adopt_one(&self, declared: &DeclaredName, value: &[u8]) -> Result<(), Error> {
        let (kind, name) = declared.text()?;
        let now_ms = self.world.clock.now_ms();
        let mut core = self.core.lock();
        let closing = core.closing.as_ref();
        // This node declares it itself just now, under a version that will be newer.
        let own = core.open.declared.contains_key(declared)
            || closing.is_some_and(|closing| closing.open.declared.contains_key(declared));
        if own || core.goes_by(kind, name, value) {
            return Ok(());
        }
        if !core.room {
            return Err(Error::Unavailable(crate::Blocked::DiskFull.to_string()));
        }
        match kind {
            POLICY => {
                let policy = Policy::decode(name, value).map_err(corrupt)?;
                let op = Op::Policy {
                    namespace: name,
                    policy: value,
                    adopted: true,
                };
                let out = core.tail.entry();
                entry::begin(out, now_ms);
                entry::put(out, &op);
                core.apply_policy(name, policy, true);
            }
            DOCUMENT => {
                let text = std::str::from_utf8(value).map_err(|error| Error::Corrupt(error.to_string()))?;
                let op = Op::Document {
                    name,
                    text,
                    adopted: true,
                };
                let out = core.tail.entry();
                entry::begin(out, now_ms);
                entry::put(out, &op);
                core.apply_document(name, text, true);
            }
            _ => return Ok(()),
        }
        core.tail.finish().map_err(|error| Error::Failed(error.to_string()))?;
        drop(core);
        tracing::info!(name, "going by what another node has declared");
        self.newest.adopted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Core {
    /// Whether this is what is gone by already.
    fn goes_by(&self, kind: u8, name: &str, value: &[u8]) -> bool {
        if kind == DOCUMENT {
            return self.documents.get(name).is_some_and(|text| text.as_bytes() == value);
        }
        let namespace = self.namespaces.named(name).and_then(|index| self.namespaces.get(index));
        namespace.is_some_and(|namespace| namespace.policy.encoded() == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_a_shared_store_name_their_writer_and_grow() {
        let first = next(0, WriterNumber(7), true);
        let second = next(first, WriterNumber(3), true);
        assert!(second > first && is_of(first, WriterNumber(7)) && is_of(second, WriterNumber(3)));
        assert_eq!(next(4, WriterNumber(7), false), 5);
    }

    #[test]
    fn keys_say_name_and_kind() {
        let name = DeclaredName::policy("votes");
        assert_eq!(DeclaredName::of_key(&name.key(9, false)), Some((name.clone(), false)));
        assert_eq!(DeclaredName::of_key(&name.key(9, true)), Some((name.clone(), true)));
        assert!(is_copy(&name.key(9, true)) && !is_copy(&name.key(9, false)));
        assert_eq!(DeclaredName::of_key(b"short"), None);
    }
}
