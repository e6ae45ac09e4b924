//! FLUSHALL, FLUSHDB, FUNCTION FLUSH: only where the setting `allow_flush` is on, for test suites that expect them.

use tally_counter::Key;
use tally_engine::{Need, Plan};

use super::is;
use crate::resp::fault::{FLUSH_OFF, Fault, SYNTAX};
use crate::resp::parser::Args;
use crate::resp::reply::Reply;
use crate::resp::shared::Shared;

/// How many counters are deleted in a turn.
const BATCH: usize = 1_000;

/// `FLUSHALL [ASYNC | SYNC]`, `FLUSHDB [ASYNC | SYNC]`: deletes what is there, in name order. What is counted meanwhile may stay.
pub(in crate::resp) async fn flush(shared: &Shared, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), Fault> {
    if !shared.service.limits().allow_flush {
        return Err(FLUSH_OFF);
    }
    if args.len() > 2 || args.len() == 2 && !is(args.at(1), "async") && !is(args.at(1), "sync") {
        return Err(SYNTAX);
    }
    let mut plan = Plan::new();
    let mut after = String::new();
    loop {
        let from = std::mem::take(&mut after);
        let listed = shared
            .service
            .blocking(move |engine| engine.list("", &from, BATCH))
            .await?;
        plan.clear();
        let keys: Vec<_> = listed
            .iter()
            .filter_map(|counter| Key::new(counter.key.as_bytes()).ok())
            .map(|key| plan.key(key, Need::Reset))
            .collect();
        let Some(last) = listed.into_iter().next_back() else {
            break;
        };
        after = last.key;
        let delete = |turn: &mut tally_engine::Turn<'_>| {
            for key in &keys {
                turn.delete(*key);
            }
        };
        shared.service.turn(&mut plan, None, delete).await?;
    }
    reply.ok();
    Ok(())
}

/// `FUNCTION FLUSH`: there are none.
pub(in crate::resp) fn function(shared: &Shared, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), Fault> {
    if !is(args.at(1), "flush") {
        return Err(Fault::subcommand("function", args.at(1)));
    }
    if !shared.service.limits().allow_flush {
        return Err(FLUSH_OFF);
    }
    reply.ok();
    Ok(())
}
