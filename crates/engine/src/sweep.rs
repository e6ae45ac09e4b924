//! Takes away what is no longer summed: rows of lives that have ended, windows that have left the retention, tokens whose window has
//! passed. At leisure, in slices between rounds; readers never depend on it (rules 14 and 18).

use std::collections::BTreeMap;

use tally_counter::{CounterRow, Head, Key, Slot, counter_prefix};
use tally_store::{Batch, Range, Row, Store, StoreError, Table};

/// How many tokens each scope holds.
pub(crate) type Counted = BTreeMap<Box<[u8]>, u64>;

/// What waits to be swept, and how far the walks have come.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// Counters whose life ended in the rounds just done.
    ended: Vec<Box<str>>,
    tokens: Vec<u8>,
    /// Tokens by scope, counted by the walk that is under way.
    counted: Counted,
}

/// Rows of one slice of a walk.
const SLICE: usize = 5_000;
/// Counters of ended lives that are swept at once.
const ENDED_AT_ONCE: usize = 1_000;

impl Sweep {
    /// These counters' lives ended, and the store has the heads that say so.
    pub(crate) fn ended(&mut self, keys: Vec<Box<str>>) {
        self.ended.extend(keys);
    }

    /// Removes rows of ended lives of some counters, each at the position it was read at.
    pub(crate) fn remove_ended(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let rest = self.ended.len().saturating_sub(ENDED_AT_ONCE);
        for name in self.ended.split_off(rest) {
            if let Ok(key) = Key::new(name.as_bytes()) {
                remove_dead(store, key)?;
            }
        }
        Ok(())
    }

    /// Walks on over the tokens: removes those whose window has passed, counts the others. `Some`: the walk came to its end, and
    /// this is how many each scope holds.
    pub(crate) fn tokens(
        &mut self,
        store: &dyn Store,
        now_ms: u64,
        window_ms: u64,
    ) -> Result<Option<Counted>, StoreError> {
        let mut old = Batch::new();
        let counted = &mut self.counted;
        let next = store.walk(Table::Tokens, &self.tokens, SLICE, &mut |_, row| {
            let token = crate::token::decode(row.value)?;
            if token.time_ms.saturating_add(window_ms) <= now_ms {
                old.push(Row { value: &[], ..row });
            } else {
                let count = counted.entry(crate::token::scope(row.address.key).into()).or_default();
                *count = count.saturating_add(1);
            }
            Ok(())
        })?;
        store.remove(&old)?;
        let ended = next.is_none();
        self.tokens = next.unwrap_or_default();
        Ok(ended.then(|| std::mem::take(&mut self.counted)))
    }
}

/// Removes a counter's rows of lives before the one its stored head says.
fn remove_dead(store: &dyn Store, key: Key<'_>) -> Result<(), StoreError> {
    let slot = Slot::of(key.as_bytes()).number();
    let mut prefix = Vec::new();
    counter_prefix(key, &mut prefix);
    let range = |table| Range {
        table,
        slot,
        prefix: &prefix,
        from: &[],
        limit: usize::MAX,
    };
    let mut life = 0;
    let mut dead = Batch::new();
    store.scan(&[range(Table::Counters), range(Table::Windows)], &mut |_, row| {
        match CounterRow::decode(row.address.key)?.1 {
            // The head is a counter's first row.
            CounterRow::Head => life = Head::decode(row.value)?.generation.life,
            CounterRow::Cell { life: of, .. }
            | CounterRow::Left { life: of, .. }
            | CounterRow::Window { life: of, .. }
                if of < life =>
            {
                dead.push(Row { value: &[], ..row });
            }
            _ => {}
        }
        Ok(())
    })?;
    store.remove(&dead)
}
