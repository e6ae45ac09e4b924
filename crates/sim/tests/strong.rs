//! Strong counters on three nodes under a seeded store that leaves outcomes unknown, applies batches late and fails reads: what clients
//! were told is linearizable, tokens count once, bounds hold, and the windows add up to the totals.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Poll, Waker};

use tally_counter::{Bounds, Consistency, Key, Policy, Step};
use tally_engine::{
    AddError, Blocked, Clock, Engine, Expiry, Need, Plan, Random, Settings, Settled, SystemDisk, Ticket, TokenState,
    Turn, World, payload_hash,
};
use tally_sim::{Action, Call, Register, Verdict};
use tally_store::{
    Addresses, Batch, Faults, Model, NameCursor, Order, Range, Store, StoreError, Swap, Swapped, Table, Visit,
};

const NODES: usize = 3;
const CLIENTS: usize = 6;
const STEPS: usize = 260;
/// Two of one partition (a hash tag), two of others; the bounded namespace has one.
const KEYS: [&str; 5] = ["s:{a}1", "s:{a}2", "s:b", "s:c", "quota:x"];
const MAX: i64 = 12;

struct World3 {
    clock: AtomicU64,
    random: AtomicU64,
}

impl Clock for World3 {
    fn now_ms(&self) -> u64 {
        1_700_000_000_000 + self.clock.load(Ordering::Relaxed)
    }
    fn monotonic_us(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed) * 1_000
    }
}

impl Random for World3 {
    fn next(&self) -> u128 {
        u128::from(self.random.fetch_add(1, Ordering::Relaxed)) * 0x9E37_79B9_7F4A_7C15
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }

    fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).unwrap()
    }
}

#[derive(Clone, Copy, Debug)]
enum Wish {
    Add(i64),
    /// With a token: asked again until it is known.
    Once(i64, u64),
    Set(i64),
    Read,
}

/// A call that a client is at.
struct Asking {
    node: usize,
    key: usize,
    wish: Wish,
    began: u64,
    question: Question,
    /// Its turn was taken, and this is its answer once the ticket says so.
    taken: Option<(Action, Option<Arc<Ticket>>)>,
    /// Its batch may apply although nobody said so.
    perhaps: bool,
}

/// The store as nodes see it: while one of them does not know what became of its batch, others make theirs.
struct Meanwhile {
    store: Arc<Model>,
    nodes: Mutex<Vec<Weak<Engine>>>,
    within: AtomicBool,
    dice: Mutex<Dice>,
    /// The clock that all clients share.
    instant: AtomicU64,
    /// What was called meanwhile: by key.
    calls: Mutex<Vec<(usize, Call)>>,
}

impl Meanwhile {
    fn instant(&self) -> u64 {
        self.instant.fetch_add(1, Ordering::Relaxed)
    }

    /// Another client adds on another node, from the question to the answer.
    fn add(&self) {
        let (node, key) = {
            let mut dice = self.dice.lock().unwrap();
            (dice.index(NODES), dice.index(KEYS.len()))
        };
        let Some(engine) = self
            .nodes
            .lock()
            .unwrap()
            .iter()
            .rev()
            .nth(node)
            .and_then(Weak::upgrade)
        else {
            return;
        };
        let began = self.instant();
        // The one that waits here is in the middle of its batch.
        engine.commit_strong();
        let Some((action @ Action::Add { amount, .. }, Some(ticket))) = attempt(&engine, KEYS[key], Wish::Add(1))
        else {
            return;
        };
        engine.commit_strong();
        let call = |returned, action| Call {
            began,
            returned,
            action,
        };
        let call = match ticket.settled() {
            Some(Settled::Done) => call(Some(self.instant()), action),
            Some(Settled::Again | Settled::Refused(_)) => return,
            // It may wait in the queue of the one that is at it.
            Some(Settled::Unknown(_)) | None => call(None, Action::Add { amount, told: None }),
        };
        self.calls.lock().unwrap().push((key, call));
    }
}

impl Store for Meanwhile {
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
        if matches!(swapped, Ok(Swapped::Unknown)) && !self.within.swap(true, Ordering::Relaxed) {
            for _ in 0..3 {
                self.add();
            }
            self.within.store(false, Ordering::Relaxed);
        }
        swapped
    }
    fn durable(&self) -> Result<(), StoreError> {
        self.store.durable()
    }
    fn forgets(&self) -> bool {
        self.store.forgets()
    }
}

struct Bench {
    dirs: Vec<tempfile::TempDir>,
    world: Arc<World3>,
    store: Arc<Model>,
    seen: Arc<Meanwhile>,
    shared: bool,
}

impl Bench {
    fn open(&self, node: usize) -> Arc<Engine> {
        let dir = self.dirs[node].path();
        let settings = Settings {
            dir: dir.to_owned(),
            node: format!("n{node}"),
            token_walk_pause_ms: 0,
            heartbeat_interval_ms: if self.shared { 1_000 } else { 0 },
            read_age_ms: 0,
            journal_segment_bytes: 1 << 16,
            cut_damage: false,
            journal_interval_ms: 100,
            journal_limit_bytes: 64 << 20,
            round_interval_ms: 5_000,
            hot_budget_bytes: 64 << 20,
            token_window_ms: 86_400_000,
            token_limit: 1_000,
        };
        loop {
            let world = World {
                clock: self.world.clone(),
                random: self.world.clone(),
                disk: Arc::new(SystemDisk::open(dir).unwrap()),
                store: self.seen.clone(),
            };
            // The store may fail a start.
            if let Ok(engine) = Engine::open(settings.clone(), world) {
                let engine = Arc::new(engine);
                self.seen.nodes.lock().unwrap().push(Arc::downgrade(&engine));
                return engine;
            }
        }
    }
}

fn strong(bounds: Bounds) -> Policy {
    Policy {
        consistency: Consistency::Strong,
        bounds,
        ..Policy::default()
    }
}

/// What the turn of a wish does, and what the client is told.
fn work(
    turn: &mut Turn<'_>,
    key: tally_engine::KeyIndex,
    token: Option<tally_engine::TokenIndex>,
    wish: Wish,
) -> Action {
    let add = |turn: &mut Turn<'_>, amount: i64| match turn.add(key, amount, None) {
        Ok(told) => Action::Add {
            amount,
            told: told.map(i128::from),
        },
        Err(AddError::Bound { .. }) => Action::Refused { amount },
        Err(error) => panic!("{error}"),
    };
    match wish {
        Wish::Read => Action::Read(turn.value(key).unwrap_or(0)),
        Wish::Set(value) => {
            turn.set(key, value, Expiry::Never);
            Action::Set(value.into())
        }
        Wish::Add(amount) => add(turn, amount),
        Wish::Once(amount, _) => {
            let (token, payload) = (token.unwrap(), payload_hash(&amount.to_le_bytes()));
            match turn.token(token, payload) {
                TokenState::Duplicate(answer) => Action::Add {
                    amount,
                    told: Some(i128::from_le_bytes(answer.try_into().unwrap())),
                },
                TokenState::New => {
                    let action = add(turn, amount);
                    if let Action::Add { told: Some(told), .. } = action {
                        turn.remember(token, payload, &told.to_le_bytes());
                    }
                    action
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// What is asked of a node, with what was read for it so far.
struct Question {
    plan: Plan,
    key: tally_engine::KeyIndex,
    token: Option<tally_engine::TokenIndex>,
}

impl Question {
    fn new(key: &str, wish: Wish) -> Self {
        let mut plan = Plan::new();
        let key = plan.key(Key::new(key.as_bytes()).unwrap(), Need::Blind);
        let token = if let Wish::Once(_, number) = wish {
            Some(plan.token("clients", &number.to_le_bytes()))
        } else {
            None
        };
        if matches!(wish, Wish::Read) {
            plan.only_reads();
        }
        Self { plan, key, token }
    }

    /// Tries to take the turn; `None`: not yet.
    fn ask(&mut self, engine: &Engine, wish: Wish) -> Option<(Action, Option<Arc<Ticket>>)> {
        let Self { plan, key, token } = self;
        for _ in 0..4 {
            let part = match engine.turn(plan, &mut |_| ()) {
                Err(Blocked::Strong(part)) => part,
                other => panic!("it is strong: {other:?}"),
            };
            match engine.strong_turn(part, plan, &mut |turn| work(turn, *key, *token, wish)) {
                Ok(turned) => return Some((turned.answer, turned.ticket)),
                Err(Blocked::Load) => drop(engine.load_strong(part, std::slice::from_mut(plan))),
                Err(Blocked::Full(_)) => return None,
                Err(other) => panic!("{other}"),
            }
        }
        None
    }
}

/// Asked for the first time.
fn attempt(engine: &Engine, key: &str, wish: Wish) -> Option<(Action, Option<Arc<Ticket>>)> {
    Question::new(key, wish).ask(engine, wish)
}

#[derive(Default)]
struct History {
    calls: BTreeMap<usize, Vec<Call>>,
    /// Amounts of tokens that were counted, by key.
    tokens: BTreeMap<u64, (usize, i64)>,
    unknown: usize,
}

fn run(seed: u64, shared: bool) -> History {
    let nodes = if shared { NODES } else { 1 };
    let faults = Faults {
        swaps_unknown: if shared { 250 } else { 0 },
        reads_fail: 30,
        writes_fail: if shared { 30 } else { 0 },
        writes_repeat: if shared { 30 } else { 0 },
        ..Faults::none()
    };
    let store = Model::new(Faults::none(), seed);
    let store = Arc::new(if shared { store } else { store.forgetful() });
    let bench = Bench {
        seen: Arc::new(Meanwhile {
            store: store.clone(),
            nodes: Mutex::default(),
            within: AtomicBool::new(false),
            dice: Mutex::new(Dice(seed ^ 0x5EED)),
            instant: AtomicU64::new(1),
            calls: Mutex::default(),
        }),
        dirs: (0..nodes).map(|_| tempfile::tempdir().unwrap()).collect(),
        world: Arc::new(World3 {
            clock: AtomicU64::new(1),
            random: AtomicU64::new(seed + 1),
        }),
        store,
        shared,
    };
    let mut engines: Vec<Option<Arc<Engine>>> = (0..nodes).map(|node| Some(bench.open(node))).collect();
    let first = engines[0].as_ref().unwrap();
    first.declare("s", strong(Bounds::default())).unwrap();
    first
        .declare(
            "quota",
            strong(Bounds {
                min: Some(0),
                max: Some(MAX),
            }),
        )
        .unwrap();
    for engine in engines.iter().flatten() {
        while engine.namespaces().len() < 3 {
            engine.beat().unwrap();
        }
    }
    bench.store.set_faults(faults);
    let mut dice = Dice(seed);
    let mut clients: Vec<Option<Asking>> = (0..CLIENTS).map(|_| None).collect();
    let mut history = History::default();
    let mut next_token = 0_u64;
    for step in 0..STEPS + 2_000 {
        let ends = step >= STEPS;
        if ends && clients.iter().all(Option::is_none) {
            break;
        }
        assert!(step < STEPS + 1_999, "seed {seed}: calls never end");
        if ends {
            bench.store.set_faults(Faults::none());
        }
        let instant = bench.seen.instant();
        match dice.below(10) {
            0..=5 => {
                let client = dice.index(CLIENTS);
                if clients[client].is_none() && !ends {
                    let wish = match dice.below(8) {
                        0 | 1 => Wish::Read,
                        2 => Wish::Set(i64::try_from(dice.below(5)).unwrap()),
                        3 | 4 => {
                            next_token += 1;
                            Wish::Once(i64::try_from(dice.below(4)).unwrap() + 1, next_token)
                        }
                        _ => Wish::Add(i64::try_from(dice.below(7)).unwrap() - 2),
                    };
                    let key = dice.index(KEYS.len());
                    clients[client] = Some(Asking {
                        node: dice.index(nodes),
                        key,
                        question: Question::new(KEYS[key], wish),
                        wish,
                        began: instant,
                        taken: None,
                        perhaps: false,
                    });
                }
                if let Some(asking) = clients[client].take() {
                    clients[client] = go_on(&engines, asking, &mut history, &bench.seen, &mut dice, nodes);
                }
            }
            6..=8 => {
                let node = dice.index(nodes);
                if let Some(engine) = &engines[node] {
                    engine.commit_strong();
                }
            }
            _ if dice.below(5) == 0 && !ends => {
                let node = dice.index(nodes);
                engines[node] = None;
                if !shared {
                    bench.store.crash(dice.below(1 << 30));
                }
                for client in &mut clients {
                    // Who waits for an answer of this node never gets one.
                    if let Some(asking) = client.take_if(|asking| asking.node == node) {
                        let sent = asking.taken.is_some() || asking.perhaps;
                        *client = gave_up(asking, sent, &mut history, &mut dice, nodes);
                    }
                }
                bench.store.set_faults(Faults::none());
                engines[node] = Some(bench.open(node));
                bench.store.set_faults(faults);
                let engine = engines[node].as_ref().unwrap();
                while engine.namespaces().len() < 3 {
                    engine.beat().unwrap();
                }
            }
            _ => {}
        }
    }
    for (key, call) in std::mem::take(&mut *bench.seen.calls.lock().unwrap()) {
        history.calls.entry(key).or_default().push(call);
    }
    check(&bench, &engines, &history, seed);
    history
}

/// A client whose call was cut off: a token is asked for again, all else is of unknown outcome if it was sent.
fn gave_up(asking: Asking, sent: bool, history: &mut History, dice: &mut Dice, nodes: usize) -> Option<Asking> {
    match asking.wish {
        Wish::Once(..) => Some(Asking {
            node: dice.index(nodes),
            question: Question::new(KEYS[asking.key], asking.wish),
            taken: None,
            perhaps: true,
            ..asking
        }),
        Wish::Read => None,
        Wish::Add(_) | Wish::Set(_) => {
            if sent && let Some((action @ (Action::Add { .. } | Action::Set(_)), _)) = asking.taken {
                history.unknown += 1;
                let action = match action {
                    Action::Add { amount, .. } => Action::Add { amount, told: None },
                    other => other,
                };
                history.calls.entry(asking.key).or_default().push(Call {
                    began: asking.began,
                    returned: None,
                    action,
                });
            }
            None
        }
    }
}

fn go_on(
    engines: &[Option<Arc<Engine>>],
    mut asking: Asking,
    history: &mut History,
    seen: &Meanwhile,
    dice: &mut Dice,
    nodes: usize,
) -> Option<Asking> {
    let engine = engines[asking.node].as_ref().unwrap();
    let Some((action, ticket)) = &asking.taken else {
        asking.taken = asking.question.ask(engine, asking.wish);
        return Some(asking);
    };
    let settled = match ticket {
        None => Settled::Done,
        Some(ticket) => match ticket.poll(Waker::noop()) {
            Poll::Pending => return Some(asking),
            Poll::Ready(settled) => settled,
        },
    };
    match settled {
        Settled::Done => {
            if let (Wish::Once(amount, token), Action::Add { .. }) = (asking.wish, action) {
                history.tokens.insert(token, (asking.key, amount));
            }
            history.calls.entry(asking.key).or_default().push(Call {
                began: asking.began,
                returned: Some(seen.instant()),
                action: *action,
            });
            None
        }
        Settled::Again => {
            asking.taken = None;
            Some(asking)
        }
        Settled::Refused(_) => gave_up(asking, false, history, dice, nodes),
        Settled::Unknown(_) => gave_up(asking, true, history, dice, nodes),
    }
}

fn check(bench: &Bench, engines: &[Option<Arc<Engine>>], history: &History, seed: u64) {
    bench.store.set_faults(Faults::none());
    bench.store.settle();
    for (key, calls) in &history.calls {
        let bounds = if KEYS[*key].starts_with("quota") {
            0..=i128::from(MAX)
        } else {
            i128::MIN..=i128::MAX
        };
        let register = Register { start: 0, bounds };
        let verdict = register.check(calls);
        assert!(
            matches!(verdict, Verdict::Linearizable | Verdict::Undecided),
            "seed {seed}, {}: {verdict:?}\n{calls:#?}",
            KEYS[*key]
        );
    }
    // All nodes see one value, which the history explains as the last read of all.
    for (index, name) in KEYS.iter().enumerate() {
        let mut values = Vec::new();
        for engine in engines.iter().flatten() {
            let value = loop {
                let Some((Action::Read(value), ticket)) = attempt(engine, name, Wish::Read) else {
                    continue;
                };
                engine.commit_strong();
                if ticket.is_none_or(|ticket| ticket.settled() == Some(Settled::Done)) {
                    break value;
                }
            };
            values.push(value);
            let listed = engine.values(&[(*name).to_owned()]).unwrap();
            assert_eq!(listed[0].unwrap_or(0), value, "seed {seed}, {name}: as listed");
            let explained = engine.explain(Key::new(name.as_bytes()).unwrap()).unwrap();
            for (step, left, windows, _) in &explained.history {
                let counted: i128 = explained.cells.iter().map(|cell| cell.cell.counted).sum();
                assert_eq!(left + windows, counted, "seed {seed}, {name}: windows of {step:?}");
            }
            assert_eq!(explained.history.len(), Step::ALL.len());
        }
        assert!(
            values.iter().all(|value| *value == values[0]),
            "seed {seed}: {values:?}"
        );
        let mut calls = history.calls.get(&index).cloned().unwrap_or_default();
        calls.push(Call {
            began: u64::MAX - 1,
            returned: Some(u64::MAX),
            action: Action::Read(values[0]),
        });
        let register = Register {
            start: 0,
            bounds: i128::MIN..=i128::MAX,
        };
        if !name.starts_with("quota") {
            let verdict = register.check(&calls);
            assert!(
                matches!(verdict, Verdict::Linearizable | Verdict::Undecided),
                "seed {seed}, {name}: ends at {} {verdict:?}\n{calls:#?}",
                values[0]
            );
        }
    }
}

#[test]
fn three_nodes_are_linearizable_whatever_the_store_does() {
    let mut unknown = 0;
    let mut calls = 0;
    for seed in 0..60 {
        let history = run(seed, true);
        unknown += history.unknown;
        calls += history.calls.values().map(Vec::len).sum::<usize>();
    }
    assert!(calls > 60 * 30 && unknown > 10, "{calls} calls, {unknown} unknown");
}

#[test]
fn one_node_keeps_what_it_answered_through_losses_of_power() {
    for seed in 1_000..1_060 {
        run(seed, false);
    }
}
