//! How many cells a second a cluster takes at quorum: `cells HOST,HOST:PORT COPIES CELLS ROUNDS`. Each round writes all cells once more, at
//! a larger position, as the engine's rounds do; prints a figure a round.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that measures"
)]

use std::time::{Duration, Instant};

use tally_counter::{CounterRow, Key, WriterNumber, row_key};
use tally_store::{Batch, Cql, CqlSettings, Order, Store, Table};

/// Cells that are put by one call, as a round does.
const AT_ONCE: usize = 2_048;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().expect("HOST,HOST:PORT COPIES CELLS ROUNDS");
    let (hosts, copies) = (argument(), argument());
    let (cells, rounds): (usize, u64) = (argument().parse().unwrap(), argument().parse().unwrap());
    let settings = CqlSettings {
        replication: Some(format!(
            "{{'class': 'NetworkTopologyStrategy', 'datacenter1': {copies}}}"
        )),
        request_timeout: Duration::from_mins(1),
        ..CqlSettings::of_url(&format!("cql://{hosts}/cells_{copies}")).unwrap()
    };
    let store = Cql::open(&settings).unwrap();
    let mut names: Vec<String> = (0..cells)
        .map(|number| format!("page_views:article_{number:07}"))
        .collect();
    // In the order of the store's keys, as a round puts them.
    names.sort_by_key(|name| {
        let name = name.as_bytes();
        (tally_counter::Slot::of(name).number(), tally_counter::slot_hash(name))
    });
    for round in 1..=rounds {
        let began = Instant::now();
        for some in names.chunks(AT_ONCE) {
            store.put(&batch(some, round), Order::Growing).unwrap();
        }
        let seconds = began.elapsed().as_secs_f64();
        println!("round {round} cells {:.0}", cells as f64 / seconds);
    }
}

fn batch(names: &[String], position: u64) -> Batch {
    let mut rows = Batch::new();
    for name in names {
        let key = Key::new(name.as_bytes()).unwrap();
        let row = CounterRow::Cell {
            life: 0,
            writer: WriterNumber(1),
        };
        rows.push_with(
            Table::Counters,
            key.slot().number(),
            position,
            |out| row_key(key, row, out),
            |out| out.extend([7; 24]),
        );
    }
    rows
}
