//! The ledger's rows: this node's against what it remembers and will write next, all of them against their writers' rounds and
//! against their own reasons.

use tally_counter::{Figures, Outcome, Position, WriterNumber};
use tally_store::{Addresses, Store, Table};

use super::drift::Log;
use super::pass::{Findings, Frame, Walk};
use super::{Check, PassView};
use crate::Error;
use crate::engine::Engine;
use crate::ledger::{LedgerRow, Subject, decode};
use crate::round::Own;

/// Rows that one step reads.
const STEP_ROWS: usize = 1_000;

impl Engine {
    pub(super) fn look_at_ledger(
        &self,
        own: &Own,
        walk: &mut Walk,
        view: &mut PassView,
        frame: &Frame,
        findings: &mut Findings,
    ) -> Result<bool, Error> {
        if walk.cursor.is_empty() {
            self.look_for_lost_rows(own, findings)?;
        }
        let next = self
            .world
            .store
            .walk(Table::Ledger, &walk.cursor, STEP_ROWS, &mut |_, row| {
                view.rows = view.rows.saturating_add(1);
                let (stands, row) = (row.position, decode(row)?);
                let log = frame.logs.get(&row.writer).copied();
                if log.is_none() && frame.shared {
                    return Ok(());
                }
                if let Some(detail) = wrong(own, &row, stands, log) {
                    findings.push(Check::Ledger, &name(&row.subject, row.writer), detail, None);
                    findings.subjects.insert((row.subject, row.writer));
                }
                Ok(())
            })?;
        let ended = next.is_none();
        walk.cursor = next.unwrap_or_default();
        Ok(ended)
    }

    /// Rows that this node has written and the store does not have.
    fn look_for_lost_rows(&self, own: &Own, findings: &mut Findings) -> Result<(), Error> {
        let subjects: Vec<&Subject> = own.ledger.keys().collect();
        for some in subjects.chunks(STEP_ROWS) {
            let there = stands(self.world.store.as_ref(), some, own.row.number)?;
            for (subject, _) in some.iter().zip(there).filter(|(_, there)| there.is_none()) {
                let detail = "this node wrote its figures, and the store does not have them".to_owned();
                findings.push(Check::Ledger, &name(subject, own.row.number), detail, None);
                findings.subjects.insert(((*subject).clone(), own.row.number));
            }
        }
        Ok(())
    }
}

/// A row's position and value.
pub(super) type Stands = (u64, Vec<u8>);

/// A writer's rows, `None` for one that is not there.
pub(super) fn stands(
    store: &dyn Store,
    subjects: &[&Subject],
    writer: WriterNumber,
) -> Result<Vec<Option<Stands>>, Error> {
    let mut addresses = Addresses::new();
    for subject in subjects {
        addresses.push_with(Table::Ledger, 0, |out| subject.put_key(out, writer));
    }
    let mut there = vec![None; subjects.len()];
    store.get(&addresses, &mut |index, row| {
        if let Some(place) = there.get_mut(index) {
            *place = Some((row.position, row.value.to_vec()));
        }
        Ok(())
    })?;
    Ok(there)
}

/// How a row is named to people.
pub(super) fn name(subject: &Subject, writer: WriterNumber) -> String {
    match subject {
        Subject::Source(name) => format!("source {name} (writer {})", writer.0),
        Subject::Namespace(name) => format!("namespace {name} (writer {})", writer.0),
    }
}

/// What a row of these figures should say of its reasons, where that is something else.
pub(super) fn with_reasons(figures: &Figures) -> Option<Figures> {
    let explained = figures
        .reasons
        .values()
        .fold(0_u64, |sum, reason| sum.saturating_add(reason.count));
    let rejected = figures.of(Outcome::Rejected);
    if explained <= rejected {
        return None;
    }
    let mut right = figures.clone();
    let last = figures
        .reasons
        .values()
        .last()
        .map(|reason| reason.last.clone())
        .unwrap_or_default();
    right.reasons.clear();
    if rejected > 0 {
        right
            .reasons
            .insert("other".to_owned(), tally_counter::Reason { count: rejected, last });
    }
    Some(right)
}

fn wrong(own: &Own, row: &LedgerRow, stands: u64, log: Option<Log>) -> Option<String> {
    let Some(Log {
        applied,
        pending,
        elsewhere,
        ..
    }) = log
    else {
        return Some("its writer is not registered".to_owned());
    };
    let open = elsewhere || pending.is_some_and(|pending| pending.number() == stands);
    if stands != row.position || (stands > applied.number() && !open) {
        return Some(format!(
            "its row stands at {stands} and says {}, its writer's rounds came to {applied}",
            row.position
        ));
    }
    if row.writer == own.row.number {
        let known = own.ledger.get(&row.subject);
        if known.is_none_or(|(position, figures)| *position != row.position || *figures != row.figures) {
            return Some("its row is not what this node wrote last".to_owned());
        }
    }
    with_reasons(&row.figures).map(|_| {
        let rejected = row.figures.of(Outcome::Rejected);
        format!("its reasons explain more events than the {rejected} that were rejected")
    })
}

/// What a row of another writer, or of this one, is to be.
pub(super) fn right(own: &Own, subject: &Subject, writer: WriterNumber, value: Option<&[u8]>) -> Option<Figures> {
    let stored = value
        .and_then(|value| Figures::decode(value).ok())
        .map(|(_, figures)| figures);
    let known = own
        .ledger
        .get(subject)
        .filter(|_| writer == own.row.number)
        .map(|(_, figures)| figures.clone());
    let figures = known.or(stored)?;
    Some(with_reasons(&figures).unwrap_or(figures))
}

/// A row's value at a position.
pub(super) fn encoded(figures: &Figures, at: Position) -> Vec<u8> {
    figures.encoded(at)
}
