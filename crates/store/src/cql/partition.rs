//! In which partition a row stands, and its clustering key. Rows with slots are grouped in buckets of neighbouring slots, so that
//! buckets sort as slots do; their keys begin with the slot. Names have shards of their own, by hash; small tables are one
//! partition, which is what conditional writes need.

use tally_counter::{Corrupt, SLOTS, Slot, slot_hash};

use super::CqlPartitions;
use crate::{Address, STRONG_PARTITIONS, StoreError, Table};

/// Beyond every key: slots are below 2^14, and no name has a byte of 0xff.
pub(super) const PAST_ALL: [u8; 1] = [u8::MAX];

/// How a keyspace's rows are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Partitions {
    numbers: CqlPartitions,
    /// The number of the first one, of every table.
    first: i32,
}

impl Partitions {
    /// Refuses numbers that no keyspace can have.
    pub(super) fn new(numbers: CqlPartitions, first: i32) -> Result<Self, StoreError> {
        let CqlPartitions { buckets, names } = numbers;
        if !buckets.is_power_of_two() || buckets > SLOTS || names == 0 {
            return Err(StoreError::Refused(format!(
                "{buckets} partitions of counters and {names} of names cannot be: a power of two up to {SLOTS}, and at least one"
            )));
        }
        Ok(Self { numbers, first })
    }

    pub(super) fn numbers(self) -> CqlPartitions {
        self.numbers
    }

    /// How the cluster knows a partition.
    pub(super) fn number(self, place: u16) -> i32 {
        self.first.saturating_add(i32::from(place))
    }

    /// How many partitions a table has.
    pub(super) fn count(self, table: Table) -> u16 {
        match table {
            Table::Counters | Table::Windows | Table::Tokens => self.numbers.buckets,
            Table::Names => self.numbers.names,
            Table::Strong => STRONG_PARTITIONS,
            Table::Ledger | Table::Policies | Table::Writers | Table::Nodes => 1,
        }
    }

    /// The partition of a slot.
    pub(super) fn of_slot(self, table: Table, slot: u16) -> u16 {
        let count = u32::from(self.count(table));
        u16::try_from(u32::from(slot) * count / u32::from(SLOTS)).unwrap_or(0)
    }

    /// The partition of a row.
    pub(super) fn of(self, address: Address<'_>) -> u16 {
        if address.table == Table::Names {
            let hash = slot_hash(address.key) % u32::from(self.numbers.names);
            return u16::try_from(hash).unwrap_or(0);
        }
        self.of_slot(address.table, address.slot)
    }
}

/// Appends a row's clustering key, or what the keys of a range begin with.
pub(super) fn put_key(table: Table, slot: u16, key: &[u8], out: &mut Vec<u8>) {
    if table != Table::Names {
        out.extend(slot.to_be_bytes());
    }
    out.extend_from_slice(key);
}

/// The address of a row with this clustering key.
pub(super) fn read_key(table: Table, key: &[u8]) -> Result<Address<'_>, Corrupt> {
    if table == Table::Names {
        let slot = Slot::of(key).number();
        return Ok(Address { table, slot, key });
    }
    let (slot, key) = key.split_first_chunk::<2>().ok_or(Corrupt {
        what: "row's slot",
        at: key.len(),
    })?;
    let slot = u16::from_be_bytes(*slot);
    Ok(Address { table, slot, key })
}

/// The end of all keys that begin with `prefix`, exclusive.
pub(super) fn past(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    PAST_ALL.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_the_order_of_slots_and_of_one_size() {
        for buckets in [1, 16, 1_024, SLOTS] {
            let partitions = Partitions::new(CqlPartitions { buckets, names: 3 }, 0).unwrap();
            let mut sizes = vec![0_u16; usize::from(buckets)];
            let mut last = 0;
            for slot in 0..SLOTS {
                let bucket = partitions.of_slot(Table::Counters, slot);
                assert!(bucket >= last);
                last = bucket;
                sizes[usize::from(bucket)] += 1;
            }
            assert!(sizes.iter().all(|size| *size == SLOTS / buckets));
            assert_eq!(partitions.of_slot(Table::Writers, SLOTS - 1), 0);
        }
    }

    #[test]
    fn impossible_numbers_are_refused() {
        for (buckets, names) in [(0, 1), (3, 1), (32_768, 1), (16, 0)] {
            assert!(Partitions::new(CqlPartitions { buckets, names }, 0).is_err());
        }
    }

    #[test]
    fn the_end_of_a_prefix() {
        assert_eq!(past(b"ab"), b"ac");
        assert_eq!(past(b"a\xff"), b"b");
        assert_eq!(past(b""), PAST_ALL);
    }
}
