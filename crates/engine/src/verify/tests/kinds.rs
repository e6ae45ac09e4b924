//! Each kind of damage to a store that nobody serves is found by the check that must see it, named and mended.

use tally_counter::{CounterRow, Figures, Step, WriterNumber};
use tally_store::{Address, Batch, Order, Row, Store, Table};

use super::super::Check;
use super::bench::{BEGIN_MS, Bench, HOUR_MS, add, assert_clean, assert_found, fill, get};
use super::damage::{
    OWN, SOURCE, change_cell, change_window, damage, damage_row, name_address, put_left, remove_all, window_row,
};

/// A kind of damage to a store that nobody serves: what it is called, what it does, which check must see it in which counter.
pub(super) type Damage = (&'static str, fn(&dyn Store), Check, &'static str);

pub(super) const DAMAGES: [Damage; 14] = [
    (
        "a total",
        |store| change_cell(store, "plain", OWN, |cell| cell.total += 5),
        Check::Totals,
        "plain",
    ),
    (
        "what was counted",
        |store| change_cell(store, "plain", OWN, |cell| cell.counted += 5),
        Check::Totals,
        "plain",
    ),
    (
        "a total of a source",
        |store| change_cell(store, "of:file", SOURCE, |cell| cell.total -= 9),
        Check::Totals,
        "of:file",
    ),
    (
        "a chunk of minutes is gone",
        |store| damage_row(store, "plain", window_row(OWN, Step::Minute, 4), |_, _| None),
        Check::History,
        "plain",
    ),
    (
        "hours are gone",
        |store| damage_row(store, "of:file", window_row(SOURCE, Step::Hour, 4), |_, _| None),
        Check::History,
        "of:file",
    ),
    (
        "a day has too much",
        |store| change_window(store, "again", window_row((1, 1), Step::Day, 4), &[3]),
        Check::History,
        "again",
    ),
    (
        "hours are interchanged",
        |store| change_window(store, "plain", window_row(OWN, Step::Hour, 10), &[7, -7]),
        Check::Steps,
        "plain",
    ),
    (
        "something has left that was never there",
        |store| put_left(store, "plain", OWN, Step::Hour, 6),
        Check::History,
        "plain",
    ),
    (
        "a cell is gone",
        |store| {
            let row = CounterRow::Cell {
                life: 0,
                writer: WriterNumber(1),
            };
            damage_row(store, "plain", row, |_, _| None);
        },
        Check::History,
        "plain",
    ),
    (
        "all but windows is gone",
        |store| remove_all(store, "plain", &[Table::Counters, Table::Names]),
        Check::History,
        "plain",
    ),
    (
        "a name is gone",
        |store| damage(store, name_address("plain"), |_, _| None),
        Check::Names,
        "plain",
    ),
    (
        "a name of nothing",
        |store| {
            let mut rows = Batch::new();
            rows.push(Row {
                address: name_address("nothing"),
                position: 0,
                value: &[],
            });
            store.put(&rows, Order::Any).unwrap();
        },
        Check::Names,
        "nothing",
    ),
    (
        "a cell beyond every round",
        |store| {
            change_cell(store, "plain", OWN, |cell| {
                cell.position = cell.position.after(1 << 40).unwrap();
            });
        },
        Check::Positions,
        "plain",
    ),
    (
        "reasons of nothing",
        |store| {
            let mut key = Vec::new();
            crate::ledger::Subject::Source("file".to_owned()).put_key(&mut key, WriterNumber(2));
            damage(
                store,
                Address {
                    table: Table::Ledger,
                    slot: 0,
                    key: &key,
                },
                |position, old| {
                    let (at, mut figures) = Figures::decode(old).unwrap();
                    figures.reasons.get_mut("broken").unwrap().count += 40;
                    Some((position, figures.encoded(at)))
                },
            );
        },
        Check::Ledger,
        "source file (writer 2)",
    ),
];

#[test]
fn each_kind_of_damage_is_found_and_mended() {
    let whole = Bench::new();
    let engine = whole.open();
    fill(&engine);
    assert_clean(&engine, "nothing");
    drop(engine);
    for (what, work, check, subject) in DAMAGES {
        let bench = whole.copy();
        work(bench.store.as_ref());
        let engine = bench.open();
        let pass = engine.verify(false).unwrap();
        assert_found(&pass, what, check, subject);
        assert_eq!(pass.mended(), 0, "{what}");
        let pass = engine.verify(true).unwrap();
        assert_found(&pass, what, check, subject);
        assert_eq!(pass.mended(), pass.found(), "{what}: {pass:?}");
        assert_clean(&engine, what);
        drop(engine);
        let engine = bench.open();
        assert_clean(&engine, what);
        add(&engine, "plain", 1, BEGIN_MS + 5 * HOUR_MS);
        engine.round().unwrap();
        assert_eq!(
            (engine.verify(false).unwrap().found(), get(&engine, "plain")),
            (0, Some(901)),
            "{what}"
        );
    }
}
