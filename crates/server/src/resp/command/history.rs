//! TALLY.HISTORY: what was counted when. Steps of minutes, hours and days in UTC; time zones, weeks and months are HTTP's.

use tally_counter::{Keep, Key, Minute, Step};
use tally_engine::{Engine, Error, HistoryView};

use crate::resp::fault::Fault;
use crate::resp::parser::Args;
use crate::resp::reply::Reply;
use crate::resp::shared::Shared;

const STEP: Fault =
    Fault::Text("ERR the step is minutes that divide an hour (5m), hours that divide a day (6h), or days (1d)");

/// `TALLY.HISTORY key from to step`: an array of pairs, the start of a step in Unix milliseconds and what was counted in it. Steps
/// without data are not there. `from` is inclusive and `to` exclusive, RFC 3339 or Unix milliseconds, rounded outwards to steps.
pub(in crate::resp) async fn history(shared: &Shared, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), Fault> {
    let name = Key::new(args.at(1))?.as_str().to_owned();
    let (from_ms, to_ms) = (time(args.at(2))?, time(args.at(3))?);
    let minutes = step(args.at(4)).ok_or(STEP)?;
    if from_ms >= to_ms {
        return Err(Fault::Text("ERR from must be before to"));
    }
    let from = floor(from_ms / 60_000, minutes);
    let to = floor(to_ms.saturating_sub(1) / 60_000, minutes).saturating_add(minutes);
    let most = shared.service.limits().history_limit;
    if to.saturating_sub(from) / minutes > u64::try_from(most).unwrap_or(u64::MAX) {
        return Err(Fault::Composed(format!(
            "ERR more than {most} points: take a longer step (setting history_limit)"
        )));
    }
    let found = shared
        .service
        .blocking(move |engine| covering(engine, &name, minutes, from, to))
        .await?;
    shared.metrics().read(1);
    let points = points(&found, minutes);
    reply.array(points.len());
    for (start, amount) in points {
        reply.array(2);
        reply.integer(i64::try_from(start.saturating_mul(60_000)).unwrap_or(i64::MAX));
        reply.number(amount);
    }
    Ok(())
}

fn time(sent: &[u8]) -> Result<u64, Fault> {
    let wrong = || Fault::Text("ERR a time is RFC 3339 or Unix milliseconds, from 1970 to 9999");
    let text = std::str::from_utf8(sent).map_err(|_| wrong())?;
    let ms = match text.parse::<u64>() {
        Ok(ms) => ms,
        Err(_) => tally_ingest::rfc3339_ms(text).map_err(|_| wrong())?,
    };
    Minute::of_ms(ms).map(|_| ms).ok_or_else(wrong)
}

/// The length of a step, in minutes.
fn step(sent: &[u8]) -> Option<u64> {
    let (unit, count) = sent.split_last()?;
    let count: u64 = std::str::from_utf8(count)
        .ok()
        .filter(|count| count.len() <= 4)?
        .parse()
        .ok()
        .filter(|count| *count > 0)?;
    let divides = |whole: u64| whole.is_multiple_of(count);
    match unit {
        b'm' if divides(60) => Some(count),
        b'h' if divides(24) => Some(count.saturating_mul(60)),
        b'd' => Some(count.saturating_mul(1_440)),
        _ => None,
    }
}

fn floor(minute: u64, step: u64) -> u64 {
    minute.checked_div(step).unwrap_or(0).saturating_mul(step)
}

/// The windows of the coarsest kept step that the asked ones are made of and that goes back far enough; else of the coarsest.
fn covering(engine: &Engine, name: &str, minutes: u64, from: u64, to: u64) -> Result<HistoryView, Error> {
    let Ok(key) = Key::new(name.as_bytes()) else {
        return Ok(HistoryView::default());
    };
    let namespaces = engine.namespaces();
    let named = |name: &str| namespaces.iter().find(|namespace| namespace.name == name);
    let policy = key.prefix().and_then(named).or_else(|| named("default"));
    let keeps = |base: Step| policy.is_none_or(|namespace| namespace.policy.history.keep(base) != Keep::Off);
    let minute = |minute: u64| Minute(u32::try_from(minute).unwrap_or(u32::MAX));
    let mut coarsest = None;
    for base in [Step::Day, Step::Hour, Step::Minute] {
        if !minutes.is_multiple_of(base.minutes().into()) || !keeps(base) {
            continue;
        }
        let view = engine.history(key, base, minute(from), minute(to))?;
        if view.kept_from <= minute(from) {
            return Ok(view);
        }
        coarsest.get_or_insert(view);
    }
    coarsest.ok_or_else(|| Error::Invalid(format!("no history is kept of {name:?} in such steps")))
}

/// Steps that hold data: their first minutes and amounts, ascending.
fn points(view: &HistoryView, minutes: u64) -> Vec<(u64, i128)> {
    let mut points: Vec<(u64, i128)> = Vec::new();
    for (start, amount) in &view.windows {
        let start = floor(start.0.into(), minutes);
        match points.last_mut() {
            Some((last, sum)) if *last == start => *sum = sum.saturating_add(*amount),
            _ => points.push((start, *amount)),
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_times() {
        let minutes = |text: &str| step(text.as_bytes());
        assert_eq!(
            [minutes("1m"), minutes("15m"), minutes("6h"), minutes("2d")],
            [Some(1), Some(15), Some(360), Some(2_880)]
        );
        for wrong in ["", "m", "0m", "7m", "5h", "1w", "-1d", "1.5h", "h1", "\u{e4}"] {
            assert_eq!(minutes(wrong), None, "{wrong}");
        }
        assert_eq!(time(b"2015-05-17T10:05:03Z"), Ok(1_431_857_103_000));
        assert_eq!(time(b"1431857103000"), Ok(1_431_857_103_000));
        assert!(time(b"yesterday").is_err() && time(b"99999999999999999").is_err());
    }

    #[test]
    fn windows_become_steps() {
        let windows = [(0, 1), (59, 2), (60, 4), (180, 8)]
            .map(|(minute, amount)| (Minute(minute), amount))
            .to_vec();
        let view = HistoryView {
            windows,
            kept_from: Minute(0),
        };
        assert_eq!(points(&view, 60), [(0, 3), (60, 4), (180, 8)]);
    }
}
