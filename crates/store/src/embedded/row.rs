//! The bytes of rows in fjall: the key is the slot (two bytes, big-endian, so that slots sort) and the row's key; the value is
//! the position as a varint and the row's value. Names are keyed by the name alone, so that name order is the keyspace's order.

use tally_counter::{Corrupt, Reader, Slot, put_varint};

use crate::{Address, Row, Table};

/// Replaces `out` by the key of `address`.
pub(super) fn write_key(address: Address<'_>, out: &mut Vec<u8>) {
    write_prefix(address.table, address.slot, address.key, out);
}

/// Replaces `out` by what the keys of a range begin with.
pub(super) fn write_prefix(table: Table, slot: u16, prefix: &[u8], out: &mut Vec<u8>) {
    out.clear();
    if table != Table::Names {
        out.extend(slot.to_be_bytes());
    }
    out.extend_from_slice(prefix);
}

/// Replaces `out` by a row's value with its position.
pub(super) fn write_value(row: Row<'_>, out: &mut Vec<u8>) {
    out.clear();
    put_varint(out, row.position.into());
    out.extend_from_slice(row.value);
}

/// The address of a row with this key.
pub(super) fn read_key(table: Table, key: &[u8]) -> Result<Address<'_>, Corrupt> {
    if table == Table::Names {
        return Ok(Address {
            table,
            slot: Slot::of(key).number(),
            key,
        });
    }
    let (slot, key) = key.split_first_chunk::<2>().ok_or(Corrupt {
        what: "row's slot",
        at: key.len(),
    })?;
    Ok(Address {
        table,
        slot: u16::from_be_bytes(*slot),
        key,
    })
}

/// Position and value.
pub(super) fn read_value(bytes: &[u8]) -> Result<(u64, &[u8]), Corrupt> {
    let mut reader = Reader::new("row's position", bytes);
    let position = reader.varint()?;
    Ok((position, reader.take(reader.remaining())?))
}
