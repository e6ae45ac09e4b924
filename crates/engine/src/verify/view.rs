//! What is shown of verifying: checks, drifts, passes. Plain values.

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// A cell that no SET divides: its total and what it counted.
    Totals,
    /// What a cell counted, and what left the retention with the windows of each step.
    History,
    /// Coarse windows, and the fine ones of the same time.
    Steps,
    /// The hot table, and the store.
    Hot,
    /// Names, and cells or heads.
    Names,
    /// The ledger's rows, and what their writer remembers of them.
    Ledger,
    /// Rows, and where the rounds of their writers stand.
    Positions,
}

impl Check {
    /// All.
    pub const ALL: [Self; 7] = [
        Self::Totals,
        Self::History,
        Self::Steps,
        Self::Hot,
        Self::Names,
        Self::Ledger,
        Self::Positions,
    ];

    /// The word for it, also in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Totals => "totals",
            Self::History => "history",
            Self::Steps => "steps",
            Self::Hot => "hot",
            Self::Names => "names",
            Self::Ledger => "ledger",
            Self::Positions => "positions",
        }
    }

    /// What holds where it finds nothing.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Totals => "a cell without a SET holds as its total what it counted",
            Self::History => "windows and what left the retention add up to what was counted, in every step",
            Self::Steps => "each coarse window is the sum of the fine ones it was made of",
            Self::Hot => "memory holds what the store and the open round add up to",
            Self::Names => "every counter has its name, and every name its counter",
            Self::Ledger => {
                "the ledger's rows are what their writer remembers, and reasons explain no more than was rejected"
            }
            Self::Positions => "every row stands where a round of its writer has been",
        }
    }
}

/// Two things that should be equal and are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Which comparison found it.
    pub check: Check,
    /// Which counter; for the ledger, which subject.
    pub subject: String,
    /// What is not equal to what.
    pub detail: String,
    /// What was done about it.
    pub mended: Option<String>,
}

/// How many of each check.
pub type PerCheck = [u64; Check::ALL.len()];

/// A walk over everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassView {
    /// Counts from 1 since the start.
    pub number: u64,
    /// Whether it mends what it finds.
    pub repairs: bool,
    /// When it began, Unix milliseconds.
    pub started_ms: u64,
    /// When it came to its end.
    pub ended_ms: Option<u64>,
    /// Counters of the store that were looked at.
    pub counters: u64,
    /// Counters of the hot table that were looked at.
    pub hot: u64,
    /// Names that were looked at.
    pub names: u64,
    /// Rows that were read.
    pub rows: u64,
    /// Drifts, by the order of [`Check::ALL`].
    pub found: PerCheck,
    /// Of these, mended.
    pub mended: PerCheck,
    /// The first drifts that were found, at most [`PassView::NAMED`].
    pub drifts: Vec<Drift>,
    /// Why it ended before its end.
    pub error: Option<String>,
}

impl PassView {
    /// How many drifts a pass names.
    pub const NAMED: usize = 100;

    /// All drifts.
    pub fn found(&self) -> u64 {
        self.found.iter().fold(0, |sum, found| sum.saturating_add(*found))
    }

    /// All that were mended.
    pub fn mended(&self) -> u64 {
        self.mended.iter().fold(0, |sum, mended| sum.saturating_add(*mended))
    }
}

/// What is known of drift.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyView {
    /// How often a pass begins by itself; 0: never.
    pub every_ms: u64,
    /// The pass under way.
    pub running: Option<PassView>,
    /// The last pass that ended.
    pub last: Option<PassView>,
    /// Passes that ended since the start.
    pub passes: u64,
    /// Drifts found since the start.
    pub found: PerCheck,
    /// Drifts mended since the start.
    pub mended: PerCheck,
}

impl VerifyView {
    /// The drifts that are known now, by check: of the last whole pass, or of the one under way where that has found more.
    pub fn drift(&self) -> PerCheck {
        let open = |pass: &PassView, index: usize| {
            let of = |figures: &PerCheck| figures.get(index).copied().unwrap_or(0);
            of(&pass.found).saturating_sub(of(&pass.mended))
        };
        let mut drift = PerCheck::default();
        for (index, figure) in drift.iter_mut().enumerate() {
            let passes = self.last.iter().chain(&self.running);
            *figure = passes.map(|pass| open(pass, index)).max().unwrap_or(0);
        }
        drift
    }
}
