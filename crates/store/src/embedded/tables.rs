//! The keyspaces, one a table, and how each is laid out on disk.

use fjall::config::{BlockSizePolicy, CompressionPolicy, RestartIntervalPolicy};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions};

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
}

impl Tables {
    pub(super) fn open(database: &Database, settings: &EmbeddedSettings) -> Result<Self, StoreError> {
        let open = |table| {
            database
                .keyspace(name(table), || options(table, settings))
                .map_err(failure::open)
        };
        Ok(Self {
            counters: open(Table::Counters)?,
            windows: open(Table::Windows)?,
            names: open(Table::Names)?,
            tokens: open(Table::Tokens)?,
            ledger: open(Table::Ledger)?,
            policies: open(Table::Policies)?,
            writers: open(Table::Writers)?,
        })
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
        }
    }
}

fn name(table: Table) -> &'static str {
    match table {
        Table::Counters => "counters",
        Table::Windows => "windows",
        Table::Names => "names",
        Table::Tokens => "tokens",
        Table::Ledger => "ledger",
        Table::Policies => "policies",
        Table::Writers => "writers",
    }
}

fn options(table: Table, settings: &EmbeddedSettings) -> KeyspaceCreateOptions {
    let memtable_bytes = match table {
        Table::Counters | Table::Windows | Table::Names | Table::Tokens => settings.memtable_bytes,
        Table::Ledger | Table::Policies | Table::Writers => settings.memtable_bytes / 4,
    };
    KeyspaceCreateOptions::default()
        .manual_journal_persist(true)
        .max_memtable_size(memtable_bytes)
        .data_block_size_policy(BlockSizePolicy::all(4_096))
        .data_block_restart_interval_policy(RestartIntervalPolicy::all(16))
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
}
