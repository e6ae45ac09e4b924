//! Where cells live: the `Store` trait, what it promises, and its back ends.
//!
//! It promises little, so that every back end can keep it: **a row is atomic, a batch is not.** The engine is exact on top of
//! just that. `contract` holds one suite that every back end passes; `model` is the reference, which under a seed does
//! everything the promise allows.

mod batch;
#[cfg(feature = "contract")]
pub mod contract;
#[cfg(feature = "cql")]
mod cql;
#[cfg(feature = "embedded")]
mod embedded;
mod error;
mod model;
mod store;

pub use batch::{Address, Addresses, Batch, Row};
#[cfg(feature = "cql")]
pub use cql::{Cql, CqlConsistency, CqlIdentity, CqlPartitions, CqlPassword, CqlSettings, CqlTls};
#[cfg(feature = "embedded")]
pub use embedded::{Embedded, EmbeddedSettings};
pub use error::StoreError;
pub use model::{Faults, Model};
pub use store::{Condition, NameCursor, Order, Range, STRONG_PARTITIONS, Store, Swap, Swapped, Table, Visit};
