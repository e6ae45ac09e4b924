//! What was read of the store for a turn that comes after rounds have ended: kept where they did not change its counters, read again
//! where they may have.

use tally_counter::{Key, Outcome, Position};
use tally_engine::{Blocked, Engine, Fold, KeyIndex, Need, Plan};

use super::{Bench, blind, incr};

/// A plan for a counter that has been read.
fn read(engine: &Engine, name: &str) -> (Plan, KeyIndex) {
    let mut plan = Plan::new();
    let index = plan.key(Key::new(name.as_bytes()).unwrap(), Need::Value);
    let first = engine.turn(&mut plan, &mut |turn| turn.value(index));
    assert!(matches!(first, Err(Blocked::Load)), "it is in memory: {first:?}");
    engine.load(std::slice::from_mut(&mut plan)).unwrap();
    (plan, index)
}

/// The turn's answer, or that what was read is of no use.
fn taken(engine: &Engine, (plan, index): &mut (Plan, KeyIndex)) -> Result<Option<i128>, Blocked> {
    let turned = engine.turn(plan, &mut |turn| turn.value(*index));
    turned.map(|turned| turned.answer)
}

#[test]
fn what_was_read_is_kept_over_rounds_of_other_counters() {
    let bench = Bench::new();
    {
        let engine = bench.open();
        blind(&engine, "cold", 7);
        engine.stop().unwrap();
    }
    let engine = bench.open();
    let mut cold = read(&engine, "cold");
    for _ in 0..10 {
        blind(&engine, "other", 1);
        engine.round().unwrap();
    }
    assert_eq!(taken(&engine, &mut cold).unwrap(), Some(7));
}

#[test]
fn what_was_read_is_read_again_where_a_source_counts_meanwhile() {
    let bench = Bench::new();
    let engine = bench.open();
    let mut source = engine.open_source("file").unwrap();
    let mut cold = read(&engine, "cold");
    let mut fold = Fold::default();
    fold.add(Key::new(b"cold").unwrap(), 5, 1_700_000_000_000);
    fold.event(Outcome::Counted);
    engine
        .put_source(&mut source, &fold, Position::new(1).unwrap(), b"")
        .unwrap();
    assert!(matches!(taken(&engine, &mut cold), Err(Blocked::Load)));
}

/// It was changed, its round was put, and it was let go: nothing in memory tells that it was there.
#[test]
fn what_was_read_is_read_again_where_the_counter_has_come_and_gone() {
    let bench = Bench::new();
    let engine = bench.open_within(200_000);
    let mut cold = read(&engine, "cold");
    assert_eq!(incr(&engine, "cold", 5), 5);
    for number in 0..5_000 {
        blind(&engine, &format!("other:{number}"), 1);
    }
    engine.round().unwrap();
    // Were it still here, its value would be known and nothing would be asked of the store.
    assert!(matches!(taken(&engine, &mut cold), Err(Blocked::Load)));
    engine.load(std::slice::from_mut(&mut cold.0)).unwrap();
    assert_eq!(taken(&engine, &mut cold).unwrap(), Some(5));
}
