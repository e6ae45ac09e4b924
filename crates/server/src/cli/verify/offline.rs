//! The engine on the data directory of a stopped server, without faces and threads. It opens like any start: the journal is replayed, an
//! open round repeated. A server that runs on the directory holds its lock, and then this is refused.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tally_engine::Engine;

use super::Passes;
use crate::cli::Failure;
use crate::config::{Flags, Settings};
use crate::http::PassShape;

/// An opened data directory.
pub(super) struct Offline(Arc<Engine>);

impl Offline {
    /// Opens what is there; makes nothing where there is nothing.
    pub(super) fn open(data: &Path) -> Result<Self, Failure> {
        let shown = data.display();
        if !data.join("store").is_dir() {
            return Err(Failure::Usage(format!("{shown} is no data directory of a server")));
        }
        let flags = Flags::with("data", &data.to_string_lossy());
        let settings = Settings::load(&flags).map_err(|error| Failure::Usage(error.to_string()))?;
        crate::serve::open_engine(&settings).map(Self).map_err(Failure::Failed)
    }

    /// Leaves everything in the store, as a server that stops does; or, where sums do not agree, leaves it to the next start: the journal has
    /// it, and a round could make things worse.
    pub(super) fn close(self, agree: bool) -> Result<(), Failure> {
        if !agree {
            return Ok(());
        }
        self.0.stop().map_err(|error| Failure::Failed(error.to_string()))
    }
}

impl Passes for Offline {
    fn pass(&self, repair: bool) -> Result<Value, Failure> {
        let failed = |error: tally_engine::Error| Failure::Failed(error.to_string());
        let mut pass = self.0.verify(repair).map_err(failed)?;
        if pass.found() == pass.mended() && pass.error.is_none() {
            // What the journal held is to be seen, too; where drift stays, no round goes on from it.
            self.0.round().map_err(failed)?;
            let after = self.0.verify(false).map_err(failed)?;
            if pass.found() == 0 {
                pass = after;
            }
        }
        serde_json::to_value(PassShape::of(pass)).map_err(|error| Failure::Failed(error.to_string()))
    }
}
