//! Finds a turn's counters in memory, and says which must be read first: those that are not there, those whose end or reset goes by what
//! others have counted, and, where other nodes count too, those that were read too long ago. Looks at nothing but memory.

use tally_counter::planted;

use crate::core::Core;
use crate::load;
use crate::plan::{Need, Plan, PlannedKey, ReadToken};
use crate::registry::Registry;

/// Puts what the plan has read into memory, unless it may be old by now.
pub(crate) fn install(core: &mut Core, plan: &mut Plan, registry: &Registry, now_us: u64) {
    if plan.read_at.is_some_and(|read| core.is_past(read)) && !planted!(StaleLoad) {
        plan.outdated = plan.outdated.saturating_add(1);
        keep_sights(core, plan);
    }
    let at_us = plan.read_us.unwrap_or(now_us);
    let Plan { bytes, keys, .. } = plan;
    for key in keys {
        let Some(snapshot) = &key.loaded else { continue };
        let own = registry.own();
        let name = Plan::name(bytes, key);
        let id = core.counter(key.hash.unwrap_or(0), name);
        let known = core.table.get(id).is_some_and(|counter| counter.loaded());
        // A reset goes by what was read, so that its value and what it has seen are of one moment.
        let resets = key.need == Need::Reset && core.foreign > 0;
        if !known || resets {
            load::install(core, id, snapshot, own, registry);
        } else if core.others > 0 && core.can_see(Some(id), snapshot) {
            core.see(id, snapshot, own, registry);
        } else if core.others > 0 {
            load::install(core, id, snapshot, own, registry);
        }
        if core.others > 0 {
            core.note_seen(id, snapshot, (at_us, now_us), own, registry);
        }
    }
}

/// A round has ended since this was read: of what is in memory others' cells are as good as before, as is what the round did not change;
/// all else is read again.
fn keep_sights(core: &Core, plan: &mut Plan) {
    let Plan {
        bytes,
        keys,
        tokens,
        read_at,
        ..
    } = plan;
    let kept_all = read_at.is_some_and(|read| core.has_kept_all_since(read));
    for key in keys {
        let name = Plan::name(bytes, key);
        let id = core.table.find(key.hash.unwrap_or(0), name);
        let sees = |snapshot: &load::Snapshot| key.need != Need::Reset && core.can_see(id, snapshot);
        let keeps = |snapshot: &load::Snapshot| (kept_all && id.is_none()) || sees(snapshot);
        key.loaded = key.loaded.take().filter(|snapshot| keeps(snapshot));
    }
    for token in tokens {
        token.loaded = ReadToken::Unread;
    }
    *read_at = None;
}

/// Finds the plan's counters. `true`: some must be read first.
pub(crate) fn resolve(core: &mut Core, plan: &mut Plan, now_ms: u64, now_us: u64, age_us: u64) -> bool {
    let mut cold = 0_usize;
    let Plan {
        bytes,
        keys,
        tokens,
        writes,
        fresh,
        asked_us,
        background,
        ..
    } = plan;
    // Where others count too, an answer may be so old. A write that answers the value does not wait for what it can have later.
    let after_us = if *fresh {
        *asked_us.get_or_insert(now_us)
    } else if *writes {
        0
    } else {
        now_us.saturating_sub(age_us)
    };
    let sight = (core.others > 0 && !*background).then_some((after_us, now_us));
    core.counts.lookups = core.counts.lookups.saturating_add(keys.len() as u64);
    for some in keys.chunks_mut(FOUND_AT_ONCE) {
        core.table.prefetch(some.iter().map(|key| key.hash.unwrap_or(0)));
        for key in some {
            find(core, bytes, key, now_ms, sight);
            cold = cold.saturating_add(usize::from(key.cold));
        }
    }
    let hits = keys.len().saturating_sub(cold);
    core.counts.hits = core.counts.hits.saturating_add(hits as u64);
    let known = |key: &[u8]| {
        core.open.tokens.contains_key(key)
            || core
                .closing
                .as_ref()
                .is_some_and(|closing| closing.open.tokens.contains_key(key))
    };
    let unknown = tokens
        .iter()
        .any(|token| matches!(token.loaded, ReadToken::Unread) && !known(&token.key));
    cold > 0 || unknown
}

/// How many look-ups wait for memory together.
const FOUND_AT_ONCE: usize = 32;

/// Finds one counter, and whether it must be read first. `sight`: where others count too, since when it must have been read, and now.
fn find(core: &mut Core, bytes: &[u8], key: &mut PlannedKey, now_ms: u64, sight: Option<(u64, u64)>) {
    let name = Plan::name(bytes, key);
    key.id = core.table.find(key.hash.unwrap_or(0), name);
    let old =
        key.need != Need::Blind && sight.is_some_and(|(after_us, now_us)| core.sight.is_old(key.id, after_us, now_us));
    let found = key.id.and_then(|id| core.table.get(id));
    let loaded = found.is_some_and(|counter| counter.loaded());
    let ended = found.is_some_and(|counter| counter.has_ended(now_ms));
    // An end that is met is a reset, too: both go by what others have counted.
    let resets = core.foreign > 0 && (ended || key.need == Need::Reset);
    key.cold = key.loaded.is_none()
        && match key.need {
            Need::Blind if !loaded => {
                let namespace = found.map_or_else(|| core.namespaces.of_name(name), |counter| counter.namespace());
                let namespace = core.namespaces.get(namespace);
                namespace.is_some_and(|namespace| namespace.expires)
            }
            Need::Blind => resets,
            Need::Value | Need::Reset => !loaded || resets || old,
        };
}
