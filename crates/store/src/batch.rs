//! Rows on their way to and from a store: many of them in one buffer, so that a round of a million rows is two allocations.

use crate::Table;

/// A row: its address, what ranks it against other writes of itself, and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// Where it stands.
    pub address: Address<'a>,
    /// The larger position wins; at equal ones the larger value. Below 2^63.
    pub position: u64,
    /// What it holds.
    pub value: &'a [u8],
}

/// Where a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address<'a> {
    /// In which table.
    pub table: Table,
    /// In which hash range; a back end groups slots into partitions as it likes. Zero for tables that have none.
    pub slot: u16,
    /// Under which key, sorted by its bytes within slot and table.
    pub key: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    table: Table,
    slot: u16,
    key_at: usize,
    value_at: usize,
    end: usize,
    position: u64,
}

/// Rows to be put, or to be removed.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

impl Batch {
    /// Without rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a row; `write_key` and `write_value` append the bytes.
    pub fn push_with(
        &mut self,
        table: Table,
        slot: u16,
        position: u64,
        write_key: impl FnOnce(&mut Vec<u8>),
        write_value: impl FnOnce(&mut Vec<u8>),
    ) {
        let key_at = self.bytes.len();
        write_key(&mut self.bytes);
        let value_at = self.bytes.len();
        write_value(&mut self.bytes);
        self.entries.push(Entry {
            table,
            slot,
            key_at,
            value_at,
            end: self.bytes.len(),
            position,
        });
    }

    /// Appends a row.
    pub fn push(&mut self, row: Row<'_>) {
        let Address { table, slot, key } = row.address;
        self.push_with(
            table,
            slot,
            row.position,
            |out| out.extend_from_slice(key),
            |out| out.extend_from_slice(row.value),
        );
    }

    /// The rows, in the order they were appended.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> + '_ {
        self.entries.iter().map(|entry| Row {
            address: Address {
                table: entry.table,
                slot: entry.slot,
                key: self.bytes.get(entry.key_at..entry.value_at).unwrap_or_default(),
            },
            position: entry.position,
            value: self.bytes.get(entry.value_at..entry.end).unwrap_or_default(),
        })
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes of all keys and values.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Takes all rows out and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }
}

/// Addresses to be read.
#[derive(Debug, Default)]
pub struct Addresses(Batch);

impl Addresses {
    /// Without addresses.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one; `write_key` appends the key's bytes.
    pub fn push_with(&mut self, table: Table, slot: u16, write_key: impl FnOnce(&mut Vec<u8>)) {
        self.0.push_with(table, slot, 0, write_key, |_| {});
    }

    /// The addresses, in the order they were appended.
    pub fn iter(&self) -> impl Iterator<Item = Address<'_>> + '_ {
        self.0.rows().map(|row| row.address)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes all out and keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
