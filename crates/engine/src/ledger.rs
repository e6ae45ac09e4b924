//! The ledger's rows: the figures of a source or a namespace by writer, absolute, with the round's cut (rule 24). They are folded
//! and written like cells, in the same rounds, so that the figures survive what totals survive.

use std::collections::BTreeMap;

use tally_counter::{Corrupt, Figures, WriterNumber, planted};
use tally_store::{Batch, Order, Store, StoreError, Table};

use crate::Error;
use crate::core::Closing;
use crate::flush::Cut;

/// What figures are of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Subject {
    /// A source, in events.
    Source(String),
    /// A namespace, in adds.
    Namespace(String),
}

impl Subject {
    /// Appends the key of its row.
    pub(crate) fn put_key(&self, out: &mut Vec<u8>, writer: WriterNumber) {
        let (kind, name) = match self {
            Self::Source(name) => (b's', name),
            Self::Namespace(name) => (b'n', name),
        };
        out.push(kind);
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        out.extend(writer.0.to_be_bytes());
    }

    fn decode(key: &[u8]) -> Result<(Self, WriterNumber), Corrupt> {
        let corrupt = Corrupt {
            what: "ledger row's key",
            at: 0,
        };
        let (kind, rest) = key.split_first().ok_or(corrupt)?;
        let at = rest.len().checked_sub(5).ok_or(corrupt)?;
        let (name, writer) = rest.split_at_checked(at).ok_or(corrupt)?;
        let name = std::str::from_utf8(name).map_err(|_| corrupt)?.to_owned();
        let writer = writer
            .get(1..)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_be_bytes)
            .ok_or(corrupt)?;
        let subject = match kind {
            b's' => Self::Source(name),
            b'n' => Self::Namespace(name),
            _ => return Err(corrupt),
        };
        Ok((subject, WriterNumber(writer)))
    }
}

/// A row of the ledger.
pub(crate) struct LedgerRow {
    pub(crate) subject: Subject,
    pub(crate) writer: WriterNumber,
    /// The cut it was written at.
    pub(crate) position: u64,
    pub(crate) figures: Figures,
}

/// Reads one row.
pub(crate) fn decode(row: tally_store::Row<'_>) -> Result<LedgerRow, Corrupt> {
    let (subject, writer) = Subject::decode(row.address.key)?;
    let (position, figures) = Figures::decode(row.value)?;
    Ok(LedgerRow {
        subject,
        writer,
        position: position.number(),
        figures,
    })
}

/// Reads the whole ledger.
pub(crate) fn read(store: &dyn Store) -> Result<Vec<LedgerRow>, StoreError> {
    let mut rows = Vec::new();
    let mut cursor = Vec::new();
    loop {
        let next = store.walk(Table::Ledger, &cursor, 10_000, &mut |_, row| {
            rows.push(decode(row)?);
            Ok(())
        })?;
        let Some(next) = next else { return Ok(rows) };
        cursor = next;
    }
}

/// One writer's own figures, by subject, as the store has them.
pub(crate) fn of_writer(
    store: &dyn Store,
    writer: WriterNumber,
) -> Result<BTreeMap<Subject, (u64, Figures)>, StoreError> {
    let rows = read(store)?.into_iter().filter(|row| row.writer == writer);
    Ok(rows.map(|row| (row.subject, (row.position, row.figures))).collect())
}

/// A row of any bytes: encoded and decoded again it is the same.
#[cfg(feature = "fuzz")]
pub(crate) fn fuzz_row(key: &[u8], value: &[u8]) {
    let row = |key, value| tally_store::Row {
        address: tally_store::Address {
            table: Table::Ledger,
            slot: 0,
            key,
        },
        position: 0,
        value,
    };
    let Ok(first) = decode(row(key, value)) else { return };
    let mut again = Vec::new();
    first.subject.put_key(&mut again, first.writer);
    let position = tally_counter::Position::new(first.position).unwrap_or_default();
    let second = decode(row(&again, &first.figures.encoded(position))).ok();
    assert!(second.is_some_and(|second| {
        let same = (second.subject, second.writer, second.position) == (first.subject, first.writer, first.position);
        same && second.figures == first.figures
    }));
}

/// Writes the figures of a round's subjects: what was stored plus what the round adds; what stands at the cut is left alone.
pub(crate) fn put_figures(
    store: &dyn Store,
    cut: Cut,
    added: &BTreeMap<Subject, Figures>,
    stored: &mut BTreeMap<Subject, (u64, Figures)>,
    order: Order,
) -> Result<(), Error> {
    let mut rows = Batch::new();
    let mut next = Vec::new();
    for (subject, figures) in added {
        let (position, mut sum) = stored.get(subject).cloned().unwrap_or_default();
        if position == cut.at.number() && !planted!(RepeatAddsAgain) {
            continue;
        }
        sum.absorb(figures);
        let value = sum.encoded(cut.at);
        rows.push_with(
            Table::Ledger,
            0,
            cut.at.number(),
            |out| subject.put_key(out, cut.writer),
            |out| out.extend_from_slice(&value),
        );
        next.push((subject.clone(), (cut.at.number(), sum)));
    }
    store.put(&rows, order)?;
    stored.extend(next);
    Ok(())
}

/// Writes the figures of a closing round.
pub(crate) fn put_round(
    store: &dyn Store,
    cut: Cut,
    closing: &Closing,
    stored: &mut BTreeMap<Subject, (u64, Figures)>,
    order: Order,
) -> Result<(), Error> {
    let namespaces = closing
        .namespaces
        .iter()
        .map(|(name, figures)| (Subject::Namespace(name.clone()), figures.clone()));
    let sources = closing
        .open
        .sources
        .iter()
        .map(|(name, figures)| (Subject::Source(name.clone()), figures.clone()));
    put_figures(store, cut, &namespaces.chain(sources).collect(), stored, order)
}
