//! The journal is lost, or put back from an older copy, at every write and sync of a small scenario (rule 1). What was not in the store
//! is gone then, and of the round that was open any part may be there; but every counter has a value that it had, and a name, and what
//! is counted from then on is counted exactly.

use std::collections::{BTreeMap, BTreeSet};

use tally_engine::Engine;
use tally_store::Faults;

use crate::keys::KEYS;
use crate::random::Rng;
use crate::run::Run;
use crate::scenario::Broken;
use crate::steps::{Kind, add_one};
use crate::trace::Trace;
use crate::violation::{Violation, violated};
use crate::world::{Crash, settings};

/// The values that each counter has had since the store had all of it.
type Values = BTreeMap<&'static str, BTreeSet<Option<i128>>>;

/// Runs a scenario of a seed, and loses the journal at each of its writes and syncs; answers how many there were.
pub fn exhaust_loss(seed: u64) -> Result<u64, Box<Broken>> {
    for last in 0.. {
        let mut run = Run::new(
            seed,
            Faults::none(),
            settings(4_096, 1 << 26, 1_000_000),
            Trace::new(true),
        );
        match lose_at(&mut run, last) {
            Ok(true) => {}
            Ok(false) => return Ok(last),
            Err(violation) => {
                return Err(Box::new(Broken {
                    last: Some(last),
                    violation,
                    lines: run.trace.into_lines(),
                }));
            }
        }
    }
    Ok(0)
}

fn kinds(rng: &mut Rng) -> Vec<Kind> {
    use Kind::{Blind, Commit, CopyJournal, Delete, Round, Set, Several, Token, Valued};
    let mut kinds = vec![Blind, Valued, Several, Set, Commit, Round];
    for _ in 0..2 {
        kinds.extend((0..8).filter_map(|_| rng.one(&[Blind, Valued, Several, Set, Delete, Token, Commit]).copied()));
        kinds.extend([CopyJournal, Blind, Commit, Round]);
    }
    kinds
}

/// Whether the scenario was long enough for the crash to come.
fn lose_at(run: &mut Run, last: u64) -> Result<bool, Violation> {
    let mut rng = Rng::of_part(run.seed, 0x105E);
    run.interruptions = 0;
    run.world.power.lasts(last);
    let mut values = values_of(run);
    for (number, kind) in (0..).zip(kinds(&mut rng)) {
        run.step(number, kind)?;
        if run.crashes > 0 {
            let copy = run.copy.take().filter(|_| rng.percent(50));
            run.world.disk.put_back(copy.map(|(_, _, image)| image));
            return begins_anew(run, &values).map(|()| true);
        }
        if kind == Kind::Round {
            values = values_of(run);
        }
        for (key, now) in values_of(run) {
            values.entry(key).or_default().extend(now);
        }
    }
    Ok(false)
}

fn values_of(run: &Run) -> Values {
    let (now, now_ms) = (run.expected.now(), run.world.now_ms());
    KEYS.into_iter()
        .map(|key| (key, BTreeSet::from([now.value(key, now_ms)])))
        .collect()
}

fn begins_anew(run: &mut Run, values: &Values) -> Result<(), Violation> {
    // What was on its way to the store has arrived: nobody can tell a lost round's late rows from those that were in time.
    run.world.model.settle();
    let engine = open(run)?;
    let mut before = read(&engine)?;
    run.trace.note(format!("begins anew with {before:?}"));
    // With the power gone as well, a store that keeps rows in no order may have kept a cell and lost its head: that is not promised.
    let ordered = run.last_crash == Some(Crash::Kill);
    for (key, value) in KEYS.into_iter().zip(&before).filter(|_| ordered) {
        if !values.get(key).is_some_and(|values| values.contains(value)) {
            return violated(format!(
                "{key} is {value:?} after the journal was lost, it was {values:?}"
            ));
        }
    }
    if ordered {
        named(&engine, &before)?;
    }
    for round in 0..2 {
        for (key, value) in KEYS.into_iter().zip(&mut before) {
            *value = Some(value.unwrap_or(0) + 1);
            add_one(&engine, key)?;
        }
        if round == 1 && engine.round().is_err() {
            return violated("no round after the journal was lost");
        }
        held(&engine, &before)?;
    }
    drop(engine);
    run.world.restart(Crash::Kill, 0);
    let engine = open(run)?;
    held(&engine, &before)
}

fn open(run: &Run) -> Result<Engine, Violation> {
    match Engine::open(run.settings.clone(), run.world.outside()) {
        Ok(engine) => Ok(engine),
        Err(error) => violated(format!("no start after the journal was lost: {error:?}")),
    }
}

fn read(engine: &Engine) -> Result<Vec<Option<i128>>, Violation> {
    let keys: Vec<String> = KEYS.into_iter().map(str::to_owned).collect();
    match engine.values(&keys) {
        Ok(values) => Ok(values),
        Err(error) => violated(format!("no reads after the journal was lost: {error:?}")),
    }
}

/// What has a value has a name, and nothing else has.
fn named(engine: &Engine, values: &[Option<i128>]) -> Result<(), Violation> {
    let listed = match engine.list("", "", usize::MAX) {
        Ok(listed) => listed.into_iter().map(|one| one.key).collect::<BTreeSet<_>>(),
        Err(error) => return violated(format!("no list after the journal was lost: {error:?}")),
    };
    let there = KEYS.into_iter().zip(values).filter(|(_, value)| value.is_some());
    let there: BTreeSet<String> = there.map(|(key, _)| key.to_owned()).collect();
    if listed != there {
        return violated(format!(
            "after the journal was lost the list of names is {listed:?}, not {there:?}"
        ));
    }
    Ok(())
}

fn held(engine: &Engine, expected: &[Option<i128>]) -> Result<(), Violation> {
    let values = read(engine)?;
    if values == expected {
        return Ok(());
    }
    violated(format!(
        "after the journal was lost the values are {values:?}, not {expected:?}"
    ))
}
