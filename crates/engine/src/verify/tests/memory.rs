//! Drift under a running node: of the memory from the store, and of ledger rows that are lost.

use tally_counter::WriterNumber;
use tally_store::{Address, Table};

use super::super::Check;
use super::bench::{Bench, assert_clean, assert_found, fill, get};
use super::damage::{OWN, change_cell, damage};

#[test]
fn memory_that_differs_from_the_store_is_found_and_forgotten() {
    let bench = Bench::new();
    let engine = bench.open();
    fill(&engine);
    assert_eq!(get(&engine, "plain"), Some(900));
    change_cell(bench.store.as_ref(), "plain", OWN, |cell| cell.total += 50);
    let pass = engine.verify(false).unwrap();
    assert_found(&pass, "memory", Check::Hot, "plain");
    assert_eq!(get(&engine, "plain"), Some(900));
    change_cell(bench.store.as_ref(), "plain", OWN, |cell| cell.total -= 50);
    {
        let mut core = engine.core.lock();
        let id = core.find("plain").unwrap();
        core.table.set_value(id, 901);
    }
    let pass = engine.verify(true).unwrap();
    assert_found(&pass, "memory", Check::Hot, "plain");
    assert_eq!((pass.found(), pass.mended()), (1, 1));
    assert_clean(&engine, "memory");
}

#[test]
fn ledger_rows_that_are_lost_under_a_running_node_are_put_back() {
    let bench = Bench::new();
    let engine = bench.open();
    fill(&engine);
    let before = engine.ledger().unwrap();
    let mut key = Vec::new();
    crate::ledger::Subject::Namespace("default".to_owned()).put_key(&mut key, WriterNumber(1));
    damage(
        bench.store.as_ref(),
        Address {
            table: Table::Ledger,
            slot: 0,
            key: &key,
        },
        |_, _| None,
    );
    let pass = engine.verify(true).unwrap();
    assert_found(&pass, "the ledger", Check::Ledger, "namespace default (writer 1)");
    assert_eq!(pass.mended(), 1);
    assert_clean(&engine, "the ledger");
    assert_eq!(engine.ledger().unwrap(), before);
}
