//! What the front ends count: requests by face and result, reads, and how long requests took. Counting costs a relaxed atomic
//! add and no lock; everything else that `/metrics` shows is read when it is asked for.

mod exposition;
mod latency;
mod process;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::refusal::ErrorKind;

pub(crate) use exposition::{Described, text};
pub(crate) use latency::Latency;

/// A front end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    /// HTTP.
    Http,
    /// RESP.
    Resp,
}

impl Face {
    pub(crate) const ALL: [Self; 2] = [Self::Http, Self::Resp];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Resp => "resp",
        }
    }
}

/// Everything the front ends count.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    http: FaceMetrics,
    resp: FaceMetrics,
}

/// What one front end counts.
#[derive(Debug, Default)]
pub(crate) struct FaceMetrics {
    connections: AtomicU64,
    done: AtomicU64,
    reads: AtomicU64,
    refused: [AtomicU64; ErrorKind::ALL.len()],
    latency: Latency,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn face(&self, face: Face) -> &FaceMetrics {
        match face {
            Face::Http => &self.http,
            Face::Resp => &self.resp,
        }
    }
}

impl FaceMetrics {
    /// `count` requests (commands) were answered, each within `took_us` microseconds: a pipeline is noted once.
    pub(crate) fn done(&self, count: u64, took_us: u64) {
        self.done.fetch_add(count, Ordering::Relaxed);
        self.latency.note(count, took_us);
    }

    /// A request was refused.
    pub(crate) fn refused(&self, kind: ErrorKind) {
        if let Some((_, count)) = ErrorKind::ALL
            .into_iter()
            .zip(&self.refused)
            .find(|(at, _)| *at == kind)
        {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `count` counters were read.
    pub(crate) fn read(&self, count: u64) {
        self.reads.fetch_add(count, Ordering::Relaxed);
    }

    /// A connection was opened; it counts until the answer is dropped.
    pub(crate) fn connected(&self) -> Connected<'_> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Connected(self)
    }

    /// Requests refused for this reason.
    fn refusals(&self) -> impl Iterator<Item = (ErrorKind, u64)> + '_ {
        ErrorKind::ALL
            .into_iter()
            .zip(&self.refused)
            .map(|(kind, count)| (kind, count.load(Ordering::Relaxed)))
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connected<'m>(&'m FaceMetrics);

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
