//! What the engine shows: plain values that front ends turn into their own forms.

use tally_counter::{Figures, Generation, Head, Minute, Policy, Position, Step, WriterId, WriterNumber, WriterState};

/// A counter and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: i128,
}

/// A place among all names in slot order that needs no state: below 2^48. 0 is the start, and the end in an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScanCursor(pub u64);

/// The windows of a counter, ascending by start; windows without an add are not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryView {
    /// Window starts and amounts. Amounts of all summed writers, what is not yet in the store included.
    pub windows: Vec<(Minute, i128)>,
    /// Windows of this step before this minute have left the retention.
    pub kept_from: Minute,
}

/// From which to which window of a step a counter has data, inclusive starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The start of the oldest window.
    pub first: Minute,
    /// The start of the newest window.
    pub last: Minute,
}

/// A writer's row as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterView {
    /// Its short name in rows.
    pub number: WriterNumber,
    /// Its log and history.
    pub writer: WriterId,
    /// Whether it is summed and writes.
    pub state: WriterState,
    /// Up to where the store has it.
    pub applied: Position,
    /// The cut of its open round.
    pub pending: Option<Position>,
}

/// A cell as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellView {
    /// Whose.
    pub writer: WriterNumber,
    /// Of which life.
    pub life: u64,
    /// What it holds.
    pub cell: tally_counter::Cell,
    /// Whether the value includes it.
    pub summed: bool,
}

/// Everything behind a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The counter.
    pub key: String,
    /// Its namespace.
    pub namespace: String,
    /// Its slot.
    pub slot: u16,
    /// Its value, `None` if it does not exist.
    pub value: Option<i128>,
    /// The generation that is counted.
    pub generation: Generation,
    /// Its head, the newest one.
    pub head: Option<Head>,
    /// Its cells in the store.
    pub cells: Vec<CellView>,
    /// The writers of these cells.
    pub writers: Vec<WriterView>,
    /// What this node has counted and the store does not have yet: since the newest generation, and for the life's history.
    pub unflushed: Option<(i128, i128)>,
    /// By step: what left the retention, the windows' sum, how many chunks. `left + windows` is what was counted.
    pub history: Vec<(Step, i128, i128, usize)>,
}

/// The figures of a source or a namespace, over all writers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectFigures {
    /// Its name.
    pub name: String,
    /// Its figures.
    pub figures: Figures,
}

/// The ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerView {
    /// In events.
    pub sources: Vec<SubjectFigures>,
    /// In adds.
    pub namespaces: Vec<SubjectFigures>,
}

/// A namespace and its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceView {
    /// Its name.
    pub name: String,
    /// Whether it was declared (`default` is there without).
    pub declared: bool,
    /// Its policy.
    pub policy: Policy,
}

/// Batches of strong counters since the start, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StrongBatches {
    /// Those that the store has.
    pub applied: u64,
    /// Those before which another node was first: their turns were taken again.
    pub outrun: u64,
    /// Those that were not sent.
    pub refused: u64,
    /// Those of which nobody knows.
    pub unknown: u64,
    /// Turns that applied ones held.
    pub turns: u64,
    /// How long all of them took, until they were settled.
    pub took_us: u64,
}

impl StrongBatches {
    /// All of them.
    pub fn batches(&self) -> u64 {
        [self.applied, self.outrun, self.refused, self.unknown]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

/// How the engine is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The node's name.
    pub node: String,
    /// Counters in the hot table.
    pub hot_counters: u64,
    /// The hot table's memory.
    pub hot_bytes: u64,
    /// What it may take.
    pub hot_budget_bytes: u64,
    /// The last position handed out.
    pub journal_position: u64,
    /// The last position that is synced.
    pub journal_synced: u64,
    /// The last position that is in the store.
    pub journal_applied: u64,
    /// The journal's bytes on disk.
    pub journal_bytes: u64,
    /// Bytes the store takes on disk.
    pub store_bytes: u64,
    /// Counters changed since the last round's cut.
    pub dirty_counters: u64,
    /// Adds counted since the start.
    pub adds: u64,
    /// Counters asked for since the start, and how many of them were in memory.
    pub lookups: u64,
    /// Of these, in memory.
    pub lookup_hits: u64,
    /// Reads of the store since the start.
    pub store_reads: u64,
    /// Rounds done, and the milliseconds the last one took.
    pub rounds: u64,
    /// How long the last round took.
    pub last_round_ms: u64,
    /// Rows the rounds wrote.
    pub round_rows: u64,
    /// Syncs of the journal.
    pub journal_syncs: u64,
    /// Cells of the counters loaded, and how many counters were loaded: their quotient is cells a counter.
    pub cells_loaded: u64,
    /// Counters loaded from the store.
    pub counters_loaded: u64,
    /// Rows removed since the start: windows that left the retention, rows of ended lives, heads and names of counters that are gone.
    pub swept_rows: u64,
    /// Rows of windows whose amounts moved to what left the retention.
    pub folded_windows: u64,
    /// Batches of strong counters.
    pub strong: StrongBatches,
    /// Whether adds are taken now: there is room for the journal, and the server is not stopping.
    pub takes_adds: bool,
}
