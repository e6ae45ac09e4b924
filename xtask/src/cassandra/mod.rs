//! A real Apache Cassandra that we started: its published jars, one to three nodes on 127.0.0.1, .2, .3, on fresh ports in a fresh
//! folder. Guards: only what was started here is ended. Does not: look like a production cluster (heaps are as small as they work).

mod certificates;
mod copy;
mod node;
mod nodes;
mod outage;
mod steps;
mod strong;
mod told;

use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::place::Place;
use crate::{artifacts, child, command, machine};
use certificates::{Certificates, Identity};
use node::Node;

pub(crate) use steps::steps;

const VERSION: &str = "5.0.6";
const MOST_NODES: usize = 3;

/// What a cluster is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) nodes: usize,
    /// With a commit log that is synced after it has acknowledged: what Tally must notice.
    pub(crate) periodic: bool,
    /// With users and passwords (`cassandra`, `cassandra` is there at first).
    pub(crate) passwords: bool,
    /// Its nodes' certificates name `localhost`, not their addresses.
    pub(crate) named: bool,
}

impl Shape {
    /// A cluster as docs/cassandra.md says it should be.
    pub(crate) fn of(nodes: usize) -> Self {
        Self {
            nodes,
            periodic: false,
            passwords: false,
            named: false,
        }
    }
}

/// Nodes that serve; dropping it kills them and removes their data.
#[derive(Debug)]
pub(crate) struct Cluster {
    nodes: Vec<Node>,
    port: u16,
    /// Where only TLS is spoken.
    tls_port: u16,
    certificates: Certificates,
    _folder: TempDir,
}

impl Cluster {
    /// Starts a cluster, one node after the other, and waits until all serve clients.
    pub(crate) fn start(place: &Place, shape: Shape) -> Result<Self> {
        // A node that ends while it starts is Cassandra's, or a port's that somebody took meanwhile: once more, from nothing.
        Self::try_start(place, shape).or_else(|error| {
            println!("a cluster did not come up and is started once more: {error:#}");
            Self::try_start(place, shape)
        })
    }

    fn try_start(place: &Place, shape: Shape) -> Result<Self> {
        ensure!(
            (1..=MOST_NODES).contains(&shape.nodes),
            "a cluster has 1 to {MOST_NODES} nodes"
        );
        let jars = jars(place)?;
        let folder = place.fresh("cassandra")?;
        let (port, tls_port, storage_port) = (free_port()?, free_port()?, free_port()?);
        let certificates = Certificates::new(&folder.path().join("certificates"))?;
        let mut nodes = Vec::new();
        for number in 1..=shape.nodes {
            let settings = node::Settings {
                number,
                folder: folder.path().join(format!("node{number}")),
                jars: jars.clone(),
                port,
                tls_port,
                authority: certificates.authority().to_path_buf(),
                keystore: certificates.node(number, &certified(number, shape))?,
                storage_port,
                jmx_port: free_port()?,
                shape,
            };
            nodes.push(Node::start(settings)?);
        }
        Ok(Self {
            nodes,
            port,
            tls_port,
            certificates,
            _folder: folder,
        })
    }

    /// How `--store` names it, with a keyspace.
    pub(crate) fn url(&self, keyspace: &str) -> String {
        format!("cql://{}/{keyspace}", self.hosts())
    }

    /// The nodes as `HOST,HOST:PORT`.
    pub(crate) fn hosts(&self) -> String {
        self.hosts_at(self.port)
    }

    /// The nodes where they speak TLS only.
    fn tls_hosts(&self) -> String {
        self.hosts_at(self.tls_port)
    }

    fn hosts_at(&self, port: u16) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(Node::host).collect();
        format!("{}:{port}", hosts.join(","))
    }

    /// Where its nodes speak TLS only, with a keyspace.
    pub(crate) fn tls_url(&self, keyspace: &str) -> String {
        format!("cql://{}/{keyspace}", self.tls_hosts())
    }

    /// The settings that Tally needs there.
    pub(crate) fn tls_settings(&self) -> Vec<String> {
        let Identity { certificate, key } = self.certificates.client();
        let path = |path: &Path| path.display().to_string();
        [
            ("--store-tls-ca", path(self.certificates.authority())),
            ("--store-tls-certificate", path(&certificate)),
            ("--store-tls-key", path(&key)),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .chain(["--store-tls".to_owned()])
        .collect()
    }

    /// What has Tally create a keyspace with a copy on every node: by itself it goes by the nodes that know of each other already.
    pub(crate) fn copied(&self) -> [String; 2] {
        let replication = format!(
            "{{'class': 'NetworkTopologyStrategy', 'datacenter1': {}}}",
            self.copies()
        );
        ["--store-replication".to_owned(), replication]
    }

    /// Keeps what its nodes said, in a folder that outlives it.
    fn keep_logs(&self, place: &Place, name: &str) -> Result<PathBuf> {
        let kept = place.kept(name)?;
        for node in &self.nodes {
            node.keep_log(&kept)?;
        }
        Ok(kept)
    }

    /// How many copies of each row a keyspace may have.
    pub(crate) fn copies(&self) -> usize {
        self.nodes.len()
    }

    /// The node of this number, from 1 on.
    pub(crate) fn node(&mut self, number: usize) -> Result<&mut Node> {
        let index = number.checked_sub(1).context("nodes count from 1")?;
        self.nodes.get_mut(index).context("there is no such node")
    }
}

/// `cargo xtask cassandra`: a cluster that stays until Ctrl-C, or one that fails so often.
pub(crate) fn cassandra(arguments: &[String]) -> Result<()> {
    child::end_all_on_interrupt()?;
    let mut shape = Shape::of(MOST_NODES);
    let mut outages: Option<usize> = None;
    let mut first = 0_usize;
    let mut binary = None;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--outages" => outages = Some(arguments.next().context("--outages takes a number")?.parse()?),
            "--from" => first = arguments.next().context("--from takes a number")?.parse()?,
            "--binary" => binary = Some(PathBuf::from(arguments.next().context("--binary takes a file")?)),
            "--nodes" => shape.nodes = arguments.next().context("--nodes takes a number")?.parse()?,
            "--periodic" => shape.periodic = true,
            "--passwords" => shape.passwords = true,
            other => bail!("cassandra does not know {other}"),
        }
    }
    let place = Place::find()?;
    if let Some(times) = outages {
        ensure!(shape.nodes == MOST_NODES, "nodes fail where there are {MOST_NODES}");
        let binary = binary.map_or_else(|| artifacts::server(&place, "release"), Ok)?;
        return outages_on(&place, &binary, first..first + times);
    }
    let cluster = Cluster::start(&place, shape)?;
    println!(
        "ready {} (replication {}); Ctrl-C ends it and removes its data",
        cluster.url("tally"),
        cluster.copies()
    );
    println!(
        "by TLS {} with {}",
        cluster.tls_url("tally"),
        cluster.tls_settings().join(" ")
    );
    loop {
        std::thread::sleep(Duration::from_hours(1));
    }
}

/// Both scenes in which nodes fail, each time on a cluster of its own; one that fails does not end the run.
fn outages_on(place: &Place, binary: &Path, turns: Range<usize>) -> Result<()> {
    let (mut clean, times) = (0, turns.len());
    for turn in turns {
        println!("=== turn {turn}");
        let run = || -> Result<()> {
            let mut cluster = Cluster::start(place, Shape::of(MOST_NODES))?;
            let seed = u64::try_from(turn)?;
            let run = outage::outage(place, binary, &mut cluster, (turn, outage::PAUSE))
                .and_then(|()| strong::linearizable(place, binary, &mut cluster, seed));
            if run.is_err() {
                let kept = cluster.keep_logs(place, &format!("outage-{turn}"))?;
                println!("the cluster's logs are in {}", kept.display());
            }
            run
        };
        match run() {
            Ok(()) => clean += 1,
            Err(error) => println!("--- turn {turn} FAILED: {error:#}"),
        }
        println!("{clean} clean");
    }
    ensure!(clean == times, "{clean} of {times} were clean");
    Ok(())
}

/// Obtains Cassandra's jars with Maven, once for a build folder.
fn jars(place: &Place) -> Result<PathBuf> {
    let lacking = machine::obtain(&machine::CASSANDRA);
    ensure!(lacking.is_empty(), "still lacking: {}", lacking.join(" "));
    let jars = place.kept(&format!("cassandra-{VERSION}"))?;
    let done = jars.join("complete");
    if done.is_file() {
        return Ok(jars);
    }
    let output = format!("-DoutputDirectory={}", jars.display());
    let arguments = [
        "-q",
        "-B",
        "-f",
        "xtask/engines/cassandra.pom.xml",
        "dependency:copy-dependencies",
        &output,
    ];
    command::run(&mut command::program("mvn", place.root(), &arguments))?;
    ensure!(has_jar(&jars)?, "Maven brought no cassandra-all-{VERSION}.jar");
    std::fs::write(&done, "")?;
    Ok(jars)
}

fn has_jar(folder: &Path) -> Result<bool> {
    Ok(folder.join(format!("cassandra-all-{VERSION}.jar")).try_exists()?)
}

/// The name in a node's certificate.
fn certified(number: usize, shape: Shape) -> String {
    if shape.named {
        "DNS:localhost".to_owned()
    } else {
        format!("IP:{}", node::host(number))
    }
}

/// A port that nobody listened on a moment ago.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port is free")?;
    Ok(listener.local_addr()?.port())
}
