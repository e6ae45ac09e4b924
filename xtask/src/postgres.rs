//! A PostgreSQL that we started: Debian's, a fresh cluster on a fresh port, in a folder of its own, as a user without rights (it refuses
//! root). And the least client that talks to it.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::child::{self, Process};
use crate::place::Place;
use crate::process::family_cpu_seconds;
use crate::redis::free_port;
use crate::{command, machine, wait};

const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_mins(1);
const PATIENCE: Duration = Duration::from_mins(1);
/// Whom it runs as where we are root: nobody, on Debian.
const UNPRIVILEGED: u32 = 65_534;

/// A server that answers; dropping it kills it and removes its folder.
#[derive(Debug)]
pub(crate) struct Postgres {
    process: Process,
    port: u16,
    programs: PathBuf,
    _folder: TempDir,
}

impl Postgres {
    pub(crate) fn start(place: &Place) -> Result<Self> {
        let programs = programs()?;
        let folder = place.fresh("postgres")?;
        let data = folder.path().join("data");
        if rustix::process::getuid().is_root() {
            std::os::unix::fs::chown(folder.path(), Some(UNPRIVILEGED), Some(UNPRIVILEGED))?;
        }
        let mut create = unprivileged(&programs.join("initdb"), folder.path());
        create.args([
            "--username",
            "tally",
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
            "--locale",
            "C",
        ]);
        command::output(create.arg("--pgdata").arg(&data))?;
        let port = free_port()?;
        let log = folder.path().join("postgres.log");
        let mut serve = unprivileged(&programs.join("postgres"), folder.path());
        serve.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "shared_buffers=512MB",
            "max_wal_size=4GB",
        ] {
            serve.args(["-c", setting]);
        }
        serve.stderr(File::create(&log)?);
        let mut process = Process::start("postgres", &log, &mut serve)?;
        wait::until("PostgreSQL", START_LIMIT, || {
            process.still_runs()?;
            Ok(Client::connect(port).ok())
        })?;
        Ok(Self {
            process,
            port,
            programs,
            _folder: folder,
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn connect(&self) -> Result<Client> {
        Client::connect(self.port)
    }

    /// `PostgreSQL 15.14`.
    pub(crate) fn version(&self) -> Result<String> {
        let said = command::output(Command::new(self.programs.join("postgres")).arg("--version"))?;
        let number = said.split_whitespace().nth(2).unwrap_or("of an unknown version");
        Ok(format!("PostgreSQL {number}"))
    }

    /// Of the server with all processes that it began.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        family_cpu_seconds(self.id())
    }

    /// A fast shutdown, and waits for its end.
    pub(crate) fn stop(self) -> Result<()> {
        child::signal(self.id(), Signal::INT);
        self.process.terminate(STOP_LIMIT).map(drop)
    }
}

/// Where Debian keeps what is not on the path; installs it where it is lacking.
fn programs() -> Result<PathBuf> {
    if let Some(found) = newest() {
        return Ok(found);
    }
    machine::install(&["postgresql"])?;
    newest().context("lacking: initdb (on Debian: apt-get install postgresql)")
}

fn newest() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    folders.filter(|folder| folder.join("initdb").is_file()).max()
}

fn unprivileged(name: &Path, folder: &Path) -> Command {
    let mut command = command::program(name, folder, &[]);
    if rustix::process::getuid().is_root() {
        command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
    }
    command.stdout(Stdio::null());
    command
}

/// One connection, by version 3 of the protocol: statements as text, what they answer thrown away.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn connect(port: u16) -> Result<Self> {
        const VERSION: u32 = 3 << 16;
        let stream = TcpStream::connect(("127.0.0.1", port)).context("cannot connect to PostgreSQL")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut client = Self {
            stream: BufReader::new(stream),
        };
        let words = b"user\0tally\0database\0postgres\0\0";
        let length = u32::try_from(words.len() + 8)?;
        let hello = [&length.to_be_bytes()[..], &VERSION.to_be_bytes(), words].concat();
        client.stream.get_mut().write_all(&hello)?;
        client.until_ready()?;
        Ok(client)
    }

    /// Runs a statement to its end.
    pub(crate) fn run(&mut self, statement: &str) -> Result<()> {
        let length = u32::try_from(statement.len() + 5)?;
        let query = [b"Q", &length.to_be_bytes()[..], statement.as_bytes(), b"\0"].concat();
        self.stream.get_mut().write_all(&query)?;
        self.until_ready()
    }

    /// Reads messages until it is ready for the next statement; an error among them is an error.
    fn until_ready(&mut self) -> Result<()> {
        const TRUSTED: [u8; 4] = [0; 4];
        let mut refused = None;
        loop {
            let mut head = [0; 5];
            self.stream.read_exact(&mut head)?;
            let [kind, length @ ..] = head;
            let length = usize::try_from(u32::from_be_bytes(length))?;
            let mut body = vec![0; length.checked_sub(4).context("a message without its length")?];
            self.stream.read_exact(&mut body)?;
            match kind {
                b'Z' => break,
                b'E' => refused = Some(String::from_utf8_lossy(&body).replace('\0', " ")),
                b'R' => ensure!(body == TRUSTED, "it asks for a password"),
                _ => {}
            }
            // It hangs up after an error of the start.
            if let Some(why) = &refused
                && why.contains("FATAL")
            {
                break;
            }
        }
        match refused {
            None => Ok(()),
            Some(why) => bail!("PostgreSQL answered: {why}"),
        }
    }
}
