//! What `/metrics` shows of the engine: adds, journal, rounds, hot table, store, ledger.

use tally_counter::Outcome;
use tally_engine::{Check, LedgerView, PerCheck, Status, StrongBatches, SubjectFigures, VerifyView};

use crate::metrics::Described;

/// How many sources and namespaces have labels of their own; those beyond are summed as `other`.
const MAX_SUBJECTS: usize = 100;

/// The families.
pub(super) fn families(
    status: &Status,
    ledger: &LedgerView,
    verified: &VerifyView,
    counters: u64,
    started_ms: u64,
) -> Vec<Described> {
    let gauge = |name, help, value: u64| Described::gauge(name, help, value as f64);
    let seconds = |ms: u64| ms as f64 / 1_000.0;
    let ratio = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let mut families = vec![
        Described::total("tally_adds", "Adds counted.", status.adds),
        gauge("tally_counters", "Counters that exist.", counters),
        gauge("tally_hot_counters", "Counters in the hot table.", status.hot_counters),
        gauge("tally_hot_bytes", "Memory of the hot table.", status.hot_bytes),
        gauge(
            "tally_hot_budget_bytes",
            "What the hot table may take (setting memory).",
            status.hot_budget_bytes,
        ),
        gauge(
            "tally_dirty_counters",
            "Counters changed since the last round's cut.",
            status.dirty_counters,
        ),
        Described::total("tally_hot_lookups", "Counters asked for.", status.lookups),
        Described::total(
            "tally_hot_hits",
            "Counters asked for that were in memory.",
            status.lookup_hits,
        ),
        Described::total("tally_store_reads", "Reads of the store.", status.store_reads),
        gauge("tally_store_bytes", "What the store takes on disk.", status.store_bytes),
        Described::total(
            "tally_counters_loaded",
            "Counters read from the store.",
            status.counters_loaded,
        ),
        Described::gauge(
            "tally_cells_per_counter",
            "Cells a counter, over those that were read from the store.",
            ratio(status.cells_loaded, status.counters_loaded),
        ),
        gauge(
            "tally_journal_position",
            "The last position handed out.",
            status.journal_position,
        ),
        gauge(
            "tally_journal_synced_position",
            "The last position that is synced.",
            status.journal_synced,
        ),
        gauge(
            "tally_journal_applied_position",
            "The last position that is in the store.",
            status.journal_applied,
        ),
        gauge(
            "tally_journal_bytes",
            "The journal's bytes on disk.",
            status.journal_bytes,
        ),
        Described::total("tally_journal_syncs", "Syncs of the journal.", status.journal_syncs),
        Described::total("tally_rounds", "Rounds done.", status.rounds),
        Described::total("tally_round_rows", "Rows that rounds wrote.", status.round_rows),
        Described::total(
            "tally_swept_rows",
            "Rows removed: windows beyond the retention, ended lives, heads and names of counters that are gone.",
            status.swept_rows,
        ),
        Described::total(
            "tally_folded_windows",
            "Rows of windows whose amounts moved to what left the retention.",
            status.folded_windows,
        ),
        strong_batches(&status.strong),
        Described::total(
            "tally_strong_turns",
            "Requests that applied batches of strong counters held, reads among them.",
            status.strong.turns,
        ),
        Described::gauge(
            "tally_strong_batch_mean_seconds",
            "How long a batch of strong counters took, the mean of all since the start.",
            ratio(status.strong.took_us, status.strong.batches()) / 1e6,
        ),
        Described::gauge(
            "tally_last_round_seconds",
            "How long the last round took.",
            seconds(status.last_round_ms),
        ),
        Described::gauge(
            "tally_start_time_seconds",
            "When the server started, Unix time.",
            seconds(started_ms),
        ),
        subjects(
            "tally_events",
            "Events received, by source and outcome.",
            "source",
            &ledger.sources,
        ),
        subjects(
            "tally_ledger_adds",
            "Adds received, by namespace and outcome.",
            "namespace",
            &ledger.namespaces,
        ),
    ];
    families.extend(drift(verified));
    families
}

fn strong_batches(strong: &StrongBatches) -> Described {
    let outcomes = [
        ("applied", strong.applied),
        ("outrun", strong.outrun),
        ("refused", strong.refused),
        ("unknown", strong.unknown),
    ];
    Described::totals(
        "tally_strong_batches",
        "Batches of strong counters, by what became of them; outrun: another node was first, and their requests were tried again.",
        outcomes
            .map(|(outcome, count)| (vec![("outcome", outcome.to_owned())], count))
            .into(),
    )
}

fn drift(verified: &VerifyView) -> Vec<Described> {
    let labels = |check: Check| vec![("check", check.word().to_owned())];
    let each = |figures: PerCheck| Check::ALL.map(labels).into_iter().zip(figures);
    let last_ms = verified.last.as_ref().and_then(|pass| pass.ended_ms).unwrap_or(0);
    vec![
        Described::gauges(
            "tally_drift",
            "Sums that do not agree, by what was compared: of the last whole pass, or the one under way.",
            each(verified.drift())
                .map(|(labels, count)| (labels, count as f64))
                .collect(),
        ),
        Described::totals(
            "tally_drift_found",
            "Sums that were found not to agree.",
            each(verified.found).collect(),
        ),
        Described::totals(
            "tally_drift_mended",
            "Sums that did not agree and were mended.",
            each(verified.mended).collect(),
        ),
        Described::total("tally_verify_passes", "Passes over all sums.", verified.passes),
        Described::gauge(
            "tally_verify_last_seconds",
            "When the last pass over all sums ended, Unix time; 0: none has.",
            last_ms as f64 / 1_000.0,
        ),
    ]
}

fn subjects(name: &'static str, help: &'static str, label: &'static str, subjects: &[SubjectFigures]) -> Described {
    let mut totals = Vec::new();
    let (named, others) = subjects.split_at(subjects.len().min(MAX_SUBJECTS));
    for outcome in Outcome::ALL {
        let labels = |name: &str| vec![(label, name.to_owned()), ("outcome", outcome.word().to_owned())];
        totals.extend(
            named
                .iter()
                .map(|subject| (labels(&subject.name), subject.figures.of(outcome))),
        );
        if !others.is_empty() {
            let sum = others
                .iter()
                .fold(0_u64, |sum, subject| sum.saturating_add(subject.figures.of(outcome)));
            totals.push((labels("other"), sum));
        }
    }
    Described::totals(name, help, totals)
}
