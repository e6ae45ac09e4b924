//! Copies partitions of strong counters. A partition is one history: it is taken over whole, or left as it is. Guards: what was counted
//! in the other store is never replaced unless the history that comes goes on from there, which a row beside the version says; a
//! partition that is half copied is refused by every node until the copy has come to its end. Does not: merge two histories.

use tally_counter::{Reader, put_bytes};
use tally_store::{
    Addresses, Batch, Condition, Range, Row, STRONG_PARTITIONS, Store, StoreError, Swap, Swapped, Table,
};

use crate::Error;
use crate::copy::{CopyEnd, There, absent};

use super::commit::{address, row};
use super::version;

/// The key of the row that says what a partition was copied from.
const ORIGIN: &[u8] = &[3];
/// What keys of rows other than versions begin with.
const ROWS_OF: &[u8] = &[2];
/// The version of a partition that is being copied: no node goes by it.
pub(super) const UNDER_WAY: &[u8] = &[];
/// Rows of one conditional batch, and bytes of them, about.
const BATCH_ROWS: usize = 500;
const BATCH_BYTES: usize = 256 << 10;
/// Rows that are read at once.
const AT_ONCE: usize = 2_000;
/// How often a batch of unknown outcome is sent again.
const ATTEMPTS: usize = 100;

/// Where a partition was copied from: the store's id, and the version that it had.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    id: String,
    version: Vec<u8>,
}

/// What a partition stands at in one store.
#[derive(Debug, Default)]
struct Stands {
    version: Option<Vec<u8>>,
    origin: Option<Origin>,
}

/// Partitions that are to be taken over, by number; checked before anything is written.
pub(crate) struct Plan {
    parts: Vec<Option<Takeover>>,
}

/// A partition that is to be taken over.
struct Takeover {
    slot: u16,
    /// The version that comes.
    version: Vec<u8>,
    /// The one that it replaces.
    old: Option<Vec<u8>>,
    begun: bool,
    done: bool,
}

impl Plan {
    /// What is to be done; an error where both stores have counted.
    pub(crate) fn of(from: CopyEnd<'_>, to: CopyEnd<'_>) -> Result<Self, Error> {
        let mut parts = Vec::new();
        for number in 0..STRONG_PARTITIONS {
            let slot = super::first_slot(number);
            let here = stands(from.store.as_ref(), slot)?;
            let there = stands(to.store.as_ref(), slot)?;
            let comes = is_to_come(&here, from.id, &there, to.id)
                .map_err(|why| Error::Conflict(format!("strong counters of partition {number}: {why}")))?;
            parts.push(comes.then(|| Takeover {
                slot,
                version: here.version.unwrap_or_default(),
                old: there.version,
                begun: false,
                done: false,
            }));
        }
        Ok(Self { parts })
    }

    /// Brings them over; the rows that were read. What was interrupted begins with its partition again.
    pub(crate) fn copy(
        &mut self,
        from: CopyEnd<'_>,
        to: CopyEnd<'_>,
        told: &mut dyn FnMut(u64, u16) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let store = to.store.as_ref();
        let rows = walk(
            from.store.as_ref(),
            &mut |part, some| {
                for earlier in self.parts.iter_mut().take(usize::from(part)).flatten() {
                    earlier.end(store, from.id)?;
                }
                match self.parts.get_mut(usize::from(part)) {
                    Some(Some(takeover)) => takeover.put(store, from.id, some),
                    _ => Ok(()),
                }
            },
            told,
        )?;
        for takeover in self.parts.iter_mut().flatten() {
            takeover.end(store, from.id)?;
        }
        Ok(rows)
    }
}

/// Reads both: every row of a partition that stands at the version of the other store is there. The rows that were compared.
pub(crate) fn verify(
    from: CopyEnd<'_>,
    to: CopyEnd<'_>,
    told: &mut dyn FnMut(u64, u16) -> Result<(), Error>,
) -> Result<u64, Error> {
    let mut ahead = Vec::new();
    for number in 0..STRONG_PARTITIONS {
        let slot = super::first_slot(number);
        let (here, there) = (stands(from.store.as_ref(), slot)?, stands(to.store.as_ref(), slot)?);
        // Not to come, and not the same: the other store has gone on from it.
        ahead.push(here.version != there.version && !is_to_come(&here, from.id, &there, to.id).unwrap_or(true));
    }
    let mut lacking = 0_u64;
    let rows = walk(
        from.store.as_ref(),
        &mut |part, some| {
            if ahead.get(usize::from(part)) != Some(&true) {
                lacking = lacking.saturating_add(absent(to.store.as_ref(), some, There::Same)?);
            }
            Ok(())
        },
        told,
    )?;
    if lacking > 0 {
        return Err(Error::Corrupt(format!(
            "{lacking} of {rows} rows of strong counters are not in the copy as they are here: copy again"
        )));
    }
    Ok(rows)
}

impl Takeover {
    /// From here on no node reads it, and nothing of what it replaces is there.
    fn begin(&mut self, store: &dyn Store, id: &str) -> Result<(), Error> {
        if self.begun {
            return Ok(());
        }
        let mut origin = Vec::new();
        put_bytes(&mut origin, id.as_bytes());
        origin.extend_from_slice(&self.version);
        let mut rows = Batch::new();
        let zero = tally_counter::Position::ZERO;
        rows.push(row(self.slot, version::KEY, zero, UNDER_WAY));
        rows.push(row(self.slot, ORIGIN, zero, &origin));
        let old = self.old.take();
        self.swap(store, old.as_deref(), &rows, &Addresses::new(), UNDER_WAY)?;
        self.begun = true;
        if old.is_none() {
            return Ok(());
        }
        let mut gone = Addresses::new();
        let slots = tally_counter::SLOTS / STRONG_PARTITIONS;
        for slot in self.slot..self.slot.saturating_add(slots) {
            let range = Range {
                table: Table::Strong,
                slot,
                prefix: ROWS_OF,
                from: &[],
                limit: usize::MAX,
            };
            store.scan(&[range], &mut |_, row| {
                let key = row.address.key;
                gone.push_with(Table::Strong, slot, |out| out.extend_from_slice(key));
                Ok(())
            })?;
            if gone.len() >= BATCH_ROWS {
                self.swap(
                    store,
                    Some(UNDER_WAY),
                    &Batch::new(),
                    &std::mem::take(&mut gone),
                    UNDER_WAY,
                )?;
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        self.swap(store, Some(UNDER_WAY), &Batch::new(), &gone, UNDER_WAY)
    }

    fn put(&mut self, store: &dyn Store, id: &str, some: &Batch) -> Result<(), Error> {
        self.begin(store, id)?;
        let (mut rows, mut bytes) = (Batch::new(), 0_usize);
        for row in some.rows() {
            rows.push(row);
            bytes = bytes
                .saturating_add(row.address.key.len())
                .saturating_add(row.value.len());
            if rows.len() >= BATCH_ROWS || bytes >= BATCH_BYTES {
                self.swap(
                    store,
                    Some(UNDER_WAY),
                    &std::mem::take(&mut rows),
                    &Addresses::new(),
                    UNDER_WAY,
                )?;
                bytes = 0;
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        self.swap(store, Some(UNDER_WAY), &rows, &Addresses::new(), UNDER_WAY)
    }

    /// All of it is there: nodes may go on from it.
    fn end(&mut self, store: &dyn Store, id: &str) -> Result<(), Error> {
        if self.done {
            return Ok(());
        }
        self.begin(store, id)?;
        let position = version::Version::decode(&self.version)
            .map_err(StoreError::from)?
            .position;
        store.durable()?;
        let mut rows = Batch::new();
        rows.push(row(self.slot, version::KEY, position, &self.version));
        self.swap(store, Some(UNDER_WAY), &rows, &Addresses::new(), &self.version)?;
        self.done = true;
        Ok(())
    }

    /// One batch on the condition of the version, which then is `becomes`.
    fn swap(
        &self,
        store: &dyn Store,
        known: Option<&[u8]>,
        rows: &Batch,
        gone: &Addresses,
        becomes: &[u8],
    ) -> Result<(), Error> {
        let conditions = [Condition {
            address: address(self.slot, version::KEY),
            value: known,
        }];
        let swap = Swap {
            conditions: &conditions,
            rows,
            gone,
        };
        for _ in 0..ATTEMPTS {
            match store.swap(swap)? {
                Swapped::Applied => return Ok(()),
                Swapped::Refused(found) if found.first().and_then(Option::as_deref) == Some(becomes) => return Ok(()),
                Swapped::Refused(_) => {
                    return Err(Error::Conflict(
                        "a node changes the strong counters that are being copied: stop it first".to_owned(),
                    ));
                }
                Swapped::Unknown => {}
            }
        }
        Err(Error::Unavailable(
            "the store does not say what became of strong counters that are being copied".to_owned(),
        ))
    }
}

/// Whether a partition is to be taken over; an error where each store has counted what the other has not.
fn is_to_come(here: &Stands, here_id: &str, there: &Stands, there_id: &str) -> Result<bool, &'static str> {
    let copied_from = |one: &Stands, id: &str| {
        one.origin
            .as_ref()
            .filter(|origin| origin.id == id)
            .map(|origin| origin.version.clone())
    };
    let is_under_way = |one: &Stands| one.version.as_deref() == Some(UNDER_WAY);
    if is_under_way(here) {
        return Err("a copy into the store that is to be copied was interrupted: bring that one to its end first");
    }
    let Some(version) = &here.version else { return Ok(false) };
    if is_under_way(there) {
        return match copied_from(there, here_id) {
            Some(_) => Ok(true),
            None => Err("a copy of another store was interrupted there: bring that one to its end first"),
        };
    }
    let Some(old) = &there.version else { return Ok(true) };
    let (mine, theirs) = (copied_from(here, there_id), copied_from(there, here_id));
    if old == version {
        Ok(false)
    } else if mine.as_ref() == Some(old) || theirs.as_ref() == Some(old) {
        // It goes on from what is there; or nothing was counted there since it was copied from here.
        Ok(true)
    } else if mine.as_ref() == Some(version) || theirs.as_ref() == Some(version) {
        // What is there goes on from this.
        Ok(false)
    } else {
        Err("both stores have counted, and two histories cannot be made one; nothing was copied")
    }
}

fn stands(store: &dyn Store, slot: u16) -> Result<Stands, Error> {
    let mut addresses = Addresses::new();
    for key in [version::KEY, ORIGIN] {
        addresses.push_with(Table::Strong, slot, |out| out.extend_from_slice(key));
    }
    let mut stands = Stands::default();
    store.get(&addresses, &mut |index, row| {
        if index == 0 {
            stands.version = Some(row.value.to_vec());
        } else {
            let mut reader = Reader::new("origin of a partition", row.value);
            stands.origin = Some(Origin {
                id: reader.text()?.to_owned(),
                version: reader.take(reader.remaining())?.to_vec(),
            });
        }
        Ok(())
    })?;
    Ok(stands)
}

/// All rows but versions, some of one partition at a time, partitions in their order; how many there were.
fn walk(
    store: &dyn Store,
    each: &mut dyn FnMut(u16, &Batch) -> Result<(), Error>,
    told: &mut dyn FnMut(u64, u16) -> Result<(), Error>,
) -> Result<u64, Error> {
    let (mut cursor, mut read) = (Vec::new(), 0_u64);
    loop {
        let mut parts: Vec<(u16, Batch)> = Vec::new();
        let next = store.walk(Table::Strong, &cursor, AT_ONCE, &mut |_, row: Row<'_>| {
            if !row.address.key.starts_with(ROWS_OF) {
                return Ok::<(), StoreError>(());
            }
            read = read.saturating_add(1);
            let part = Table::Strong.partition(row.address.slot);
            match parts.last_mut() {
                Some((last, rows)) if *last == part => rows.push(row),
                _ => {
                    let mut rows = Batch::new();
                    rows.push(row);
                    parts.push((part, rows));
                }
            }
            Ok(())
        })?;
        for (part, rows) in &parts {
            each(*part, rows)?;
            told(read, *part)?;
        }
        match next {
            Some(next) => cursor = next,
            None => return Ok(read),
        }
    }
}
