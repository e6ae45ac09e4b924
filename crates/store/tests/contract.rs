//! The contract, once a back end.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;

use tally_store::contract::Bench;
use tally_store::{Embedded, EmbeddedSettings, Faults, Model, Store};

/// A reopening is a loss of power.
struct ModelBench {
    model: Model,
    crashes: u64,
}

impl ModelBench {
    fn new(faults: Faults) -> Self {
        Self {
            model: Model::new(faults, 1),
            crashes: 0,
        }
    }
}

impl Bench for ModelBench {
    fn store(&self) -> &dyn Store {
        &self.model
    }

    fn reopen(&mut self) {
        self.crashes += 1;
        self.model.crash(self.crashes);
    }
}

/// A reopening closes the directory and opens it again.
struct EmbeddedBench {
    store: Option<Embedded>,
    directory: tempfile::TempDir,
}

impl EmbeddedBench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut bench = Self { store: None, directory };
        bench.reopen();
        bench
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("data")
    }
}

impl Bench for EmbeddedBench {
    fn store(&self) -> &dyn Store {
        self.store.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        self.store = None;
        // Few rows in memory, so that the suite meets tables on disk as well.
        let settings = EmbeddedSettings {
            rows_bytes: 256 << 10,
            ..EmbeddedSettings::default()
        };
        self.store = Some(Embedded::open(&self.path(), &settings).unwrap());
    }
}

mod model {
    tally_store::contract_tests!(crate::ModelBench::new(tally_store::Faults::none()));
}

/// What the promise allows without an error: everything twice and late, and blind where the caller gave its word.
mod model_late {
    tally_store::contract_tests!(crate::ModelBench::new(tally_store::Faults {
        writes_repeat: 300,
        growing_is_blind: true,
        ..tally_store::Faults::none()
    }));
}

/// Swaps whose outcome is unknown.
mod model_unknown {
    tally_store::contract_tests!(crate::ModelBench::new(tally_store::Faults {
        swaps_unknown: 300,
        ..tally_store::Faults::none()
    }));
}

mod embedded {
    tally_store::contract_tests!(crate::EmbeddedBench::new());
}
