//! What the model does on purpose, and how often.

/// How often the model does what the promise allows, in thousandths of the calls or rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A `put` or `remove` is applied in part and answers `Unavailable`; what was left out comes late or never.
    pub writes_fail: u16,
    /// A row that was put or removed is written again later, after later calls.
    pub writes_repeat: u16,
    /// A read answers some of its rows and then `Unavailable`.
    pub reads_fail: u16,
    /// A swap answers `Unknown`: it is applied, never, or later (its conditions are looked at then).
    pub swaps_unknown: u16,
    /// A sync answers `Unavailable`: everything is durable or nothing more.
    pub syncs_fail: u16,
    /// A removed row is forgotten at once, so that an older write that comes late brings it back.
    pub removals_forgotten: u16,
    /// Rows put with `Order::Growing` replace whatever stands, as in a back end for which comparing costs a read.
    pub growing_is_blind: bool,
}

impl Faults {
    /// A perfect store.
    pub fn none() -> Self {
        Self::default()
    }

    /// Everything the promise allows, often.
    pub fn all() -> Self {
        Self {
            writes_fail: 100,
            writes_repeat: 100,
            reads_fail: 50,
            swaps_unknown: 200,
            syncs_fail: 50,
            removals_forgotten: 500,
            growing_is_blind: false,
        }
    }
}
