//! The declared namespaces, their policies, what their adds came to in the open round, and from where their windows are kept.
//! Guards that a boundary moves only at a round's cut and never goes back (rule 18).

use std::collections::{BTreeMap, HashMap};

use tally_counter::{Corrupt, Figures, Keep, Minute, Policy, Reader, Step, put_bytes, put_varint};

/// The namespace of keys without a declared one.
pub(crate) const DEFAULT: &str = "default";

/// From which minute on the windows of each step are kept.
pub(crate) type Boundaries = [Minute; 3];

/// What a writer's row keeps of a namespace, for the repeat of its round and for the next start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) boundaries: Boundaries,
    pub(crate) expires: bool,
}

/// One namespace.
#[derive(Debug)]
pub(crate) struct Namespace {
    pub(crate) name: String,
    pub(crate) declared: bool,
    pub(crate) policy: Policy,
    /// Whether adds are kept by minute at all.
    pub(crate) history: bool,
    /// Whether a counter of it was ever given an end: then an add looks at the head first.
    pub(crate) expires: bool,
    /// The newest minute that was counted.
    pub(crate) newest: Minute,
    pub(crate) boundaries: Boundaries,
    /// The ledger's figures of the open round.
    pub(crate) open: Figures,
}

/// All namespaces; the first one is `default`.
#[derive(Debug)]
pub(crate) struct Namespaces {
    list: Vec<Namespace>,
    by_name: HashMap<String, u16>,
    /// Moves when a policy changes.
    version: u64,
    any_strong: bool,
}

impl Namespaces {
    pub(crate) fn new() -> Self {
        let mut namespaces = Self {
            list: Vec::new(),
            by_name: HashMap::new(),
            version: 0,
            any_strong: false,
        };
        namespaces.put(DEFAULT, Policy::default(), false);
        namespaces
    }

    /// The namespace of a key.
    pub(crate) fn of(&self, key: &str) -> u16 {
        self.of_name(key.as_bytes())
    }

    /// The namespace of a key, from its bytes.
    pub(crate) fn of_name(&self, name: &[u8]) -> u16 {
        if self.list.len() == 1 {
            return 0;
        }
        let end = name.iter().position(|byte| *byte == b':');
        let prefix = end.and_then(|end| std::str::from_utf8(name.get(..end)?).ok());
        prefix.and_then(|prefix| self.by_name.get(prefix)).copied().unwrap_or(0)
    }

    /// The index of a namespace with this very name.
    pub(crate) fn named(&self, name: &str) -> Option<u16> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn get(&self, index: u16) -> Option<&Namespace> {
        self.list.get(usize::from(index))
    }

    pub(crate) fn get_mut(&mut self, index: u16) -> Option<&mut Namespace> {
        self.list.get_mut(usize::from(index))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Namespace> {
        self.list.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Namespace> {
        self.list.iter_mut()
    }

    /// Moves when a policy changes.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Whether any namespace was ever strong.
    pub(crate) fn any_strong(&self) -> bool {
        self.any_strong
    }

    /// Whether a key's namespace is strong.
    pub(crate) fn is_strong(&self, name: &[u8]) -> bool {
        self.any_strong
            && self
                .get(self.of_name(name))
                .is_some_and(|namespace| crate::strong::is_strong(&namespace.policy))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Declares a namespace or changes its policy.
    pub(crate) fn put(&mut self, name: &str, policy: Policy, declared: bool) -> u16 {
        let history = !policy.history.is_off();
        self.version = self.version.saturating_add(1);
        self.any_strong |= crate::strong::is_strong(&policy);
        if let Some(index) = self.named(name) {
            if let Some(namespace) = self.get_mut(index) {
                namespace.policy = policy;
                namespace.history = history;
                namespace.declared = declared || namespace.declared;
            }
            return index;
        }
        let index = u16::try_from(self.list.len()).unwrap_or(0);
        // Its counters were of `default` until now: some may end, and some windows have left already.
        let before = self.list.first().map(|default| (default.expires, default.boundaries));
        let (expires, boundaries) = before.unwrap_or_default();
        self.list.push(Namespace {
            name: name.to_owned(),
            declared,
            policy,
            history,
            expires,
            newest: Minute(0),
            boundaries,
            open: Figures::default(),
        });
        self.by_name.insert(name.to_owned(), index);
        index
    }

    /// Moves the boundaries to where the newest windows put them: at a round's cut only.
    pub(crate) fn move_boundaries(&mut self) {
        for namespace in &mut self.list {
            for (step, boundary) in Step::ALL.into_iter().zip(&mut namespace.boundaries) {
                *boundary = (*boundary).max(kept_from(step, namespace.policy.history.keep(step), namespace.newest));
            }
        }
    }

    /// What is to be kept of all namespaces, by name; those of which nothing is to be kept are left out.
    pub(crate) fn kept(&self) -> BTreeMap<String, Kept> {
        let mut kept = self.kept_of_all();
        kept.retain(|_, kept| *kept != Kept::default());
        kept
    }

    /// The same with all of them: which there are is part of it.
    pub(crate) fn kept_of_all(&self) -> BTreeMap<String, Kept> {
        let kept = |namespace: &Namespace| Kept {
            boundaries: namespace.boundaries,
            expires: namespace.expires,
        };
        self.list
            .iter()
            .map(|namespace| (namespace.name.clone(), kept(namespace)))
            .collect()
    }

    /// Raises all to what a writer's row kept.
    pub(crate) fn raise(&mut self, kept: &BTreeMap<String, Kept>) {
        for (name, kept) in kept {
            let Some(namespace) = self.named(name).and_then(|index| self.get_mut(index)) else {
                continue;
            };
            namespace.expires |= kept.expires;
            for (mine, kept) in namespace.boundaries.iter_mut().zip(kept.boundaries) {
                *mine = (*mine).max(kept);
            }
        }
    }
}

/// Whole chunks at a time: the start of the chunk that holds the oldest minute to be kept.
fn kept_from(step: Step, keep: Keep, newest: Minute) -> Minute {
    match keep {
        Keep::Off | Keep::Forever => Minute(0),
        Keep::Minutes(minutes) => {
            let oldest = Minute(newest.0.saturating_sub(minutes));
            step.chunk_start(step.place(oldest).0)
        }
    }
}

/// Appends what a writer's row keeps.
pub(crate) fn encode_kept(kept: &BTreeMap<String, Kept>, out: &mut Vec<u8>) {
    put_varint(out, kept.len() as u128);
    for (name, kept) in kept {
        put_bytes(out, name.as_bytes());
        out.push(u8::from(kept.expires));
        for minute in kept.boundaries {
            put_varint(out, minute.0.into());
        }
    }
}

/// Reads what `encode_kept` wrote.
pub(crate) fn decode_kept(reader: &mut Reader<'_>) -> Result<BTreeMap<String, Kept>, Corrupt> {
    let count: usize = reader.varint()?;
    let mut all = BTreeMap::new();
    for _ in 0..count {
        let name = reader.text()?.to_owned();
        let expires = reader.byte()? != 0;
        let boundaries = [
            Minute(reader.varint()?),
            Minute(reader.varint()?),
            Minute(reader.varint()?),
        ];
        all.insert(name, Kept { boundaries, expires });
    }
    Ok(all)
}
