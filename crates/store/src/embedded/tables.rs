//! The keyspaces, one a table, and how each is laid out on disk.

use std::path::Path;

use fjall::config::{BlockSizePolicy, CompressionPolicy, RestartIntervalPolicy};
use fjall::{AbstractTree, CompressionType, Database, Keyspace, KeyspaceCreateOptions};

use super::{EmbeddedSettings, failure};
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
    pub(super) fn open(rows: &Path, database: &Database, settings: &EmbeddedSettings) -> Result<Self, StoreError> {
        let open = |table| {
            database
                .keyspace(name(table), || options(table, settings))
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
fn options(table: Table, settings: &EmbeddedSettings) -> KeyspaceCreateOptions {
    let memtable_bytes = match table {
        Table::Counters | Table::Windows | Table::Names | Table::Tokens | Table::Strong => settings.memtable_bytes,
        Table::Ledger | Table::Policies | Table::Writers | Table::Nodes => settings.memtable_bytes / 4,
    };
    KeyspaceCreateOptions::default()
        .manual_journal_persist(true)
        .max_memtable_size(memtable_bytes)
        // Blocks of 4, 8, 16 KiB: 39.6, 37.7, 36.4 bytes a counter, all at the same speed while they are in the cache; a read
        // from disk is one block.
        .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
        // How often a key is written out in full within a block. From 8 to 64 neither size nor speed changed: LZ4 finds
        // what prefix truncation leaves.
        .data_block_restart_interval_policy(RestartIntervalPolicy::all(RESTART_INTERVAL))
        // On all levels; fjall leaves the upper two as they are, which is where most rows of a small store live.
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
        // Filters of ten bits a row on the last level answer for rows that are not there, ten times faster than reading: the
        // first add of every new counter asks so. Names are only walked.
        .expect_point_read_hits(table == Table::Names)
}
