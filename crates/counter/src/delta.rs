//! What one round adds to one counter: the pure fold of a stretch of a writer's log. Applying it to the writer's stored cell
//! gives the next one, however the log is cut into rounds and wherever a reset falls; applying it to a cell that already
//! stands at the round's cut changes nothing (rule 6).

use crate::{Cell, Generation, Head, Minute, Position};

/// Amounts by minute, sorted. One minute, the usual case, needs no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Minutes {
    first: Option<(Minute, i128)>,
    more: Vec<(Minute, i128)>,
}

impl Minutes {
    /// Adds to one minute.
    pub fn add(&mut self, minute: Minute, amount: i128) {
        match &mut self.first {
            None => self.first = Some((minute, amount)),
            // 2^64 adds of 64 bits fit 128 bits: saturation is out of reach.
            Some((at, sum)) if *at == minute => *sum = sum.saturating_add(amount),
            Some(_) => self.add_more(minute, amount),
        }
    }

    fn add_more(&mut self, minute: Minute, amount: i128) {
        if let Some((_, sum)) = self.more.last_mut().filter(|(last, _)| *last == minute) {
            *sum = sum.saturating_add(amount);
            return;
        }
        match self.more.binary_search_by_key(&minute, |(at, _)| *at) {
            Ok(found) => {
                if let Some((_, sum)) = self.more.get_mut(found) {
                    *sum = sum.saturating_add(amount);
                }
            }
            Err(place) => self.more.insert(place, (minute, amount)),
        }
    }

    /// The minutes and their amounts, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Minute, i128)> + '_ {
        self.first.iter().chain(&self.more).copied()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The memory behind it beyond its own size, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.more.capacity().saturating_mul(size_of::<(Minute, i128)>())
    }
}

/// What a new head ends. Ordered: a life is more than a SET.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ends {
    /// EXPIRE, PERSIST: nothing.
    #[default]
    Nothing,
    /// SET: the total.
    Set,
    /// DEL, expiry: the life, with its history.
    Life,
}

impl Ends {
    /// What the step from one generation to the next ends.
    pub fn between(before: Generation, after: Generation) -> Self {
        if after.life > before.life {
            Self::Life
        } else if after.n > before.n {
            Self::Set
        } else {
            Self::Nothing
        }
    }
}

/// The fold of one counter over one round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// The newest head the log wrote in this round.
    pub head: Option<Box<Head>>,
    /// The most that a head of this round ended: what was counted before the round is no longer in the total, or in the life.
    pub ends: Ends,
    /// The amounts since the newest SET, DEL or expiry of the round, or since its start.
    pub total: i128,
    /// The amounts of the newest life of the round.
    pub counted: i128,
    /// The same by minute, where the namespace keeps history.
    pub minutes: Minutes,
    /// Whether there was any add in the newest life: only then is a cell written.
    pub touched: bool,
}

impl Delta {
    /// One add; `minute` where the namespace keeps history.
    pub fn add(&mut self, amount: i128, minute: Option<Minute>) {
        // 2^64 adds of 64 bits fit 128 bits: saturation is out of reach.
        self.total = self.total.saturating_add(amount);
        self.counted = self.counted.saturating_add(amount);
        self.touched = true;
        if let Some(minute) = minute {
            self.minutes.add(minute, amount);
        }
    }

    /// A head that the log wrote. `before` is the generation in force until then. Returns whether the head won.
    pub fn reset(&mut self, before: Generation, head: Head) -> bool {
        if head.generation <= before {
            return false;
        }
        self.end(Ends::between(before, head.generation), head);
        true
    }

    /// A head that the log wrote, which ends what it says: for a replay, which does not know the generation before it.
    pub fn end(&mut self, ends: Ends, head: Head) {
        match ends {
            Ends::Life if crate::planted!(DeleteKeepsHistory) => self.total = 0,
            Ends::Life => *self = Self::default(),
            Ends::Set => self.total = 0,
            Ends::Nothing => {}
        }
        self.ends = self.ends.max(ends);
        self.head = Some(Box::new(head));
    }

    /// The cell after this round, from the stored one of the same life. `None` when there is nothing to write: no add, or
    /// the cell stands at the cut already.
    ///
    /// # Errors
    /// When the stored cell is beyond the cut, or the sum leaves 128 bits: both mean the store holds something that this
    /// writer did not write.
    pub fn next_cell(
        &self,
        stored: Option<&Cell>,
        generation: Generation,
        cut: Position,
    ) -> Result<Option<Cell>, Beyond> {
        let fresh = Cell {
            position: cut,
            n: generation.n,
            total: self.total,
            counted: self.counted,
        };
        let Some(stored) = stored else {
            return Ok(self.touched.then_some(fresh));
        };
        if stored.position > cut {
            return Err(Beyond {
                stored: stored.position,
                cut,
            });
        }
        if (stored.position == cut && !crate::planted!(RepeatAddsAgain)) || !self.touched {
            return Ok(None);
        }
        let overflow = Beyond {
            stored: stored.position,
            cut,
        };
        let carried = if stored.n == generation.n || crate::planted!(TotalCarriedOverSet) {
            stored.total
        } else {
            0
        };
        let total = carried.checked_add(self.total).ok_or(overflow)?;
        let counted = stored.counted.checked_add(self.counted).ok_or(overflow)?;
        Ok(Some(Cell {
            total,
            counted,
            ..fresh
        }))
    }
}

/// A stored row that this writer cannot have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a stored row is at position {stored}, the round's cut at {cut}: another history was written under this writer"
)]
pub struct Beyond {
    /// Where the stored row stands.
    pub stored: Position,
    /// Where the round is cut.
    pub cut: Position,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What bounds a round's memory goes by it.
    #[test]
    fn minutes_tell_the_memory_behind_them() {
        let mut minutes = Minutes::default();
        minutes.add(Minute(1), 1);
        assert_eq!(minutes.heap_bytes(), 0, "one has its place");
        for minute in 2..=100 {
            minutes.add(Minute(minute), 1);
        }
        assert!(minutes.heap_bytes() >= 99 * size_of::<(Minute, i128)>());
    }
}
