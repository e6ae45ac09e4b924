//! What a turn is going to touch, collected before the engine's lock is taken: keys, hashed once, and tokens. A plan is reused
//! from turn to turn, so that a pipeline of commands allocates nothing.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use tally_counter::Key;

use crate::core::{ReadAt, Token};
use crate::load::Snapshot;
use crate::table::CounterId;

/// What a turn needs to know of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Nothing: a blind add, which waits for no read.
    Blind,
    /// Its value, or whether it exists.
    Value,
    /// To begin a new generation: SET, DEL, EXPIRE.
    Reset,
}

/// The number of a key in its plan, from 0 in the order of the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyIndex(pub(crate) usize);

/// The number of a token in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenIndex(pub(crate) usize);

#[derive(Debug)]
pub(crate) struct PlannedKey {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) hash: Option<u64>,
    pub(crate) need: Need,
    /// Where it is in the table, once the turn has found it.
    pub(crate) id: Option<CounterId>,
    /// What was read of it.
    pub(crate) loaded: Option<Box<Snapshot>>,
    /// The turn found that it must be read.
    pub(crate) cold: bool,
}

/// What is known of a token in the store.
#[derive(Debug)]
pub(crate) enum ReadToken {
    /// Nothing: it was not read.
    Unread,
    /// That it is not there.
    Absent,
    /// This.
    Found(Token),
}

#[derive(Debug)]
pub(crate) struct PlannedToken {
    pub(crate) key: Box<[u8]>,
    /// What was read of it.
    pub(crate) loaded: ReadToken,
}

/// The keys and tokens of one turn.
#[derive(Debug)]
pub struct Plan {
    pub(crate) bytes: Vec<u8>,
    pub(crate) keys: Vec<PlannedKey>,
    pub(crate) tokens: Vec<PlannedToken>,
    /// When what is loaded was read.
    pub(crate) read_at: Option<ReadAt>,
    /// Whether the turn may write; if not, it is taken even when the disk is full.
    pub(crate) writes: bool,
    /// When what is loaded was read, in microseconds of the monotonic clock.
    pub(crate) read_us: Option<u64>,
    /// What others have counted is to be read from the first try of the turn on.
    pub(crate) fresh: bool,
    /// When that was, in microseconds of the monotonic clock.
    pub(crate) asked_us: Option<u64>,
    /// Nobody has asked: it is read before somebody does.
    pub(crate) background: bool,
    /// How often a round has ended between a read and the turn, so that what was read was of no use.
    pub(crate) outdated: u32,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            keys: Vec::new(),
            tokens: Vec::new(),
            read_at: None,
            writes: true,
            read_us: None,
            fresh: false,
            asked_us: None,
            background: false,
            outdated: 0,
        }
    }
}

impl Plan {
    /// Without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the turn may write.
    pub fn writes(&self) -> bool {
        self.writes
    }

    /// Forgets what was read: it may be old.
    pub(crate) fn forget_read(&mut self) {
        for key in &mut self.keys {
            key.loaded = None;
            key.cold = true;
        }
        for token in &mut self.tokens {
            token.loaded = ReadToken::Unread;
        }
    }

    /// The turn will only read: it is taken even when the disk, the journal or the memory is full. Until [`Plan::clear`].
    pub fn only_reads(&mut self) {
        self.writes = false;
    }

    /// Forgets all and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.keys.clear();
        self.tokens.clear();
        self.read_at = None;
        self.writes = true;
        self.read_us = None;
        self.fresh = false;
        self.asked_us = None;
        self.background = false;
        self.outdated = 0;
    }

    /// Values are to be those that the store has from now on, however lately they were read. Until [`Plan::clear`].
    pub fn fresh(&mut self) {
        self.fresh = true;
    }

    pub(crate) fn in_background(&mut self) {
        self.background = true;
    }

    /// The turn will touch this counter. The same key may be planned several times.
    pub fn key(&mut self, key: Key<'_>, need: Need) -> KeyIndex {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key.as_bytes());
        let end = self.bytes.len();
        self.keys.push(PlannedKey {
            start,
            end,
            hash: None,
            need,
            id: None,
            loaded: None,
            cold: false,
        });
        KeyIndex(self.keys.len().saturating_sub(1))
    }

    /// The turn will ask for or remember this token. Scopes keep the tokens of credentials and sources apart.
    pub fn token(&mut self, scope: &str, token: &[u8]) -> TokenIndex {
        let mut key = Vec::with_capacity(scope.len().saturating_add(token.len()).saturating_add(4));
        crate::token::put_key(&mut key, scope, token);
        self.tokens.push(PlannedToken {
            key: key.into(),
            loaded: ReadToken::Unread,
        });
        TokenIndex(self.tokens.len().saturating_sub(1))
    }

    /// How many keys are planned.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nothing is planned.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.tokens.is_empty()
    }

    /// Hashes the keys that are not hashed yet.
    pub(crate) fn hash(&mut self, hasher: &FixedState) {
        for key in &mut self.keys {
            if key.hash.is_none() {
                key.hash = self.bytes.get(key.start..key.end).map(|name| hasher.hash_one(name));
            }
        }
    }

    /// The name of a planned key.
    pub(crate) fn name<'p>(bytes: &'p [u8], key: &PlannedKey) -> &'p [u8] {
        bytes.get(key.start..key.end).unwrap_or_default()
    }

    /// About what the entry of this turn will take in the journal.
    pub(crate) fn entry_bytes(&self) -> usize {
        let tokens: usize = self.tokens.iter().map(|token| token.key.len().saturating_add(64)).sum();
        self.bytes
            .len()
            .saturating_add(self.keys.len().saturating_mul(32))
            .saturating_add(tokens)
    }
}
