//! From names to records: open addressing in buckets of one cache line, each with twelve places and a byte of the hash for each place,
//! so that a look-up meets one line here and one in the record. Cut into segments that grow by themselves, a fifth at a time: no
//! growth is long, and no step doubles the memory. Guards that what was put is found until it is taken away.

const PLACES: usize = 12;
/// A segment grows when more of its places are taken, in hundredths.
const FULL_HUNDREDTHS: usize = 86;
/// A table of this size has one segment more.
const SEGMENT_OF_BYTES: usize = 128 * 1_024;
const MAX_SEGMENTS: usize = 4_096;
const FREE: u8 = 0;

/// A cache line: who is here, and how many that belong here or before were put further on.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Bucket {
    ids: [u32; PLACES],
    tags: [u8; PLACES],
    passed: u32,
}

const EMPTY: Bucket = Bucket {
    ids: [0; PLACES],
    tags: [FREE; PLACES],
    passed: 0,
};

#[derive(Clone, Debug, Default)]
struct Segment {
    buckets: Vec<Bucket>,
    taken: usize,
}

/// The index.
#[derive(Debug)]
pub(super) struct Index {
    segments: Vec<Segment>,
    /// How far a hash is shifted to give its segment.
    shift: u32,
    buckets: usize,
    taken: usize,
}

impl Index {
    /// An index that suits a table of about this size.
    pub(super) fn new(budget_bytes: usize) -> Self {
        let segments = (budget_bytes / SEGMENT_OF_BYTES)
            .clamp(1, MAX_SEGMENTS)
            .next_power_of_two();
        Self {
            segments: vec![Segment::default(); segments],
            shift: 64_u32.saturating_sub(segments.ilog2()),
            buckets: 0,
            taken: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.taken
    }

    pub(super) fn bytes(&self) -> usize {
        let buckets = self.buckets.saturating_mul(size_of::<Bucket>());
        buckets.saturating_add(self.segments.len().saturating_mul(size_of::<Segment>()))
    }

    fn segment(&self, hash: u64) -> usize {
        // With one segment the shift is by all bits.
        usize::try_from(hash.checked_shr(self.shift).unwrap_or(0)).unwrap_or(0)
    }

    /// The bucket that a lookup of this hash begins with.
    #[inline]
    pub(super) fn line(&self, hash: u64) -> Option<&Bucket> {
        let segment = self.segments.get(self.segment(hash))?;
        segment.buckets.get(home(hash, segment.buckets.len()))
    }

    /// A record that may be the one, without looking at it.
    #[inline]
    pub(super) fn candidate(&self, hash: u64) -> Option<u32> {
        let segment = self.segments.get(self.segment(hash))?;
        let bucket = segment.buckets.get(home(hash, segment.buckets.len()))?;
        let place = bucket.places(tag(hash)).next()?;
        bucket.ids.get(place).copied()
    }

    /// The record with this hash that `is` the one.
    #[inline]
    pub(super) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let segment = self.segments.get(self.segment(hash))?;
        let count = segment.buckets.len();
        let (mut at, tag) = (home(hash, count), tag(hash));
        for _ in 0..count {
            let bucket = segment.buckets.get(at)?;
            for place in bucket.places(tag) {
                let id = bucket.ids.get(place).copied()?;
                if is(id) {
                    return Some(id);
                }
            }
            if bucket.passed == 0 {
                return None;
            }
            at = after(at, count);
        }
        None
    }

    /// Puts a record that is not there. `hash_of` tells the hashes of others, which move when there is no room.
    pub(super) fn insert(&mut self, hash: u64, id: u32, hash_of: impl Fn(u32) -> u64) {
        let number = self.segment(hash);
        let Some(segment) = self.segments.get_mut(number) else {
            return;
        };
        let places = segment.buckets.len().saturating_mul(PLACES);
        if segment.taken.saturating_mul(100) >= places.saturating_mul(FULL_HUNDREDTHS) {
            self.buckets = self.buckets.saturating_add(segment.grow(hash_of));
        }
        segment.put(hash, id);
        self.taken = self.taken.saturating_add(1);
    }

    /// Takes a record away.
    pub(super) fn remove(&mut self, hash: u64, id: u32) {
        let number = self.segment(hash);
        if self
            .segments
            .get_mut(number)
            .is_some_and(|segment| segment.remove(hash, id))
        {
            self.taken = self.taken.saturating_sub(1);
        }
    }
}

impl Segment {
    /// A fifth more buckets; answers how many.
    #[cold]
    fn grow(&mut self, hash_of: impl Fn(u32) -> u64) -> usize {
        let before = self.buckets.len();
        let more = (before / 5).max(1);
        let mut buckets = Vec::with_capacity(before.saturating_add(more));
        buckets.resize(before.saturating_add(more), EMPTY);
        let old = std::mem::replace(&mut self.buckets, buckets);
        self.taken = 0;
        for bucket in &old {
            for (id, _) in bucket.ids.iter().zip(bucket.tags).filter(|(_, tag)| *tag != FREE) {
                self.put(hash_of(*id), *id);
            }
        }
        more
    }

    fn put(&mut self, hash: u64, id: u32) {
        let count = self.buckets.len();
        let mut at = home(hash, count);
        for _ in 0..count {
            let Some(bucket) = self.buckets.get_mut(at) else { return };
            if bucket.put(tag(hash), id) {
                self.taken = self.taken.saturating_add(1);
                return;
            }
            bucket.passed = bucket.passed.saturating_add(1);
            at = after(at, count);
        }
    }

    fn remove(&mut self, hash: u64, id: u32) -> bool {
        let count = self.buckets.len();
        let from = home(hash, count);
        let mut at = from;
        for passed in 0..count {
            let Some(bucket) = self.buckets.get_mut(at) else {
                return false;
            };
            let place = bucket
                .places(tag(hash))
                .find(|place| bucket.ids.get(*place) == Some(&id));
            if let Some(place) = place.and_then(|place| bucket.tags.get_mut(place)) {
                *place = FREE;
                self.unpass(from, passed);
                self.taken = self.taken.saturating_sub(1);
                return true;
            }
            if bucket.passed == 0 {
                return false;
            }
            at = after(at, count);
        }
        false
    }

    /// One that had passed these buckets is gone.
    fn unpass(&mut self, from: usize, buckets: usize) {
        let mut at = from;
        for _ in 0..buckets {
            if let Some(bucket) = self.buckets.get_mut(at) {
                bucket.passed = bucket.passed.saturating_sub(1);
            }
            at = after(at, self.buckets.len());
        }
    }
}

impl Bucket {
    /// The places with this tag.
    #[inline]
    fn places(&self, tag: u8) -> impl Iterator<Item = usize> + use<> {
        let mut mask = 0_u32;
        for (place, other) in self.tags.iter().enumerate() {
            mask |= u32::from(*other == tag) << place;
        }
        std::iter::from_fn(move || {
            let place = usize::try_from(mask.trailing_zeros()).ok()?;
            let some = mask != 0;
            mask &= mask.wrapping_sub(1);
            some.then_some(place)
        })
    }

    fn put(&mut self, tag: u8, id: u32) -> bool {
        let Some(place) = self.places(FREE).next() else {
            return false;
        };
        let Some((slot, mark)) = self.ids.get_mut(place).zip(self.tags.get_mut(place)) else {
            return false;
        };
        (*slot, *mark) = (id, tag);
        true
    }
}

/// The bucket where a hash belongs: its bits 16 to 47 as a share of all buckets.
#[inline]
fn home(hash: u64, buckets: usize) -> usize {
    let share = hash >> 16 & u64::from(u32::MAX);
    usize::try_from(share.wrapping_mul(buckets as u64) >> 32).unwrap_or(0)
}

#[inline]
fn after(bucket: usize, buckets: usize) -> usize {
    let next = bucket.saturating_add(1);
    if next < buckets { next } else { 0 }
}

/// The lowest byte of a hash, but not the mark of a free place.
#[inline]
fn tag(hash: u64) -> u8 {
    hash.to_le_bytes().first().map_or(1, |byte| (*byte).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(id: u32) -> u64 {
        let mixed = (u64::from(id) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
    }

    #[test]
    fn what_was_put_is_found_until_it_is_taken_away() {
        for budget in [0, 1 << 20] {
            let mut index = Index::new(budget);
            for id in 0..20_000 {
                assert_eq!(index.find(hash_of(id), |other| other == id), None);
                index.insert(hash_of(id), id, hash_of);
                if id % 3 == 0 {
                    index.remove(hash_of(id / 2), id / 2);
                    index.remove(hash_of(id / 2), id / 2);
                }
            }
            let gone: std::collections::BTreeSet<u32> = (0..20_000).step_by(3).map(|id| id / 2).collect();
            let mut left = 0;
            for id in 0..20_000 {
                let found = index.find(hash_of(id), |other| other == id);
                assert_eq!(found, (!gone.contains(&id)).then_some(id));
                left += usize::from(found.is_some());
            }
            assert_eq!(index.len(), left);
        }
    }

    #[test]
    fn a_full_index_takes_few_bytes() {
        let mut index = Index::new(64 << 20);
        for id in 0..1_000_000 {
            index.insert(hash_of(id), id, hash_of);
        }
        let each = index.bytes() as f64 / 1e6;
        assert!(each < 8.0, "{each} bytes for each");
    }
}
