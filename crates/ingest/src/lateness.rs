//! How late events are: measured against the largest event time before them in their own log (rule 7), never against the
//! clock, so that a log read again comes to the same. Events that could be read move the mark, whatever the rules then say.

/// The largest event time of a log so far. It belongs to a position: whoever cuts a round there keeps it with the cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lateness {
    newest_ms: Option<u64>,
}

impl Lateness {
    /// A log that goes on where the largest time so far was this; `None` at its beginning.
    pub fn resume(newest_ms: Option<u64>) -> Self {
        Self { newest_ms }
    }

    /// The largest event time so far.
    pub fn newest_ms(self) -> Option<u64> {
        self.newest_ms
    }

    /// The next event of the log: by how many milliseconds it is behind the newest before it. An event without a time is
    /// never behind.
    pub fn observe(&mut self, time_ms: Option<u64>) -> u64 {
        let Some(time_ms) = time_ms else { return 0 };
        let newest_ms = *self.newest_ms.get_or_insert(time_ms);
        self.newest_ms = Some(newest_ms.max(time_ms));
        newest_ms.saturating_sub(time_ms)
    }

    /// Whether this far behind is too late; no limit, as a backfill has none, is never.
    pub fn is_late(behind_ms: u64, limit_ms: Option<u64>) -> bool {
        limit_ms.is_some_and(|limit_ms| behind_ms > limit_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_the_newest_before_it() {
        let mut log = Lateness::default();
        assert_eq!(log.observe(Some(1_000)), 0, "nothing before it");
        assert_eq!(log.observe(Some(5_000)), 0);
        assert_eq!(log.observe(Some(2_000)), 3_000);
        assert_eq!(
            log.observe(Some(3_000)),
            2_000,
            "behind the newest, not behind the one before it"
        );
        assert_eq!(log.observe(None), 0);
        assert_eq!(log.observe(Some(5_000)), 0);
        assert_eq!(log.newest_ms(), Some(5_000));
        assert_eq!(Lateness::resume(log.newest_ms()).observe(Some(4_999)), 1);
    }

    #[test]
    fn the_limit_itself_is_in_time() {
        assert!(!Lateness::is_late(3_000, Some(3_000)));
        assert!(Lateness::is_late(3_001, Some(3_000)));
        assert!(!Lateness::is_late(u64::MAX, None));
        assert!(!Lateness::is_late(0, Some(0)));
    }
}
