//! What a partition forgets and what it must not, and starts of one node that write one after the other.

use std::sync::{Arc, Mutex};

use tally_counter::{Bounds, Consistency, Key, Policy};
use tally_store::{Addresses, Batch, Model, NameCursor, Order, Range, Store, StoreError, Swap, Swapped, Table, Visit};

use super::part::{Part, admit, open};
use super::{PartRows, Settled, StrongPart, Ticket};
use crate::{
    AddError, Blocked, Engine, Need, Plan, Settings, SystemClock, SystemDisk, SystemRandom, TokenState, World,
};

const TOKENS: u64 = 3;

/// What another process does.
type Other = Mutex<Option<Box<dyn FnOnce() + Send>>>;

/// A store that applies a conditional write, lets another process go on, and only then says that it does not know.
struct Slow {
    store: Arc<Model>,
    meanwhile: Other,
}

impl Store for Slow {
    fn put(&self, rows: &Batch, order: Order) -> Result<(), StoreError> {
        self.store.put(rows, order)
    }
    fn remove(&self, rows: &Batch) -> Result<(), StoreError> {
        self.store.remove(rows)
    }
    fn get(&self, addresses: &Addresses, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.store.get(addresses, visit)
    }
    fn scan(&self, ranges: &[Range<'_>], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.store.scan(ranges, visit)
    }
    fn names(&self, prefix: &[u8], after: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.store.names(prefix, after, limit, visit)
    }
    fn names_by_slot(
        &self,
        cursor: NameCursor,
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<NameCursor>, StoreError> {
        self.store.names_by_slot(cursor, limit, visit)
    }
    fn walk(
        &self,
        table: Table,
        cursor: &[u8],
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.walk(table, cursor, limit, visit)
    }
    fn swap(&self, swap: Swap<'_>) -> Result<Swapped, StoreError> {
        let swapped = self.store.swap(swap);
        let strong = swap
            .conditions
            .iter()
            .all(|condition| condition.address.table == Table::Strong);
        let meanwhile = if strong {
            self.meanwhile.lock().unwrap().take()
        } else {
            None
        };
        match meanwhile {
            Some(goes_on) => {
                goes_on();
                Ok(Swapped::Unknown)
            }
            None => swapped,
        }
    }
    fn durable(&self) -> Result<(), StoreError> {
        self.store.durable()
    }
}

fn start(node: &str, dir: &tempfile::TempDir, store: Arc<dyn Store>) -> Arc<Engine> {
    let settings = Settings {
        dir: dir.path().to_owned(),
        node: node.to_owned(),
        token_walk_pause_ms: 0,
        heartbeat_interval_ms: 1_000,
        read_age_ms: 0,
        journal_segment_bytes: 1 << 20,
        cut_damage: false,
        journal_interval_ms: 10,
        journal_limit_bytes: 64 << 20,
        round_interval_ms: 20,
        hot_budget_bytes: 64 << 20,
        token_window_ms: 86_400_000,
        token_limit: TOKENS,
    };
    let world = World {
        clock: Arc::new(SystemClock::default()),
        random: Arc::new(SystemRandom),
        disk: Arc::new(SystemDisk::open(dir.path()).unwrap()),
        store,
    };
    Arc::new(Engine::open(settings, world).unwrap())
}

fn declare(engine: &Engine) {
    let bounds = Bounds {
        min: None,
        max: Some(1_000),
    };
    let policy = Policy {
        consistency: Consistency::Strong,
        bounds,
        ..Policy::default()
    };
    engine.declare("s", policy).unwrap();
    engine.round().unwrap();
}

fn key() -> Key<'static> {
    Key::new(b"s:x").unwrap()
}

/// Takes a turn that adds with a token, or without; its answer is due when it is committed.
fn add(engine: &Engine, amount: i64, token: Option<&[u8]>) -> (Result<i64, String>, Option<Arc<Ticket>>) {
    let mut plan = Plan::new();
    let index = plan.key(key(), Need::Value);
    let token = token.map(|token| plan.token("clients", token));
    let part = StrongPart::of(key());
    loop {
        let turned = engine.strong_turn(part, &mut plan, &mut |turn| {
            if let Some(token) = token {
                match turn.token(token, 1) {
                    TokenState::New => turn.remember(token, 1, b""),
                    other => return Err(format!("{other:?}")),
                }
            }
            let added = turn
                .add(index, amount, None)
                .map_err(|error: AddError| error.to_string())?;
            added.ok_or_else(|| "late".to_owned())
        });
        match turned {
            Ok(turned) => return (turned.answer, turned.ticket),
            Err(Blocked::Load) => engine.load_strong(part, std::slice::from_mut(&mut plan)).unwrap(),
            Err(other) => panic!("{other}"),
        }
    }
}

fn value(engine: &Engine) -> i128 {
    engine.values(&["s:x".to_owned()]).unwrap()[0].unwrap_or(0)
}

fn added(engine: &Engine, amount: i64, token: Option<&[u8]>) -> Result<i64, String> {
    let (answer, ticket) = add(engine, amount, token);
    engine.commit_strong();
    if let Some(ticket) = ticket.filter(|_| answer.is_ok()) {
        match ticket.settled() {
            Some(Settled::Done) => {}
            Some(Settled::Again) => return added(engine, amount, token),
            other => return Err(format!("{other:?}")),
        }
    }
    answer
}

/// A predecessor that was paused between its batch and the answer, while its successor counted, does not take its turn again: both write
/// the one row that says what the node applied last.
#[test]
fn a_paused_predecessor_does_not_take_its_batch_for_refused() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Arc::new(Model::perfect());
    let slow = Arc::new(Slow {
        store: store.clone(),
        meanwhile: Mutex::new(None),
    });
    let paused = start("n", &dir, slow.clone());
    declare(&paused);
    assert_eq!(added(&paused, 1, None), Ok(1));
    for entry in std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let (answer, ticket) = add(&paused, 10, None);
    assert_eq!(answer, Ok(11));
    let on = store.clone();
    *slow.meanwhile.lock().unwrap() = Some(Box::new(move || {
        let successor = start("n", &copy, on);
        assert_eq!(added(&successor, 100, None), Ok(111));
    }));
    paused.commit_strong();
    // It was applied: to say that it was not would have it counted once more.
    let settled = ticket.unwrap().settled();
    assert!(matches!(settled, Some(Settled::Unknown(_))), "{settled:?}");
    assert_eq!(value(&paused), 111);
}

/// Where another node was first, a partition is read anew; how many tokens it holds is counted only now and then, and must not
/// be forgotten until then.
#[test]
fn how_many_tokens_there_are_outlives_another_nodes_batch() {
    let (dir, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Arc::new(Model::perfect());
    let one = start("one", &dir, store.clone());
    declare(&one);
    let two = start("two", &away, store.clone());
    two.beat().unwrap();
    for token in 0..TOKENS {
        assert_eq!(added(&one, 1, Some(&token.to_be_bytes())).map(drop), Ok(()));
    }
    // Another node's batch, which this one meets.
    assert!(added(&two, 1, None).is_ok());
    assert!(added(&one, 1, None).is_ok());
    assert_eq!(added(&one, 1, Some(b"one more")), Err("Full".to_owned()));
    // What was not applied is not counted either.
    assert_eq!(value(&one), i128::from(TOKENS) + 2);
}

/// A partition that was forgotten and read anew between a turn's look at the policies and the turn itself has none: the turn is not taken
/// without them, or bounds would not hold.
#[test]
fn no_turn_is_taken_without_policies() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Model::perfect());
    let engine = start("one", &dir, store);
    declare(&engine);
    assert!(added(&engine, 1, None).is_ok());
    let here = engine.strong.part(StrongPart::of(key()));
    let mut plan = Plan::new();
    plan.key(key(), Need::Value);
    let policies = engine.strong_policies(&plan, here).unwrap();
    {
        let mut core = here.core.lock();
        Part::forget(&mut core, &mut here.state.lock());
    }
    let rows = PartRows::new(engine.world.store.as_ref(), here.slot);
    open(here, &rows, &mut here.writing.lock(), engine.registry.own().0).unwrap();
    let admitted = admit(&mut here.core.lock(), here, &mut plan, policies);
    assert!(matches!(admitted, Err(Blocked::Load)), "{admitted:?}");
    assert!(added(&engine, 1_000, None).is_err(), "beyond its maximum");
}

/// Who only reads is refused, too, where more wait than a partition may hold.
#[test]
fn turns_that_wait_for_a_partition_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start("one", &dir, Arc::new(Model::perfect()));
    declare(&engine);
    assert!(added(&engine, 1, None).is_ok());
    let mut plan = Plan::new();
    let index = plan.key(key(), Need::Value);
    plan.only_reads();
    let part = StrongPart::of(key());
    let mut taken = 0;
    let refused = loop {
        match engine.strong_turn(part, &mut plan, &mut |turn| turn.value(index)) {
            Ok(_) => taken += 1,
            Err(Blocked::Load) => engine.load_strong(part, std::slice::from_mut(&mut plan)).unwrap(),
            Err(other) => break other,
        }
        assert!(taken <= super::part::WAITING_TURNS, "unbounded");
    };
    assert!(matches!(refused, Blocked::Full(_)), "{refused:?}");
    engine.commit_strong();
    assert!(added(&engine, 1, None).is_ok());
}

/// Copies, as far as `told` goes on.
fn copy(
    (from, from_id): (&Arc<Model>, &str),
    (to, to_id): (&Arc<Model>, &str),
    told: &mut dyn FnMut(&crate::CopyProgress) -> Result<(), crate::Error>,
) -> Result<u64, crate::Error> {
    let (from, to): (Arc<dyn Store>, Arc<dyn Store>) = (from.clone(), to.clone());
    let from = crate::CopyEnd {
        store: &from,
        id: from_id,
    };
    let to = crate::CopyEnd { store: &to, id: to_id };
    let rows = crate::copy(from, to, crate::CopyPlace::default(), told)?;
    assert_eq!(crate::verify_copy(from, to, &mut |_| Ok(()))?, rows);
    Ok(rows)
}

/// A stopped node's counts on a store of its own.
fn counted(node: &str, store: &Arc<Model>, amount: i64, token: &[u8]) -> i128 {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(node, &dir, store.clone());
    declare(&engine);
    assert_eq!(added(&engine, amount, Some(token)).map(drop), Ok(()));
    let value = value(&engine);
    assert_eq!(engine.verify(false).unwrap().drifts, []);
    value
}

/// What a store has of the counter, and whether it knows a token.
fn there(store: &Arc<Model>, token: &[u8]) -> (i128, bool) {
    let dir = tempfile::tempdir().unwrap();
    let engine = start("look", &dir, store.clone());
    let repeated = added(&engine, 1, Some(token));
    let known = repeated.as_ref().is_err_and(|why| why.contains("Duplicate"));
    assert!(known || repeated.is_ok(), "{repeated:?}");
    (value(&engine), known)
}

/// A copy there, once more, on from where it was, back home, and none where both have counted.
#[test]
fn partitions_are_copied_as_one_history() {
    let (home, away) = (Arc::new(Model::perfect()), Arc::new(Model::perfect()));
    let go_on = &mut |_: &crate::CopyProgress| Ok(());
    assert_eq!(counted("a", &home, 5, b"1"), 5);
    for _ in 0..2 {
        copy((&home, "home"), (&away, "away"), go_on).unwrap();
        assert_eq!(there(&Arc::new(away.snapshot()), b"1"), (5, true));
    }
    // More is counted at home, and comes over.
    assert_eq!(counted("b", &home, 7, b"2"), 12);
    copy((&home, "home"), (&away, "away"), go_on).unwrap();
    assert_eq!(there(&Arc::new(away.snapshot()), b"2"), (12, true));
    // From now on it is counted away: home has nothing that would be lacking there, and gets what is new.
    assert_eq!(counted("c", &away, 10, b"3"), 22);
    let before = home.snapshot();
    copy((&home, "home"), (&away, "away"), go_on).unwrap();
    assert_eq!(there(&Arc::new(away.snapshot()), b"3"), (22, true));
    copy((&away, "away"), (&home, "home"), go_on).unwrap();
    assert_eq!(there(&Arc::new(home.snapshot()), b"3"), (22, true));
    // Where both have counted neither is replaced.
    let home = Arc::new(before);
    assert_eq!(counted("d", &home, 100, b"4"), 112);
    for (from, to) in [((&home, "home"), (&away, "away")), ((&away, "away"), (&home, "home"))] {
        let refused = copy(from, to, go_on).unwrap_err().to_string();
        assert!(refused.contains("both stores have counted"), "{refused}");
    }
    assert_eq!(there(&home, b"4"), (112, true));
}

/// A copy that is cut off leaves partitions that no node goes by, and comes to its end when it is run again.
#[test]
fn a_half_copied_partition_is_refused_until_the_copy_has_ended() {
    let (home, away) = (Arc::new(Model::perfect()), Arc::new(Model::perfect()));
    assert_eq!(counted("a", &home, 5, b"1"), 5);
    let mut cut = |progress: &crate::CopyProgress| {
        if progress.place.table < 6 {
            return Ok(());
        }
        // The end of the last table tells the same place: rows of strong counters come after it.
        match progress.thousandths {
            0..858 => Ok(()),
            _ => Err(crate::Error::Unavailable("cut off".to_owned())),
        }
    };
    let refused = copy((&home, "home"), (&away, "away"), &mut cut)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("cut off"), "{refused}");
    let dir = tempfile::tempdir().unwrap();
    let engine = start("early", &dir, away.clone());
    let mut plan = Plan::new();
    plan.key(key(), Need::Value);
    let loaded = engine
        .load_strong(StrongPart::of(key()), std::slice::from_mut(&mut plan))
        .unwrap_err()
        .to_string();
    assert!(loaded.contains("being copied"), "{loaded}");
    let other = copy((&Arc::new(home.snapshot()), "other"), (&away, "away"), &mut |_| Ok(())).unwrap_err();
    assert!(other.to_string().contains("interrupted"), "{other}");
    copy((&home, "home"), (&away, "away"), &mut |_| Ok(())).unwrap();
    assert_eq!(there(&away, b"1"), (5, true));
}

/// Rows of windows of strong counters.
fn windows(store: &Model) -> usize {
    let mut rows = 0;
    let mut cursor = Vec::new();
    loop {
        let next = store.walk(Table::Strong, &cursor, 100, &mut |_, row| {
            rows += usize::from(row.address.key.starts_with(&[2, 1]));
            Ok(())
        });
        match next.unwrap() {
            Some(next) => cursor = next,
            None => return rows,
        }
    }
}

fn add_at(engine: &Engine, amount: i64, time_ms: u64) -> Option<Arc<Ticket>> {
    let mut plan = Plan::new();
    let index = plan.key(key(), Need::Value);
    loop {
        match engine.strong_turn(StrongPart::of(key()), &mut plan, &mut |turn| {
            turn.add(index, amount, Some(time_ms))
        }) {
            Ok(turned) => {
                assert!(turned.answer.unwrap().is_some(), "late");
                return turned.ticket;
            }
            Err(Blocked::Load) => engine
                .load_strong(StrongPart::of(key()), std::slice::from_mut(&mut plan))
                .unwrap(),
            Err(other) => panic!("{other}"),
        }
    }
}

fn history(engine: &Engine) -> Vec<(tally_counter::Step, i128, i128)> {
    let steps = engine.explain(key()).unwrap().history;
    steps
        .into_iter()
        .map(|(step, left, windows, _)| (step, left, windows))
        .collect()
}

/// Windows that left the retention are removed, and what they held is in `left`; what is added meanwhile, before the boundary and behind
/// it, is counted too, and another node goes on from there.
#[test]
fn windows_that_left_the_retention_are_folded_and_removed() {
    const DAY_MS: u64 = 86_400_000;
    let (dir, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Arc::new(Model::perfect());
    let engine = start("one", &dir, store.clone());
    let policy = Policy {
        consistency: Consistency::Strong,
        lateness_ms: None,
        ..Policy::default()
    };
    engine.declare("s", policy).unwrap();
    engine.round().unwrap();
    let now_ms = engine.world.clock.now_ms();
    for hour in 0..10 {
        drop(add_at(&engine, 1, now_ms - 5 * DAY_MS + hour * 3_600_000));
        engine.commit_strong();
    }
    drop(add_at(&engine, 100, now_ms));
    engine.commit_strong();
    let before = windows(&store);
    let sums = |engine: &Engine| -> Vec<i128> {
        history(engine)
            .into_iter()
            .map(|(_, left, windows)| left + windows)
            .collect()
    };
    assert_eq!(sums(&engine), [110; 3]);
    // Turns that are taken and not yet committed when the windows leave.
    let waiting = [add_at(&engine, 1_000, now_ms), add_at(&engine, 1, now_ms - 5 * DAY_MS)];
    engine.walk_strong(true).unwrap();
    engine.commit_strong();
    engine.commit_strong();
    for ticket in waiting.into_iter().flatten() {
        assert_eq!(ticket.settled(), Some(Settled::Done));
    }
    assert!(
        windows(&store) + 9 <= before,
        "{before} rows of windows before, {} after",
        windows(&store)
    );
    assert_eq!(sums(&engine), [1_111; 3]);
    let minutes = history(&engine)[0];
    assert_eq!(minutes, (tally_counter::Step::Minute, 11, 1_100));
    assert_eq!(engine.verify(false).unwrap().drifts, []);
    let two = start("two", &away, store.clone());
    two.beat().unwrap();
    drop(add_at(&two, 1, now_ms - 5 * DAY_MS));
    two.commit_strong();
    assert_eq!((value(&engine), sums(&two)), (1_112, vec![1_112; 3]));
    // The first node meets the other's batch, and loses none of its own.
    let ticket = add_at(&engine, 1, now_ms);
    engine.commit_strong();
    assert_eq!(ticket.unwrap().settled(), Some(Settled::Again));
    assert!(added(&engine, 1, None).is_ok());
    assert_eq!(engine.verify(false).unwrap().drifts, []);
}
