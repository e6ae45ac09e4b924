//! Finds what does not agree in one counter's rows. Pure.

use std::collections::BTreeMap;

use tally_counter::{CounterRow, Keep, Minute, Policy, Position, Step, WriterNumber};

use super::Check;
use super::rows::{CounterRows, WriterRows, at};
use crate::namespaces::Boundaries;

/// How far a writer's log has come to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) applied: Position,
    pub(crate) pending: Option<Position>,
    /// Whether it may still write.
    pub(crate) unsealed: bool,
    /// Whether another process writes it, whose rounds go on while this one looks.
    pub(crate) elsewhere: bool,
}

/// What a counter's rows are held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'t> {
    pub(super) policy: &'t Policy,
    pub(super) boundaries: Boundaries,
    pub(super) logs: &'t BTreeMap<WriterNumber, Log>,
    /// A writer that is not known may have been registered just now, by another process.
    pub(super) may_be_new: bool,
}

/// A check and what it found.
pub(super) type Found = (Check, String);

impl Terms<'_> {
    /// The steps that are kept, finest first.
    pub(super) fn steps(&self) -> impl DoubleEndedIterator<Item = Step> + '_ {
        let kept = |step: &Step| self.policy.history.keep(*step) != Keep::Off;
        Step::ALL.into_iter().filter(kept)
    }

    /// Each kept step with the next coarser one that is kept.
    pub(super) fn pairs(&self) -> Vec<(Step, Step)> {
        self.steps().zip(self.steps().skip(1)).collect()
    }

    /// From which minute on the windows of a step are all there: adds before the namespace's boundary have gone to `left` at once,
    /// while older windows may still be rows.
    fn floor(&self, rows: &WriterRows, step: Step) -> Minute {
        let left = rows.left(step).map_or(Minute(0), |left| left.boundary);
        self.boundaries.get(at(step)).copied().unwrap_or_default().max(left)
    }

    /// The coarse windows that can be compared, by start: the sum of the fine ones, and what the coarse one says.
    pub(super) fn compared(&self, rows: &WriterRows, fine: Step, coarse: Step) -> BTreeMap<Minute, (i128, i128)> {
        let from = self.floor(rows, fine).max(self.floor(rows, coarse));
        let mut compared: BTreeMap<Minute, (i128, i128)> = BTreeMap::new();
        for (start, amount) in rows.amounts(fine) {
            let (chunk, place) = coarse.place(start);
            let start = coarse.window_start(chunk, place);
            if start >= from {
                let (sum, _) = compared.entry(start).or_default();
                *sum = sum.saturating_add(amount);
            }
        }
        for (start, amount) in rows.amounts(coarse).range(from..) {
            compared.entry(*start).or_default().1 = *amount;
        }
        compared
    }

    /// Whether a round of this writer is open that has reached this counter: then its rows are of two cuts. Of another process' writer
    /// any row beyond what was known to be applied before the rows were read may be of such a round.
    pub(super) fn is_under_way(&self, writer: WriterNumber, rows: &WriterRows) -> bool {
        let Some(log) = self.logs.get(&writer) else {
            return self.may_be_new;
        };
        let open = |stands: u64| {
            log.pending.is_some_and(|pending| pending.number() == stands)
                || (log.elsewhere && stands > log.applied.number())
        };
        rows.places.iter().any(|(_, stands)| open(*stands))
    }

    /// Rows that stand where no round of their writer has been.
    pub(super) fn misplaced(&self, writer: WriterNumber, rows: &WriterRows) -> Vec<CounterRow> {
        let Some(log) = self.logs.get(&writer) else {
            return Vec::new();
        };
        let wrong = |(_, stands): &&(CounterRow, u64)| *stands > log.applied.number();
        rows.places.iter().filter(wrong).map(|(row, ..)| *row).collect()
    }
}

/// Everything that does not agree in a counter's rows.
pub(super) fn find(counter: &CounterRows, terms: &Terms<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    let is_coming = |(writer, rows): &(WriterNumber, WriterRows)| terms.is_under_way(*writer, rows);
    if !counter.unheard.iter().all(is_coming) {
        let life = counter.life();
        found.push((
            Check::Positions,
            format!("there are rows of lives after the one its head says ({life})"),
        ));
    }
    for (writer, rows) in &counter.writers {
        if !terms.logs.contains_key(writer) && !terms.may_be_new {
            found.push((
                Check::Positions,
                format!("there are rows of writer {}, which is not registered", writer.0),
            ));
        } else if !terms.is_under_way(*writer, rows) {
            find_of(*writer, rows, terms, &mut found);
        }
    }
    found
}

/// Whether all there is of a counter is of rounds that are still open.
pub(super) fn is_coming(counter: &CounterRows, terms: &Terms<'_>) -> bool {
    let mut writers = counter.writers.iter();
    counter.unheard.is_empty()
        && !counter.writers.is_empty()
        && writers.all(|(writer, rows)| terms.is_under_way(*writer, rows))
}

fn find_of(writer: WriterNumber, rows: &WriterRows, terms: &Terms<'_>, found: &mut Vec<Found>) {
    let writer_name = format!("writer {}", writer.0);
    let misplaced = terms.misplaced(writer, rows);
    if let Some(first) = misplaced.first() {
        let count = misplaced.len();
        found.push((
            Check::Positions,
            format!("{count} rows of {writer_name} stand where no round of it has been, the first is {first:?}"),
        ));
    }
    if let Some(cell) = rows.cell.filter(|cell| cell.n == 0 && cell.total != cell.counted) {
        let (total, counted) = (cell.total, cell.counted);
        found.push((
            Check::Totals,
            format!("the cell of {writer_name} has the total {total} and counted {counted}"),
        ));
    }
    let counted = rows.cell.map_or(0, |cell| cell.counted);
    let (mut steps, mut sums) = (Vec::new(), Vec::new());
    for step in terms.steps().filter(|step| rows.sum(*step) != counted) {
        steps.push(step.word());
        sums.push(rows.sum(step).to_string());
    }
    if !steps.is_empty() {
        let cell = if rows.cell.is_some() {
            format!("counted {counted}")
        } else {
            "has no cell".to_owned()
        };
        let (steps, sums) = (steps.join(", "), sums.join(", "));
        found.push((
            Check::History,
            format!("{writer_name} {cell}; its windows of {steps} and what left them add up to {sums}"),
        ));
    }
    for (fine, coarse) in terms.pairs() {
        let compared = terms.compared(rows, fine, coarse);
        let wrong: Vec<_> = compared.iter().filter(|(_, (sum, says))| sum != says).collect();
        if let Some((start, (sum, says))) = wrong.first() {
            let (count, fine, coarse, ms) = (wrong.len(), fine.word(), coarse.word(), start.start_ms());
            found.push((
                Check::Steps,
                format!(
                    "{count} windows of {coarse} of {writer_name} are not the sum of those of {fine}: the first, at {ms} ms, has {says}, they add up to {sum}"
                ),
            ));
        }
    }
}
