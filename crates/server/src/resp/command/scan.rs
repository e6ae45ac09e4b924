//! DBSIZE and SCAN. The cursor is a place among the names and needs no state here: Redis's guarantee, for any number of scans.

use tally_engine::{Engine, ScanCursor};

use super::{is, matches};
use crate::resp::fault::{Fault, NOT_AN_INTEGER, SYNTAX};
use crate::resp::number;
use crate::resp::parser::Args;
use crate::resp::reply::Reply;
use crate::resp::shared::Shared;

/// The most names that one SCAN looks at, whatever its COUNT.
const MAX_COUNT: usize = 10_000;

/// `DBSIZE`
pub(in crate::resp) async fn dbsize(shared: &Shared, reply: &mut Reply<'_>) -> Result<(), Fault> {
    let counters = shared.service.blocking(Engine::count).await?;
    reply.integer(i64::try_from(counters).unwrap_or(i64::MAX));
    Ok(())
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
pub(in crate::resp) async fn scan(shared: &Shared, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), Fault> {
    let text = std::str::from_utf8(args.at(1)).unwrap_or_default();
    let cursor: u64 = text.parse().map_err(|_| Fault::Text("ERR invalid cursor"))?;
    let (mut pattern, mut count, mut counters) = (&b"*"[..], 10, true);
    let mut options = args.from(2).iter();
    while let Some(option) = options.next() {
        let sent = options.next().ok_or(SYNTAX)?;
        if is(option, "match") {
            pattern = sent;
        } else if is(option, "count") {
            let number = number::parse(sent).ok_or(NOT_AN_INTEGER)?;
            count = usize::try_from(number).ok().filter(|count| *count > 0).ok_or(SYNTAX)?;
        } else if is(option, "type") {
            counters = is(sent, "string");
        } else {
            return Err(SYNTAX);
        }
    }
    let count = count.min(MAX_COUNT);
    let (next, names) = shared
        .service
        .blocking(move |engine| engine.scan(ScanCursor(cursor), count))
        .await?;
    let found = || {
        names
            .iter()
            .map(String::as_bytes)
            .filter(|name| counters && matches(pattern, name))
    };
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next.0).as_bytes());
    reply.array(found().count());
    for name in found() {
        reply.bulk(name);
    }
    Ok(())
}
