//! Bugs that are planted on purpose, to prove that the proofs find them: `cargo xtask mutants`. Each is one line at its place,
//! `if planted!(AckBeforeSync) { … }`, and none is compiled in without the feature `planted`: the macro is `false` then, and all that
//! it guards is gone. With the feature one of them is chosen by the variable `TALLY_PLANTED` or by `plant`, for the whole process.
//! Not part of the product: nothing here may be relied on.

macro_rules! bugs {
    ($($bug:ident = $number:literal, $what:literal;)*) => {
        /// A bug, numbered as in the list of the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Bug {
            $(#[doc = $what] $bug = $number,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$bug,)*];

            /// Its name, as `TALLY_PLANTED` has it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$bug => stringify!($bug),)* }
            }

            /// What is wrong.
            pub fn what(self) -> &'static str {
                match self { $(Self::$bug => $what,)* }
            }
        }
    };
}

// The first 35 are those of the issue that asks for them; 17 and 33 are of folds, which do not exist yet.
bugs! {
    AckBeforeSync = 1, "acknowledged before the sync";
    CutBeyondSynced = 2, "a round's cut beyond the synced position";
    RowsBeforeTheCut = 3, "rows carry an earlier add's position instead of the round's";
    RowBeforePending = 4, "`pending` written after the first rows";
    RepeatedToLaterCut = 5, "a repeated round goes to a later cut";
    ReplayMeetsOwnToken = 6, "a replay takes its own token row for a duplicate";
    TokenWithoutCell = 7, "a token row without its cell";
    NoNewEpoch = 8, "no new epoch after a lost journal";
    LatenessByClock = 9, "lateness by wall clock in a source";
    OnePositionOneByOne = 10, "two adds of one position compared one by one";
    DirtyEvicted = 11, "a dirty entry evicted";
    OpenRoundEvicted = 12, "an entry of an open round evicted";
    DeadLivesSummed = 13, "a sum over dead generations";
    LiveLifeSwept = 14, "the sweeper removes a live generation";
    ChunkEdge = 15, "a window's chunk off by one at its edge";
    DeleteKeepsHistory = 16, "DEL keeps the history";
    SumClipped = 18, "a sum clipped to 64 bits";
    AppliedBeforeDurable = 19, "`applied` moved before the store is durable";
    ExecInPart = 20, "EXEC applied in part";
    RefusedInPart = 21, "a refused batch applied in part";
    LedgerAtAnswer = 22, "ledger figures counted at the answer, not in the fold";
    ChecksumNotRead = 23, "the checksum of a journal block not looked at";
    SyncTriedAgain = 24, "a failed fsync tried again";
    NamesNotSynced = 25, "the directory not synced after a new segment";
    FileNotCompared = 26, "a file resumed without comparing its bytes";
    ExpiryAtReplay = 27, "expiry decided anew at replay";
    LeftForgotten = 28, "what is out of the retention is not added to `left`";
    NameAfterCell = 29, "a name row after its first cell";
    TakeoverIgnored = 30, "a paused predecessor's compare-and-set ignored";
    SeenIgnored = 31, "a head's `seen` ignored when a source is read again";
    ExpireKeepsRevision = 32, "EXPIRE and PERSIST at one generation";
    BoundaryMoves = 34, "a boundary that moves inside a round";
    BrokenNotReceived = 35, "a broken event that is refused but not received";
    TotalCarriedOverSet = 36, "a SET's total carried into the next generation's cell";
    BornIgnored = 37, "what an ended life had seen is counted in the next";
    RepeatAddsAgain = 38, "a repeated round adds to cells that stand at its cut";
    StaleLoad = 39, "what was read before a round ended is taken for new";
    HistoryAcrossCut = 40, "history read across a round's cut";
    SourceUnsynced = 41, "a source's round goes by heads that are not synced";
    ValueRemembered = 42, "a value remembered over a source's round";
    UnknownIsApplied = 43, "a swap of unknown outcome taken for applied";
    TokenWindowHalved = 44, "a token forgotten before its window has passed";
    AnyPayload = 45, "a repeated token with another payload answered";
    DuplicateUncounted = 46, "a repeat that is in no figure of the ledger";
    LateCounted = 47, "a late add counted";
    GoneNameTakesNew = 48, "the name of an ended life removed with its successor's";
    NoLimitOnWaiting = 49, "no limit on what waits for the sync";
    FullDiskIgnored = 50, "adds taken while the disk is full";
    NewestSegmentCut = 51, "the journal's newest segment removed";
    SegmentNotOurs = 52, "a journal of another directory replayed";
    PoliciesOfTheFuture = 53, "policies beyond the applied version read at a start";
    BoundaryLost = 54, "boundaries not raised at a start";
    SealedNotSummed = 55, "a sealed writer's cells not summed";
    RoundIsForgotten = 56, "a failed round is cut anew";
    StoredHeadWins = 57, "an older head of the store preferred to the memory's";
    EntryWithoutTime = 58, "a replayed add counted at no time of its own";
    SeenTooLate = 59, "a reset has seen the entry after it";
    RedeliveredCounts = 60, "a chunk of a file that comes twice is counted twice";
    NotWrittenAgain = 61, "what a failed sync dropped is read back and not written again";
    ThoughtAlone = 62, "memory taken for what the store has though others count, too";
    GoneNameThoughtStored = 63, "a name that the open round takes away is thought to be stored";
    TornRoundUnnamed = 64, "what a lost journal leaves of a round is not named again";
}

/// Whether this bug is in.
#[cfg(feature = "planted")]
pub fn is_planted(bug: Bug) -> bool {
    use std::sync::atomic::Ordering;
    static CHOSEN: std::sync::Once = std::sync::Once::new();
    CHOSEN.call_once(|| {
        let name = std::env::var("TALLY_PLANTED").unwrap_or_default();
        if let Some(bug) = Bug::ALL.iter().find(|bug| bug.name() == name) {
            plant(Some(*bug));
        }
    });
    NOW.load(Ordering::Relaxed) == bug as u8
}

/// Plants a bug in this process, and takes out the one that was in.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Bug>) {
    NOW.store(bug.map_or(0, |bug| bug as u8), std::sync::atomic::Ordering::Relaxed);
}

#[cfg(feature = "planted")]
static NOW: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Whether this bug is in.
#[cfg(feature = "planted")]
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        $crate::is_planted($crate::Bug::$bug)
    };
}

/// No bug is in: the feature `planted` is off.
#[cfg(not(feature = "planted"))]
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {{
        // A name that is none does not compile either way.
        const _: $crate::Bug = $crate::Bug::$bug;
        false
    }};
}
