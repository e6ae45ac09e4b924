//! At which level a write is acknowledged: what the request asks for, else what its namespaces' policies and the setting `ack` say.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use tally_counter::{Acknowledgement, Consistency, Key};
use tally_engine::{NamespaceView, StrongPart};

use crate::refusal::Refusal;

/// What `replicated` gets on the embedded store.
pub(crate) const NOT_REPLICATED: &str =
    "the level replicated is not available on the embedded store, which has one copy; ask for disk or memory";

/// The levels in force.
#[derive(Debug)]
pub(crate) struct Levels {
    setting: Acknowledgement,
    /// Whether the store keeps copies, so that `replicated` is available.
    replicates: bool,
    /// Whether a policy has a level of its own; most servers have none, and then nothing below is looked at.
    any_own: AtomicBool,
    own: RwLock<HashMap<String, Acknowledgement>>,
    /// Whether a namespace is strong; most servers have none.
    any_strong: AtomicBool,
    strong: RwLock<HashSet<String>>,
}

impl Levels {
    pub(crate) fn new(setting: Acknowledgement, replicates: bool, namespaces: &[NamespaceView]) -> Self {
        let levels = Self {
            setting,
            replicates,
            any_own: AtomicBool::new(false),
            own: RwLock::default(),
            any_strong: AtomicBool::new(false),
            strong: RwLock::default(),
        };
        levels.refresh(namespaces);
        levels
    }

    /// The setting `ack`.
    pub(crate) fn setting(&self) -> Acknowledgement {
        self.setting
    }

    /// Refuses a level that the store cannot give.
    pub(crate) fn check(&self, level: Acknowledgement) -> Result<(), Refusal> {
        if level == Acknowledgement::Replicated && !self.replicates {
            return Err(Refusal::invalid(NOT_REPLICATED));
        }
        Ok(())
    }

    /// Takes over the policies after one was declared.
    pub(crate) fn refresh(&self, namespaces: &[NamespaceView]) {
        let level = |namespace: &NamespaceView| namespace.policy.acknowledgement.unwrap_or(self.setting);
        let own = namespaces
            .iter()
            .map(|namespace| (namespace.name.clone(), level(namespace)))
            .collect();
        let any_own = namespaces
            .iter()
            .any(|namespace| namespace.policy.acknowledgement.is_some());
        self.any_own.store(any_own, Ordering::Relaxed);
        *self.own.write() = own;
        let strong: HashSet<String> = namespaces
            .iter()
            .filter(|namespace| namespace.policy.consistency == Consistency::Strong)
            .map(|namespace| namespace.name.clone())
            .collect();
        let any_strong = !strong.is_empty();
        *self.strong.write() = strong;
        self.any_strong.store(any_strong, Ordering::Relaxed);
    }

    /// Whether any namespace is strong.
    pub(crate) fn any_strong(&self) -> bool {
        self.any_strong.load(Ordering::Relaxed)
    }

    /// The partition of a counter whose namespace is strong.
    pub(crate) fn strong_part(&self, key: Key<'_>) -> Option<StrongPart> {
        let strong = self.any_strong() && self.strong.read().contains(key.prefix()?);
        strong.then(|| StrongPart::of(key))
    }

    /// At which level strong counters are acknowledged: the most that the store can give.
    pub(crate) fn of_strong(&self) -> Acknowledgement {
        if self.replicates {
            Acknowledgement::Replicated
        } else {
            Acknowledgement::Disk
        }
    }

    /// The strongest level that the namespaces of these keys ask for.
    pub(crate) fn of_keys<'k>(&self, keys: impl IntoIterator<Item = Key<'k>>) -> Acknowledgement {
        if !self.any_own.load(Ordering::Relaxed) {
            return self.setting;
        }
        let own = self.own.read();
        let default = own.get("default").copied().unwrap_or(self.setting);
        let of_key = |key: Key<'k>| {
            key.prefix()
                .and_then(|prefix| own.get(prefix))
                .copied()
                .unwrap_or(default)
        };
        keys.into_iter().map(of_key).max().unwrap_or(self.setting)
    }

    /// The level that was asked for, where it is available. `None`: the strongest that the setting or any policy asks for, which
    /// is never weaker than the exact one of [`Levels::of_keys`].
    pub(crate) fn resolve(&self, asked: Option<Acknowledgement>) -> Result<Acknowledgement, Refusal> {
        match asked {
            Some(level) => self.check(level).map(|()| level),
            None if self.any_own.load(Ordering::Relaxed) => Ok(self
                .own
                .read()
                .values()
                .copied()
                .fold(self.setting, Acknowledgement::max)),
            None => Ok(self.setting),
        }
    }
}

/// The word for a level.
pub(crate) fn word(level: Acknowledgement) -> &'static str {
    match level {
        Acknowledgement::Memory => "memory",
        Acknowledgement::Disk => "disk",
        Acknowledgement::Replicated => "replicated",
    }
}

/// The level with this word.
pub(crate) fn parse(text: &str) -> Option<Acknowledgement> {
    match text {
        "memory" => Some(Acknowledgement::Memory),
        "disk" => Some(Acknowledgement::Disk),
        "replicated" => Some(Acknowledgement::Replicated),
        _ => None,
    }
}
