//! What a cluster refuses, and what is refused of a cluster: on one real node with users, passwords, TLS and a periodic commit log, which
//! `cargo xtask test` starts and names in variables. Without one it fails.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests, of a real node on the real clock"
)]

mod tls;

use std::sync::Mutex;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use tally_store::{Address, Batch, Cql, CqlPartitions, CqlPassword, CqlSettings, Order, Row, Store, StoreError, Table};

/// Held by the test that has the node: they create one keyspace, and one takes the node's users away.
static ORDER: Mutex<()> = Mutex::new(());
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

/// Why it is refused for good. A node that closes the connection before its reason is read looks like one that is not ready: then it is
/// asked again, as Tally does.
fn refusal(settings: &CqlSettings) -> String {
    for _ in 0..50 {
        match Cql::open(settings) {
            Err(StoreError::Refused(why)) => return why,
            Err(StoreError::Unavailable(_)) => std::thread::sleep(MOMENT),
            Err(error) => panic!("not refused for good: {error}"),
            Ok(_) => panic!("it was opened"),
        }
    }
    panic!("never refused for good")
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
}

/// One user after the other: no password, a wrong one, the right one on a log that is periodic, that accepted, a user without rights, one who
/// may read only. Each is told what is wrong, and no message holds a password.
#[test]
fn each_refusal_says_what_is_wrong() {
    let _alone = ORDER.lock().unwrap();
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
    let store = sooner_or_later("the right to read", || match Cql::open(&reader("guarded")) {
        Err(StoreError::Refused(_)) => None,
        opened => Some(opened.unwrap()),
    });
    let why = unavailable(store.put(&one_row(), Order::Any));
    assert!(why.contains("MODIFY") && why.contains("reader"), "{why}");
    // Whoever took it away may give it back: nothing has to be started again.
    admin.does("GRANT MODIFY ON KEYSPACE guarded TO reader");
    sooner_or_later("the right to write", || store.put(&one_row(), Order::Any).ok());
}

/// With more copies of users and rights asked for than there are nodes, none can be looked up, as where most of the nodes that hold them are
/// down: Cassandra says that the user is not authorised, and means that it does not know. Both what runs and what starts waits.
#[test]
fn users_that_cannot_be_looked_up_are_no_refusal() {
    let _alone = ORDER.lock().unwrap();
    let admin = Admin::connect();
    admin.does("CREATE ROLE counter WITH PASSWORD = 'counting' AND LOGIN = true");
    let counter = settings("guarded", ("counter", "counting"));
    Cql::open(&settings("guarded", ADMIN)).unwrap();
    admin.does("GRANT SELECT ON KEYSPACE guarded TO counter");
    admin.does("GRANT MODIFY ON KEYSPACE guarded TO counter");
    let store = sooner_or_later("the rights", || Cql::open(&counter).ok());
    store.put(&one_row(), Order::Any).unwrap();

    let copies = |copies: usize| {
        admin.does(&format!(
            "ALTER KEYSPACE system_auth WITH replication = {{'class': 'NetworkTopologyStrategy', 'datacenter1': {copies}}}"
        ));
    };
    copies(3);
    let why = sooner_or_later("rights that are forgotten", || {
        store
            .put(&one_row(), Order::Any)
            .err()
            .map(|error| unavailable(Err(error)))
    });
    assert!(
        why.contains("look up") && why.contains("nothing of it was applied"),
        "{why}"
    );
    let why = sooner_or_later("a user that is forgotten", || {
        Cql::open(&counter).err().map(|error| unavailable(Err(error)))
    });
    assert!(why.contains("look up"), "{why}");
    copies(1);
    sooner_or_later("rights that can be looked up", || {
        store.put(&one_row(), Order::Any).ok()
    });
    sooner_or_later("the administrator", || Cql::open(&settings("guarded", ADMIN)).ok());
}

fn unavailable(answer: Result<(), StoreError>) -> String {
    match answer {
        Err(StoreError::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn sooner_or_later<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    for _ in 0..PATIENCE {
        if let Some(answer) = ask() {
            return answer;
        }
        std::thread::sleep(MOMENT);
    }
    panic!("waited in vain for {what}");
}
