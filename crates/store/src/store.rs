//! The trait. What it says in prose is what the contract suite checks and all the engine relies on.

use crate::{Address, Addresses, Batch, Row, StoreError};

/// The tables of a store. What a row's key and value mean is the domain's business (`tally_counter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Heads, cells and what left the retention, by counter (`tally_counter::row_key`).
    Counters,
    /// Windows, by counter.
    Windows,
    /// The names of counters: the key is the name, read in name order by [`Store::names`]. The slot is the name's.
    Names,
    /// Tokens.
    Tokens,
    /// The ledger.
    Ledger,
    /// Policies and rules, by name and version.
    Policies,
    /// Writers' rows: touched only by [`Store::swap`].
    Writers,
    /// Heartbeats of the nodes that share the store.
    Nodes,
    /// Strong counters, all their rows: touched only by [`Store::swap`]. Neighbouring slots are one partition.
    Strong,
}

/// How many partitions [`Table::Strong`] has, each of as many neighbouring slots: fixed for ever, since a partition has one version.
pub const STRONG_PARTITIONS: u16 = 16;

impl Table {
    /// All.
    pub const ALL: [Self; 9] = [
        Self::Counters,
        Self::Windows,
        Self::Names,
        Self::Tokens,
        Self::Ledger,
        Self::Policies,
        Self::Writers,
        Self::Nodes,
        Self::Strong,
    ];

    /// Whether its rows are touched only by [`Store::swap`].
    pub fn is_conditional(self) -> bool {
        matches!(self, Self::Writers | Self::Strong)
    }

    /// Which slots' rows one conditional write may span.
    pub fn partition(self, slot: u16) -> u16 {
        match self {
            Self::Strong => slot / (tally_counter::SLOTS / STRONG_PARTITIONS),
            _ => slot,
        }
    }
}

/// What the caller of [`Store::put`] knows about other writes of the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Nothing: the store compares positions, whatever that costs.
    Any,
    /// The caller is the only writer of these rows and never puts a smaller position after a larger one, nor two values at
    /// one position: a round that was claimed. A back end for which comparing costs a read may leave it out, and then the
    /// last put stands.
    Growing,
}

/// A stretch of rows to be read: all whose key begins with a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range<'a> {
    /// In which table; not [`Table::Names`], which are read by [`Store::names`].
    pub table: Table,
    /// In which slot.
    pub slot: u16,
    /// What the keys begin with.
    pub prefix: &'a [u8],
    /// Only keys at or after this one; empty: from the first.
    pub from: &'a [u8],
    /// At most this many rows, the first ones in the order of their keys.
    pub limit: usize,
}

/// A place among all names in slot order: the slot, and the name's 32-bit hash within it. It needs no state in the store, and
/// names with the same slot and hash are always answered together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameCursor {
    /// Which slot.
    pub slot: u16,
    /// From which hash on.
    pub hash: u32,
}

/// Called for each row found, with the index of the address or range it answers.
pub type Visit<'v> = dyn FnMut(usize, Row<'_>) -> Result<(), StoreError> + 'v;

/// A row that must stand as said before a conditional write is applied.
#[derive(Clone, Copy, Debug)]
pub struct Condition<'a> {
    /// Which row.
    pub address: Address<'a>,
    /// The value it must have; `None`: it must not be there.
    pub value: Option<&'a [u8]>,
}

/// A conditional write within one partition: all of it happens, or none.
#[derive(Clone, Copy, Debug)]
pub struct Swap<'a> {
    /// What must hold. Every address has the same table and partition ([`Table::partition`]).
    pub conditions: &'a [Condition<'a>],
    /// What is put then, whatever the positions; same table and partition.
    pub rows: &'a Batch,
    /// What is removed then, whatever the positions; same table and partition, and no row that is put.
    pub gone: &'a Addresses,
}

/// What became of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// The conditions held, every row is put.
    Applied,
    /// A condition did not hold, nothing was put. What the conditions' rows hold now, in their order.
    Refused(Vec<Option<Vec<u8>>>),
    /// It may be applied already, later, or never. Settled only by repeating it until it applied or the rows have moved on.
    Unknown,
}

/// A back end.
///
/// **A row is atomic, a batch is not.** What `put` was given may be applied in part, in any order, twice, or late (even after
/// an error was returned, and after later calls); a row with a smaller position never replaces one with a larger, and at
/// equal positions the larger value stands. Reads see every row that an earlier `put` of the same process returned `Ok` for,
/// and may see more. Nothing is safe from the loss of power until `durable` has returned.
///
/// Calls block: they are made from threads that may wait, never from async workers. All methods may be called at once from
/// several threads.
pub trait Store: Send + Sync {
    /// Writes rows. An error means that any of them may have been applied, or may be later.
    fn put(&self, rows: &Batch, order: Order) -> Result<(), StoreError>;

    /// Removes each row unless it stands at a larger position than the one given (the position it was read at): a newer write
    /// stays, one at or below it that comes late stays hidden **or** comes back, and is ignored and swept again by the
    /// caller. Values in the batch are ignored.
    fn remove(&self, rows: &Batch) -> Result<(), StoreError>;

    /// Reads rows: `visit` is called for each that is there, with its index in `addresses`, in any order.
    fn get(&self, addresses: &Addresses, visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// Reads stretches: `visit` is called for each row with the index of its range, within a range in the order of the keys.
    fn scan(&self, ranges: &[Range<'_>], visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// The rows of [`Table::Names`] whose name begins with `prefix` and comes after `after`, in the order of the names' bytes,
    /// at most `limit`.
    fn names(&self, prefix: &[u8], after: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// Names of counters in slot order from `cursor` on (inclusive): at least `limit` of them, unless there are fewer, and all
    /// that share slot and hash with one that is answered. Answers where to go on, `None` at the end. A name that is there
    /// during the whole walk (in [`Table::Names`] and with a row in [`Table::Counters`]) is answered at least once; one that
    /// was removed lately, or has only one of the two, may be answered too. `visit` gets rows of which only the address
    /// counts (table `Names`).
    fn names_by_slot(
        &self,
        cursor: NameCursor,
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<NameCursor>, StoreError>;

    /// Walks a whole table in an order of the back end's own, from where `cursor` (an earlier answer; empty: the start) points to,
    /// at most `limit` rows. Answers where to go on, `None` at the end. Rows written during the walk may be missed.
    fn walk(
        &self,
        table: Table,
        cursor: &[u8],
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Vec<u8>>, StoreError>;

    /// A conditional write within one partition. It is serial with every other one on the same rows; its outcome may be
    /// unknown, and an error says as little as [`Swapped::Unknown`].
    fn swap(&self, swap: Swap<'_>) -> Result<Swapped, StoreError>;

    /// Returns only when everything that earlier calls put, removed or swapped would survive the loss of power.
    fn durable(&self) -> Result<(), StoreError>;

    /// Nothing has been written for a while: what a back end collects in memory to write it at once may go to disk now, so that an idle
    /// process holds none of it. `true`: it is to be called once more, soon. Says nothing of what is durable.
    fn rest(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Whether nothing is left of a row once it is removed, and no write ever comes late: a smaller position may then be put where
    /// a larger one was removed. A back end on one disk can say so; one that keeps tombstones, or repeats writes, cannot.
    fn forgets(&self) -> bool {
        false
    }

    /// The bytes it takes on disk, for metrics; `None` where it cannot tell.
    fn size_bytes(&self) -> Option<u64> {
        None
    }
}
