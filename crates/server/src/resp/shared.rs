//! What all RESP connections share: the service, and the figures that INFO shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::batch::Batch;
use crate::metrics::{Face, FaceMetrics};
use crate::service::Service;

/// Shared by all connections.
#[derive(Debug)]
pub(super) struct Shared {
    /// What commands call.
    pub(super) service: Arc<Service>,
    /// When the front end began, in microseconds of the monotonic clock.
    pub(super) since_us: u64,
    /// Connections open now.
    pub(super) connected: AtomicU64,
    /// Connections accepted since the start.
    pub(super) accepted: AtomicU64,
    /// Connections refused since the start: too many.
    pub(super) rejected: AtomicU64,
    /// Commands since the start.
    pub(super) commands: AtomicU64,
    last_id: AtomicI64,
}

impl Shared {
    /// Before the first connection.
    pub(super) fn new(service: Arc<Service>) -> Self {
        Self {
            service,
            since_us: crate::world::monotonic_us(),
            connected: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            last_id: AtomicI64::new(0),
        }
    }

    /// The number of a new connection.
    pub(super) fn next_id(&self) -> i64 {
        self.last_id.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// An empty batch.
    pub(super) fn batch(&self) -> Batch {
        Batch::new(self.service.limits().max_batch, self.service.access().token_scope())
    }

    /// What `/metrics` shows of this front end.
    pub(super) fn metrics(&self) -> &FaceMetrics {
        self.service.metrics().face(Face::Resp)
    }
}
