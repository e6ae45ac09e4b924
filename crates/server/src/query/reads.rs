//! What one answer reads of counters' windows: of each counter and step everything, once, where both its extent and its amounts are asked
//! for; else only the range. Guards that an answer's parts are of one reading. Does not outlive the answer: nothing here grows old.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tally_counter::{Key, Minute, Step};
use tally_engine::{Engine, Error, Extent, HistoryView};

/// The reads of one answer.
pub(crate) struct Reads<'e> {
    pub(super) engine: &'e Engine,
    /// Extents are asked for of whatever is read.
    with_extents: bool,
    whole: RefCell<HashMap<(String, Step), Rc<HistoryView>>>,
}

impl<'e> Reads<'e> {
    /// For an answer of amounts.
    pub(crate) fn new(engine: &'e Engine) -> Self {
        Self {
            engine,
            with_extents: false,
            whole: RefCell::default(),
        }
    }

    /// For an answer that also says where each counter's data begins and ends.
    pub(crate) fn with_extents(engine: &'e Engine) -> Self {
        Self {
            with_extents: true,
            ..Self::new(engine)
        }
    }

    /// Where a counter's windows of a step begin and end; `None` if it has none. Blocks.
    pub(crate) fn extent(&self, key: Key<'_>, step: Step) -> Result<Option<Extent>, Error> {
        let whole = self.whole(key, step)?;
        let ends = whole.windows.first().zip(whole.windows.last());
        Ok(ends.map(|((first, _), (last, _))| Extent {
            first: *first,
            last: *last,
        }))
    }

    /// The windows of a counter that begin in `from..to`. Blocks.
    pub(super) fn windows(&self, key: Key<'_>, step: Step, from: Minute, to: Minute) -> Result<HistoryView, Error> {
        let known = self.whole.borrow().contains_key(&(key.as_str().to_owned(), step));
        if !known && !self.with_extents {
            return self.engine.history(key, step, from, to);
        }
        let whole = self.whole(key, step)?;
        let place = |minute: Minute| whole.windows.partition_point(|(start, _)| *start < minute);
        Ok(HistoryView {
            windows: whole.windows.get(place(from)..place(to)).unwrap_or_default().to_vec(),
            kept_from: whole.kept_from,
        })
    }

    fn whole(&self, key: Key<'_>, step: Step) -> Result<Rc<HistoryView>, Error> {
        let of = (key.as_str().to_owned(), step);
        if let Some(whole) = self.whole.borrow().get(&of) {
            return Ok(Rc::clone(whole));
        }
        let whole = Rc::new(self.engine.history(key, step, Minute(0), Minute(u32::MAX))?);
        self.whole.borrow_mut().insert(of, Rc::clone(&whole));
        Ok(whole)
    }
}
