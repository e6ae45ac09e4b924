//! Drift that was made on purpose in a stopped server's store: the reconciler finds it, `tally verify` names it and mends it, and the sums
//! agree afterwards.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tally_counter::{Cell, CounterRow, Figures, Key, Left, Minute, Position, Step, Window, WriterNumber, row_key};
use tally_store::{Address, Addresses, Batch, Embedded, EmbeddedSettings, Order, Row, Store, Table};

use crate::server::Server;

/// Adds in several hours of two days to eight counters, and a file.
fn fill(server: &Server) {
    for hour in 0..30 {
        let time = 1_700_000_000_000_u64 + hour * 3_600_000;
        let adds: Vec<Value> = COUNTERS
            .iter()
            .map(|key| json!({ "key": key, "amount": 10, "time": time }))
            .collect();
        let added = server.post("/v1/add", &json!({ "adds": adds }).to_string());
        assert_eq!(added.status, 200, "{added:?}");
    }
}

const COUNTERS: [&str; 7] = ["total", "minutes", "hours", "left", "unnamed", "beyond", "cell"];
const WRITER: WriterNumber = WriterNumber(1);

fn address<'k>(key: &'k [u8], table: Table, name: &str) -> Address<'k> {
    let slot = Key::new(name.as_bytes()).unwrap().slot().number();
    Address { table, slot, key }
}

fn key_of(name: &str, row: CounterRow) -> Vec<u8> {
    let mut key = Vec::new();
    row_key(Key::new(name.as_bytes()).unwrap(), row, &mut key);
    key
}

fn read(store: &Embedded, address: Address<'_>) -> (u64, Vec<u8>) {
    let mut addresses = Addresses::new();
    addresses.push_with(address.table, address.slot, |out| out.extend_from_slice(address.key));
    let mut found = None;
    store
        .get(&addresses, &mut |_, row| {
            found = Some((row.position, row.value.to_vec()));
            Ok(())
        })
        .unwrap();
    found.unwrap()
}

/// Makes a row say something else, where it stands.
fn change(store: &Embedded, address: Address<'_>, work: impl FnOnce(u64, Vec<u8>) -> (Option<u64>, Vec<u8>)) {
    let (position, value) = read(store, address);
    let (moved, value) = work(position, value);
    let mut rows = Batch::new();
    rows.push(Row {
        address,
        position: moved.unwrap_or(position),
        value: &value,
    });
    store.put(&rows, Order::Growing).unwrap();
}

fn remove(store: &Embedded, address: Address<'_>) {
    let (position, _) = read(store, address);
    let mut rows = Batch::new();
    rows.push(Row {
        address,
        position,
        value: &[],
    });
    store.remove(&rows).unwrap();
}

fn cell_row(name: &str) -> Vec<u8> {
    key_of(
        name,
        CounterRow::Cell {
            life: 0,
            writer: WRITER,
        },
    )
}

fn window_row(name: &str, step: Step) -> Vec<u8> {
    let minute = Minute::of_ms(1_700_000_000_000 + 4 * 3_600_000).unwrap();
    let chunk = step.place(minute).0;
    key_of(
        name,
        CounterRow::Window {
            life: 0,
            step,
            chunk,
            writer: WRITER,
        },
    )
}

fn changed_cell(store: &Embedded, name: &str, work: impl FnOnce(&mut Cell)) {
    change(
        store,
        address(&cell_row(name), Table::Counters, name),
        |position, value| {
            let mut cell = Cell::decode(position, &value).unwrap();
            work(&mut cell);
            let mut value = Vec::new();
            cell.encode(&mut value);
            (Some(cell.position.number()), value)
        },
    );
}

/// One damage of each kind, each to a counter of its own.
fn damage(data: &Path) {
    let store = Embedded::open(&data.join("store"), &EmbeddedSettings::default()).unwrap();
    changed_cell(&store, "total", |cell| cell.total += 5);
    remove(
        &store,
        address(&window_row("minutes", Step::Minute), Table::Windows, "minutes"),
    );
    change(
        &store,
        address(&window_row("hours", Step::Hour), Table::Windows, "hours"),
        |position, value| {
            let mut window = Window::decode(position, &value, Step::Hour).unwrap();
            let places: Vec<u8> = window.amounts().map(|(place, _)| place).take(2).collect();
            window.add(places[0], 3).unwrap();
            window.add(places[1], -3).unwrap();
            (None, window.encoded(Step::Hour))
        },
    );
    let left = Left {
        position: Position::new(1).unwrap(),
        boundary: Minute(0),
        amount: 8,
    };
    let key = key_of(
        "left",
        CounterRow::Left {
            life: 0,
            step: Step::Day,
            writer: WRITER,
        },
    );
    let (mut rows, mut value) = (Batch::new(), Vec::new());
    left.encode(&mut value);
    rows.push(Row {
        address: address(&key, Table::Counters, "left"),
        position: 1,
        value: &value,
    });
    rows.push(Row {
        address: address(b"nobody", Table::Names, "nobody"),
        position: 0,
        value: &[],
    });
    store.put(&rows, Order::Any).unwrap();
    remove(&store, address(b"unnamed", Table::Names, "unnamed"));
    changed_cell(&store, "beyond", |cell| {
        cell.position = Position::new(cell.position.number() + 1_000_000).unwrap();
    });
    remove(&store, address(&cell_row("cell"), Table::Counters, "cell"));
    let mut key = b"sunknown\0".to_vec();
    key.extend(WRITER.0.to_be_bytes());
    let ledger = Address {
        table: Table::Ledger,
        slot: 0,
        key: &key,
    };
    change(&store, ledger, |_, value| {
        let (at, mut figures) = Figures::decode(&value).unwrap();
        figures.reasons.values_mut().next().unwrap().count += 9;
        (None, figures.encoded(at))
    });
    store.durable().unwrap();
}

/// What must be found where.
const EXPECTED: [(&str, &str); 7] = [
    ("totals", "total"),
    ("history", "minutes"),
    ("steps", "hours"),
    ("history", "left"),
    ("names", "unnamed"),
    ("positions", "beyond"),
    ("history", "cell"),
];

fn code(output: &Output) -> (i32, String) {
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout.clone()).unwrap(),
    )
}

fn verify(server: &Server, arguments: &[&str]) -> (i32, String) {
    code(&server.cli(&[&["verify"], arguments].concat()).output().unwrap())
}

fn offline(data: &Path, arguments: &[&str]) -> (i32, String) {
    let data = ["--data", data.to_str().unwrap()];
    code(
        &crate::server::tally()
            .arg("verify")
            .args(data)
            .args(arguments)
            .output()
            .unwrap(),
    )
}

fn assert_named(said: &str) {
    for (check, counter) in EXPECTED {
        assert!(
            said.contains(&format!("drift ({check}): {counter}: ")),
            "{check} {counter}: {said}"
        );
    }
    assert!(said.contains("drift (ledger): source unknown (writer 1): "), "{said}");
}

/// The value of a metric.
fn metric(server: &Server, line: &str) -> String {
    let metrics = server.get("/metrics").body;
    let found = metrics.lines().find_map(|found| found.strip_prefix(line));
    found
        .unwrap_or_else(|| panic!("no {line} in {metrics}"))
        .trim()
        .to_owned()
}

/// The reconciler's last pass that began by itself and ended.
fn last_pass(server: &Server, more_than: u64) -> Value {
    loop {
        let verified = server.get("/v1/verify").json();
        if verified["passes"].as_u64().unwrap() > more_than {
            return verified["last"].clone();
        }
        std::thread::yield_now();
    }
}

#[test]
fn damage_of_each_kind_is_found_by_the_reconciler_and_mended_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_on(&data, &[]);
    let declared = server.send(
        "PUT",
        "/v1/namespaces/default",
        &[("content-type", "application/json")],
        br#"{"history":{"1m":"forever","1h":"forever","1d":"forever"},"lateness":null}"#,
    );
    assert_eq!(declared.status, 200, "{declared:?}");
    fill(&server);
    let broken = server.send(
        "POST",
        "/v1/events",
        &[("content-type", "application/cloudevents+json")],
        b"{}",
    );
    assert_eq!(broken.status, 200, "{broken:?}");
    let (exit, said) = verify(&server, &["--reads"]);
    assert_eq!(exit, 0, "{said}");
    assert!(
        said.contains("checked 7 counters") && said.contains("all sums agree\n"),
        "{said}"
    );
    assert!(said.ends_with("all reads agree\n"), "{said}");
    assert!(server.stop().0.success());

    damage(&data);
    let log = folder.path().join("log");
    let stderr = Stdio::from(std::fs::File::create(&log).unwrap());
    let server = Server::start_logged(&data, &["--verify-interval", "300ms"], stderr);
    let pass = last_pass(&server, 0);
    assert_eq!(
        (pass["repairs"].clone(), pass["mended"].clone()),
        (json!(false), json!(0))
    );
    for (check, counter) in EXPECTED {
        let named = |drift: &&Value| drift["check"] == check && drift["subject"] == counter;
        assert!(
            pass["drifts"].as_array().unwrap().iter().any(|drift| named(&drift)),
            "{check}: {pass}"
        );
    }
    // `unnamed`; names without a counter may have been swept by then.
    assert_ne!(metric(&server, r#"tally_drift{check="names"}"#), "0.0");
    assert_eq!(metric(&server, r#"tally_drift{check="hot"}"#), "0.0");
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(
        logged
            .lines()
            .any(|line| line.contains("ERROR") && line.contains("counter=\"hours\"")),
        "{logged}"
    );

    let (exit, said) = verify(&server, &[]);
    assert_eq!(exit, 3, "{said}");
    assert_named(&said);
    let (exit, said) = verify(&server, &["--repair"]);
    assert_eq!(exit, 4, "{said}");
    assert_named(&said);
    assert!(said.ends_with("all sums agree\n"), "{said}");
    let (exit, said) = verify(&server, &["--reads"]);
    assert_eq!(exit, 0, "{said}");
    for name in COUNTERS {
        assert_eq!(server.value(name), json!(300), "{name}");
    }
    let passes = server.get("/v1/verify").json()["passes"].as_u64().unwrap();
    assert_eq!(last_pass(&server, passes)["found"], 0);
    assert_eq!(metric(&server, r#"tally_drift{check="names"}"#), "0.0");
    assert_ne!(metric(&server, r#"tally_drift_mended_total{check="names"}"#), "0");
    let listed = server.get("/v1/counters").json();
    assert_eq!(listed["counters"].as_array().unwrap().len(), COUNTERS.len());
    assert!(server.stop().0.success());
}

#[test]
fn a_stopped_server_is_verified_without_serving() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_on(&data, &[]);
    fill(&server);
    server.send(
        "POST",
        "/v1/events",
        &[("content-type", "application/cloudevents+json")],
        b"{}",
    );
    let (exit, _) = offline(&data, &[]);
    assert_eq!(exit, 1, "a server runs on it");
    server.kill();
    let (exit, said) = offline(&data, &[]);
    assert_eq!(exit, 0, "{said}");
    damage(&data);
    let (exit, said) = offline(&data, &[]);
    assert_eq!(exit, 3, "{said}");
    assert_named(&said);
    // Nothing sweeps here.
    assert!(said.contains("drift (names): nobody: "), "{said}");
    let (exit, said) = offline(&data, &["--repair"]);
    assert_eq!(exit, 4, "{said}");
    let (exit, said) = offline(&data, &["--json"]);
    assert_eq!(
        (exit, serde_json::from_str::<Value>(&said).unwrap()["found"].clone()),
        (0, json!(0))
    );
    let (exit, _) = offline(&folder.path().join("nothing"), &[]);
    assert_eq!(exit, 2);
    assert!(!folder.path().join("nothing").exists());
    let server = Server::start_on(&data, &[]);
    for name in COUNTERS {
        assert_eq!(server.value(name), json!(300), "{name}");
    }
}
