//! Nodes of the cluster and of Tally fail under load: each kind of failure, and what must go on, be refused and be there afterwards. Three Tally
//! nodes count on one keyspace of three copies. Adds at `disk` go on throughout, up to the journal's limit; `replicated` and strong ones are refused while there
//! is no quorum and say whether they may be applied; at the end every total is what was acknowledged, and what was left unknown is there once or not
//! at all, on every node.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::Cluster;
use super::told::{Kind, Running, STRONG, Told};
use crate::child;
use crate::place::Place;
use crate::resp::{Client, Reply};
use crate::tally::{Setup, Tally};
use crate::{command, http, wait};

const LIMIT: Duration = Duration::from_mins(3);
/// How long a paused node stands still: in a long run, and in the tests.
pub(super) const PAUSE: Duration = Duration::from_secs(30);
pub(super) const SHORT_PAUSE: Duration = Duration::from_secs(10);
const NODES: usize = 3;
const NAMES: [&str; NODES] = ["one", "two", "three"];

/// A Tally node, and how it is started again.
struct Member {
    setup: Setup,
    tally: Option<Tally>,
}

impl Member {
    fn start(setup: Setup) -> Result<Self> {
        let tally = Tally::start(&setup)?;
        // Its clients find it again where it was.
        let (http, resp) = (tally.http.clone(), tally.resp.clone());
        Ok(Self {
            setup: Setup { http, resp, ..setup },
            tally: Some(tally),
        })
    }

    fn tally(&self) -> Result<&Tally> {
        self.tally.as_ref().context("it is down")
    }

    fn kill(&mut self) -> Result<()> {
        self.tally.take().map_or(Ok(()), Tally::kill)
    }

    /// Whoever stands still goes on.
    fn wake(&self) {
        if let Some(tally) = &self.tally {
            child::signal(tally.id(), rustix::process::Signal::CONT);
        }
    }

    fn signal(&self, signal: rustix::process::Signal) -> Result<()> {
        child::signal(self.tally()?.id(), signal);
        Ok(())
    }
}

/// Runs it. Who fails goes round with the `turn`. The cluster is whole again at the end.
pub(super) fn outage(
    place: &Place,
    binary: &Path,
    cluster: &mut Cluster,
    (turn, pause): (usize, Duration),
) -> Result<()> {
    let folder = place.fresh("outage")?;
    let (url, copied) = (cluster.url("outage"), cluster.copied());
    let mut members = Vec::new();
    for name in NAMES {
        let mut setup = Setup::new(binary, &folder.path().join(name)).on(Some(&url)).ack("disk");
        let settings = [
            ("--store-timeout", "4s"),
            ("--journal-segment", "1MiB"),
            ("--journal-limit", "4MiB"),
            ("--full-timeout", "1s"),
        ];
        setup.settings.extend(
            settings
                .iter()
                .flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]),
        );
        setup.settings.extend(copied.clone());
        members.push(Member::start(setup)?);
    }
    let mut tolds = Vec::new();
    for (name, member) in NAMES.into_iter().zip(&members) {
        tolds.push(Told::new(name, &member.tally()?.resp));
    }
    declare(&members)?;
    let began = Instant::now();
    let mut scene = Scene {
        cluster,
        members: &mut members,
        tolds: &tolds,
        turn,
        pause,
    };
    if let Err(error) = scene.play() {
        let kept = folder.keep();
        return Err(error.context(format!("the nodes' logs are in {}", kept.display())));
    }
    println!("exact after {} s; {}", began.elapsed().as_secs(), told(&tolds));
    for member in members {
        let log = std::fs::read_to_string(&member.setup.log)?;
        // The driver says so of each try to find the cluster again.
        let mut errors = log
            .lines()
            .filter(|line| line.contains(" ERROR ") && !line.contains("control connection"));
        if let Some(error) = errors.next() {
            bail!("an error in a node's log: {error}");
        }
        member.tally.map_or(Ok(()), Tally::stop)?;
    }
    for told in &tolds {
        for (why, times) in told.reasons() {
            println!("{times:>6} {why}");
        }
    }
    Ok(())
}

/// Every node is to know what is strong before it is added to.
fn declare(members: &[Member]) -> Result<()> {
    let (name, policy) = STRONG;
    let path = format!("/v1/namespaces/{name}");
    let first = members.first().context("no node")?.tally()?;
    let declared = http::put(&first.http, &path, policy)?;
    ensure!(declared.status == 200, "PUT a namespace: {}", declared.body);
    for member in members {
        let address = &member.tally()?.http;
        wait::until("a policy to be adopted", LIMIT, || {
            let found = http::get(address, &path)?;
            Ok((found.status == 200 && found.body.contains("strong")).then_some(()))
        })?;
    }
    Ok(())
}

/// All that takes part.
struct Scene<'a> {
    cluster: &'a mut Cluster,
    members: &'a mut [Member],
    tolds: &'a [Told],
    turn: usize,
    pause: Duration,
}

impl<'a> Scene<'a> {
    fn play(&mut self) -> Result<()> {
        let tolds = self.tolds;
        thread::scope(|scope| -> Result<()> {
            let clients = begin(scope, tolds);
            let failed = self.fail_and_heal();
            if failed.is_err() {
                self.members.iter().for_each(Member::wake);
                tolds.iter().for_each(Told::give_up);
            }
            for told in tolds {
                told.go_on(false);
                // Whatever failed, nobody waits for a node that is down.
                told.mortal(false);
            }
            let ended = clients.into_iter().map(|client| {
                client
                    .join()
                    .unwrap_or_else(|_| Err(anyhow!("a client panicked: a bug of xtask")))
            });
            let ended: Result<Vec<()>> = ended.collect();
            failed?;
            ended.map(drop)
        })?;
        let before = self.compare()?;
        // What was counted last is in journals only.
        for index in 0..NODES {
            self.member(index)?.kill()?;
        }
        for index in 0..NODES {
            self.revive(index)?;
        }
        let after = self.compare()?;
        ensure!(
            before == after,
            "{before:?} was counted, and after a kill of all it is {after:?}"
        );
        command::run(&mut self.member(0)?.tally()?.cli(&["verify"]))
    }

    fn fail_and_heal(&mut self) -> Result<()> {
        let (killed, paused, left) = (self.turn % NODES, (self.turn + 1) % NODES, (self.turn + 2) % NODES);
        self.more("with all nodes", &[0, 1, 2], true)?;
        // One Tally node stands still through the loss of the quorum, and another is killed without it.
        // Its clients may lose patience with it, where the machine is slow.
        self.told(left)?.mortal(true);
        self.member(left)?.signal(rustix::process::Signal::STOP)?;
        let stopped = Instant::now();
        self.node(killed)?.kill()?;
        self.more("with one node lost", &[killed, paused], true)?;
        self.told(paused)?.warm()?;
        self.without_quorum(killed, paused)?;
        wait::until("the end of a pause", LIMIT, || {
            Ok((stopped.elapsed() >= self.pause).then_some(()))
        })?;
        self.node(paused)?.resume();
        self.ready(paused, 200)?;
        self.revive(killed)?;
        self.more("with the quorum back", &[killed, paused], true)?;
        self.member(left)?.signal(rustix::process::Signal::CONT)?;
        self.more("with a Tally node that woke up", &[0, 1, 2], true)?;
        self.told(left)?.mortal(false);
        self.node(paused)?.kill()?;
        self.more("with two nodes lost", &[0, 1, 2], false)?;
        self.node(left)?.kill()?;
        self.more("without a node", &[0, 1, 2], false)?;
        // The first one is whom the others ask who is there: without it they give up soon.
        self.node(0)?.run()?;
        for number in 1..NODES {
            self.node(number)?.begin()?;
        }
        for number in 1..NODES {
            self.node(number)?.ready()?;
        }
        for index in 0..NODES {
            self.ready(index, 200)?;
        }
        self.more("with all nodes back", &[0, 1, 2], true)
    }

    /// One node is down and another stands still. The Tally node `killed` dies meanwhile, `going` counts on until its journal is full.
    fn without_quorum(&mut self, killed: usize, going: usize) -> Result<()> {
        self.node(going)?.pause();
        let told = self.told(going)?;
        let told_no = |kind| told.unknown(kind) + told.refused(kind);
        let before = [Kind::Replicated, Kind::Strong].map(|kind| (kind, told_no(kind)));
        wait::until("refusals without a quorum", LIMIT, || {
            let grew = |(kind, before): (Kind, u64)| told_no(kind) > before;
            Ok(before.into_iter().all(grew).then_some(()))
        })?;
        self.more("without a quorum", &[killed, going], false)?;
        self.ready(going, 503)?;
        self.told(killed)?.mortal(true);
        self.member(killed)?.kill()?;
        let refused = told.refused(Kind::Disk);
        let why = told.flood()?;
        ensure!(
            why.contains("journal_limit") && why.contains("nothing was applied"),
            "a full journal was refused so: {why}"
        );
        wait::until("an add that is refused by a full journal", LIMIT, || {
            Ok((told.refused(Kind::Disk) > refused).then_some(()))
        })?;
        told.read()
    }

    /// Starts a Tally node that was killed, on what it has.
    fn revive(&mut self, index: usize) -> Result<()> {
        let member = self.member(index)?;
        if member.tally.is_none() {
            member.tally = Some(Tally::start(&member.setup)?);
        }
        self.told(index)?.mortal(false);
        Ok(())
    }

    /// Waits until these Tally nodes have acknowledged fifty more adds at `disk`, and some of the other kinds where there is a quorum.
    fn more(&self, when: &str, who: &[usize], quorum: bool) -> Result<()> {
        println!("  adds {when}");
        for index in who {
            let told = self.told(*index)?;
            let with = |adds: u64| if quorum { adds } else { 0 };
            let wanted = [
                (Kind::Disk, 50),
                (Kind::Tokened, with(20)),
                (Kind::Replicated, with(3)),
                (Kind::Strong, with(3)),
            ];
            let wanted = wanted.map(|(kind, more)| (kind, told.acknowledged(kind) + more));
            let lacks = |(kind, least): &(Kind, u64)| {
                let there = told.acknowledged(*kind);
                (there < *least).then(|| {
                    let (unknown, refused) = (told.unknown(*kind), told.refused(*kind));
                    format!("{kind:?}: {there} of {least}, {unknown} unknown, {refused} refused")
                })
            };
            let came = wait::until(&format!("adds {when}"), LIMIT, || {
                told.goes_on()?;
                Ok(wanted.iter().all(|one| lacks(one).is_none()).then_some(()))
            });
            came.with_context(|| {
                let lacking: Vec<String> = wanted.iter().filter_map(lacks).collect();
                format!("node {}: {}; {:?}", index + 1, lacking.join(", "), told.reasons())
            })?;
        }
        Ok(())
    }

    fn ready(&self, index: usize, status: u16) -> Result<()> {
        let Some(tally) = self.members.get(index).and_then(|member| member.tally.as_ref()) else {
            return Ok(());
        };
        wait::until(&format!("/readyz to answer {status}"), LIMIT, || {
            Ok((http::get(&tally.http, "/readyz")?.status == status).then_some(()))
        })
    }

    /// What all nodes agree on, within what may be.
    fn compare(&self) -> Result<Vec<u64>> {
        let bounds = Kind::ALL.map(|kind| (kind, Told::bounds(self.tolds, kind)));
        let mut agreed = Vec::new();
        for (kind, bounds) in bounds {
            let read = |member: &Member| value(&member.tally()?.resp, kind);
            let all = wait::until(&format!("all nodes to read one {}", kind.key()), LIMIT, || {
                let values = self.members.iter().map(read).collect::<Result<Vec<u64>>>()?;
                let most = bounds.end();
                ensure!(
                    values.iter().all(|value| value <= most),
                    "{} is {values:?} on the nodes, and at most {most} adds were made",
                    kind.key()
                );
                let first = values.first().copied().unwrap_or_default();
                let is_one = values.iter().all(|value| *value == first) && bounds.contains(&first);
                Ok(is_one.then_some(first))
            });
            agreed.push(all.with_context(|| format!("{} must be {bounds:?}", kind.key()))?);
        }
        Ok(agreed)
    }

    fn member(&mut self, index: usize) -> Result<&mut Member> {
        self.members.get_mut(index).context("there is no such Tally node")
    }

    fn node(&mut self, index: usize) -> Result<&mut super::node::Node> {
        self.cluster.node(index + 1)
    }

    fn told(&self, index: usize) -> Result<&'a Told> {
        self.tolds.get(index).context("there is no such Tally node")
    }
}

fn begin<'s>(scope: &'s thread::Scope<'s, '_>, tolds: &'s [Told]) -> Vec<Running<'s>> {
    let run = |told: &'s Told| {
        told.go_on(true);
        told.run(scope)
    };
    tolds.iter().flat_map(run).collect()
}

/// The sums of all nodes, in words.
fn told(tolds: &[Told]) -> String {
    let words = Kind::ALL.map(|kind| {
        let sum = |what: &dyn Fn(&Told) -> u64| tolds.iter().map(what).sum::<u64>();
        format!(
            "{}: {} there, {} unknown, {} refused",
            kind.key(),
            sum(&|told| told.acknowledged(kind)),
            sum(&|told| told.unknown(kind)),
            sum(&|told| told.refused(kind))
        )
    });
    words.join("; ")
}

fn value(address: &str, kind: Kind) -> Result<u64> {
    match Client::connect(address)?.call(&["GET", kind.key()])? {
        Reply::Bulk(Some(digits)) => Ok(std::str::from_utf8(&digits)?.parse()?),
        other => Err(anyhow!("GET {} answered {other:?}", kind.key())),
    }
}
