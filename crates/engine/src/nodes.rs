//! The nodes that share a store. Each writes a heartbeat row and reads those of the others; with every beat it looks at the writers'
//! rows, so that it sums the cells of new writers and notices a twin: another start on its own identity, upon which it stops
//! (rule 3). Whether a node lives goes by its beats and this node's own clock, never by the clock of the other.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tally_counter::{Corrupt, Reader, put_bytes, put_varint};
use tally_store::{Address, Addresses, Batch, Order, Row, Store, Table};

use crate::Error;
use crate::engine::Engine;

/// A node that has not been heard for this long is not counted among the living.
const SILENT_MS: u64 = 10_000;
/// A clock that differs by more than this from ours is worth a warning: events and expiries go by it.
const CLOCK_MS: u64 = 5_000;

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFace {
    /// Tally's version.
    pub version: String,
    /// Where it serves HTTP.
    pub http: String,
    /// Where it serves RESP.
    pub resp: String,
}

/// A node as it was last heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Its id.
    pub id: String,
    /// The number of its writer.
    pub writer: u32,
    /// What it says of itself.
    pub face: NodeFace,
    /// When it started, Unix milliseconds by its own clock.
    pub started_ms: u64,
    /// Counters in its memory.
    pub hot_counters: u64,
    /// What its journal holds that the store has not yet, in bytes.
    pub journal_bytes: u64,
    /// By how much its clock was ahead of this node's when it was last heard, in milliseconds; about, by the time that a heartbeat takes.
    pub clock_ahead_ms: i64,
    /// How long ago it was heard.
    pub silent_ms: u64,
    /// Whether it was heard lately.
    pub alive: bool,
    /// Whether it is this one.
    pub is_self: bool,
}

/// What is known of the nodes.
#[derive(Default)]
pub(crate) struct Nodes {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    face: NodeFace,
    started_ms: u64,
    /// The own heartbeat's number; `None` before the first one.
    beats: Option<u64>,
    peers: BTreeMap<String, Peer>,
}

/// A heartbeat and when it was first seen.
#[derive(Clone, Debug)]
struct Peer {
    beat: u64,
    seen_us: u64,
    row: Beat,
    clock_ahead_ms: i64,
    warned: bool,
}

/// A heartbeat's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Beat {
    now_ms: u64,
    started_ms: u64,
    writer: u64,
    hot_counters: u64,
    journal_bytes: u64,
    face: NodeFace,
}

impl Beat {
    fn encode(&self, out: &mut Vec<u8>) {
        for number in [
            self.now_ms,
            self.started_ms,
            self.writer,
            self.hot_counters,
            self.journal_bytes,
        ] {
            put_varint(out, number.into());
        }
        for text in [&self.face.version, &self.face.http, &self.face.resp] {
            put_bytes(out, text.as_bytes());
        }
    }

    /// What a newer node says beyond this is passed over.
    fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new("heartbeat", bytes);
        let mut beat = Self {
            now_ms: reader.varint()?,
            started_ms: reader.varint()?,
            writer: reader.varint()?,
            hot_counters: reader.varint()?,
            journal_bytes: reader.varint()?,
            face: NodeFace::default(),
        };
        for text in [&mut beat.face.version, &mut beat.face.http, &mut beat.face.resp] {
            *text = String::from_utf8_lossy(reader.bytes()?).into_owned();
        }
        Ok(beat)
    }
}

impl Engine {
    /// What this node says of itself from its next heartbeat on.
    pub fn set_face(&self, face: NodeFace) {
        self.nodes.state.lock().face = face;
    }

    /// The nodes as they were last heard, this one among them. Empty where the store is this node's alone.
    pub fn nodes(&self) -> Vec<NodeView> {
        let now_us = self.world.clock.monotonic_us();
        let state = self.nodes.state.lock();
        let views = state.peers.iter().map(|(id, peer)| {
            let silent_ms = now_us.saturating_sub(peer.seen_us) / 1_000;
            NodeView {
                id: id.clone(),
                writer: u32::try_from(peer.row.writer).unwrap_or(u32::MAX),
                face: peer.row.face.clone(),
                started_ms: peer.row.started_ms,
                hot_counters: peer.row.hot_counters,
                journal_bytes: peer.row.journal_bytes,
                clock_ahead_ms: peer.clock_ahead_ms,
                silent_ms,
                alive: silent_ms < SILENT_MS,
                is_self: *id == self.node,
            }
        });
        views.collect()
    }

    /// Whether other nodes may share the store.
    pub fn is_shared(&self) -> bool {
        self.settings.is_shared()
    }

    /// How many writers other processes may hold: none where the store is this node's alone, whoever has not been claimed yet.
    pub(crate) fn others(&self) -> usize {
        if self.is_shared() { self.registry.others() } else { 0 }
    }

    /// Writes a heartbeat, hears the others, and looks at the writers' rows. Blocks.
    pub fn beat(&self) -> Result<(), Error> {
        self.refresh_writers()?;
        self.adopt_if_due(self.registry.newest_policies())?;
        self.put_beat()?;
        self.hear()
    }

    /// New writers are summed from now on, and boundaries are nowhere before others' (rule 18), which may have been here before a source
    /// was taken over; a twin or successor of this node's own writer ends it.
    pub(crate) fn refresh_writers(&self) -> Result<(), Error> {
        if let Err(error) = self.registry.refresh() {
            if matches!(error, Error::Failed(_)) {
                self.stop_for(&error.to_string());
            }
            return Err(error);
        }
        let (foreign, others) = (self.registry.foreign(), self.registry.others());
        let mut core = self.core.lock();
        core.foreign = foreign;
        core.others = others;
        crate::recovery::raise(&mut core, &self.registry)
    }

    fn put_beat(&self) -> Result<(), Error> {
        let status = self.status();
        let store = self.world.store.as_ref();
        let now_ms = self.world.clock.now_ms();
        let before = self.nodes.state.lock().beats;
        let before = match before {
            Some(beats) => beats,
            None => last_beat(store, &self.node)?,
        };
        let beat = before.saturating_add(1);
        let row = {
            let mut state = self.nodes.state.lock();
            if state.beats.is_none() {
                state.started_ms = now_ms;
            }
            state.beats = Some(beat);
            Beat {
                now_ms,
                started_ms: state.started_ms,
                writer: self.registry.own().0.into(),
                hot_counters: status.hot_counters,
                journal_bytes: status.journal_bytes,
                face: state.face.clone(),
            }
        };
        let mut value = Vec::new();
        row.encode(&mut value);
        let mut rows = Batch::new();
        rows.push(Row {
            address: address(&self.node),
            position: beat,
            value: &value,
        });
        Ok(store.put(&rows, Order::Any)?)
    }

    fn hear(&self) -> Result<(), Error> {
        let mut heard: Vec<(String, u64, Beat)> = Vec::new();
        let mut cursor = Vec::new();
        loop {
            let next = self.world.store.walk(Table::Nodes, &cursor, 1_000, &mut |_, row| {
                let id = String::from_utf8_lossy(row.address.key).into_owned();
                heard.push((id, row.position, Beat::decode(row.value)?));
                Ok(())
            })?;
            let Some(next) = next else { break };
            cursor = next;
        }
        let (now_us, now_ms) = (self.world.clock.monotonic_us(), self.world.clock.now_ms());
        let mut state = self.nodes.state.lock();
        for (id, beat, row) in heard {
            let known = state.peers.get(&id);
            if known.is_some_and(|peer| peer.beat == beat) {
                continue;
            }
            // Only a beat that came while we listened says what its clock shows now.
            let ahead_ms = i64::try_from(i128::from(row.now_ms) - i128::from(now_ms)).unwrap_or(i64::MAX);
            let clock_ahead_ms = if known.is_some() { ahead_ms } else { 0 };
            let off_ms = clock_ahead_ms.unsigned_abs();
            let warned = known.is_some_and(|peer| peer.warned);
            let is_off = off_ms > CLOCK_MS;
            if is_off && !warned {
                tracing::warn!(node = %id, off_ms, "the clock of a node and this one's differ: events are late, and counters expire, by the clock of the node that takes them");
            }
            let peer = Peer {
                beat,
                seen_us: now_us,
                row,
                clock_ahead_ms,
                warned: is_off,
            };
            state.peers.insert(id, peer);
        }
        Ok(())
    }
}

/// The number of each node's last heartbeat: one that moves is of a node that runs.
pub fn beats(store: &dyn Store) -> Result<BTreeMap<String, u64>, Error> {
    let mut beats = BTreeMap::new();
    let mut cursor = Some(Vec::new());
    while let Some(from) = cursor {
        cursor = store.walk(Table::Nodes, &from, 1_000, &mut |_, row| {
            beats.insert(String::from_utf8_lossy(row.address.key).into_owned(), row.position);
            Ok(())
        })?;
    }
    Ok(beats)
}

/// The number of the last heartbeat of an earlier start.
fn last_beat(store: &dyn Store, node: &str) -> Result<u64, Error> {
    let mut addresses = Addresses::new();
    addresses.push_with(Table::Nodes, 0, |out| out.extend_from_slice(node.as_bytes()));
    let mut beat = 0;
    store.get(&addresses, &mut |_, row| {
        beat = row.position;
        Ok(())
    })?;
    Ok(beat)
}

fn address(node: &str) -> Address<'_> {
    Address {
        table: Table::Nodes,
        slot: 0,
        key: node.as_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_are_read_as_written_and_may_grow() {
        let beat = Beat {
            now_ms: 1,
            started_ms: 2,
            writer: 3,
            hot_counters: 4,
            journal_bytes: 5,
            face: NodeFace {
                version: "1.2.3".into(),
                http: "host:1".into(),
                resp: "host:2".into(),
            },
        };
        let mut bytes = Vec::new();
        beat.encode(&mut bytes);
        bytes.push(7);
        assert_eq!(Beat::decode(&bytes).unwrap(), beat);
        assert!(Beat::decode(&bytes[..3]).is_err());
    }
}
