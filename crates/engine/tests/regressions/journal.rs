//! The journal that is lost, or seems so.

use crate::kit::{Bench, add, explain};

#[test]
fn a_repeated_round_that_empties_the_journal_is_no_lost_journal() {
    for operation in 0..14 {
        let bench = Bench::new(1);
        let engine = bench.open();
        add(&engine, "x", 1);
        engine.commit().unwrap();
        bench.breaks_after(operation);
        let _unless_it_came_through = engine.round();
        drop(engine);
        bench.breaks_no_more();
        drop(bench.open());
        let engine = bench.open();
        add(&engine, "x", 1);
        engine.round().unwrap();
        let explained = explain(&engine, "x");
        assert_eq!(explained.value, Some(2));
        assert!(explained.writers.iter().all(|writer| writer.writer.epoch == 1));
    }
}
