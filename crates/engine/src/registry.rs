//! The writers of the store: numbers, states, claims (rules 1 to 3). Rows are only ever changed by compare-and-set; an unknown
//! outcome is settled by repeating it until it applied or the row has moved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::RwLock;
use tally_counter::{Position, Reader, StartId, WriterId, WriterNumber, WriterRow, WriterState, planted, put_varint};
use tally_store::{Address, Batch, Condition, Row, Store, StoreError, Swap, Swapped, Table};

use crate::Error;

/// What is known of all writers, and how their rows are changed.
pub(crate) struct Registry {
    store: Arc<dyn Store>,
    own: RwLock<WriterNumber>,
    rows: RwLock<BTreeMap<WriterNumber, WriterRow>>,
    /// Those that this process has claimed: their rows are known better here than they can be read.
    claimed: RwLock<BTreeSet<WriterNumber>>,
}

/// What became of a change.
enum Changed {
    Applied,
    /// The row is another one by now.
    Moved(Option<Vec<u8>>),
}

/// The row that holds the next free number.
const NEXT: &[u8] = b"n";
/// How often an unknown outcome is tried to settle before the caller is told that the store is not available.
const SETTLE_ATTEMPTS: usize = 100;

impl Registry {
    /// Reads all writers.
    pub(crate) fn open(store: Arc<dyn Store>) -> Result<Self, Error> {
        let rows = read_all(store.as_ref())?;
        Ok(Self {
            store,
            own: RwLock::new(WriterNumber(0)),
            rows: RwLock::new(rows),
            claimed: RwLock::default(),
        })
    }

    /// Of a log that has no row: the only one there is.
    pub(crate) fn of_one(store: Arc<dyn Store>, number: WriterNumber) -> Self {
        let row = WriterRow {
            number,
            writer: WriterId {
                id: "strong".to_owned(),
                epoch: 1,
            },
            state: WriterState::Active,
            start: StartId::default(),
            applied: Position::ZERO,
            pending: None,
            policies: 0,
            resume: Vec::new(),
            pending_resume: Vec::new(),
        };
        Self {
            store,
            own: RwLock::new(number),
            rows: RwLock::new(BTreeMap::from([(number, row)])),
            claimed: RwLock::new(BTreeSet::from([number])),
        }
    }

    /// Reads all writers again. `Failed`: another start has claimed this node's own.
    pub(crate) fn refresh(&self) -> Result<(), Error> {
        let found = read_all(self.store.as_ref())?;
        let own = self.own();
        let mut rows = self.rows.write();
        let claimed = self.claimed.read();
        for (number, row) in found {
            let known = rows.get(&number).map(|known| known.start);
            if number == own && known.is_some_and(|start| start != row.start) {
                return Err(taken_over(&row.writer));
            }
            if !claimed.contains(&number) {
                rows.insert(number, row);
            }
        }
        Ok(())
    }

    /// This node's own writer.
    pub(crate) fn own(&self) -> WriterNumber {
        *self.own.read()
    }

    /// Says which writer is this node's.
    pub(crate) fn set_own(&self, number: WriterNumber) {
        *self.own.write() = number;
    }

    /// All numbers that were given out.
    pub(crate) fn numbers(&self) -> Vec<WriterNumber> {
        self.rows.read().keys().copied().collect()
    }

    /// Whether readers sum this writer's cells.
    pub(crate) fn is_summed(&self, number: WriterNumber) -> bool {
        self.rows.read().get(&number).is_some_and(|row| row.state.is_summed())
    }

    /// Whether it may still write.
    pub(crate) fn is_unsealed(&self, number: WriterNumber) -> bool {
        self.rows.read().get(&number).is_some_and(|row| row.state.is_unsealed())
    }

    /// How many writers other than this node's may still write.
    pub(crate) fn foreign(&self) -> usize {
        let own = self.own();
        self.rows
            .read()
            .values()
            .filter(|row| row.number != own && row.state.is_unsealed())
            .count()
    }

    /// How far the log of each writer has come to the store.
    pub(crate) fn logs(&self) -> BTreeMap<WriterNumber, crate::verify::Log> {
        let log = |row: &WriterRow| crate::verify::Log {
            applied: row.applied,
            pending: row.pending,
            unsealed: row.state.is_unsealed(),
            elsewhere: false,
        };
        self.rows
            .read()
            .iter()
            .map(|(number, row)| (*number, log(row)))
            .collect()
    }

    /// Whether this process has claimed it.
    pub(crate) fn is_claimed(&self, number: WriterNumber) -> bool {
        self.claimed.read().contains(&number)
    }

    /// How many writers may still write that other processes have claimed.
    pub(crate) fn others(&self) -> usize {
        let claimed = self.claimed.read();
        self.rows
            .read()
            .values()
            .filter(|row| row.state.is_unsealed() && !claimed.contains(&row.number))
            .count()
    }

    /// The rows of all writers but the nodes'.
    pub(crate) fn sources(&self) -> Vec<WriterRow> {
        let rows = self.rows.read();
        let sources = rows.values().filter(|row| row.writer.id.starts_with("source:"));
        sources.cloned().collect()
    }

    /// All rows.
    pub(crate) fn all(&self) -> Vec<WriterRow> {
        self.rows.read().values().cloned().collect()
    }

    /// The newest version of policies that a node goes by.
    pub(crate) fn newest_policies(&self) -> u64 {
        let rows = self.rows.read();
        rows.values().map(|row| row.policies).max().unwrap_or(0)
    }

    /// The row of this writer.
    pub(crate) fn of(&self, writer: &WriterId) -> Option<WriterRow> {
        self.rows.read().values().find(|row| row.writer == *writer).cloned()
    }

    /// The row of this number.
    pub(crate) fn row(&self, number: WriterNumber) -> Option<WriterRow> {
        self.rows.read().get(&number).cloned()
    }

    /// The newest epoch of an id.
    pub(crate) fn newest(&self, id: &str) -> Option<WriterRow> {
        self.rows
            .read()
            .values()
            .filter(|row| row.writer.id == id)
            .max_by_key(|row| row.writer.epoch)
            .cloned()
    }

    /// Claims a writer for this start (rule 3): from here on every change by another start is noticed. Takes the row as it finds it:
    /// what an earlier start wrote may arrive until then.
    pub(crate) fn claim(&self, row: &WriterRow, start: StartId) -> Result<WriterRow, Error> {
        let mut row = row.clone();
        for _ in 0..SETTLE_ATTEMPTS {
            let claimed = WriterRow { start, ..row.clone() };
            match self.try_change(&row, &claimed)? {
                Changed::Applied => return Ok(self.remember(claimed)),
                Changed::Moved(Some(found)) => row = WriterRow::decode(&found).map_err(StoreError::from)?,
                Changed::Moved(None) => return Err(Error::Corrupt(format!("the row of {} is gone", row.writer.id))),
            }
        }
        Err(unsettled(&row.writer.id))
    }

    /// Registers a writer that is not there: a new log, or the next epoch of one, which goes by what `before` kept.
    pub(crate) fn create(
        &self,
        writer: WriterId,
        start: StartId,
        before: Option<&WriterRow>,
    ) -> Result<WriterRow, Error> {
        for _ in 0..SETTLE_ATTEMPTS {
            let next = self.next_number()?;
            let number = WriterNumber(next.unwrap_or(1));
            let row = WriterRow {
                number,
                writer: writer.clone(),
                state: WriterState::Active,
                start,
                applied: Position::ZERO,
                pending: None,
                policies: before.map_or(0, |before| before.policies),
                resume: before.map(|before| before.resume.clone()).unwrap_or_default(),
                pending_resume: Vec::new(),
            };
            let (key, value) = (row_key(&writer), row.encoded());
            let old = next.map(encode_number);
            let mut rows = Batch::new();
            rows.push(Row {
                address: address(NEXT),
                position: 0,
                value: &encode_number(number.0.saturating_add(1)),
            });
            rows.push(Row {
                address: address(&key),
                position: 0,
                value: &value,
            });
            let conditions = [
                Condition {
                    address: address(NEXT),
                    value: old.as_deref(),
                },
                Condition {
                    address: address(&key),
                    value: None,
                },
            ];
            match self.store.swap(Swap {
                conditions: &conditions,
                rows: &rows,
                gone: &tally_store::Addresses::new(),
            })? {
                Swapped::Applied => return Ok(self.remember(row)),
                Swapped::Refused(found) => match found.get(1) {
                    // The outcome of an earlier try was unknown, and it was applied.
                    Some(Some(found)) if *found == value => return Ok(self.remember(row)),
                    // An earlier start registered it, and its write arrived late: it is claimed like any other.
                    Some(Some(found)) => {
                        let found = WriterRow::decode(found).map_err(StoreError::from)?;
                        return self.claim(&found, start);
                    }
                    _ => {}
                },
                Swapped::Unknown => {}
            }
        }
        Err(Error::Unavailable(
            "the store did not settle the registration of a writer".to_owned(),
        ))
    }

    /// Changes a row from what it was to what it is to be. A row that moved otherwise means a successor or a twin.
    pub(crate) fn change(&self, from: &WriterRow, to: WriterRow) -> Result<WriterRow, Error> {
        match self.try_change(from, &to)? {
            Changed::Applied => Ok(self.remember(to)),
            Changed::Moved(_) if planted!(TakeoverIgnored) => Ok(self.remember(to)),
            Changed::Moved(_) => Err(taken_over(&from.writer)),
        }
    }

    fn try_change(&self, from: &WriterRow, to: &WriterRow) -> Result<Changed, Error> {
        let key = row_key(&from.writer);
        let (old, new) = (from.encoded(), to.encoded());
        let mut rows = Batch::new();
        rows.push(Row {
            address: address(&key),
            position: 0,
            value: &new,
        });
        let conditions = [Condition {
            address: address(&key),
            value: Some(&old),
        }];
        for _ in 0..SETTLE_ATTEMPTS {
            match self.store.swap(Swap {
                conditions: &conditions,
                rows: &rows,
                gone: &tally_store::Addresses::new(),
            })? {
                Swapped::Applied => return Ok(Changed::Applied),
                Swapped::Refused(found) => {
                    let found = found.into_iter().next().flatten();
                    return Ok(if found.as_ref() == Some(&new) {
                        Changed::Applied
                    } else {
                        Changed::Moved(found)
                    });
                }
                Swapped::Unknown if planted!(UnknownIsApplied) => return Ok(Changed::Applied),
                Swapped::Unknown => {}
            }
        }
        Err(unsettled(&from.writer.id))
    }

    fn remember(&self, row: WriterRow) -> WriterRow {
        self.rows.write().insert(row.number, row.clone());
        self.claimed.write().insert(row.number);
        row
    }

    fn next_number(&self) -> Result<Option<u32>, StoreError> {
        let mut next = None;
        let mut addresses = tally_store::Addresses::new();
        addresses.push_with(Table::Writers, 0, |out| out.extend_from_slice(NEXT));
        self.store.get(&addresses, &mut |_, row| {
            next = Some(Reader::new("next writer number", row.value).varint()?);
            Ok(())
        })?;
        Ok(next)
    }
}

fn read_all(store: &dyn Store) -> Result<BTreeMap<WriterNumber, WriterRow>, StoreError> {
    let mut rows = BTreeMap::new();
    let mut cursor = Vec::new();
    loop {
        let next = store.walk(Table::Writers, &cursor, 1_000, &mut |_, row| {
            if row.address.key != NEXT {
                let writer = WriterRow::decode(row.value)?;
                rows.insert(writer.number, writer);
            }
            Ok(())
        })?;
        let Some(next) = next else { return Ok(rows) };
        cursor = next;
    }
}

fn taken_over(writer: &WriterId) -> Error {
    Error::Failed(format!(
        "another process has taken over the writer {} (epoch {}): this one stops; what it had not yet put into the store is in its journal",
        writer.id, writer.epoch
    ))
}

fn unsettled(id: &str) -> Error {
    Error::Unavailable(format!("the store did not settle a change of the writer {id}"))
}

fn encode_number(number: u32) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, number.into());
    out
}

fn row_key(writer: &WriterId) -> Vec<u8> {
    let mut key = b"w".to_vec();
    key.extend_from_slice(writer.id.as_bytes());
    key.push(0);
    key.extend(writer.epoch.to_be_bytes());
    key
}

fn address(key: &[u8]) -> Address<'_> {
    Address {
        table: Table::Writers,
        slot: 0,
        key,
    }
}
