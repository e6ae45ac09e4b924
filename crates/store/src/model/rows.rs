//! A row with what it was when it was last durable and what was written to it since.

use std::sync::Arc;

use crate::{Address, Table};

/// Where a row stands, owned. Sorted by table, slot and key; names by name alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) table: Table,
    pub(super) slot: u16,
    pub(super) key: Box<[u8]>,
}

impl Place {
    pub(super) fn of(address: Address<'_>) -> Self {
        Self::at(address.table, address.slot, address.key)
    }

    pub(super) fn at(table: Table, slot: u16, key: &[u8]) -> Self {
        let slot = if table == Table::Names { 0 } else { slot };
        Self {
            table,
            slot,
            key: key.into(),
        }
    }

    /// As the caller wrote it.
    pub(super) fn address(&self) -> Address<'_> {
        let slot = if self.table == Table::Names {
            tally_counter::Slot::of(&self.key).number()
        } else {
            self.slot
        };
        Address {
            table: self.table,
            slot,
            key: &self.key,
        }
    }
}

/// What stands: a value, or (`None`) that a row was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) position: u64,
    pub(super) value: Option<Arc<[u8]>>,
}

/// One write of one row.
#[derive(Clone, Debug)]
pub(super) enum Write {
    /// The larger position wins, at equal ones the larger value.
    Put { position: u64, value: Arc<[u8]> },
    /// It replaces whatever stands.
    Blind { position: u64, value: Arc<[u8]> },
    /// What stands at or below the position goes; `forgotten`: and older writes may bring it back.
    Remove { position: u64, forgotten: bool },
    /// Part of the swap with this serial number; without a value the row goes.
    Swap {
        serial: u64,
        position: u64,
        value: Option<Arc<[u8]>>,
    },
}

impl Write {
    pub(super) fn apply(&self, stands: &mut Option<Version>) {
        match self {
            Self::Put { position, value } => {
                let wins = stands.as_ref().is_none_or(|version| match &version.value {
                    Some(standing) => (*position, value) > (version.position, standing),
                    None => *position > version.position,
                });
                if wins {
                    *stands = Some(Version {
                        position: *position,
                        value: Some(Arc::clone(value)),
                    });
                }
            }
            Self::Blind { position, value } => {
                *stands = Some(Version {
                    position: *position,
                    value: Some(Arc::clone(value)),
                });
            }
            Self::Swap { position, value, .. } => {
                *stands = value.as_ref().map(|value| Version {
                    position: *position,
                    value: Some(Arc::clone(value)),
                });
            }
            Self::Remove { position, forgotten } => {
                if stands.as_ref().is_none_or(|version| version.position <= *position) {
                    *stands = (!forgotten).then_some(Version {
                        position: *position,
                        value: None,
                    });
                }
            }
        }
    }
}

/// A row's history since it was last durable.
#[derive(Clone, Debug, Default)]
pub(super) struct Versions {
    now: Option<Version>,
    durable: Option<Version>,
    since: Vec<Write>,
}

impl Versions {
    pub(super) fn write(&mut self, write: Write) {
        write.apply(&mut self.now);
        self.since.push(write);
    }

    /// What reads see.
    pub(super) fn live(&self) -> Option<(u64, &Arc<[u8]>)> {
        let version = self.now.as_ref()?;
        Some((version.position, version.value.as_ref()?))
    }

    pub(super) fn make_durable(&mut self) {
        self.durable.clone_from(&self.now);
        self.since.clear();
    }

    /// The serial numbers of the swaps that are not durable.
    pub(super) fn swaps(&self) -> impl Iterator<Item = u64> + '_ {
        self.since.iter().filter_map(|write| match write {
            Write::Swap { serial, .. } => Some(*serial),
            _ => None,
        })
    }

    /// Goes back to what was durable and writes again what `survives`.
    pub(super) fn crash(&mut self, mut survives: impl FnMut(&Write) -> bool) {
        self.now.clone_from(&self.durable);
        for write in std::mem::take(&mut self.since) {
            if survives(&write) {
                write.apply(&mut self.now);
            }
        }
        // What was read back from disk is on disk.
        self.make_durable();
    }

    /// Whether there is nothing to remember.
    pub(super) fn is_nothing(&self) -> bool {
        self.now.is_none() && self.durable.is_none() && self.since.is_empty()
    }
}
