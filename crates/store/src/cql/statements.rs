//! Every CQL statement there is. Guards the CQL rules, which a test here checks one by one: a row's write timestamp is its position
//! (rules 4, 5 and 11), deletes carry the position that was read (14), writers' rows are touched by conditional writes only
//! (3); no counters of the engine's own, no expiry by the engine's clock, no filtering, no batch over partitions.

use futures::future::{try_join, try_join_all, try_join4};
use scylla::client::session::Session;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;

use super::failure;
use crate::{StoreError, Table};

/// A table of the keyspace.
pub(super) fn name(table: Table) -> &'static str {
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

/// The table that says what the keyspace is.
pub(super) const META: &str = "meta";

/// Creates a table. `b` is the partition, `k` the key within it, `v` the value: one frozen value, whatever is in it. A writer's row
/// keeps its position beside it, since the timestamps of conditional writes are the engine's own. `made`: when the keyspace was made.
pub(super) fn create(keyspace: &str, table: Table, made: i64) -> String {
    let position = if table.is_conditional() { "p bigint, " } else { "" };
    let name = name(table);
    let id = table_id(keyspace, name, made);
    format!(
        "CREATE TABLE IF NOT EXISTS {keyspace}.{name} (b int, k blob, {position}v blob, PRIMARY KEY ((b), k)) WITH id = {id}"
    )
}

pub(super) fn create_meta(keyspace: &str, made: i64) -> String {
    let id = table_id(keyspace, META, made);
    format!("CREATE TABLE IF NOT EXISTS {keyspace}.{META} (k text PRIMARY KEY, v text) WITH id = {id}")
}

/// When a keyspace was made, by the clock of the node that did: the same on all nodes once they agree, and another one when it was
/// dropped and made again.
pub(super) const MADE: &str = "SELECT writetime(durable_writes) FROM system_schema.keyspaces WHERE keyspace_name = ?";

/// A table's id: the same from whichever node it is created. Cassandra takes a random one otherwise, and where two nodes create a table
/// at once, its own nodes then never agree.
fn table_id(keyspace: &str, table: &str, made: i64) -> String {
    let half = |salt: u64| {
        let bytes = [keyspace.as_bytes(), &[0], table.as_bytes(), &[0], &made.to_be_bytes()].concat();
        // FNV-1a, 64 bits.
        bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64 ^ salt, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    };
    let id = (u128::from(half(0)) << 64) | u128::from(half(0x5bd1_e995));
    // A UUID of a form of our own (version 8).
    let id = id & !(0xf << 76) & !(0x3 << 62) | (0x8 << 76) | (0x2 << 62);
    let digits = format!("{id:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or_default().to_owned());
    parts.join("-")
}

/// Says something of the keyspace, unless it is said already.
pub(super) fn put_meta(keyspace: &str) -> String {
    format!("INSERT INTO {keyspace}.{META} (k, v) VALUES (?, ?) IF NOT EXISTS")
}

pub(super) fn get_meta(keyspace: &str) -> String {
    format!("SELECT v FROM {keyspace}.{META} WHERE k = ?")
}

fn put(keyspace: &str, table: Table) -> String {
    format!(
        "INSERT INTO {keyspace}.{} (b, k, v) VALUES (?, ?, ?) USING TIMESTAMP ?",
        name(table)
    )
}

fn remove(keyspace: &str, table: Table) -> String {
    format!(
        "DELETE FROM {keyspace}.{} USING TIMESTAMP ? WHERE b = ? AND k = ?",
        name(table)
    )
}

fn position(table: Table) -> &'static str {
    if table.is_conditional() { "p" } else { "writetime(v)" }
}

fn get(keyspace: &str, table: Table) -> String {
    format!(
        "SELECT k, v, {} FROM {keyspace}.{} WHERE b = ? AND k IN ?",
        position(table),
        name(table)
    )
}

fn stretch(keyspace: &str, table: Table) -> String {
    format!(
        "SELECT k, v, {} FROM {keyspace}.{} WHERE b = ? AND k >= ? AND k < ? LIMIT ?",
        position(table),
        name(table)
    )
}

/// Puts a row if it has a value, or (null) if it is not there.
fn swap(keyspace: &str, table: Table) -> String {
    format!(
        "UPDATE {keyspace}.{} SET p = ?, v = ? WHERE b = ? AND k = ? IF v = ?",
        name(table)
    )
}

/// Leaves a row as the condition says that it is.
fn hold(keyspace: &str, table: Table) -> String {
    format!(
        "UPDATE {keyspace}.{} SET v = ? WHERE b = ? AND k = ? IF v = ?",
        name(table)
    )
}

/// Puts a row on the conditions of the others of its batch: never sent alone.
fn along(keyspace: &str, table: Table) -> String {
    format!(
        "UPDATE {keyspace}.{} SET p = ?, v = ? WHERE b = ? AND k = ?",
        name(table)
    )
}

/// Removes a row on the conditions of the others of its batch: never sent alone.
fn erase(keyspace: &str, table: Table) -> String {
    format!("DELETE FROM {keyspace}.{} WHERE b = ? AND k = ?", name(table))
}

/// What rows that are touched by conditional writes only are written by.
#[derive(Debug)]
pub(super) struct Conditional {
    pub(super) swap: PreparedStatement,
    pub(super) hold: PreparedStatement,
    pub(super) along: PreparedStatement,
    pub(super) erase: PreparedStatement,
}

impl Conditional {
    async fn prepare(session: &Session, keyspace: &str, table: Table) -> Result<Self, StoreError> {
        let (swap, hold, along, erase) = try_join4(
            prepare(session, swap(keyspace, table), false),
            prepare(session, hold(keyspace, table), false),
            prepare(session, along(keyspace, table), false),
            prepare(session, erase(keyspace, table), false),
        )
        .await?;
        Ok(Self {
            swap,
            hold,
            along,
            erase,
        })
    }
}

/// What a table's rows are read and written by.
#[derive(Debug)]
pub(super) struct OfTable {
    pub(super) get: PreparedStatement,
    pub(super) stretch: PreparedStatement,
    /// `None` for rows that only conditional writes touch.
    pub(super) put: Option<PreparedStatement>,
    pub(super) remove: Option<PreparedStatement>,
    /// `None` for all others.
    pub(super) conditional: Option<Conditional>,
}

impl OfTable {
    async fn prepare(session: &Session, keyspace: &str, table: Table, serial: Consistency) -> Result<Self, StoreError> {
        let (mut get, stretch) = try_join(
            prepare(session, get(keyspace, table), true),
            prepare(session, stretch(keyspace, table), true),
        )
        .await?;
        if table.is_conditional() {
            get.set_consistency(serial);
            return Ok(Self {
                get,
                stretch,
                put: None,
                remove: None,
                conditional: Some(Conditional::prepare(session, keyspace, table).await?),
            });
        }
        let (put, remove) = try_join(
            prepare(session, put(keyspace, table), true),
            prepare(session, remove(keyspace, table), true),
        )
        .await?;
        Ok(Self {
            get,
            stretch,
            put: Some(put),
            remove: Some(remove),
            conditional: None,
        })
    }
}

/// All of them, as the cluster has taken them.
#[derive(Debug)]
pub(super) struct Statements {
    tables: Vec<OfTable>,
}

impl Statements {
    /// Has the cluster take them. A row that only conditional writes touch is read at `serial`, so that what such a write has left open is
    /// finished first; stretches of them at quorum, as they are committed, which every node does every second: whoever then
    /// changes one does so on the condition of what it read.
    pub(super) async fn prepare(session: &Session, keyspace: &str, serial: Consistency) -> Result<Self, StoreError> {
        let tables = try_join_all(Table::ALL.map(|table| OfTable::prepare(session, keyspace, table, serial))).await?;
        Ok(Self { tables })
    }

    /// What conditional writes of a table are made of.
    pub(super) fn conditional(&self, table: Table) -> Result<&Conditional, StoreError> {
        let conditional = self.of(table)?.conditional.as_ref();
        conditional.ok_or_else(|| StoreError::Refused(format!("rows of {table:?} are not written on conditions")))
    }

    pub(super) fn of(&self, table: Table) -> Result<&OfTable, StoreError> {
        let index = Table::ALL.iter().position(|other| *other == table);
        index
            .and_then(|index| self.tables.get(index))
            .ok_or_else(|| StoreError::Refused(format!("there is no table {table:?}")))
    }
}

async fn prepare(session: &Session, text: String, idempotent: bool) -> Result<PreparedStatement, StoreError> {
    let mut statement = session.prepare(text).await.map_err(|error| failure::of(&error))?;
    // What may be sent twice without harm is sent to another node when one fails.
    statement.set_is_idempotent(idempotent);
    Ok(statement)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every statement that is sent to a table, as it is sent.
    fn all() -> Vec<String> {
        let mut all = vec![create_meta("ks", 7), put_meta("ks"), get_meta("ks")];
        for table in Table::ALL {
            all.extend([create("ks", table, 7), get("ks", table), stretch("ks", table)]);
            if table.is_conditional() {
                all.extend([swap("ks", table), hold("ks", table)]);
            } else {
                all.extend([put("ks", table), remove("ks", table)]);
            }
        }
        all
    }

    #[test]
    fn statements_keep_the_rules() {
        for statement in all() {
            let breaches = breaches(&statement);
            assert!(breaches.is_empty(), "{statement}: {breaches:?}");
        }
    }

    #[test]
    fn what_goes_along_has_no_condition_of_its_own_and_is_of_conditional_tables_only() {
        for table in Table::ALL.into_iter().filter(|table| table.is_conditional()) {
            for statement in [along("ks", table), erase("ks", table)] {
                assert_eq!(breaches(&statement), ["a write of unknown rank"], "{statement}");
            }
        }
    }

    #[test]
    fn a_table_has_one_id_from_wherever_it_is_created() {
        let id = table_id("ks", "counters", 7);
        assert_eq!(id, table_id("ks", "counters", 7));
        let others = [
            table_id("ks", "windows", 7),
            table_id("other", "counters", 7),
            table_id("ks", "counters", 8),
        ];
        assert!(!others.contains(&id));
        assert_eq!(id.len(), 36);
        let version_and_variant = (id.as_bytes()[14], id.as_bytes()[19]);
        assert!(
            version_and_variant.0 == b'8' && b"89ab".contains(&version_and_variant.1),
            "{id}"
        );
    }

    #[test]
    fn the_rules_can_be_broken() {
        for (statement, breach) in [
            ("UPDATE ks.t SET c = c + 1 WHERE b = ?", "a write of unknown rank"),
            (
                "CREATE TABLE ks.t (b int PRIMARY KEY, c counter)",
                "a counter of the engine's own",
            ),
            (
                "INSERT INTO ks.t (b) VALUES (?) USING TIMESTAMP ? AND TTL ?",
                "it expires by the engine's clock",
            ),
            (
                "CREATE TABLE ks.t (b int PRIMARY KEY) WITH default_time_to_live = 5",
                "it expires by the engine's clock",
            ),
            ("INSERT INTO ks.t (b) VALUES (?)", "a write of unknown rank"),
            ("DELETE FROM ks.t WHERE b = ?", "a write of unknown rank"),
            ("SELECT k FROM ks.t WHERE v = ? ALLOW FILTERING", "it filters"),
            ("SELECT k FROM ks.t", "it names no partition"),
            (
                "DELETE FROM ks.t USING TIMESTAMP ? WHERE k = ?",
                "it names no partition",
            ),
            (
                "UPDATE ks.writers USING TIMESTAMP ? SET v = ? WHERE b = ?",
                "a writer's row without a condition",
            ),
            ("BEGIN BATCH INSERT", "a batch over partitions is not seen here"),
            (
                "CREATE TABLE ks.t (b int PRIMARY KEY, m map<text, int>)",
                "a value that is not whole",
            ),
        ] {
            assert!(breaches(statement).contains(&breach), "{statement}");
        }
    }

    /// What a statement does that none may.
    fn breaches(statement: &str) -> Vec<&'static str> {
        let text = statement.to_lowercase();
        let creates = text.starts_with("create");
        let reads = text.starts_with("select");
        let inserts = text.starts_with("insert");
        let stamped = text.contains("using timestamp ?");
        let conditional = text.contains(" if ");
        let writers = text.contains(".writers ") || text.contains(".strong ");
        let partition = text.contains("where b = ?") || text.contains("where k = ?") && text.contains(".meta ");
        let found = [
            (
                text.contains("counter)") || text.contains("counter,") || text.contains("= c +"),
                "a counter of the engine's own",
            ),
            (
                text.contains("ttl") || text.contains("time_to_live"),
                "it expires by the engine's clock",
            ),
            (text.contains("allow filtering"), "it filters"),
            (
                !creates && !reads && !stamped && !conditional,
                "a write of unknown rank",
            ),
            (
                !creates && !reads && writers && stamped,
                "a writer's row without a condition",
            ),
            (!creates && !inserts && !partition, "it names no partition"),
            (text.contains("begin"), "a batch over partitions is not seen here"),
            (
                creates
                    && ["map<", "list<", "set<", "tuple<"]
                        .iter()
                        .any(|open| text.contains(open)),
                "a value that is not whole",
            ),
        ];
        found
            .into_iter()
            .filter_map(|(is, breach)| is.then_some(breach))
            .collect()
    }
}
