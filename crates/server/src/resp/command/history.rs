//! TALLY.HISTORY: what was counted when.

use tally_counter::Key;

use super::{Word, utf8};
use crate::query::{Length, Range, Reads};
use crate::refusal::Refusal;
use crate::resp::fault::{Fault, SYNTAX};
use crate::resp::parser::Args;
use crate::resp::reply::Reply;
use crate::resp::shared::Shared;
use crate::when;

/// `TALLY.HISTORY key from to step [TZ zone]`: an array of pairs, the start of a step in Unix milliseconds and what was counted in it.
/// Steps without data are not there. `from` is inclusive and `to` exclusive, RFC 3339 or Unix milliseconds, rounded outwards to steps.
pub(in crate::resp) async fn history(shared: &Shared, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), Fault> {
    let name = Key::new(args.at(1))?.as_str().to_owned();
    let zone = match args.len() {
        5 => None,
        7 if Word::of(args.at(5)).as_bytes() == b"tz" => Some(utf8("the time zone", args.at(6))?),
        _ => return Err(SYNTAX),
    };
    let time = |what, place| when::parse(what, utf8(what, args.at(place))?).map_err(Fault::from);
    let step = Length::parse(utf8("step", args.at(4))?)?;
    let range = Range::new(Some(time("from", 2)?), Some(time("to", 3)?), Some(step), zone)?;
    let most = shared.service.limits().history_limit;
    let points = shared
        .service
        .blocking(move |engine| {
            let key = Key::new(name.as_bytes())?;
            let reads = Reads::new(engine);
            let steps = range.steps(&reads, &[key], most)?;
            let amounts = steps.amounts(&reads, key)?;
            let points = steps.starts.iter().zip(amounts.by_step);
            let points = points.filter_map(|(start, amount)| Some((*start, amount?)));
            Ok::<_, Refusal>(points.collect::<Vec<_>>())
        })
        .await?;
    shared.metrics().read(1);
    reply.array(points.len());
    for (start, amount) in points {
        reply.array(2);
        reply.integer(i64::try_from(start).unwrap_or(i64::MAX));
        reply.number(amount);
    }
    Ok(())
}
