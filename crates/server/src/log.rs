//! The log, on stderr: text for people, JSON for machines.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Begins to log. A second call changes nothing.
pub(crate) fn start(json: bool, level: &str) {
    use std::io::{IsTerminal, stderr};
    // Libraries say little that an operator can act on.
    let filter = EnvFilter::new(format!(
        "warn,tally_server={level},tally_engine={level},tally_store={level},tally_ingest={level}"
    ));
    let registry = tracing_subscriber::registry().with(filter);
    let started = if json {
        registry
            .with(Layer::new().with_writer(stderr).json().flatten_event(true))
            .try_init()
    } else {
        registry
            .with(
                Layer::new()
                    .with_writer(stderr)
                    .with_ansi(stderr().is_terminal())
                    .with_target(false),
            )
            .try_init()
    };
    if let Err(error) = started {
        tracing::debug!(%error, "the log had begun before");
    }
}
