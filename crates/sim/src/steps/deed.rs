//! What a client asks for in one turn, and the answer it gets: taken by itself, or in the midst of another call.

use tally_counter::Key;
use tally_engine::{AddError, Blocked, Engine, Expiry, KeyIndex, Need, Plan, Turn, Turned};

use crate::keys;
use crate::random::Rng;
use crate::violation::{Violation, violated};

/// The year 10000.
pub(super) const TOO_LATE_MS: u64 = 253_402_300_800_000;

/// One request about one counter.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    pub(crate) key: &'static str,
    pub(crate) what: What,
}

/// What it asks for.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Blind { amount: i64, time_ms: Option<u64> },
    Valued { amount: i64, time_ms: Option<u64> },
    Set { value: i64, expiry: Expiry },
    Delete,
    Expire { at_ms: Option<u64> },
    Read,
}

/// What it was answered, and when.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) now_ms: u64,
    pub(crate) said: Said,
}

/// The answer by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Blind(Result<bool, AddError>),
    Valued(Result<Option<i64>, AddError>),
    Set,
    Delete {
        value: Option<i128>,
        existed: bool,
    },
    /// Whether it was there, its end, and whether it was found.
    Expire {
        there: bool,
        before_ms: Option<u64>,
        existed: bool,
    },
    Read(Option<i128>),
}

/// A time of an add's own: mostly lately, now and then long ago or ahead, or none.
fn own_time(rng: &mut Rng, now_ms: u64) -> Option<u64> {
    match rng.below(10) {
        0..=4 => None,
        5 | 6 => Some(now_ms.saturating_sub(rng.below(7_200_000))),
        7 => Some(now_ms.saturating_sub(rng.below(40 * 86_400_000))),
        8 => Some(now_ms + rng.below(3 * 86_400_000)),
        _ => Some(if rng.percent(20) {
            TOO_LATE_MS
        } else {
            rng.below(86_400_000)
        }),
    }
}

/// A time for a counter to end: soon, later, or past.
fn end_ms(rng: &mut Rng, now_ms: u64) -> u64 {
    match rng.below(5) {
        0 => now_ms.saturating_sub(rng.below(3_600_000)),
        1 | 2 => now_ms + rng.below(7_200_000),
        _ => now_ms + rng.below(4 * 86_400_000),
    }
}

impl Deed {
    pub(crate) fn blind(rng: &mut Rng, now_ms: u64) -> Self {
        let (key, amount, time_ms) = (keys::one(rng), rng.amount(), own_time(rng, now_ms));
        let what = What::Blind { amount, time_ms };
        Self { key, what }
    }

    pub(crate) fn valued(rng: &mut Rng, now_ms: u64) -> Self {
        let (key, amount, time_ms) = (keys::one(rng), rng.amount(), own_time(rng, now_ms));
        let what = What::Valued { amount, time_ms };
        Self { key, what }
    }

    pub(crate) fn set(rng: &mut Rng, now_ms: u64) -> Self {
        let (key, value) = (keys::one(rng), rng.amount());
        let expiry = match rng.below(4) {
            0 => Expiry::AtMs(end_ms(rng, now_ms)),
            1 => Expiry::Keep,
            _ => Expiry::Never,
        };
        let what = What::Set { value, expiry };
        Self { key, what }
    }

    pub(crate) fn delete(rng: &mut Rng) -> Self {
        let what = What::Delete;
        Self {
            key: keys::one(rng),
            what,
        }
    }

    pub(crate) fn expire(rng: &mut Rng, now_ms: u64) -> Self {
        let key = keys::one(rng);
        let at_ms = rng.percent(70).then(|| end_ms(rng, now_ms));
        let what = What::Expire { at_ms };
        Self { key, what }
    }

    /// Any of them, about one of these counters.
    pub(crate) fn any(rng: &mut Rng, now_ms: u64, keys: &[&'static str]) -> Option<Self> {
        let key = rng.one(keys).copied()?;
        let deed = match rng.below(12) {
            0..=3 => Self::blind(rng, now_ms),
            4..=6 => Self::valued(rng, now_ms),
            7 => Self::set(rng, now_ms),
            8 => Self::delete(rng),
            9 => Self::expire(rng, now_ms),
            _ => Self { key, what: What::Read },
        };
        Some(Self { key, ..deed })
    }

    /// Whether what it answers must be known beforehand, to be held against it.
    pub(crate) fn wants_certainty(&self) -> bool {
        matches!(self.what, What::Valued { .. } | What::Expire { .. } | What::Read)
    }

    /// Plans its counter.
    pub(crate) fn plan(&self, plan: &mut Plan) -> Result<KeyIndex, Violation> {
        let need = match self.what {
            What::Blind { .. } => Need::Blind,
            What::Valued { .. } | What::Read => Need::Value,
            What::Set { .. } | What::Delete | What::Expire { .. } => Need::Reset,
        };
        if matches!(self.what, What::Read) {
            plan.only_reads();
        }
        planned(plan, self.key, need)
    }

    /// Does it.
    pub(crate) fn take(&self, index: KeyIndex, turn: &mut Turn<'_>) -> Answer {
        let now_ms = turn.now_ms();
        let said = match self.what {
            What::Blind { amount, time_ms } => Said::Blind(turn.add_blind(index, amount, time_ms)),
            What::Valued { amount, time_ms } => Said::Valued(turn.add(index, amount, time_ms)),
            What::Set { value, expiry } => {
                turn.set(index, value, expiry);
                Said::Set
            }
            What::Delete => Said::Delete {
                value: turn.value(index),
                existed: turn.delete(index),
            },
            What::Expire { at_ms } => {
                let before = turn.expires_ms(index);
                Said::Expire {
                    there: before.is_some(),
                    before_ms: before.flatten(),
                    existed: turn.expire(index, at_ms),
                }
            }
            What::Read => Said::Read(turn.value(index)),
        };
        Answer { now_ms, said }
    }

    /// Does it in the midst of another call, with whatever that holds: left where it would have to wait for more than a read.
    pub(crate) fn amid(&self, engine: &Engine) -> Option<Turned<Answer>> {
        let mut plan = Plan::new();
        let index = self.plan(&mut plan).ok()?;
        for _ in 0..8 {
            match engine.turn(&mut plan, &mut |turn| self.take(index, turn)) {
                Ok(turned) => return Some(turned),
                Err(Blocked::Load) => engine.load(std::slice::from_mut(&mut plan)).ok()?,
                Err(_) => return None,
            }
        }
        None
    }
}

/// Adds one to a counter, outside of all steps.
pub(crate) fn add_one(engine: &Engine, key: &'static str) -> Result<(), Violation> {
    let what = What::Blind {
        amount: 1,
        time_ms: None,
    };
    match (Deed { key, what }).amid(engine) {
        Some(_) => Ok(()),
        None => violated(format!("an add to {key} is refused")),
    }
}

/// Plans a key that is known to be one.
pub(super) fn planned(plan: &mut Plan, key: &str, need: Need) -> Result<KeyIndex, Violation> {
    match Key::new(key.as_bytes()) {
        Ok(key) => Ok(plan.key(key, need)),
        Err(error) => violated(error.to_string()),
    }
}
