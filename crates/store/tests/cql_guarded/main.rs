//! What a cluster refuses, and what is refused of a cluster: on one real node with users, passwords, TLS and a periodic commit log, which
//! `cargo xtask test` starts and names in variables. Without one it fails.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod tls;

use std::time::Duration;

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use tally_store::{Address, Batch, Cql, CqlPartitions, CqlPassword, CqlSettings, Order, Row, Store, StoreError, Table};

/// The node, `HOST:PORT`.
const HOST: &str = "TALLY_TEST_CQL_GUARDED";
/// Who is there in a new cluster.
const ADMIN: (&str, &str) = ("cassandra", "cassandra");
/// A new node creates its first user, and hears of a new right, only after a moment.
const PATIENCE: u32 = 300;
const MOMENT: Duration = Duration::from_millis(100);

fn variable(name: &str) -> String {
    std::env::var(name).expect("needs a node: `cargo xtask test --only cassandra` starts one")
}

fn settings(keyspace: &str, (user, password): (&str, &str)) -> CqlSettings {
    let host = variable(HOST);
    CqlSettings {
        user: Some((user.to_owned(), CqlPassword::new(password.to_owned()))),
        accept_periodic: true,
        request_timeout: Duration::from_secs(20),
        partitions: CqlPartitions { buckets: 16, names: 4 },
        ..CqlSettings::of_url(&format!("cql://{host}/{keyspace}")).unwrap()
    }
}

fn refusal(settings: &CqlSettings) -> String {
    match Cql::open(settings) {
        Err(StoreError::Refused(why)) => why,
        Err(error) => panic!("not refused for good: {error}"),
        Ok(_) => panic!("it was opened"),
    }
}

fn one_row() -> Batch {
    let mut rows = Batch::new();
    rows.push(Row {
        address: Address {
            table: Table::Tokens,
            slot: 5,
            key: b"key",
        },
        position: 7,
        value: b"value",
    });
    rows
}

/// The administrator, once the node has made it.
struct Admin {
    runtime: tokio::runtime::Runtime,
    session: Session,
}

impl Admin {
    fn connect() -> Self {
        let host = variable(HOST);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let session = runtime.block_on(async {
            for _ in 0..PATIENCE {
                let builder = SessionBuilder::new().known_node(&host).user(ADMIN.0, ADMIN.1);
                if let Ok(session) = builder.build().await {
                    return session;
                }
                tokio::time::sleep(MOMENT).await;
            }
            panic!("the node never let its administrator in");
        });
        Self { runtime, session }
    }

    fn does(&self, statement: &str) {
        self.runtime
            .block_on(self.session.query_unpaged(statement, ()))
            .unwrap();
    }

    fn pause(&self) {
        self.runtime.block_on(tokio::time::sleep(MOMENT));
    }
}

/// One user after the other: no password, a wrong one, the right one on a log that is periodic, that accepted, a user without rights, one who
/// may read only. Each is told what is wrong, and no message holds a password.
#[test]
fn each_refusal_says_what_is_wrong() {
    let admin = Admin::connect();
    let nobody = CqlSettings {
        user: None,
        ..settings("guarded", ADMIN)
    };
    for outsider in [nobody, settings("guarded", ("cassandra", "not-the-password"))] {
        let why = refusal(&outsider);
        assert!(why.contains("user and password"), "{why}");
        assert!(!why.contains("not-the-password"), "{why}");
    }
    let strict = CqlSettings {
        accept_periodic: false,
        ..settings("guarded", ADMIN)
    };
    let why = refusal(&strict);
    assert!(
        why.contains("commitlog_sync: periodic") && why.contains("store_periodic"),
        "{why}"
    );
    let accepted = Cql::open(&settings("guarded", ADMIN)).unwrap();
    accepted.put(&one_row(), Order::Any).unwrap();

    admin.does("CREATE ROLE reader WITH PASSWORD = 'reading' AND LOGIN = true");
    let reader = |keyspace| settings(keyspace, ("reader", "reading"));
    let why = refusal(&reader("another"));
    assert!(why.contains("CREATE") && why.contains("grant"), "{why}");
    admin.does("GRANT SELECT ON KEYSPACE guarded TO reader");
    let store = (0..PATIENCE)
        .find_map(|_| match Cql::open(&reader("guarded")) {
            Ok(store) => Some(store),
            Err(StoreError::Refused(_)) => {
                admin.pause();
                None
            }
            Err(error) => panic!("{error}"),
        })
        .expect("the right to read was never noticed");
    let why = match store.put(&one_row(), Order::Any) {
        Err(StoreError::Refused(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(why.contains("MODIFY") && why.contains("reader"), "{why}");
}
