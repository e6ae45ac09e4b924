//! What other threads do in the midst of a call: it happens at the call's own reads and writes, on the same thread, so that every
//! interleaving follows from the seed. Guards nothing itself; it never interrupts itself.

use std::sync::{Mutex, PoisonError};

/// Where a call is interrupted, and so what may be done there: which locks are held follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At a read, sync or conditional write of the store.
    Store,
    /// At a write of rows.
    Put,
    /// At a write or sync of the disk: the journal is held.
    Disk,
}

/// Called at each place until it is taken away.
pub(crate) type Others = Box<dyn FnMut(Place) + Send>;

/// Who else is at work.
#[derive(Default)]
pub(crate) struct Meanwhile {
    others: Mutex<Option<Others>>,
}

impl Meanwhile {
    /// From now on these are at work.
    pub(crate) fn begin(&self, others: Others) {
        *self.others.lock().unwrap_or_else(PoisonError::into_inner) = Some(others);
    }

    /// Nobody is any more.
    pub(crate) fn end(&self) {
        *self.others.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A call has come to this place.
    pub(super) fn come(&self, place: Place) {
        let taken = self.others.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut others) = taken else { return };
        others(place);
        self.begin(others);
    }
}
