//! The memory that records stand in: pages of one size, in which a record never moves, so that its place is its id. What is let go
//! leaves a hole; holes that a sweep has found wait in a list to be filled. Guards that no place belongs to two records.

use super::record::{self, Fields, Found, HEADER_BYTES, UNIT_BYTES};

/// The smallest page holds the longest name a few times over; larger ones waste less at their ends.
const PAGE_BYTES: std::ops::RangeInclusive<usize> = 4_096..=65_536;
/// How many gaps are looked at for one that is large enough.
const GAPS_TRIED: usize = 8;
/// A hole smaller than this fits no record.
const LEAST_UNITS: usize = HEADER_BYTES / UNIT_BYTES + 1;

/// A free stretch: its first unit and how many.
#[derive(Clone, Copy, Debug)]
struct Gap {
    start: u32,
    units: usize,
}

/// The pages.
#[derive(Debug)]
pub(super) struct Pages {
    list: Vec<Box<[u8]>>,
    /// Numbers of pages that were given back.
    released: Vec<usize>,
    /// Units of a page are a power of two, this one.
    shift: u32,
    gaps: Vec<Gap>,
    gap_units: usize,
    /// Where the next sweep begins: page and unit within it.
    hand: (usize, usize),
}

impl Pages {
    /// Pages that suit a table of about this size.
    pub(super) fn new(budget_bytes: usize) -> Self {
        let wanted = (budget_bytes / 64).clamp(*PAGE_BYTES.start(), *PAGE_BYTES.end());
        Self {
            list: Vec::new(),
            released: Vec::new(),
            shift: (wanted / UNIT_BYTES).ilog2(),
            gaps: Vec::new(),
            gap_units: 0,
            hand: (0, 0),
        }
    }

    pub(super) fn page_bytes(&self) -> usize {
        self.page_units().saturating_mul(UNIT_BYTES)
    }

    fn page_units(&self) -> usize {
        1 << self.shift
    }

    /// What all pages take.
    pub(super) fn bytes(&self) -> usize {
        self.used()
            .saturating_mul(self.page_bytes().saturating_add(size_of::<Box<[u8]>>()))
    }

    fn used(&self) -> usize {
        self.list.len().saturating_sub(self.released.len())
    }

    /// What may still be placed without another page.
    pub(super) fn gap_bytes(&self) -> usize {
        self.gap_units.saturating_mul(UNIT_BYTES)
    }

    /// The page and the byte in it where an id points to.
    fn place(&self, id: u32) -> (usize, usize) {
        let id = usize::try_from(id).unwrap_or(usize::MAX);
        let unit = id & self.page_units().saturating_sub(1);
        (id >> self.shift, unit.saturating_mul(UNIT_BYTES))
    }

    fn id(&self, page: usize, unit: usize) -> u32 {
        u32::try_from(page << self.shift | unit).unwrap_or(u32::MAX)
    }

    /// The bytes from a record's beginning to its page's end.
    #[inline]
    pub(super) fn tail(&self, id: u32) -> Option<&[u8]> {
        let (page, at) = self.place(id);
        self.list.get(page)?.get(at..)
    }

    #[inline]
    fn tail_mut(&mut self, id: u32) -> Option<&mut [u8]> {
        let (page, at) = self.place(id);
        self.list.get_mut(page)?.get_mut(at..)
    }

    /// A record's fields and name.
    #[inline]
    pub(super) fn record(&self, id: u32) -> Option<(Fields, &[u8])> {
        let (header, rest) = self.tail(id)?.split_first_chunk()?;
        let fields = Fields::decode(*header);
        Some((fields, rest.get(..fields.name_bytes())?))
    }

    /// Changes a record's fields.
    #[inline]
    pub(super) fn change<R>(&mut self, id: u32, change: impl FnOnce(&mut Fields) -> R) -> Option<R> {
        let header = self.tail_mut(id)?.first_chunk_mut::<HEADER_BYTES>()?;
        let mut fields = Fields::decode(*header);
        let answer = change(&mut fields);
        *header = fields.encode();
        Some(answer)
    }

    /// Places a record: into a gap, else into a new page.
    pub(super) fn insert(&mut self, fields: Fields, name: &[u8]) -> u32 {
        let units = fields.units();
        let Some(index) = self.fitting_gap(units).or_else(|| self.add_page()) else {
            return u32::MAX;
        };
        let id = self.take(index, units);
        if let Some(bytes) = self.tail_mut(id)
            && let Some((header, rest)) = bytes.split_first_chunk_mut()
        {
            *header = fields.encode();
            if let Some(room) = rest.get_mut(..name.len()) {
                room.copy_from_slice(name);
            }
        }
        id
    }

    fn fitting_gap(&self, units: usize) -> Option<usize> {
        let mut indexes = (0..self.gaps.len()).rev().take(GAPS_TRIED);
        indexes.find(|index| self.gaps.get(*index).is_some_and(|gap| gap.units >= units))
    }

    /// Takes units from a gap's beginning.
    fn take(&mut self, index: usize, units: usize) -> u32 {
        let Some(gap) = self.gaps.get_mut(index) else {
            return u32::MAX;
        };
        let id = gap.start;
        let rest = Gap {
            start: id.saturating_add(u32::try_from(units).unwrap_or(u32::MAX)),
            units: gap.units.saturating_sub(units),
        };
        let keeps = rest.units >= LEAST_UNITS;
        self.gap_units = self.gap_units.saturating_sub(units);
        if keeps {
            *gap = rest;
        } else {
            self.gap_units = self.gap_units.saturating_sub(rest.units);
            self.gaps.swap_remove(index);
        }
        if rest.units > 0 {
            self.put_hole(rest, keeps);
        }
        id
    }

    fn put_hole(&mut self, gap: Gap, queued: bool) {
        if let Some(word) = self.tail_mut(gap.start).and_then(|bytes| bytes.first_chunk_mut()) {
            *word = record::hole(gap.units, queued);
        }
    }

    /// A new page as a gap; its index among the gaps. `None` when no more can be addressed.
    fn add_page(&mut self) -> Option<usize> {
        let page = vec![0; self.page_bytes()].into_boxed_slice();
        let number = if let Some(number) = self.released.pop() {
            *self.list.get_mut(number)? = page;
            number
        } else {
            if self.list.len() >= usize::try_from(u32::MAX).ok()? >> self.shift {
                return None;
            }
            self.list.push(page);
            self.list.len().saturating_sub(1)
        };
        self.queue(Gap {
            start: self.id(number, 0),
            units: self.page_units(),
        });
        Some(self.gaps.len().saturating_sub(1))
    }

    /// A stretch that belongs to nobody any more waits to be filled.
    fn queue(&mut self, gap: Gap) {
        let keeps = gap.units >= LEAST_UNITS;
        self.put_hole(gap, keeps);
        if keeps {
            self.gap_units = self.gap_units.saturating_add(gap.units);
            self.gaps.push(gap);
        }
    }

    /// Walks on from the hand over at most `steps` records or holes, not beyond a page's end, and makes one gap of each stretch of
    /// holes and records that `let_go` agrees to. Stops when `wanted` bytes are free. Answers how many steps it took.
    pub(super) fn sweep(
        &mut self,
        steps: usize,
        wanted: usize,
        let_go: &mut dyn FnMut(u32, &mut Fields, &[u8]) -> bool,
    ) -> usize {
        let (page, mut unit) = self.hand;
        let mut stretch: Option<usize> = None;
        let mut taken = 0_usize;
        while taken < steps && unit < self.page_units() && self.gap_bytes() < wanted {
            let id = self.id(page, unit);
            let Some(found) = self.tail(id).and_then(record::find) else {
                break;
            };
            taken = taken.saturating_add(1);
            let (units, free) = match found {
                Found::Hole(units, queued) => (units.max(1), !queued),
                Found::Record(fields) => (fields.units(), self.lets_go(id, fields, let_go)),
            };
            if free {
                stretch = stretch.or(Some(unit));
            } else if let Some(start) = stretch.take() {
                self.queue_stretch(page, start, unit);
            }
            unit = unit.saturating_add(units);
        }
        if let Some(start) = stretch {
            self.queue_stretch(page, start, unit);
        }
        self.hand = (page, unit);
        if unit >= self.page_units() || self.list.get(page).is_none_or(|page| page.is_empty()) {
            let next = page.saturating_add(1);
            self.hand = (if next < self.list.len() { next } else { 0 }, 0);
        }
        taken.max(1)
    }

    fn lets_go(&mut self, id: u32, fields: Fields, let_go: &mut dyn FnMut(u32, &mut Fields, &[u8]) -> bool) -> bool {
        let Some((_, name)) = self.record(id) else { return false };
        let mut after = fields;
        let goes = let_go(id, &mut after, name);
        if !goes && after != fields {
            self.change(id, |fields| *fields = after);
        }
        goes
    }

    fn queue_stretch(&mut self, page: usize, start: usize, end: usize) {
        self.queue(Gap {
            start: self.id(page, start),
            units: end.saturating_sub(start),
        });
    }

    /// Gives the page under the hand back, if `let_go` agrees to all its records; otherwise what went is left as gaps. The hand moves on.
    pub(super) fn release(&mut self, let_go: &mut dyn FnMut(u32, &mut Fields, &[u8]) -> bool) {
        let number = self.hand.0;
        self.hand = (number, 0);
        self.sweep(usize::MAX, usize::MAX, let_go);
        if self.holds_records(number) {
            return;
        }
        let Some(page) = self.list.get_mut(number).filter(|page| !page.is_empty()) else {
            return;
        };
        *page = Box::default();
        self.released.push(number);
        let shift = self.shift;
        let within = |gap: &Gap| usize::try_from(gap.start).unwrap_or(usize::MAX) >> shift == number;
        let free: usize = self.gaps.iter().filter(|gap| within(gap)).map(|gap| gap.units).sum();
        self.gaps.retain(|gap| !within(gap));
        self.gap_units = self.gap_units.saturating_sub(free);
    }

    fn holds_records(&self, page: usize) -> bool {
        let mut found = false;
        self.walk(page, &mut |_, _| found = true);
        found
    }

    /// All records of a page, with how many units each takes.
    fn walk(&self, page: usize, visit: &mut dyn FnMut(u32, Fields)) {
        let mut unit = 0_usize;
        while unit < self.page_units() {
            let id = self.id(page, unit);
            let units = match self.tail(id).and_then(record::find) {
                Some(Found::Hole(units, _)) => units.max(1),
                Some(Found::Record(fields)) => {
                    visit(id, fields);
                    fields.units()
                }
                None => return,
            };
            unit = unit.saturating_add(units);
        }
    }

    /// The ids of a page's records; `None` past the last page.
    pub(super) fn ids_of(&self, page: usize) -> Option<Vec<u32>> {
        self.list.get(page)?;
        let mut ids = Vec::new();
        self.walk(page, &mut |id, _| ids.push(id));
        Some(ids)
    }

    /// The ids of all records.
    pub(super) fn ids(&self) -> Vec<u32> {
        (0..self.list.len())
            .filter_map(|page| self.ids_of(page))
            .flatten()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of many lengths come and go; every record that is there stands where its id says, whole.
    #[test]
    fn no_place_belongs_to_two_records() {
        let mut pages = Pages::new(0);
        let mut there: std::collections::BTreeMap<u32, Vec<u8>> = std::collections::BTreeMap::new();
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for turn in 0..20_000_u32 {
            let length = if random(10) == 0 {
                1 + random(1_024)
            } else {
                20 + random(8)
            };
            let name = vec![u8::try_from(random(256)).unwrap(); usize::try_from(length).unwrap()];
            let id = pages.insert(Fields::new(name.len(), 7, turn), &name);
            assert!(there.insert(id, name).is_none());
            let mut goes = |id: u32, _: &mut Fields, name: &[u8]| {
                let went = random(2) == 0;
                if went {
                    assert_eq!(there.remove(&id).as_deref(), Some(name));
                }
                went
            };
            if pages.bytes() > 200_000 {
                pages.release(&mut goes);
            } else if pages.bytes() > 100_000 && pages.gap_bytes() < 2_000 {
                pages.sweep(200, 4_000, &mut goes);
            }
        }
        let ids: std::collections::BTreeSet<u32> = pages.ids().into_iter().collect();
        assert_eq!(ids, there.keys().copied().collect());
        for (id, name) in &there {
            assert_eq!(pages.record(*id).map(|(_, name)| name), Some(name.as_slice()));
        }
        assert!(pages.bytes() < 400_000, "{} bytes", pages.bytes());
    }
}
