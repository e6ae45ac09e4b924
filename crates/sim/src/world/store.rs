//! The reference store behind the power switch: at the last operation it breaks down as the model does, in part.

use std::sync::Arc;

use tally_store::{Addresses, Batch, Model, NameCursor, Order, Range, Store, StoreError, Swap, Swapped, Table, Visit};

use super::Meanwhile;
use super::meanwhile::Place;
use super::power::{Goes, Power};

pub(crate) struct SimStore {
    model: Arc<Model>,
    power: Arc<Power>,
    meanwhile: Arc<Meanwhile>,
}

impl SimStore {
    pub(super) fn new(model: Arc<Model>, power: Arc<Power>, meanwhile: Arc<Meanwhile>) -> Self {
        Self {
            model,
            power,
            meanwhile,
        }
    }

    fn write(&self, place: Place) -> Result<(), StoreError> {
        self.meanwhile.come(place);
        match self.power.operation() {
            Goes::Well => {}
            // The model does what it likes with this one, and fails everything after it.
            Goes::Last => self.model.fail_from(Some(self.model.operations())),
            Goes::Never => return Err(off()),
        }
        Ok(())
    }

    fn read(&self) -> Result<(), StoreError> {
        self.meanwhile.come(Place::Store);
        if self.power.is_off() { Err(off()) } else { Ok(()) }
    }
}

fn off() -> StoreError {
    StoreError::Failed("the power is off".to_owned())
}

impl Store for SimStore {
    fn put(&self, rows: &Batch, order: Order) -> Result<(), StoreError> {
        self.write(Place::Put)?;
        self.model.put(rows, order)
    }

    fn remove(&self, rows: &Batch) -> Result<(), StoreError> {
        self.write(Place::Store)?;
        self.model.remove(rows)
    }

    fn get(&self, addresses: &Addresses, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.read()?;
        self.model.get(addresses, visit)
    }

    fn scan(&self, ranges: &[Range<'_>], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.read()?;
        self.model.scan(ranges, visit)
    }

    fn names(&self, prefix: &[u8], after: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.read()?;
        self.model.names(prefix, after, limit, visit)
    }

    fn names_by_slot(
        &self,
        cursor: NameCursor,
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<NameCursor>, StoreError> {
        self.read()?;
        self.model.names_by_slot(cursor, limit, visit)
    }

    fn walk(
        &self,
        table: Table,
        cursor: &[u8],
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.read()?;
        self.model.walk(table, cursor, limit, visit)
    }

    fn swap(&self, swap: Swap<'_>) -> Result<Swapped, StoreError> {
        self.write(Place::Store)?;
        self.model.swap(swap)
    }

    fn durable(&self) -> Result<(), StoreError> {
        self.write(Place::Store)?;
        self.model.durable()
    }

    fn forgets(&self) -> bool {
        self.model.forgets()
    }
}
