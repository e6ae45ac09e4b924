//! Reads cold strong counters. What waits for one partition becomes one read, and each partition has one at a time: there are no more
//! threads than partitions, and each read of a cluster takes along all that came meanwhile.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;
use tally_engine::{Engine, Plan, StrongPart};
use tokio::sync::oneshot;

use crate::loader::{self, MOST_AT_ONCE, Waiting};
use crate::refusal::Refusal;

/// Who waits, by partition; one that is here is being read.
#[derive(Default)]
pub(crate) struct StrongLoader(Mutex<BTreeMap<StrongPart, Vec<Waiting>>>);

/// The one that reads a partition. Where it ends by a bug, those that wait are told.
struct Reader<'l> {
    loader: &'l StrongLoader,
    part: StrongPart,
}

impl StrongLoader {
    /// Reads what the plan needs and the partition's memory lacks.
    pub(crate) async fn load(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        part: StrongPart,
        plan: &mut Plan,
    ) -> Result<(), Refusal> {
        let (done, loaded) = oneshot::channel();
        let waiting = Waiting::new(std::mem::take(plan), done);
        if self.push(part, waiting) {
            let (loader, engine) = (Arc::clone(self), Arc::clone(engine));
            // It goes on for the others, though this request is given up.
            tokio::task::spawn_blocking(move || Reader { loader: &loader, part }.serve(&engine));
        }
        loader::loaded(loaded, plan).await
    }

    /// `true`: nobody reads this partition yet.
    fn push(&self, part: StrongPart, waiting: Waiting) -> bool {
        match self.0.lock().entry(part) {
            Entry::Vacant(vacant) => {
                vacant.insert(vec![waiting]);
                true
            }
            Entry::Occupied(mut occupied) => {
                occupied.get_mut().push(waiting);
                false
            }
        }
    }

    /// What waits, up to a limit. Nothing: whoever comes next reads.
    fn next(&self, part: StrongPart) -> Option<Vec<Waiting>> {
        let mut parts = self.0.lock();
        let waiting = parts.get_mut(&part)?;
        if waiting.is_empty() {
            parts.remove(&part);
            return None;
        }
        let count = waiting.len().min(MOST_AT_ONCE);
        Some(waiting.drain(..count).collect())
    }
}

impl Reader<'_> {
    fn serve(self, engine: &Engine) {
        while let Some(batch) = self.loader.next(self.part) {
            loader::serve(batch, |plans| Ok(engine.load_strong(self.part, plans)?));
        }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.loader.0.lock().remove(&self.part);
        }
    }
}

#[cfg(test)]
mod tests {
    use tally_counter::Key;

    use super::*;

    #[test]
    fn what_waits_for_a_partition_is_read_together_by_one() {
        let loader = StrongLoader::default();
        let part = StrongPart::of(Key::new(b"a").unwrap());
        let waiting = || Waiting::new(Plan::new(), oneshot::channel().0);
        assert!(loader.push(part, waiting()), "it reads");
        let others: Vec<bool> = (0..100).map(|_| loader.push(part, waiting())).collect();
        assert!(!others.contains(&true), "that one reads for them");
        let sizes: Vec<usize> = std::iter::from_fn(|| loader.next(part))
            .map(|batch| batch.len())
            .collect();
        assert_eq!(sizes, [MOST_AT_ONCE, 101 - MOST_AT_ONCE]);
        assert!(loader.push(part, waiting()), "nobody reads any more");
    }

    #[test]
    fn a_reader_that_ends_by_a_bug_leaves_nobody_waiting() {
        let loader = StrongLoader::default();
        let part = StrongPart::of(Key::new(b"a").unwrap());
        let (done, mut loaded) = oneshot::channel();
        loader.push(part, Waiting::new(Plan::new(), done));
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _reader = Reader { loader: &loader, part };
            panic!("planned");
        }));
        assert!(ended.is_err());
        assert!(matches!(loaded.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        assert!(loader.push(part, Waiting::new(Plan::new(), oneshot::channel().0)));
    }
}
