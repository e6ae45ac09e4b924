//! The limits of requests and connections, each with the setting that names it.

/// What front ends are bounded by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections of all faces together.
    pub(crate) max_connections: usize,
    /// Threads that serve RESP connections; 0: one a core.
    pub(crate) resp_threads: usize,
    /// Threads that wait for the engine.
    pub(crate) max_blocking: usize,
    /// An HTTP body, in bytes.
    pub(crate) max_body_bytes: usize,
    /// A RESP bulk string, in bytes.
    pub(crate) max_bulk_bytes: usize,
    /// Adds or keys of one request or command.
    pub(crate) max_batch: usize,
    /// Commands that a RESP connection runs in one turn.
    pub(crate) max_pipeline: usize,
    /// What a RESP connection may have to be sent before it is read from again.
    pub(crate) max_output_bytes: usize,
    /// What requests and answers of all connections may take together, in bytes.
    pub(crate) max_buffers_bytes: usize,
    /// Counters that one query may touch.
    pub(crate) query_limit: usize,
    /// Points that one history request may answer.
    pub(crate) history_limit: usize,
    /// Files that may be counted at once.
    pub(crate) max_sources: usize,
    /// Clients that watch values.
    pub(crate) max_watchers: usize,
    /// Headers and body of a request, and its work.
    pub(crate) request_timeout_ms: u64,
    /// How long an add waits for a limit that the next round lifts.
    pub(crate) full_timeout_ms: u64,
    /// How long requests are given to end when the server stops.
    pub(crate) drain_timeout_ms: u64,
    /// Whether FLUSHALL and its like are allowed.
    pub(crate) allow_flush: bool,
}
