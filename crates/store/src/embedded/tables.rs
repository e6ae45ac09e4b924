//! The keyspaces, one a table, and how each is laid out on disk.

use std::path::Path;

use fjall::config::{BlockSizePolicy, CompressionPolicy, PinningPolicy, RestartIntervalPolicy};
use fjall::{AbstractTree, CompressionType, Database, Keyspace, KeyspaceCreateOptions};

use super::failure;
use crate::{StoreError, Table};

pub(super) struct Tables {
    counters: Keyspace,
    windows: Keyspace,
    names: Keyspace,
    tokens: Keyspace,
    ledger: Keyspace,
    policies: Keyspace,
    writers: Keyspace,
    nodes: Keyspace,
    strong: Keyspace,
}

impl Tables {
    pub(super) fn open(rows: &Path, database: &Database) -> Result<Self, StoreError> {
        let open = |table| {
            database
                .keyspace(name(table), || options(table))
                .map_err(|error| failure::open(rows, error))
        };
        Ok(Self {
            counters: open(Table::Counters)?,
            windows: open(Table::Windows)?,
            names: open(Table::Names)?,
            tokens: open(Table::Tokens)?,
            ledger: open(Table::Ledger)?,
            policies: open(Table::Policies)?,
            writers: open(Table::Writers)?,
            nodes: open(Table::Nodes)?,
            strong: open(Table::Strong)?,
        })
    }

    /// The newest row's number in any table on disk.
    pub(super) fn newest(&self) -> Option<u64> {
        let newest = |table| self.of(table).tree.get_highest_persisted_seqno();
        Table::ALL.into_iter().filter_map(newest).max()
    }

    /// What the table that has the most in memory is, and what all have together, as fjall reckons: keys, values and their fields.
    pub(super) fn in_memory(&self) -> (Option<Table>, u64) {
        let sizes = Table::ALL.map(|table| (self.memtable_bytes(table), table));
        let most = sizes.into_iter().max_by_key(|(bytes, _)| *bytes);
        (most.map(|(_, table)| table), sizes.iter().map(|(bytes, _)| bytes).sum())
    }

    /// What a table has in memory and does not write yet.
    pub(super) fn memtable_bytes(&self, table: Table) -> u64 {
        self.of(table).tree.active_memtable().size()
    }

    /// Memtables of all tables that are to be written and are not yet.
    pub(super) fn waiting(&self) -> usize {
        let tables = Table::ALL.iter().map(|table| self.of(*table));
        tables.map(Keyspace::sealed_memtable_count).sum()
    }

    pub(super) fn of(&self, table: Table) -> &Keyspace {
        match table {
            Table::Counters => &self.counters,
            Table::Windows => &self.windows,
            Table::Names => &self.names,
            Table::Tokens => &self.tokens,
            Table::Ledger => &self.ledger,
            Table::Policies => &self.policies,
            Table::Writers => &self.writers,
            Table::Nodes => &self.nodes,
            Table::Strong => &self.strong,
        }
    }
}

const BLOCK_BYTES: u32 = 8 * 1_024;
const RESTART_INTERVAL: u8 = 16;
/// fjall's own bound of what a table has in memory, which it keeps from when the directory was created; the store's own
/// ([`super::EmbeddedSettings::rows_bytes`]) comes first.
const MEMTABLE_BYTES: u64 = 64 << 20;

fn name(table: Table) -> &'static str {
    match table {
        Table::Counters => "counters",
        Table::Windows => "windows",
        Table::Names => "names",
        Table::Tokens => "tokens",
        Table::Ledger => "ledger",
        Table::Policies => "policies",
        Table::Writers => "writers",
        Table::Nodes => "nodes",
        Table::Strong => "strong",
    }
}

/// How a table is laid out. Measured on 1 million counters with 24-byte names, 12-byte cells and a name row each.
fn options(table: Table) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .manual_journal_persist(true)
        .max_memtable_size(MEMTABLE_BYTES)
        // Blocks of 4, 8, 16 KiB: 39.6, 37.7, 36.4 bytes a counter, all at the same speed while they are in the cache; a read
        // from disk is one block.
        .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
        // How often a key is written out in full within a block. From 8 to 64 neither size nor speed changed: LZ4 finds
        // what prefix truncation leaves.
        .data_block_restart_interval_policy(RestartIntervalPolicy::all(RESTART_INTERVAL))
        // On all levels; fjall leaves the upper two as they are, which is where most rows of a small store live.
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
        // Filters and indexes in parts of a few KiB on all levels; fjall leaves them whole on the upper three. A whole filter of a million
        // rows has 1.25 MB, does not fit a shard of a small cache, and was then read and checked anew for every row.
        .filter_block_partitioning_policy(PinningPolicy::all(true))
        .index_block_partitioning_policy(PinningPolicy::all(true))
        // Filters of ten bits a row on the last level answer for rows that are not there, ten times faster than reading: the
        // first add of every new counter asks so. Names are only walked.
        .expect_point_read_hits(table == Table::Names)
}
