//! Partitions of strong counters: nothing is found while batches go on, and damage of each kind is named.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tally_counter::{Bounds, Cell, Consistency, CounterRow, Figures, Key, Minute, Outcome, Policy, Step, row_key};
use tally_store::{Address, Table};

use super::bench::Bench;
use super::damage::damage;
use crate::strong::WRITER;
use crate::{Blocked, Check, Engine, KeyIndex, Need, PassView, Plan, Settled, StrongPart, TokenState, Turn};

const NAME: &str = "firm:x";

fn strong() -> (Bench, Arc<Engine>) {
    let bench = Bench::new();
    let engine = Arc::new(bench.open());
    let policy = Policy {
        consistency: Consistency::Strong,
        bounds: Bounds::default(),
        ..Policy::default()
    };
    engine.declare("firm", policy).unwrap();
    engine.round().unwrap();
    (bench, engine)
}

fn turn<R>(engine: &Engine, name: &str, token: Option<&[u8]>, work: &mut dyn FnMut(&mut Turn<'_>, KeyIndex) -> R) -> R {
    let key = Key::new(name.as_bytes()).unwrap();
    let mut plan = Plan::new();
    let index = plan.key(key, Need::Value);
    let token = token.map(|token| plan.token("clients", token));
    loop {
        let turned = engine.strong_turn(StrongPart::of(key), &mut plan, &mut |turn| {
            if let Some(token) = token
                && turn.token(token, 1) == TokenState::New
            {
                turn.remember(token, 1, b"");
            }
            work(turn, index)
        });
        match turned {
            Ok(turned) => {
                engine.commit_strong();
                match turned.ticket.and_then(|ticket| ticket.settled()) {
                    None | Some(Settled::Done) => return turned.answer,
                    Some(Settled::Again) => {}
                    Some(other) => panic!("{other:?}"),
                }
            }
            Err(Blocked::Load) => engine
                .load_strong(StrongPart::of(key), std::slice::from_mut(&mut plan))
                .unwrap(),
            Err(other) => panic!("{other}"),
        }
    }
}

fn add(engine: &Engine, name: &str, amount: i64, token: Option<&[u8]>) {
    turn(engine, name, token, &mut |turn, index| turn.add(index, amount, None)).unwrap();
}

/// A row of the partition, where the table has it.
fn damage_row(bench: &Bench, code: u8, key: &[u8], slot: u16, work: impl FnOnce(u64, &[u8]) -> Option<(u64, Vec<u8>)>) {
    let key = [&[2, code], key].concat();
    let address = Address {
        table: Table::Strong,
        slot,
        key: &key,
    };
    damage(bench.store.as_ref(), address, work);
}

fn of_counter(bench: &Bench, row: CounterRow, work: impl FnOnce(u64, &[u8]) -> Option<(u64, Vec<u8>)>) {
    let key = Key::new(NAME.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    row_key(key, row, &mut bytes);
    let code = u8::from(matches!(row, CounterRow::Window { .. }));
    damage_row(bench, code, &bytes, key.slot().number(), work);
}

fn first_slot() -> u16 {
    let part = Table::Strong.partition(Key::new(NAME.as_bytes()).unwrap().slot().number());
    part * (tally_counter::SLOTS / tally_store::STRONG_PARTITIONS)
}

const CELL: CounterRow = CounterRow::Cell {
    life: 0,
    writer: WRITER,
};

fn checks(pass: &PassView) -> Vec<(Check, &str)> {
    pass.drifts
        .iter()
        .map(|drift| (drift.check, drift.subject.as_str()))
        .collect()
}

#[test]
fn nothing_is_found_while_batches_go_on() {
    let (_bench, engine) = strong();
    let stop = Arc::new(AtomicBool::new(false));
    let worker = {
        let (engine, stop) = (Arc::clone(&engine), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut number = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let name = format!("firm:{}", number % 30);
                match number % 7 {
                    0 => drop(turn(&engine, &name, None, &mut |turn, index| turn.delete(index))),
                    _ => add(
                        &engine,
                        &name,
                        2,
                        Some(&number.to_be_bytes())
                            .filter(|_| number < 900)
                            .map(|token| &token[..]),
                    ),
                }
            }
        })
    };
    let mut counters = 0;
    // Enough for batches to come between the reads of a pass.
    while counters < 2_000 {
        let pass = engine.verify(false).unwrap();
        assert_eq!(pass.drifts, []);
        counters += pass.counters;
    }
    stop.store(true, Ordering::Relaxed);
    worker.join().unwrap();
}

#[test]
fn a_total_that_is_not_what_was_counted_is_found() {
    let (bench, engine) = strong();
    add(&engine, NAME, 5, None);
    of_counter(&bench, CELL, |position, old| {
        let mut cell = Cell::decode(position, old).unwrap();
        cell.total += 1;
        let mut value = Vec::new();
        cell.encode(&mut value);
        Some((position, value))
    });
    assert_eq!(checks(&engine.verify(false).unwrap()), [(Check::Totals, NAME)]);
    // What is not understood there is not mended by guessing.
    let repaired = engine.verify(true).unwrap();
    assert_eq!((checks(&repaired), repaired.mended()), (vec![(Check::Totals, NAME)], 0));
}

#[test]
fn a_window_that_is_gone_is_found() {
    let (bench, engine) = strong();
    add(&engine, NAME, 5, None);
    let now_ms = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let minute = Minute::of_ms(u64::try_from(now_ms.as_millis()).unwrap()).unwrap();
    let row = |minute| CounterRow::Window {
        life: 0,
        step: Step::Day,
        chunk: Step::Day.place(minute).0,
        writer: WRITER,
    };
    of_counter(&bench, row(minute), |_, _| None);
    let pass = engine.verify(false).unwrap();
    let found = checks(&pass);
    assert!(found.contains(&(Check::History, NAME)), "{found:?}");
    assert!(found.iter().all(|(_, subject)| *subject == NAME), "{found:?}");
}

#[test]
fn windows_without_a_counter_are_found() {
    let (bench, engine) = strong();
    add(&engine, NAME, 5, None);
    of_counter(&bench, CELL, |_, _| None);
    assert!(checks(&engine.verify(false).unwrap()).contains(&(Check::History, NAME)));
}

#[test]
fn rows_beyond_their_version_are_found() {
    let (bench, engine) = strong();
    add(&engine, NAME, 5, Some(b"t"));
    assert_eq!(engine.verify(false).unwrap().drifts, []);
    of_counter(&bench, CELL, |_, old| Some((1_000, old.to_vec())));
    let mut token = Vec::new();
    crate::token::put_key(&mut token, "clients", b"t");
    token.extend(WRITER.0.to_be_bytes());
    damage_row(&bench, 2, &token, first_slot(), |_, old| Some((1_000, old.to_vec())));
    let pass = engine.verify(false).unwrap();
    let part = Table::Strong.partition(first_slot());
    let tokens = format!("a token of strong partition {part}");
    let found = checks(&pass);
    assert!(found.contains(&(Check::Positions, NAME)), "{found:?}");
    assert!(found.contains(&(Check::Positions, &tokens)), "{found:?}");
}

#[test]
fn ledger_rows_that_say_another_position_are_found() {
    let (bench, engine) = strong();
    add(&engine, NAME, 5, None);
    let mut key = Vec::new();
    crate::ledger::Subject::Namespace("firm".to_owned()).put_key(&mut key, WRITER);
    damage_row(&bench, 3, &key, first_slot(), |position, old| {
        let (at, figures) = Figures::decode(old).unwrap();
        assert_eq!(figures.of(Outcome::Counted), 1);
        Some((position, figures.encoded(at.after(1).unwrap())))
    });
    let name = "namespace firm (writer 0)";
    assert_eq!(checks(&engine.verify(false).unwrap()), [(Check::Ledger, name)]);
}
