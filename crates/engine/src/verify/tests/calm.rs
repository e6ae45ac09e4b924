//! Nothing is found where nothing is wrong, whatever moves meanwhile.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tally_counter::{Key, Outcome, Policy, Position};

use super::bench::{Bench, add, numbers, turn};
use crate::{Expiry, Fold, Need};

#[test]
fn nothing_is_found_while_everything_moves() {
    let bench = Bench::new();
    let engine = Arc::new(bench.open());
    engine
        .declare(
            "default",
            Policy {
                lateness_ms: None,
                ..Policy::default()
            },
        )
        .unwrap();
    engine.start().unwrap();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut workers = Vec::new();
    for worker in 0..2_u64 {
        let (engine, stop) = (Arc::clone(&engine), Arc::clone(&stop));
        workers.push(std::thread::spawn(move || {
            let mut next = numbers(worker + 1);
            while !stop.load(Ordering::Relaxed) {
                let key = format!("k{}", next(40));
                let now = u64::try_from(now_ms()).unwrap();
                match next(12) {
                    0 => turn(&engine, &key, Need::Reset, |turn, index| {
                        turn.set(index, 7, Expiry::Never);
                    }),
                    1 => drop(turn(&engine, &key, Need::Reset, |turn, index| turn.delete(index))),
                    2 => drop(turn(&engine, &key, Need::Reset, |turn, index| {
                        turn.expire(index, Some(now + 30))
                    })),
                    _ => add(&engine, &key, 3, now - next(60 * 24 * 60) * 60_000),
                }
            }
        }));
    }
    let mut source = engine.open_source("file").unwrap();
    let mut at = 0;
    let begun = std::time::Instant::now();
    let (mut passes, mut hot) = (0, 0);
    while begun.elapsed() < std::time::Duration::from_secs(4) {
        let mut fold = Fold::default();
        for key in 0..40 {
            fold.add(
                Key::new(format!("k{key}").as_bytes()).unwrap(),
                2,
                u64::try_from(now_ms()).unwrap(),
            );
            fold.event(Outcome::Counted);
        }
        at += 10;
        engine
            .put_source(&mut source, &fold, Position::new(at).unwrap(), b"")
            .unwrap();
        let pass = engine.verify(false).unwrap();
        assert_eq!(pass.drifts, []);
        assert!(pass.counters > 0, "{pass:?}");
        (passes, hot) = (passes + 1, hot + pass.hot);
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.join().unwrap();
    }
    engine.stop().unwrap();
    assert!(passes > 10 && hot > 100, "{passes} {hot}");
}

fn now_ms() -> u128 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()
}
