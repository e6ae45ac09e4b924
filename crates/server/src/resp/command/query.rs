//! TALLY.QUERY: sums and the largest of many counters, as they are now or over a range of time.

use super::{Word, utf8};
use crate::query::{Aggregate, MAX_ROWS, Many, Range, USUAL_ROWS};
use crate::resp::fault::{Fault, NOT_AN_INTEGER, SYNTAX};
use crate::resp::number;
use crate::resp::parser::Args;
use crate::resp::reply::Reply;
use crate::resp::shared::Shared;
use crate::when;

/// `TALLY.QUERY match [AGG sum|top] [BY field] [LIMIT rows] [FROM time] [TO time] [TZ zone]`: a map of how many counters matched, their
/// sum, and rows of a name and a value. `match` is a key, or a prefix and one `*`. The rows of `top` are the largest counters, those of
/// BY the values of a field of the namespace's template; without either there is one, the sum. With a range, only what was counted in
/// it.
pub(in crate::resp) async fn query(shared: &Shared, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), Fault> {
    let limits = shared.service.limits();
    let many = parse(args, (limits.query_limit, limits.history_limit))?;
    let found = shared.service.blocking(move |engine| many.run(engine)).await?;
    shared.metrics().read(u64::try_from(found.matched).unwrap_or(u64::MAX));
    reply.map(3);
    reply.bulk(b"matched");
    reply.amount_of(found.matched);
    reply.bulk(b"total");
    reply.number(found.total);
    reply.bulk(b"rows");
    reply.array(found.rows.len());
    for row in found.rows {
        reply.array(2);
        reply.bulk(row.name.as_bytes());
        reply.number(row.value);
    }
    Ok(())
}

fn parse(args: Args<'_>, limits: (usize, usize)) -> Result<Many, Fault> {
    let (mut from, mut to, mut zone, mut by) = (None, None, None, None);
    let (mut aggregate, mut rows) = (Aggregate::Sum, USUAL_ROWS);
    let mut options = args.from(2).iter();
    while let Some(option) = options.next() {
        let sent = options.next().ok_or(SYNTAX)?;
        match (Word::of(option).as_bytes(), Word::of(sent).as_bytes()) {
            (b"agg", b"sum") => aggregate = Aggregate::Sum,
            (b"agg", b"top") => aggregate = Aggregate::Top,
            (b"by", _) => by = Some(utf8("the field", sent)?.to_owned()),
            (b"from", _) => from = Some(when::parse("from", utf8("from", sent)?)?),
            (b"to", _) => to = Some(when::parse("to", utf8("to", sent)?)?),
            (b"tz", _) => zone = Some(utf8("the time zone", sent)?),
            (b"limit", _) => {
                let asked = number::parse(sent).and_then(|rows| usize::try_from(rows).ok());
                rows = asked
                    .filter(|rows| (1..=MAX_ROWS).contains(rows))
                    .ok_or(NOT_AN_INTEGER)?;
            }
            _ => return Err(SYNTAX),
        }
    }
    let range = Range::new(from, to, None, zone)?;
    let mut many = Many::new(utf8("match", args.at(1))?, range, limits)?;
    many.by = by;
    many.rows = rows;
    many.aggregate = aggregate;
    Ok(many)
}
