//! The checker on histories that are known to be good or bad, and on what threads see of a real engine.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

use tally_counter::Key;
use tally_engine::{Engine, Expiry, Need, Plan, Settings, SystemClock, SystemDisk, SystemRandom, World};
use tally_store::{Faults, Model, Store};

use super::*;

const CLIENTS: u64 = 4;
const CALLS: u64 = 250;

fn call(began: u64, returned: u64, action: Action) -> Call {
    Call {
        began,
        returned: Some(returned),
        action,
    }
}

fn unknown(began: u64, action: Action) -> Call {
    Call {
        began,
        returned: None,
        action,
    }
}

fn told(amount: i64, told: i128) -> Action {
    Action::Add {
        amount,
        told: Some(told),
    }
}

fn check(history: &[Call]) -> Verdict {
    Register::unbounded().check(history)
}

#[test]
fn calls_at_once_may_come_in_any_order() {
    // The one that began last came first.
    assert_eq!(
        check(&[
            call(1, 10, told(1, 3)),
            call(2, 9, told(2, 2)),
            call(3, 11, Action::Read(3))
        ]),
        Verdict::Linearizable
    );
    assert_eq!(check(&[]), Verdict::Linearizable);
}

#[test]
fn a_lost_update_is_found() {
    let history = [call(1, 4, told(1, 1)), call(2, 5, told(1, 1))];
    assert_eq!(check(&history), Verdict::Broken { explained: 1 });
}

#[test]
fn a_stale_read_is_found() {
    let add = call(1, 2, told(5, 5));
    assert_eq!(
        check(&[add, call(3, 4, Action::Read(0))]),
        Verdict::Broken { explained: 1 }
    );
    // Before the add had returned it may be seen or not, but not unseen again once it was seen.
    let long = call(1, 9, told(5, 5));
    let seen = call(2, 3, Action::Read(5));
    assert_eq!(check(&[long, seen, call(4, 5, Action::Read(5))]), Verdict::Linearizable);
    assert_eq!(
        check(&[long, seen, call(4, 5, Action::Read(0))]),
        Verdict::Broken { explained: 2 }
    );
}

#[test]
fn an_unknown_outcome_is_applied_once_at_any_later_time_or_never() {
    let add = unknown(1, Action::Add { amount: 5, told: None });
    assert_eq!(check(&[add, call(2, 3, Action::Read(0))]), Verdict::Linearizable);
    let late = [add, call(2, 3, Action::Read(0)), call(4, 5, Action::Read(5))];
    assert_eq!(check(&late), Verdict::Linearizable);
    assert!(matches!(
        check(&[add, call(2, 3, Action::Read(10))]),
        Verdict::Broken { .. }
    ));
    let undone = [add, call(2, 3, Action::Read(5)), call(4, 5, Action::Read(0))];
    assert!(matches!(check(&undone), Verdict::Broken { .. }));
    // Nor before it began.
    let early = [call(1, 2, Action::Read(5)), unknown(3, add.action)];
    assert!(matches!(check(&early), Verdict::Broken { .. }));
}

#[test]
fn bounds_are_kept_and_refuse_only_what_leaves_them() {
    let register = Register {
        start: 8,
        bounds: 0..=10,
    };
    let refused = |amount| call(1, 2, Action::Refused { amount });
    assert_eq!(register.check(&[refused(3)]), Verdict::Linearizable);
    assert_eq!(register.check(&[refused(2)]), Verdict::Broken { explained: 0 });
    assert_eq!(
        register.check(&[call(1, 2, told(3, 11))]),
        Verdict::Broken { explained: 0 }
    );
    // A refused add that changed something all the same.
    let changed = [refused(3), call(3, 4, Action::Read(11))];
    assert_eq!(register.check(&changed), Verdict::Broken { explained: 1 });
}

#[test]
fn a_search_that_is_too_large_says_so() {
    let add = |at: u64| Action::Add {
        amount: 1 << at,
        told: None,
    };
    let mut history: Vec<Call> = (0..12).map(|at| unknown(at, add(at))).collect();
    history.push(call(20, 21, Action::Read(-1)));
    assert_eq!(Register::unbounded().search(&history, 1_000), Verdict::Undecided);
    assert!(matches!(check(&history), Verdict::Broken { explained: 0 }));
}

#[test]
fn what_threads_see_of_one_node_is_linearizable() {
    let dir = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(Model::new(Faults::none(), 1));
    let ticks = AtomicU64::new(0);
    let together = Barrier::new(CLIENTS.try_into().unwrap());
    let mut history = Vec::new();
    for start in 0..2 {
        let engine = open(dir.path(), &store);
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let (engine, ticks, together) = (&engine, &ticks, &together);
                    scope.spawn(move || calls(engine, ticks, together, 1 + start * CLIENTS + client))
                })
                .collect();
            for client in clients {
                history.extend(client.join().unwrap());
            }
        });
        engine.commit().unwrap();
    }
    let at_once = |one: &Call, other: &Call| one.began < other.began && Some(other.began) < one.returned;
    assert!(
        history
            .iter()
            .filter(|one| history.iter().any(|other| at_once(one, other)))
            .count()
            > 1_000
    );
    assert_eq!(check(&history), Verdict::Linearizable);
    // One answer that nobody could have been given, and the same history is none.
    let read = history
        .iter()
        .rposition(|call| matches!(call.action, Action::Read(_)))
        .unwrap();
    history[read].action = Action::Read(-1_000_000_007);
    assert!(matches!(check(&history), Verdict::Broken { .. }));
}

/// What one client does, and is told.
fn calls(engine: &Engine, ticks: &AtomicU64, together: &Barrier, client: u64) -> Vec<Call> {
    let mut history = Vec::new();
    for number in 0..CALLS {
        let amount = i64::try_from(client * 1_000 + number).unwrap();
        let mut plan = Plan::new();
        let key = plan.key(Key::new(b"k").unwrap(), Need::Reset);
        let began = ticks.fetch_add(1, Ordering::SeqCst);
        // Without it each client is done before the next one begins, and no two calls are under way at once.
        together.wait();
        let done = engine.blocking_turn(&mut plan, &mut |turn| match number % 10 {
            0..6 => told(amount, turn.add(key, amount, None).unwrap().unwrap().into()),
            6..9 => Action::Read(turn.value(key).unwrap_or(0)),
            _ => {
                turn.set(key, -amount, Expiry::Never);
                Action::Set((-amount).into())
            }
        });
        let returned = ticks.fetch_add(1, Ordering::SeqCst);
        history.push(call(began, returned, done.unwrap()));
    }
    history
}

fn open(dir: &Path, store: &Arc<dyn Store>) -> Engine {
    let settings = Settings {
        dir: dir.to_owned(),
        node: "local".to_owned(),
        token_walk_pause_ms: 0,
        heartbeat_interval_ms: 0,
        read_age_ms: 0,
        journal_segment_bytes: 1 << 20,
        cut_damage: false,
        journal_interval_ms: 100,
        journal_limit_bytes: 64 << 20,
        round_interval_ms: 5_000,
        hot_budget_bytes: 64 << 20,
        token_window_ms: 86_400_000,
        token_limit: 1_000,
    };
    let world = World {
        clock: Arc::new(SystemClock::default()),
        random: Arc::new(SystemRandom),
        disk: Arc::new(SystemDisk::open(dir).unwrap()),
        store: store.clone(),
    };
    Engine::open(settings, world).unwrap()
}
