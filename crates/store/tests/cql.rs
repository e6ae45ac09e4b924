//! The contract on a real cluster, which `cargo xtask test` starts: `TALLY_TEST_CQL` names its nodes. Without one it fails.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Barrier, Once};
use std::time::Duration;

use tally_store::contract::Bench;
use tally_store::{Address, Addresses, Batch, Cql, CqlPartitions, CqlSettings, Order, Row, Store, StoreError, Table};

/// The cluster's nodes, `HOST,HOST:PORT`.
const HOSTS: &str = "TALLY_TEST_CQL";
/// How many copies of each row it can have.
const COPIES: &str = "TALLY_TEST_CQL_COPIES";

fn variable(name: &str) -> String {
    std::env::var(name).expect("needs a cluster: `cargo xtask test --only cassandra` starts one")
}

/// Partitions that no other check uses, in the keyspace of this run.
fn own_partitions() -> CqlSettings {
    static CREATED: Once = Once::new();
    static NUMBER: AtomicI32 = AtomicI32::new(0);
    let shared = settings(&format!("contract_{}", std::process::id()));
    // One creates it, the others find it.
    CREATED.call_once(|| drop(Cql::open(&shared).unwrap()));
    CqlSettings {
        first_partition: NUMBER.fetch_add(1, Ordering::Relaxed) * 100,
        ..shared
    }
}

/// Of a keyspace.
fn settings(keyspace: &str) -> CqlSettings {
    let url = format!("cql://{}/{keyspace}", variable(HOSTS));
    CqlSettings {
        replication: Some(format!(
            "{{'class': 'NetworkTopologyStrategy', 'datacenter1': {}}}",
            variable(COPIES)
        )),
        request_timeout: Duration::from_secs(30),
        // Few, so that a check meets several partitions and none has to ask a thousand empty ones.
        partitions: CqlPartitions { buckets: 16, names: 4 },
        ..CqlSettings::of_url(&url).unwrap()
    }
}

fn fresh_keyspace() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("fresh_{}_{number}", std::process::id())
}

/// A reopening is a new session.
struct CqlBench {
    store: Option<Cql>,
    settings: CqlSettings,
}

impl CqlBench {
    fn new() -> Self {
        let settings = own_partitions();
        Self {
            store: Some(Cql::open(&settings).unwrap()),
            settings,
        }
    }
}

impl Bench for CqlBench {
    fn store(&self) -> &dyn Store {
        self.store.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        self.store = None;
        self.store = Some(Cql::open(&self.settings).unwrap());
    }
}

mod contract {
    tally_store::contract_tests!(crate::CqlBench::new());
}

fn one_row(table: Table, key: &[u8]) -> Batch {
    let mut rows = Batch::new();
    rows.push(Row {
        address: Address { table, slot: 5, key },
        position: 7,
        value: b"value",
    });
    rows
}

/// The numbers of partitions are the keyspace's, whatever a later start asks for.
#[test]
fn partitions_are_fixed_by_the_first_start() {
    let settings = settings(&fresh_keyspace());
    let first = Cql::open(&settings).unwrap();
    first.put(&one_row(Table::Tokens, b"key"), Order::Any).unwrap();
    let other = CqlSettings {
        partitions: CqlPartitions::default(),
        ..settings
    };
    let second = Cql::open(&other).unwrap();
    let mut addresses = Addresses::new();
    addresses.push_with(Table::Tokens, 5, |out| out.extend_from_slice(b"key"));
    let mut found = 0;
    second
        .get(&addresses, &mut |_, row| {
            assert_eq!((row.position, row.value), (7, &b"value"[..]));
            found += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(found, 1);
}

/// With the partitions of a keyspace that nobody set: walks meet all that is in a thousand of them.
#[test]
fn a_keyspace_of_default_size() {
    let settings = CqlSettings {
        partitions: CqlPartitions::default(),
        ..settings(&fresh_keyspace())
    };
    let store = Cql::open(&settings).unwrap();
    let mut rows = Batch::new();
    for slot in (0..16_384_u16).step_by(100) {
        rows.push_with(Table::Tokens, slot, 1, |out| out.extend(slot.to_be_bytes()), |_| {});
    }
    store.put(&rows, Order::Growing).unwrap();
    let (mut cursor, mut met) = (Some(Vec::new()), Vec::new());
    while let Some(from) = cursor {
        cursor = store
            .walk(Table::Tokens, &from, 50, &mut |_, row| {
                met.push(row.address.slot);
                Ok(())
            })
            .unwrap();
    }
    assert_eq!(met, (0..16_384_u16).step_by(100).collect::<Vec<_>>());
}

/// Nodes that start at the same moment on a keyspace that is not there: all come up, and each sees what the others put.
#[test]
fn a_keyspace_may_be_created_by_several_at_once() {
    const NODES: u16 = 3;
    let settings = settings(&fresh_keyspace());
    let barrier = Barrier::new(usize::from(NODES));
    let node = |number: u16| {
        barrier.wait();
        let store = Cql::open(&settings).unwrap();
        let mut rows = Batch::new();
        rows.push_with(Table::Tokens, number, 1, |out| out.push(b'k'), |_| {});
        store.put(&rows, Order::Any).unwrap();
        barrier.wait();
        let mut addresses = Addresses::new();
        for number in 0..NODES {
            addresses.push_with(Table::Tokens, number, |out| out.push(b'k'));
        }
        let mut found = 0;
        store
            .get(&addresses, &mut |_, _| {
                found += 1;
                Ok(())
            })
            .unwrap();
        (store.id().to_owned(), found)
    };
    let seen: Vec<(String, u16)> = std::thread::scope(|scope| {
        let nodes: Vec<_> = (0..NODES).map(|number| scope.spawn(move || node(number))).collect();
        nodes.into_iter().map(|node| node.join().unwrap()).collect()
    });
    assert!(seen.iter().all(|one| *one == (seen[0].0.clone(), NODES)), "{seen:?}");
}

/// Writers' rows are written by conditional writes only, and other rows never by them.
#[test]
fn writers_rows_are_apart() {
    let store = Cql::open(&own_partitions()).unwrap();
    let refused = store.put(&one_row(Table::Writers, b"key"), Order::Any).unwrap_err();
    assert!(matches!(refused, StoreError::Refused(_)), "{refused}");
}

/// A host that is none, a data centre that is not there: each says what it is.
#[test]
fn wrong_settings_say_so() {
    let nowhere = CqlSettings {
        connect_timeout: Duration::from_millis(500),
        ..CqlSettings::of_url("cql://127.0.0.1:1/tally").unwrap()
    };
    let error = Cql::open(&nowhere).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    let elsewhere = CqlSettings {
        data_centre: Some("mars".into()),
        ..own_partitions()
    };
    let error = Cql::open(&elsewhere).unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error}");
    assert!(error.to_string().contains("datacenter1"), "{error}");
}

/// Has the cluster carry out statements of an operator, not of Tally.
fn by_hand(settings: &CqlSettings, statements: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let session = scylla::client::session_builder::SessionBuilder::new()
            .known_nodes(&settings.hosts)
            .build()
            .await
            .unwrap();
        for statement in statements {
            session.query_unpaged(statement.as_str(), ()).await.unwrap();
        }
    });
}

/// A keyspace of a newer Tally is refused by its format, and nothing in it is touched.
#[test]
fn a_newer_format_is_refused() {
    let settings = settings(&fresh_keyspace());
    drop(Cql::open(&settings).unwrap());
    let keyspace = &settings.keyspace;
    let newer = format!("UPDATE {keyspace}.meta SET v = '2' WHERE k = 'version' IF EXISTS");
    by_hand(&settings, &[newer]);
    let error = Cql::open(&settings).unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error}");
    assert!(error.to_string().contains("has format 2"), "{error}");
    assert!(error.to_string().contains("newer Tally"), "{error}");
}

/// A keyspace that holds something else is refused by the name of what it holds.
#[test]
fn a_keyspace_of_something_else_is_refused() {
    let settings = settings(&fresh_keyspace());
    let keyspace = &settings.keyspace;
    let replication = settings.replication.clone().unwrap();
    by_hand(
        &settings,
        &[
            format!("CREATE KEYSPACE {keyspace} WITH replication = {replication}"),
            format!("CREATE TABLE {keyspace}.invoices (id int PRIMARY KEY)"),
        ],
    );
    let error = Cql::open(&settings).unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error}");
    assert!(error.to_string().contains("invoices"), "{error}");
}
