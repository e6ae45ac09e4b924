//! What the clients of a Tally node were told while nodes failed around it: each add was acknowledged, refused for sure, or left unknown, and
//! no answer may say less. Guards: a connection that breaks is an error unless its node is being killed.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::resp::{Client, Reply};

/// The pause between two adds of a client, and before it connects again.
const PAUSE: Duration = Duration::from_millis(2);
/// Commands that a flood sends at once.
const BURST: u64 = 500;
/// How a client says that its node closed the connection, and how often a node may in one scene.
const CLOSED: &str = "the server closed the connection";
const MOST_CLOSED: u64 = 20;
/// A journal that takes more than this in a flood has no limit.
const MOST_FLOODED: u64 = 20_000_000;

/// A client and the counter that it adds to; those of all nodes add to the same ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Acknowledged when it is in the node's journal.
    Disk,
    /// Acknowledged when the cluster has it.
    Replicated,
    /// With a token: what is unknown or refused is sent again until it is acknowledged.
    Tokened,
    /// To a strong counter.
    Strong,
    /// As much as the journal takes.
    Flood,
}

/// The namespace of [`Kind::Strong`], and what it is to be declared as.
pub(super) const STRONG: (&str, &str) = ("firm", r#"{"consistency":"strong"}"#);

impl Kind {
    pub(super) const ALL: [Self; 5] = [Self::Disk, Self::Replicated, Self::Tokened, Self::Strong, Self::Flood];

    /// Those that go on by themselves.
    const STEADY: [Self; 4] = [Self::Disk, Self::Replicated, Self::Tokened, Self::Strong];

    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Disk => "outage:disk",
            Self::Replicated => "outage:replicated",
            Self::Tokened => "outage:tokened",
            Self::Strong => "firm:total",
            Self::Flood => "outage:flood",
        }
    }
}

/// How adds ended.
#[derive(Debug, Default)]
struct Adds {
    acknowledged: AtomicU64,
    unknown: AtomicU64,
    refused: AtomicU64,
}

/// A Tally node as its clients know it.
#[derive(Debug)]
pub(super) struct Told {
    name: &'static str,
    address: String,
    adds: [Adds; 5],
    /// Its connections may break.
    mortal: AtomicBool,
    done: AtomicBool,
    /// How often a connection was closed that was not to break.
    closed: AtomicU64,
    /// The scene has failed: nobody waits for anything any more.
    given_up: AtomicBool,
    /// The number of the token that is sent, and whether it was sent and not acknowledged yet.
    token: AtomicU64,
    is_open: AtomicBool,
    reasons: Mutex<BTreeMap<String, u64>>,
    /// Why a client of it ended before it was to.
    broken: Mutex<Option<String>>,
}

impl Told {
    pub(super) fn new(name: &'static str, address: &str) -> Self {
        Self {
            name,
            address: address.to_owned(),
            adds: Default::default(),
            mortal: AtomicBool::new(false),
            done: AtomicBool::new(false),
            closed: AtomicU64::new(0),
            given_up: AtomicBool::new(false),
            token: AtomicU64::new(0),
            is_open: AtomicBool::new(false),
            reasons: Mutex::default(),
            broken: Mutex::default(),
        }
    }

    pub(super) fn acknowledged(&self, kind: Kind) -> u64 {
        self.of(kind).acknowledged.load(Ordering::Relaxed)
    }

    /// Adds that may be there or not.
    pub(super) fn unknown(&self, kind: Kind) -> u64 {
        self.of(kind).unknown.load(Ordering::Relaxed)
    }

    pub(super) fn refused(&self, kind: Kind) -> u64 {
        self.of(kind).refused.load(Ordering::Relaxed)
    }

    /// What of this kind must and what may be in the counter.
    pub(super) fn bounds(tolds: &[Self], kind: Kind) -> RangeInclusive<u64> {
        let least: u64 = tolds.iter().map(|told| told.acknowledged(kind)).sum();
        let unknown: u64 = tolds.iter().map(|told| told.unknown(kind)).sum();
        // A token makes the repeat of what was unknown the same add.
        least..=least + if kind == Kind::Tokened { 0 } else { unknown }
    }

    /// From now on its connections may break, or no longer.
    pub(super) fn mortal(&self, is: bool) {
        self.mortal.store(is, Ordering::SeqCst);
    }

    /// Whether its clients are to go on.
    pub(super) fn go_on(&self, is: bool) {
        self.done.store(!is, Ordering::SeqCst);
    }

    /// The words that refused and unknown adds came with, and how often.
    pub(super) fn reasons(&self) -> BTreeMap<String, u64> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An error, where a client of it has ended before it was to.
    pub(super) fn goes_on(&self) -> Result<()> {
        match &*self.broken.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(why) => bail!("a client ended: {why}"),
            None => Ok(()),
        }
    }

    /// Clients that add until they are to end, one a kind.
    pub(super) fn run<'s>(&'s self, scope: &'s std::thread::Scope<'s, '_>) -> Vec<Running<'s>> {
        let add_on = move |kind: Kind| {
            let ended = self.add_on(kind).with_context(|| format!("{} {kind:?}", self.name));
            if let Err(error) = &ended {
                let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
                broken.get_or_insert_with(|| format!("{error:#}"));
            }
            ended
        };
        let spawn = |kind| scope.spawn(move || add_on(kind));
        Kind::STEADY.into_iter().map(spawn).collect()
    }

    /// Brings the flood's counter into memory: one that is not there cannot be read without the store.
    pub(super) fn warm(&self) -> Result<()> {
        let answer = Client::connect(&self.address)?.call(&Self::FLOOD)?;
        self.note(Kind::Flood, answer).map(drop)
    }

    /// A read without a quorum: the others' part may be too old to be answered, and then the refusal says so.
    pub(super) fn read(&self) -> Result<()> {
        let mut client = Client::connect(&self.address)?;
        client.send(&["GET", Kind::Disk.key()])?;
        client.flush()?;
        match client.reply()? {
            Reply::Bulk(Some(_)) => Ok(()),
            Reply::Error(why) if why.starts_with("TRYAGAIN") && !why.contains("applied") => Ok(()),
            other => bail!("GET {} answered {other:?}", Kind::Disk.key()),
        }
    }

    /// At the level that needs no store.
    const FLOOD: [&'static str; 5] = ["TALLY.ADD", Kind::Flood.key(), "1", "ACK", "disk"];

    /// Adds as much as the journal takes; the words of the refusal.
    pub(super) fn flood(&self) -> Result<String> {
        let mut client = Client::connect(&self.address)?;
        while self.acknowledged(Kind::Flood) < MOST_FLOODED {
            for _ in 0..BURST {
                client.send(&Self::FLOOD)?;
            }
            client.flush()?;
            let mut refusal = None;
            for _ in 0..BURST {
                if let Some(why) = self.note(Kind::Flood, client.reply()?)? {
                    refusal = Some(why);
                }
            }
            if let Some(why) = refusal {
                return Ok(why);
            }
        }
        bail!("{MOST_FLOODED} adds were taken without the store")
    }

    fn of(&self, kind: Kind) -> &Adds {
        let [disk, replicated, tokened, strong, flood] = &self.adds;
        match kind {
            Kind::Disk => disk,
            Kind::Replicated => replicated,
            Kind::Tokened => tokened,
            Kind::Strong => strong,
            Kind::Flood => flood,
        }
    }

    /// Its clients end where they are.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::SeqCst);
        self.done.store(true, Ordering::SeqCst);
    }

    /// What was sent with a token is not left open.
    fn is_done(&self, kind: Kind) -> bool {
        if self.given_up.load(Ordering::SeqCst) {
            return true;
        }
        self.done.load(Ordering::SeqCst) && !(kind == Kind::Tokened && self.is_open.load(Ordering::SeqCst))
    }

    fn add_on(&self, kind: Kind) -> Result<()> {
        loop {
            let broken = match Client::connect(&self.address) {
                Ok(mut client) => match self.add_by(&mut client, kind) {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                },
                Err(error) if self.is_done(kind) => return Err(error),
                Err(error) => error,
            };
            // An answer that takes longer than the setting request_timeout ends the connection, where the store is away.
            let was_late =
                format!("{broken:#}").contains(CLOSED) && self.closed.fetch_add(1, Ordering::SeqCst) < MOST_CLOSED;
            let may_break = was_late || self.mortal.load(Ordering::SeqCst);
            if !may_break || self.given_up.load(Ordering::SeqCst) {
                return Err(broken);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Until it is to end; an error is a connection that broke, or an answer that says too little.
    fn add_by(&self, client: &mut Client, kind: Kind) -> Result<()> {
        let level = if matches!(kind, Kind::Replicated | Kind::Strong) {
            "replicated"
        } else {
            "disk"
        };
        let mut last = 0;
        while !self.is_done(kind) {
            let token = format!("{}-{}", self.name, self.token.load(Ordering::SeqCst));
            let mut command = vec!["TALLY.ADD", kind.key(), "1", "ACK", level];
            if kind == Kind::Tokened {
                command.extend(["TOKEN", &token]);
                self.is_open.store(true, Ordering::SeqCst);
            }
            client.send(&command)?;
            let answer = client.flush().and_then(|()| client.reply());
            let answer = answer.inspect_err(|_| count(&self.of(kind).unknown))?;
            if kind == Kind::Strong
                && let Reply::Integer(value) = answer
            {
                ensure!(value > last, "a strong add was answered {value} after {last}");
                last = value;
            }
            if self.note(kind, answer)?.is_none() && kind == Kind::Tokened {
                self.token.fetch_add(1, Ordering::SeqCst);
                self.is_open.store(false, Ordering::SeqCst);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Counts an answer; why it was none.
    fn note(&self, kind: Kind, answer: Reply) -> Result<Option<String>> {
        let adds = self.of(kind);
        let Reply::Error(why) = answer else {
            count(&adds.acknowledged);
            return Ok(None);
        };
        // The words of docs/protocol.md.
        let is_unknown = why.starts_with("UNKNOWN");
        ensure!(
            is_unknown || why.starts_with("TRYAGAIN"),
            "an add was refused and nobody says whether it was applied: {why}"
        );
        count(if is_unknown { &adds.unknown } else { &adds.refused });
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        *reasons.entry(why.clone()).or_default() += 1;
        Ok(Some(why))
    }
}

fn count(what: &AtomicU64) {
    what.fetch_add(1, Ordering::Relaxed);
}

/// A client that runs.
pub(super) type Running<'s> = std::thread::ScopedJoinHandle<'s, Result<()>>;
