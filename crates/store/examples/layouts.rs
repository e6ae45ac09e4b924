//! Two layouts of strong counters against each other: `layouts HOST,HOST:PORT COPIES COUNTERS SECONDS`. In the one each counter is a partition with a
//! version of its own, and every group of adds to one counter is a conditional write. In the other, Tally's, few partitions have a version
//! each, and a conditional batch commits many counters. Prints counters committed a second, and how long a write took.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a program that measures"
)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use scylla::client::session_builder::SessionBuilder;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};
use scylla::value::Row;
use tally_counter::{CounterRow, Key, SLOTS, WriterNumber, row_key};
use tally_store::{
    Address, Addresses, Batch, Condition, Cql, CqlSettings, STRONG_PARTITIONS, Store, Swap, Swapped, Table,
};

/// Conditional writes that are on their way at once, as many as Tally has threads for partitions.
const AT_ONCE: usize = 16;
/// Of the layout that has nothing else to gain by.
const MOST_AT_ONCE: usize = 64;
/// Counters of one batch.
const GROUPS: [usize; 4] = [1, 16, 64, 256];
const VALUE: [u8; 24] = [7; 24];

struct Measured {
    counters: AtomicU64,
    writes: Mutex<Vec<Duration>>,
}

impl Measured {
    fn new() -> Self {
        Self {
            counters: AtomicU64::new(0),
            writes: Mutex::default(),
        }
    }

    fn note(&self, counters: usize, took: Duration) {
        self.counters.fetch_add(counters as u64, Ordering::Relaxed);
        self.writes.lock().unwrap().push(took);
    }

    fn say(&self, what: &str, seconds: f64) {
        let mut writes = self.writes.lock().unwrap();
        writes.sort_unstable();
        let millis = |hundredths: usize| {
            let place = writes.len().saturating_sub(1) * hundredths / 100;
            writes.get(place).map_or(0.0, |took| took.as_secs_f64() * 1e3)
        };
        println!(
            "{what}: {:.0} counters/s, {:.0} writes/s, P50 {:.1} ms, P99 {:.1} ms",
            self.counters.load(Ordering::Relaxed) as f64 / seconds,
            writes.len() as f64 / seconds,
            millis(50),
            millis(99)
        );
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().expect("HOST,HOST:PORT COPIES COUNTERS SECONDS");
    let (hosts, copies) = (argument(), argument());
    let (counters, seconds): (usize, u64) = (argument().parse().unwrap(), argument().parse().unwrap());
    let keyspace = format!("layouts_{copies}");
    let settings = CqlSettings {
        replication: Some(format!(
            "{{'class': 'NetworkTopologyStrategy', 'datacenter1': {copies}}}"
        )),
        request_timeout: Duration::from_mins(1),
        ..CqlSettings::of_url(&format!("cql://{hosts}/{keyspace}")).unwrap()
    };
    let store = Cql::open(&settings).unwrap();
    let seconds = Duration::from_secs(seconds);
    for at_once in [AT_ONCE, MOST_AT_ONCE] {
        alone(&hosts, &keyspace, counters, at_once, seconds);
    }
    for group in GROUPS {
        together(&store, counters, group, seconds);
    }
}

/// A partition a counter: its version is its position.
fn alone(hosts: &str, keyspace: &str, counters: usize, at_once: usize, lasts: Duration) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (_, port) = hosts.rsplit_once(':').unwrap();
        let nodes = hosts.split(',').map(|host| {
            if host.contains(':') {
                host.to_owned()
            } else {
                format!("{host}:{port}")
            }
        });
        let session = Arc::new(
            SessionBuilder::new()
                .known_nodes(nodes.collect::<Vec<_>>())
                .build()
                .await
                .unwrap(),
        );
        let table = format!("{keyspace}.alone");
        let create = format!("CREATE TABLE IF NOT EXISTS {table} (k blob PRIMARY KEY, p bigint, v blob)");
        session.query_unpaged(create, &[]).await.unwrap();
        let prepare = async |text: String| -> PreparedStatement {
            let mut prepared = session.prepare(text).await.unwrap();
            prepared.set_consistency(Consistency::LocalQuorum);
            prepared.set_serial_consistency(Some(SerialConsistency::LocalSerial));
            prepared
        };
        let first = prepare(format!("INSERT INTO {table} (k, p, v) VALUES (?, 0, ?)")).await;
        let update = prepare(format!("UPDATE {table} SET p = ?, v = ? WHERE k = ? IF p = ?")).await;
        for number in 0..counters {
            session
                .execute_unpaged(&first, (key(number), VALUE.to_vec()))
                .await
                .unwrap();
        }
        let measured = Arc::new(Measured::new());
        let began = Instant::now();
        let clients = (0..at_once).map(|client| {
            let (session, update, measured) = (Arc::clone(&session), update.clone(), Arc::clone(&measured));
            tokio::spawn(async move {
                // Its own counters, one after the other: nobody is ever second.
                let mut versions = vec![0_i64; counters.div_ceil(at_once)];
                while began.elapsed() < lasts {
                    for (place, version) in versions.iter_mut().enumerate() {
                        let number = place * at_once + client;
                        if number >= counters || began.elapsed() >= lasts {
                            break;
                        }
                        let sent = Instant::now();
                        let values = (*version + 1, VALUE.to_vec(), key(number), *version);
                        let answer = session.execute_unpaged(&update, values).await.unwrap();
                        let row = answer.into_rows_result().unwrap().first_row::<Row>().unwrap();
                        let applied = row.columns.first().unwrap().as_ref().unwrap().as_boolean();
                        assert_eq!(applied, Some(true), "nobody else writes here");
                        *version += 1;
                        measured.note(1, sent.elapsed());
                    }
                }
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.unwrap();
        }
        let what = format!("a partition a counter, {at_once} at once");
        measured.say(&what, began.elapsed().as_secs_f64());
    });
}

/// Tally's layout, by the store that it uses: one version, `group` counters a batch.
fn together(store: &Cql, counters: usize, group: usize, lasts: Duration) {
    let mut parts: Vec<Vec<usize>> = vec![Vec::new(); usize::from(STRONG_PARTITIONS)];
    for number in 0..counters {
        let name = key(number);
        let slot = Key::new(&name).unwrap().slot().number();
        parts[usize::from(Table::Strong.partition(slot))].push(number);
    }
    let measured = Measured::new();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..AT_ONCE {
            let (parts, measured) = (&parts, &measured);
            scope.spawn(move || {
                let own = || parts.iter().enumerate().skip(thread).step_by(AT_ONCE);
                let mut versions: Vec<Option<Vec<u8>>> = own()
                    .map(|(part, _)| stands(store, version(u16::try_from(part).unwrap())))
                    .collect();
                let mut from = 0;
                while began.elapsed() < lasts {
                    for ((part, numbers), known) in own().zip(&mut versions) {
                        let some = numbers
                            .iter()
                            .cycle()
                            .skip(from % numbers.len())
                            .take(group.min(numbers.len()));
                        let sent = Instant::now();
                        let next = began.elapsed().as_nanos().to_be_bytes().to_vec();
                        let address = version(u16::try_from(part).unwrap());
                        let mut rows = batch(some);
                        rows.push(tally_store::Row {
                            address,
                            position: 1,
                            value: &next,
                        });
                        let conditions = [Condition {
                            address,
                            value: known.as_deref(),
                        }];
                        let swap = Swap {
                            conditions: &conditions,
                            rows: &rows,
                            gone: &Addresses::new(),
                        };
                        assert_eq!(store.swap(swap).unwrap(), Swapped::Applied);
                        *known = Some(next);
                        measured.note(group.min(numbers.len()), sent.elapsed());
                    }
                    from += group;
                }
            });
        }
    });
    let what = format!("{STRONG_PARTITIONS} partitions, {group} counters a batch, {AT_ONCE} at once");
    measured.say(&what, began.elapsed().as_secs_f64());
}

fn key(number: usize) -> Vec<u8> {
    format!("firm:account_{number:07}").into_bytes()
}

fn version(part: u16) -> Address<'static> {
    Address {
        table: Table::Strong,
        slot: part * (SLOTS / STRONG_PARTITIONS),
        key: &[0],
    }
}

fn stands(store: &Cql, address: Address<'_>) -> Option<Vec<u8>> {
    let mut addresses = Addresses::new();
    addresses.push_with(address.table, address.slot, |out| out.extend_from_slice(address.key));
    let mut found = None;
    store
        .get(&addresses, &mut |_, row| {
            found = Some(row.value.to_vec());
            Ok(())
        })
        .unwrap();
    found
}

fn batch<'n>(numbers: impl Iterator<Item = &'n usize>) -> Batch {
    let mut rows = Batch::new();
    for number in numbers {
        let name = key(*number);
        let key = Key::new(&name).unwrap();
        let row = CounterRow::Cell {
            life: 0,
            writer: WriterNumber(0),
        };
        rows.push_with(
            Table::Strong,
            key.slot().number(),
            1,
            |out| {
                out.extend([2, 0]);
                row_key(key, row, out);
            },
            |out| out.extend(VALUE),
        );
    }
    rows
}
