//! What some planted bugs do (`tally_counter::planted!`), where it takes more than a line. Nothing else calls it.

use tally_counter::{Ends, Figures, Head};

use crate::World;
use crate::core::Core;
use crate::entry::{Entry, Op};

/// `ReplayMeetsOwnToken`: whether the store has a token of this entry.
pub(crate) fn own_token_stands(world: &World, content: &[u8]) -> bool {
    let Ok(mut entry) = Entry::decode(content) else {
        return false;
    };
    while let Ok(Some(op)) = entry.next() {
        if let Op::Token { token, .. } = op {
            let found = crate::load::tokens(world.store.as_ref(), &[token]);
            return found.is_ok_and(|found| found.iter().any(Option::is_some));
        }
    }
    false
}

/// `LedgerAtAnswer`: what the replayed entries say of the ledger is not taken for new.
pub(crate) fn forget_figures(core: &mut Core) {
    core.open.sources.clear();
    core.namespaces
        .iter_mut()
        .for_each(|namespace| namespace.open = Figures::default());
}

/// `ExpiryAtReplay`: ends what is due by the wall clock, in no entry.
pub(crate) fn end_all_due(core: &mut Core, now_ms: u64) {
    for id in core.table.ids() {
        let head = core.table.get(id).and_then(|counter| counter.head().cloned());
        if let Some(head) = head.filter(|head| head.expired(now_ms)) {
            let generation = head.generation.next_life();
            let ended = Head {
                generation,
                ..Head::default()
            };
            core.apply_head(id, Ends::Life, ended);
        }
    }
}
