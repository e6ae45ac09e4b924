//! Strong counters on three nodes of Tally while one of them is killed, another one sleeps, and the cluster loses its quorum: what clients were
//! told is linearizable, tokens that were sent again and again count once, and no bound is passed.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::Signal;

use super::Cluster;
use crate::place::Place;
use crate::random::Random;
use crate::resp::{Client, Reply};
use crate::tally::{Setup, Tally};
use crate::{child, command, http, wait};

const LIMIT: Duration = Duration::from_mins(1);
/// A client asks for no more than this, so that the search for an order ends.
const MOST_CALLS: u64 = 250;
/// The longest pause between two calls of a client, in milliseconds.
const PAUSE_MS: u64 = 240;
/// Two of one partition, another one, and one with bounds.
const KEYS: [&str; 4] = ["strong:{a}1", "strong:{a}2", "strong:b", "quota:x"];
const MAX: i64 = 40;
const TOKENS: &str = "strong:tokens";

/// What the clients have seen.
#[derive(Default)]
struct Seen {
    /// A clock that all share: no two instants are equal.
    instant: AtomicU64,
    lines: Mutex<String>,
    calls: AtomicU64,
    /// Moves with every call, also when no more of them are written down.
    progress: AtomicU64,
    unknown: AtomicU64,
    refused: AtomicU64,
    /// Tokens whose add was answered.
    tokens: AtomicU64,
    done: AtomicBool,
}

/// Where a node answers, which changes when it is started again.
type Address = Mutex<String>;

/// Runs it, with calls that go by `seed`. The cluster is whole again at the end.
pub(super) fn linearizable(place: &Place, binary: &Path, cluster: &mut Cluster, seed: u64) -> Result<()> {
    let folder = place.fresh("strong")?;
    let (url, copied) = (cluster.url("strong"), cluster.copied());
    let setup = |name: &str| {
        let mut setup = Setup::new(binary, &folder.path().join(name)).on(Some(&url));
        let settings = ["--store-timeout", "4s", "--request-timeout", "6s"];
        setup.settings.extend(settings.map(str::to_owned));
        setup.settings.extend(copied.clone());
        setup
    };
    let mut nodes = Vec::new();
    for name in ["one", "two", "three"] {
        nodes.push(Some(Tally::start(&setup(name))?));
    }
    declare(&nodes)?;
    let addresses: Vec<Address> = nodes
        .iter()
        .flatten()
        .map(|node| Mutex::new(node.resp.clone()))
        .collect();
    let seen = Seen::default();
    std::thread::scope(|scope| -> Result<()> {
        let mut clients = Vec::new();
        for number in 0..6_u64 {
            let (addresses, seen) = (&addresses, &seen);
            clients.push(scope.spawn(move || calls(addresses, seed, number, seen)));
        }
        for number in 0..2_u64 {
            let (addresses, seen) = (&addresses, &seen);
            clients.push(scope.spawn(move || tokens(addresses, number, seen)));
        }
        let failed = fail_and_heal(cluster, &mut nodes, &addresses, &seen, &setup);
        seen.done.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        failed
    })?;
    let counted = value(&nodes, TOKENS)?;
    let sent = seen.tokens.load(Ordering::Relaxed);
    ensure!(
        counted == sent,
        "{TOKENS} is {counted}, and {sent} tokens were answered, each of them sent one to several times"
    );
    judge(place, folder.path(), &seen)?;
    println!(
        "{} calls on {} counters are linearizable, {} of unknown outcome, {} refused; {sent} tokens counted once",
        seen.calls.load(Ordering::Relaxed),
        KEYS.len(),
        seen.unknown.load(Ordering::Relaxed),
        seen.refused.load(Ordering::Relaxed),
    );
    for node in nodes.into_iter().flatten() {
        node.stop()?;
    }
    Ok(())
}

fn declare(nodes: &[Option<Tally>]) -> Result<()> {
    let first = nodes.iter().flatten().next().context("no node")?;
    for (name, policy) in [
        ("strong", r#"{"consistency":"strong"}"#.to_owned()),
        ("quota", format!(r#"{{"consistency":"strong","min":0,"max":{MAX}}}"#)),
    ] {
        let declared = http::put(&first.http, &format!("/v1/namespaces/{name}"), &policy)?;
        ensure!(declared.status == 200, "PUT a namespace: {}", declared.body);
        for node in nodes.iter().flatten() {
            wait::until("a policy to be adopted", LIMIT, || {
                let found = http::get(&node.http, &format!("/v1/namespaces/{name}"))?;
                Ok((found.status == 200 && found.body.contains("strong")).then_some(()))
            })?;
        }
    }
    Ok(())
}

fn fail_and_heal(
    cluster: &mut Cluster,
    nodes: &mut [Option<Tally>],
    addresses: &[Address],
    seen: &Seen,
    setup: &dyn Fn(&str) -> Setup,
) -> Result<()> {
    more(seen, "with all nodes", 40)?;
    // One node of Tally is killed in the middle of what it does, and started again.
    nodes.get_mut(1).and_then(Option::take).context("no node")?.kill()?;
    more(seen, "with two nodes", 20)?;
    let again = Tally::start(&setup("two"))?;
    if let Some(address) = addresses.get(1) {
        address
            .lock()
            .map_err(|_| anyhow!("a client panicked"))?
            .clone_from(&again.resp);
    }
    if let Some(place) = nodes.get_mut(1) {
        *place = Some(again);
    }
    // Another one sleeps, and wakes to a version that has moved on.
    let third = nodes.get(2).and_then(Option::as_ref).context("no node")?;
    child::signal(third.id(), Signal::STOP);
    more(seen, "with one node asleep", 20)?;
    child::signal(third.id(), Signal::CONT);
    more(seen, "with it awake", 20)?;
    // One node of the cluster is gone, then the quorum.
    cluster.node(3)?.kill()?;
    more(seen, "with one node of the cluster lost", 20)?;
    cluster.node(2)?.pause();
    std::thread::sleep(Duration::from_secs(7));
    cluster.node(2)?.resume();
    more(seen, "with the quorum back", 20)?;
    cluster.node(3)?.run()?;
    more(seen, "with all nodes back", 20)
}

fn more(seen: &Seen, when: &str, calls: u64) -> Result<()> {
    let wanted = seen.progress.load(Ordering::Relaxed) + calls;
    wait::until(&format!("strong counters {when}"), LIMIT, || {
        Ok((seen.progress.load(Ordering::Relaxed) >= wanted).then_some(()))
    })
}

/// What an add, a read or a SET was answered.
enum Answer {
    Known(Reply),
    /// Nothing was applied.
    NotApplied,
    /// It may be applied.
    Unknown,
}

/// A client that goes from node to node as they fail.
struct Roaming<'a> {
    addresses: &'a [Address],
    node: usize,
    client: Option<Client>,
}

impl Roaming<'_> {
    fn ask(&mut self, words: &[&str]) -> Result<Answer> {
        if self.client.is_none() {
            self.node = (self.node + 1) % self.addresses.len();
            let address = self.addresses.get(self.node).context("no node")?;
            let address = address.lock().map_err(|_| anyhow!("a client panicked"))?.clone();
            self.client = Client::connect_for(&address, Duration::from_secs(8)).ok();
        }
        let Some(client) = &mut self.client else {
            std::thread::sleep(Duration::from_millis(50));
            return Ok(Answer::NotApplied);
        };
        let sent = client.send(words).and_then(|()| client.flush());
        let reply = sent.and_then(|()| client.reply());
        match reply {
            Ok(Reply::Error(why)) if why.starts_with("UNKNOWN") => Ok(Answer::Unknown),
            Ok(Reply::Error(why)) if why.starts_with("TRYAGAIN") => Ok(Answer::NotApplied),
            Ok(reply) => Ok(Answer::Known(reply)),
            Err(_) => {
                self.client = None;
                Ok(Answer::Unknown)
            }
        }
    }
}

/// One call after the other, each written down.
fn calls(addresses: &[Address], seed: u64, number: u64, seen: &Seen) -> Result<()> {
    let mut random = Random::seeded(seed.wrapping_mul(1_000).wrapping_add(number));
    let mut roaming = Roaming {
        addresses,
        node: usize::try_from(number)? % addresses.len(),
        client: None,
    };
    for _ in 0..MOST_CALLS {
        if seen.done.load(Ordering::Relaxed) {
            break;
        }
        let key = KEYS
            .get(usize::try_from(random.below(KEYS.len() as u64))?)
            .context("a key")?;
        let amount = i64::try_from(random.below(9))? - 3;
        let (words, action) = match random.below(6) {
            0 | 1 => (vec!["GET".to_owned(), (*key).to_owned()], "read"),
            2 => (
                vec!["SET".to_owned(), (*key).to_owned(), (amount + 3).to_string()],
                "set",
            ),
            _ => (vec!["INCRBY".to_owned(), (*key).to_owned(), amount.to_string()], "add"),
        };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let began = seen.instant.fetch_add(1, Ordering::Relaxed);
        let answer = roaming.ask(&words)?;
        let returned = seen.instant.fetch_add(1, Ordering::Relaxed);
        let line = match (answer, action) {
            (Answer::NotApplied, _) | (Answer::Unknown, "read") => {
                seen.refused.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            (Answer::Unknown, _) => {
                seen.unknown.fetch_add(1, Ordering::Relaxed);
                let what = if action == "set" {
                    format!("set {}", amount + 3)
                } else {
                    format!("add {amount} -")
                };
                format!("{key} {began} - {what}")
            }
            (Answer::Known(reply), _) => format!("{key} {began} {returned} {}", told(&reply, action, amount)?),
        };
        let mut lines = seen.lines.lock().map_err(|_| anyhow!("a client panicked"))?;
        writeln!(lines, "{line}")?;
        drop(lines);
        seen.calls.fetch_add(1, Ordering::Relaxed);
        seen.progress.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(random.millis(1, PAUSE_MS));
    }
    while !seen.done.load(Ordering::Relaxed) {
        roaming.ask(&["GET", KEYS.first().context("a key")?])?;
        seen.progress.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(random.millis(1, PAUSE_MS));
    }
    Ok(())
}

fn told(reply: &Reply, action: &str, amount: i64) -> Result<String> {
    match (reply, action) {
        (Reply::Integer(told), "add") => Ok(format!("add {amount} {told}")),
        (Reply::Error(why), "add") if why.contains("namespace's m") => Ok(format!("refused {amount}")),
        (Reply::Text(_), "set") => Ok(format!("set {}", amount + 3)),
        (Reply::Bulk(None), "read") => Ok("read 0".to_owned()),
        (Reply::Bulk(Some(digits)), "read") => Ok(format!("read {}", std::str::from_utf8(digits)?)),
        (other, _) => bail!("{action} {amount} answered {other:?}"),
    }
}

/// Adds with tokens, each sent until it is answered, and once more for good measure.
fn tokens(addresses: &[Address], number: u64, seen: &Seen) -> Result<()> {
    let mut roaming = Roaming {
        addresses,
        node: usize::try_from(number)? % addresses.len(),
        client: None,
    };
    let mut token = 0_u64;
    while !seen.done.load(Ordering::Relaxed) {
        token += 1;
        let name = format!("{number}-{token}");
        let words = ["TALLY.ADD", TOKENS, "1", "TOKEN", &name];
        let mut answers = 0;
        for _ in 0..400 {
            match roaming.ask(&words)? {
                Answer::Known(Reply::Integer(_)) => answers += 1,
                Answer::Known(other) => bail!("a token was answered {other:?}"),
                Answer::NotApplied | Answer::Unknown => std::thread::sleep(Duration::from_millis(20)),
            }
            if answers == 2 {
                break;
            }
        }
        ensure!(answers == 2, "the token {name} was never answered");
        seen.tokens.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn value(nodes: &[Option<Tally>], key: &str) -> Result<u64> {
    let mut values = Vec::new();
    for node in nodes.iter().flatten() {
        match Client::connect(&node.resp)?.call(&["GET", key])? {
            Reply::Bulk(Some(digits)) => values.push(std::str::from_utf8(&digits)?.parse::<u64>()?),
            other => bail!("GET {key} answered {other:?}"),
        }
    }
    let first = *values.first().context("no node")?;
    ensure!(
        values.iter().all(|value| *value == first),
        "nodes read {key} as {values:?}"
    );
    Ok(first)
}

/// Looks for an order that explains all answers, by the checker of the simulation.
fn judge(place: &Place, folder: &Path, seen: &Seen) -> Result<()> {
    let file = folder.join("history");
    let mut lines = seen.lines.lock().map_err(|_| anyhow!("a client panicked"))?;
    writeln!(lines, "bounds quota:x 0 {MAX}")?;
    std::fs::write(&file, lines.as_bytes())?;
    let file = file.to_string_lossy().into_owned();
    let arguments = [
        "run",
        "-q",
        "-p",
        "tally-sim",
        "--bin",
        "tally-sim",
        "--",
        "--history",
        &file,
    ];
    let mut command = command::cargo(place.root(), &arguments);
    command::run(&mut command).with_context(|| format!("the history:\n{lines}"))
}
