//! The fold of a round: what the log since the last cut adds to each counter it names. Compact while a round runs, since memory
//! holds one entry for each counter that changed: the usual amounts, of a few minutes, take 24 bytes a minute; all else (heads,
//! many minutes, sums past 64 bits) is a `Delta` at the side. A `Delta` of the rest is made only when somebody asks for it.
//!
//! A record of the hot table keeps where its newest entry stands, which may be of this fold, of the one that is closing, or of one
//! long gone: an entry belongs to a counter when it names it, so that nothing has to be reset when a round ends.

use tally_counter::{Delta, Ends, Head, Minute};

use crate::table::CounterId;

/// A link to no entry.
pub(crate) const NO_LINK: u32 = LINK;
/// The bits of a link; the one above says of an older one that it was of the round before.
const LINK: u32 = u32::MAX >> 1;

const CHUNK_BITS: u32 = 12;
const CHUNK: usize = 1 << CHUNK_BITS;
/// An entry that only holds one more minute of another one.
const NOBODY: CounterId = CounterId(u32::MAX);
/// Amounts without a minute: the namespace keeps no history. Past the last minute there is.
const NO_MINUTE: u32 = u32::MAX;
/// The amounts stand at the side, at the place `next`.
const ASIDE: u32 = u32::MAX - 1;
/// With more minutes than this, a counter's amounts go to the side.
const FEW_MINUTES: usize = 4;

/// The amount of a counter in one minute.
#[derive(Clone, Copy, Debug)]
struct Entry {
    amount: i64,
    id: CounterId,
    /// Where its entry of an older round stands, if it has one, and above that whether it was the round before.
    older: u32,
    minute: u32,
    /// Its amounts of another minute.
    next: u32,
}

/// The amounts of one round, by counter.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    chunks: Vec<Vec<Entry>>,
    entries: usize,
    counters: usize,
    aside: Vec<(CounterId, Delta)>,
    aside_bytes: usize,
    /// What the records of its counters take, which cannot be let go.
    pinned_bytes: usize,
    /// Counters whose name the store may lack.
    fresh: Vec<CounterId>,
}

impl Fold {
    /// How many counters it changes.
    pub(crate) fn len(&self) -> usize {
        self.counters
    }

    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.entries
            .saturating_mul(size_of::<Entry>())
            .saturating_add(self.aside_bytes)
            .saturating_add(self.fresh.len().saturating_mul(size_of::<CounterId>()))
    }

    /// What the records of its counters take.
    pub(crate) fn pinned_bytes(&self) -> usize {
        self.pinned_bytes
    }

    /// A record of so many bytes cannot be let go.
    pub(crate) fn pin(&mut self, bytes: usize) {
        self.pinned_bytes = self.pinned_bytes.saturating_add(bytes);
    }

    /// The store may lack this counter's name.
    pub(crate) fn set_fresh(&mut self, id: CounterId) {
        self.fresh.push(id);
    }

    /// All counters whose name the store may lack: those said to be, and those that had a new head.
    pub(crate) fn fresh(&self) -> impl Iterator<Item = CounterId> + '_ {
        let headed = self.aside.iter().filter(|(_, delta)| delta.head.is_some());
        self.fresh.iter().copied().chain(headed.map(|(id, _)| *id))
    }

    /// Whether the entry that a counter links to is of this fold.
    #[inline]
    pub(crate) fn owns(&self, id: CounterId, link: u32) -> bool {
        self.entry(link).is_some_and(|entry| entry.id == id)
    }

    /// Where the counter's entry of an older round stands.
    pub(crate) fn older(&self, link: u32) -> u32 {
        self.entry(link).map_or(NO_LINK, |entry| entry.older & LINK)
    }

    /// The counter of this entry changed in the round before, too.
    pub(crate) fn set_changed_before(&mut self, link: u32) {
        if let Some(entry) = self.entry_mut(link) {
            entry.older |= !LINK;
        }
    }

    /// Whether that was said.
    pub(crate) fn changed_before(&self, link: u32) -> bool {
        self.entry(link).is_some_and(|entry| entry.older & !LINK != 0)
    }

    /// One add. `Some`: where the counter's entry stands that had to be begun; `link` was not of this fold.
    #[inline]
    pub(crate) fn add(&mut self, id: CounterId, link: u32, amount: i64, minute: Option<Minute>) -> Option<u32> {
        let minute = minute.map_or(NO_MINUTE, |minute| minute.0);
        let Some(entry) = self.entry_mut(link).filter(|entry| entry.id == id) else {
            return Some(self.begin(id, link, amount, minute));
        };
        match entry.amount.checked_add(amount) {
            Some(sum) if entry.minute == minute => entry.amount = sum,
            _ => self.add_elsewhere(id, link, amount, minute),
        }
        None
    }

    /// A head that the log wrote, which ends what it says. `Some` as for an add.
    pub(crate) fn end(&mut self, id: CounterId, link: u32, ends: Ends, head: Head) -> Option<u32> {
        let (link, begun) = if self.owns(id, link) {
            (link, None)
        } else {
            let begun = self.begin(id, link, 0, ASIDE);
            self.put_aside(id, begun, Delta::default());
            (begun, Some(begun))
        };
        self.change_aside(id, link, |delta| delta.end(ends, head));
        begun
    }

    /// What the entry adds to its counter.
    pub(crate) fn delta(&self, link: u32) -> Option<Delta> {
        let entry = self.entry(link)?;
        if entry.minute == ASIDE {
            return self.aside_at(entry.next).map(|(_, delta)| delta.clone());
        }
        let mut delta = Delta::default();
        let mut part = Some(entry);
        while let Some(entry) = part {
            delta.add(entry.amount.into(), minute_of(entry.minute));
            part = self.entry(entry.next);
        }
        Some(delta)
    }

    /// What the round adds to a counter's total, by the counter's link; zero where it is not of this fold.
    pub(crate) fn total(&self, id: CounterId, link: u32) -> i128 {
        if !self.owns(id, link) {
            return 0;
        }
        self.delta(link).map_or(0, |delta| delta.total)
    }

    /// Counters and where their entries stand.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (CounterId, u32)> + '_ {
        let entries = self.chunks.iter().flatten().zip(0_u32..);
        entries
            .filter(|(entry, _)| entry.id != NOBODY)
            .map(|(entry, link)| (entry.id, link))
    }

    /// Counters whose life ended.
    pub(crate) fn ended(&self) -> impl Iterator<Item = CounterId> + '_ {
        let ended = self.aside.iter().filter(|(_, delta)| delta.ends == Ends::Life);
        ended.map(|(id, _)| *id)
    }

    #[inline]
    fn entry(&self, link: u32) -> Option<&Entry> {
        let (chunk, at) = place(link);
        self.chunks.get(chunk)?.get(at)
    }

    #[inline]
    fn entry_mut(&mut self, link: u32) -> Option<&mut Entry> {
        let (chunk, at) = place(link);
        self.chunks.get_mut(chunk)?.get_mut(at)
    }

    fn begin(&mut self, id: CounterId, older: u32, amount: i64, minute: u32) -> u32 {
        self.counters = self.counters.saturating_add(1);
        self.push(Entry {
            amount,
            id,
            older,
            minute,
            next: NO_LINK,
        })
    }

    fn push(&mut self, entry: Entry) -> u32 {
        let link = u32::try_from(self.entries).unwrap_or(NO_LINK);
        if self.entries.is_multiple_of(CHUNK) {
            // Grows from a few: most engines in tests never fill one.
            self.chunks
                .push(Vec::with_capacity(if self.entries == 0 { 64 } else { CHUNK }));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(entry);
        }
        self.entries = self.entries.saturating_add(1);
        link
    }

    /// An add to another minute than the entry's, or past 64 bits.
    #[cold]
    fn add_elsewhere(&mut self, id: CounterId, link: u32, amount: i64, minute: u32) {
        let Some(first) = self.entry(link).copied() else { return };
        if first.minute == ASIDE {
            let minute = minute_of(minute);
            return self.change_aside(id, link, |delta| delta.add(amount.into(), minute));
        }
        let (mut at, mut minutes) = (link, 0);
        while let Some(entry) = self.entry_mut(at) {
            if entry.minute == minute
                && let Some(sum) = entry.amount.checked_add(amount)
            {
                entry.amount = sum;
                return;
            }
            if entry.minute == minute {
                minutes = FEW_MINUTES;
                break;
            }
            minutes = minutes.saturating_add(1);
            at = entry.next;
        }
        if minutes >= FEW_MINUTES {
            let minute = minute_of(minute);
            return self.change_aside(id, link, |delta| delta.add(amount.into(), minute));
        }
        // The newest minute stands in the entry itself, where the next add will look first.
        let behind = self.push(Entry { id: NOBODY, ..first });
        if let Some(entry) = self.entry_mut(link) {
            (entry.amount, entry.minute, entry.next) = (amount, minute, behind);
        }
    }

    /// Changes a counter's amounts at the side, and brings them there before where they are not.
    fn change_aside(&mut self, id: CounterId, link: u32, change: impl FnOnce(&mut Delta)) {
        if self.entry(link).is_some_and(|entry| entry.minute != ASIDE)
            && let Some(delta) = self.delta(link)
        {
            self.put_aside(id, link, delta);
        }
        let place = self.entry(link).and_then(|entry| usize::try_from(entry.next).ok());
        if let Some((_, delta)) = place.and_then(|place| self.aside.get_mut(place)) {
            let before = delta.minutes.heap_bytes();
            change(delta);
            let grown = delta.minutes.heap_bytes();
            self.aside_bytes = self.aside_bytes.saturating_add(grown).saturating_sub(before);
        }
    }

    fn put_aside(&mut self, id: CounterId, link: u32, delta: Delta) {
        let heap_bytes = delta.minutes.heap_bytes();
        let place = u32::try_from(self.aside.len()).unwrap_or(NO_LINK);
        self.aside.push((id, delta));
        // With its head, which a counter without other minutes is here for.
        let bytes = size_of::<(CounterId, Delta)>() + size_of::<Head>();
        self.aside_bytes = self.aside_bytes.saturating_add(bytes).saturating_add(heap_bytes);
        if let Some(entry) = self.entry_mut(link) {
            (entry.amount, entry.minute, entry.next) = (0, ASIDE, place);
        }
    }

    fn aside_at(&self, place: u32) -> Option<&(CounterId, Delta)> {
        self.aside.get(usize::try_from(place).ok()?)
    }
}

#[inline]
fn place(link: u32) -> (usize, usize) {
    let link = usize::try_from(link).unwrap_or(usize::MAX);
    (link >> CHUNK_BITS, link & CHUNK.saturating_sub(1))
}

fn minute_of(minute: u32) -> Option<Minute> {
    (minute != NO_MINUTE).then_some(Minute(minute))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: CounterId = CounterId(7);

    fn minutes(delta: &Delta) -> Vec<(u32, i128)> {
        let mut minutes: Vec<_> = delta
            .minutes
            .iter()
            .map(|(minute, amount)| (minute.0, amount))
            .collect();
        minutes.sort_unstable();
        minutes
    }

    /// The compact form and the plain one agree, over a few minutes, many, none, and past 64 bits.
    #[test]
    fn a_fold_is_what_its_deltas_would_be() {
        for count in 1..=12_u32 {
            let (mut fold, mut plain) = (Fold::default(), Delta::default());
            let mut link = NO_LINK;
            for step in 0..100_u32 {
                let minute = (step % 5 != 4).then_some(Minute(step * 7 % count));
                let amount = if step % 33 == 0 { i64::MAX } else { i64::from(step) - 40 };
                plain.add(amount.into(), minute);
                link = fold.add(ID, link, amount, minute).unwrap_or(link);
                // Another counter's entries stand in between.
                fold.add(CounterId(100 + step), NO_LINK, 1, None);
            }
            let delta = fold.delta(link).unwrap();
            assert_eq!(
                (delta.total, delta.counted, delta.touched),
                (plain.total, plain.counted, true)
            );
            assert_eq!(minutes(&delta), minutes(&plain));
            assert_eq!(fold.len(), 101);
            assert_eq!(fold.iter().filter(|(id, _)| *id == ID).count(), 1);
        }
    }

    #[test]
    fn a_head_ends_what_came_before_it() {
        let mut fold = Fold::default();
        let link = fold.add(ID, NO_LINK, 5, Some(Minute(1))).unwrap();
        let mut head = Head::default();
        head.generation = head.generation.next_life();
        assert_eq!(fold.end(ID, link, Ends::Life, head.clone()), None);
        assert_eq!(fold.add(ID, link, 2, Some(Minute(2))), None);
        let delta = fold.delta(link).unwrap();
        assert_eq!(
            (delta.total, delta.ends, delta.head.as_deref()),
            (2, Ends::Life, Some(&head))
        );
        assert_eq!(fold.ended().collect::<Vec<_>>(), [ID]);
        let other = fold.end(CounterId(8), NO_LINK, Ends::Set, head).unwrap();
        assert!(fold.owns(CounterId(8), other) && !fold.owns(ID, other));
        assert!(!fold.delta(other).unwrap().touched);
    }

    #[test]
    fn a_link_of_another_round_is_nobodys() {
        let mut older = Fold::default();
        let link = older.add(ID, NO_LINK, 5, None).unwrap();
        let mut fold = Fold::default();
        fold.add(CounterId(8), NO_LINK, 1, None);
        assert!(!fold.owns(ID, link));
        let newer = fold.add(ID, link, 6, None).unwrap();
        assert_eq!((fold.older(newer), fold.delta(newer).unwrap().total), (link, 6));
        assert!(older.owns(ID, link));
    }
}
