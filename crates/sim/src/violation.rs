//! A promise that was broken, in a sentence.

/// What was seen and what should have been.
#[derive(Clone, Debug)]
pub struct Violation(pub String);

/// What tells one kind of violation from another.
const KINDS: [&str; 17] = [
    "a pass finds",
    " left and ",
    "the windows of",
    "counters are counted",
    "the list of",
    "a scan gives",
    "the ledger of",
    "figures of",
    "give or take",
    "acknowledged up to",
    "new epoch",
    "without cause",
    "a panic",
    "as growing",
    "resumes with",
    "nothing was written",
    " answers ",
];

impl Violation {
    /// Whether both are of one kind: a shorter run must break the same promise.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let kind = |violation: &Self| KINDS.iter().position(|kind| violation.0.contains(kind));
        kind(self) == kind(other)
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Something is not as promised.
pub(crate) fn violated<T>(what: impl Into<String>) -> Result<T, Violation> {
    Err(Violation(what.into()))
}
