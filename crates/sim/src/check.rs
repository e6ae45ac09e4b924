//! Holds everything that can be read against the map.

use std::collections::{BTreeMap, BTreeSet};

use tally_counter::{Figures, Keep, Key, Minute, Outcome, Step};
use tally_engine::{Explained, ScanCursor, SubjectFigures};
use tally_store::Faults;

use crate::keys::{self, KEYS};
use crate::model::Counter;
use crate::random::Rng;
use crate::run::Run;
use crate::violation::{Violation, violated};

fn key_of(name: &str) -> Result<Key<'_>, Violation> {
    match Key::new(name.as_bytes()) {
        Ok(key) => Ok(key),
        Err(error) => violated(error.to_string()),
    }
}

impl Run {
    /// One counter, or the names, or the ledger.
    pub(crate) fn read(&self, rng: &mut Rng) -> Result<String, Violation> {
        match rng.below(10) {
            0 => self.check_list(rng)?,
            1 => self.check_scan(rng)?,
            2 => self.check_ledger()?,
            _ => {
                let name = keys::one(rng);
                self.check_counter(name)?;
                return Ok(format!(
                    "{name} {:?}",
                    self.expected.now().value(name, self.world.now_ms())
                ));
            }
        }
        Ok(String::new())
    }

    /// Everything.
    pub(crate) fn check(&self) -> Result<(), Violation> {
        for name in KEYS {
            self.check_counter(name)?;
        }
        let mut rng = Rng::new(self.seed);
        self.check_list(&mut rng)?;
        self.check_scan(&mut rng)?;
        self.check_ledger()?;
        self.check_count()
    }

    /// Whether a value is one of those that there may be: open rounds of sources are in it, or not yet.
    fn may_be(&self, name: &str, value: Option<i128>) -> bool {
        let expected = self.expected.now().value(name, self.world.now_ms());
        let uncertain = self.uncertain();
        let Some(deltas) = uncertain.get(name) else {
            return value == expected;
        };
        let mut sums = BTreeSet::from([expected.unwrap_or(0)]);
        for delta in deltas {
            let more: Vec<i128> = sums.iter().map(|sum| sum + delta).collect();
            sums.extend(more);
        }
        let due = self
            .expected
            .now()
            .counters
            .get(name)
            .is_some_and(|counter| counter.is_due(self.world.now_ms()));
        value.map_or(expected.is_none(), |value| !due && sums.contains(&value))
    }

    fn check_counter(&self, name: &str) -> Result<(), Violation> {
        let key = key_of(name)?;
        let now_ms = self.world.now_ms();
        let Some(explained) = self.ask(|engine| engine.explain(key))? else {
            return Ok(());
        };
        if !self.may_be(name, explained.value) {
            let now = self.expected.now();
            return violated(format!(
                "{name} is {:?}, not {:?}, give or take {:?}; {explained:?}; expected {:?}",
                explained.value,
                now.value(name, now_ms),
                self.uncertain().get(name),
                now.counters.get(name)
            ));
        }
        if self.is_certain(name) {
            self.check_history(key, &explained)?;
        }
        Ok(())
    }

    /// `counted = left + windows` in every step that was always kept, and every window that did not leave is right.
    fn check_history(&self, key: Key<'_>, explained: &Explained) -> Result<(), Violation> {
        let now = self.expected.now();
        let none = Counter::default();
        let counter = now.counters.get(key.as_str()).unwrap_or(&none);
        let policy = now.policy(now.namespace(key.as_str()));
        for (step, left, windows, _) in &explained.history {
            let whole = counter.whole.get(usize::from(step.code())).copied().unwrap_or(false);
            if !whole || policy.history.keep(*step) == Keep::Off {
                continue;
            }
            if left + windows != counter.counted {
                return violated(format!(
                    "{}: {} left and {windows} in windows of {} are not the {} counted; {explained:?}; {counter:?}",
                    key.as_str(),
                    left,
                    step.word(),
                    counter.counted
                ));
            }
            self.check_windows(key, *step, counter)?;
        }
        Ok(())
    }

    fn check_windows(&self, key: Key<'_>, step: Step, counter: &Counter) -> Result<(), Violation> {
        let Some(history) = self.ask(|engine| engine.history(key, step, Minute(0), Minute(u32::MAX)))? else {
            return Ok(());
        };
        let mut expected: BTreeMap<Minute, i128> = BTreeMap::new();
        for (minute, amount) in &counter.minutes {
            // Reckoned here once more: by the calendar's own length of the step.
            let start = Minute(minute - minute % step.minutes());
            *expected.entry(start).or_default() += amount;
        }
        expected.retain(|start, _| *start >= history.kept_from);
        let windows: BTreeMap<Minute, i128> = history.windows.into_iter().collect();
        if windows != expected {
            return violated(format!(
                "{}: the windows of {} from {:?} are {windows:?}, not {expected:?}",
                key.as_str(),
                step.word(),
                history.kept_from
            ));
        }
        Ok(())
    }

    /// What is live beyond doubt, with values; and what is in doubt.
    fn live(&self) -> (BTreeMap<String, i128>, BTreeSet<&'static str>) {
        let doubt: BTreeSet<&'static str> = self.uncertain().into_keys().collect();
        let mut live = self.expected.now().live(self.world.now_ms());
        live.retain(|name, _| !doubt.contains(name.as_str()));
        (live, doubt)
    }

    fn check_list(&self, rng: &mut Rng) -> Result<(), Violation> {
        let (mut live, doubt) = self.live();
        let prefix = rng.one(&["", "a", "a:", "b:", "d:x"]).copied().unwrap_or("");
        let page = usize::try_from(rng.between(1, 20)).unwrap_or(1);
        let mut listed = Vec::new();
        let mut after = String::new();
        loop {
            let Some(some) = self.ask(|engine| engine.list(prefix, &after, page))? else {
                return Ok(());
            };
            let Some(last) = some.last() else { break };
            after.clone_from(&last.key);
            listed.extend(some.into_iter().map(|one| (one.key, one.value)));
        }
        if !listed.is_sorted_by(|a, b| a.0 < b.0) {
            return violated(format!("a list is not in order: {listed:?}"));
        }
        listed.retain(|(name, _)| !doubt.contains(name.as_str()));
        live.retain(|name, _| name.starts_with(prefix));
        let listed: BTreeMap<String, i128> = listed.into_iter().collect();
        if listed != live {
            return violated(format!("the list of {prefix:?} is {listed:?}, not {live:?}"));
        }
        Ok(())
    }

    fn check_scan(&self, rng: &mut Rng) -> Result<(), Violation> {
        let (live, doubt) = self.live();
        let count = usize::try_from(rng.between(1, 8)).unwrap_or(1);
        let mut names = BTreeSet::new();
        let mut cursor = ScanCursor(0);
        loop {
            let Some((next, some)) = self.ask(|engine| engine.scan(cursor, count))? else {
                return Ok(());
            };
            names.extend(some);
            cursor = next;
            if cursor == ScanCursor(0) {
                break;
            }
        }
        names.retain(|name| !doubt.contains(name.as_str()));
        let live: BTreeSet<String> = live.into_keys().collect();
        if names != live {
            return violated(format!("a scan gives {names:?}, not {live:?}"));
        }
        Ok(())
    }

    /// `received = counted + …` holds by construction; that each figure is what the map says is held here.
    fn check_ledger(&self) -> Result<(), Violation> {
        if self.sources.iter().any(|source| source.attempt.is_some()) {
            return Ok(());
        }
        let Some(ledger) = self.ask(tally_engine::Engine::ledger)? else {
            return Ok(());
        };
        compare("sources", &ledger.sources, &self.expected.now().sources)?;
        compare("namespaces", &ledger.namespaces, &self.expected.now().namespaces)
    }

    /// How many names the store has: exact where the store is.
    fn check_count(&self) -> Result<(), Violation> {
        if !self.uncertain().is_empty() {
            return Ok(());
        }
        let counters = self.expected.now().counters.values();
        let alive = counters.filter(|counter| counter.alive).count();
        let alive = u64::try_from(alive).unwrap_or(0);
        let Some(count) = self.ask_alone(tally_engine::Engine::count)? else {
            return Ok(());
        };
        let exact = self.faults == Faults::none();
        if count != alive && (exact || count < alive) {
            let live = self.expected.now().live(0);
            return violated(format!("{count} counters are counted, not {alive}: {live:?}"));
        }
        Ok(())
    }
}

fn compare(what: &str, found: &[SubjectFigures], expected: &BTreeMap<String, Figures>) -> Result<(), Violation> {
    let counts = |figures: &Figures| Outcome::ALL.map(|outcome| figures.of(outcome));
    let found: BTreeMap<&String, [u64; 5]> = found
        .iter()
        .map(|subject| (&subject.name, counts(&subject.figures)))
        .collect();
    let expected: BTreeMap<&String, [u64; 5]> =
        expected.iter().map(|(name, figures)| (name, counts(figures))).collect();
    if found != expected {
        return violated(format!("the ledger of {what} is {found:?}, not {expected:?}"));
    }
    Ok(())
}
