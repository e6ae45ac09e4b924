//! A Tally that we started: the real binary, on fresh ports, in a folder of its own.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::child::Process;
use crate::{command, http, wait};

/// A start that takes longer has failed.
const START_LIMIT: Duration = Duration::from_mins(2);
/// A stop that takes longer has failed.
const STOP_LIMIT: Duration = Duration::from_mins(2);

/// How to start it. Addresses are `host:port`, port 0 picks one.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) binary: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) http: String,
    pub(crate) resp: String,
    pub(crate) settings: Vec<String>,
    /// Where what it prints goes.
    pub(crate) log: PathBuf,
    /// The program that runs it, with its arguments, such as strace.
    pub(crate) under: Vec<String>,
}

impl Setup {
    /// On the embedded store in `data`, on ports that are free.
    pub(crate) fn new(binary: &Path, data: &Path) -> Self {
        let any = || "127.0.0.1:0".to_owned();
        Self {
            binary: binary.to_path_buf(),
            data: data.to_path_buf(),
            http: any(),
            resp: any(),
            settings: Vec::new(),
            log: data.with_extension("log"),
            under: Vec::new(),
        }
    }

    /// On another store than the embedded one.
    pub(crate) fn on(mut self, store: Option<&str>) -> Self {
        if let Some(store) = store {
            self.settings.extend(["--store".to_owned(), store.to_owned()]);
        }
        self
    }

    /// With an acknowledgement level of its own.
    pub(crate) fn ack(mut self, level: &str) -> Self {
        self.settings.extend(["--ack".to_owned(), level.to_owned()]);
        self
    }
}

/// A server that answers; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Tally {
    process: Process,
    setup: Setup,
    /// Where it serves HTTP, `host:port`.
    pub(crate) http: String,
    /// Where it serves RESP, `host:port`.
    pub(crate) resp: String,
    /// From the start of the process until `/readyz` said yes.
    pub(crate) ready_after: Duration,
}

impl Tally {
    /// Starts it and waits until it takes adds.
    pub(crate) fn start(setup: &Setup) -> Result<Self> {
        Self::ready(setup, Self::begin(setup)?)
    }

    /// Waits until a process that was begun takes adds.
    fn ready(setup: &Setup, mut process: Process) -> Result<Self> {
        let began = Instant::now();
        let stdout = process.child().stdout.take().context("its stdout is a pipe")?;
        let (http, resp) = Self::announced(&mut process, stdout, &setup.log)?;
        wait::until("/readyz", START_LIMIT, || {
            process.still_runs()?;
            Ok(http::get(&http, "/readyz")
                .is_ok_and(|answer| answer.status == 200)
                .then_some(()))
        })?;
        Ok(Self {
            process,
            setup: setup.clone(),
            http,
            resp,
            ready_after: began.elapsed(),
        })
    }

    /// Starts the process and waits for nothing.
    pub(crate) fn begin(setup: &Setup) -> Result<Process> {
        Process::start("tally serve", &setup.log, &mut Self::command(setup)?)
    }

    fn command(setup: &Setup) -> Result<Command> {
        let log = File::options().create(true).append(true).open(&setup.log)?;
        let mut command = match setup.under.split_first() {
            None => client(&setup.binary),
            Some((program, arguments)) => {
                let mut command = client(Path::new(program));
                command.args(arguments).arg(&setup.binary);
                command
            }
        };
        command
            .arg("serve")
            .arg("--data")
            .arg(&setup.data)
            .args(["--http", &setup.http, "--resp", &setup.resp]);
        command
            .args(&setup.settings)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        Ok(command)
    }

    /// Waits for the line `ready http=ADDR resp=ADDR`.
    fn announced(process: &mut Process, stdout: ChildStdout, log: &Path) -> Result<(String, String)> {
        let lines = lines(stdout, log.to_path_buf());
        let began = Instant::now();
        while began.elapsed() < START_LIMIT {
            match lines.recv_timeout(Duration::from_secs(1)) {
                Ok(line) => {
                    if let Some(addresses) = addresses(&line) {
                        return Ok(addresses);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    wait::until("the end of tally serve", STOP_LIMIT, || {
                        Ok(process.child().try_wait()?)
                    })?;
                    process.still_runs()?;
                }
            }
        }
        bail!(
            "tally serve did not print its ready line within {} s\n{}",
            START_LIMIT.as_secs(),
            process.last_lines()
        )
    }

    /// The binary that runs.
    pub(crate) fn binary(&self) -> &Path {
        &self.setup.binary
    }

    /// Its process, for what the kernel says of it.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for it to end by itself; its status, and the end of its log.
    pub(crate) fn ended(mut self, within: Duration) -> Result<(ExitStatus, String)> {
        let status = wait::until("the end of tally serve", within, || {
            Ok(self.process.child().try_wait()?)
        })?;
        Ok((status, self.process.last_lines()))
    }

    /// An error, with the end of the log, if it has ended.
    pub(crate) fn still_runs(&mut self) -> Result<()> {
        self.process.still_runs()
    }

    /// Where `curl` and a browser find it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    pub(crate) fn port_of(address: &str) -> &str {
        address.rsplit_once(':').map_or(address, |(_, port)| port)
    }

    /// A client command of the same binary, pointed at this server.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Command {
        let mut command = client(&self.setup.binary);
        command
            .args(arguments)
            .env("TALLY_SERVER", self.url())
            .stdin(Stdio::null());
        command
    }

    /// Counts a file of events.
    pub(crate) fn ingest(&self, file: &Path, rules: &Path) -> Result<()> {
        command::run(self.cli(&["ingest"]).arg(file).arg("--rules").arg(rules))
    }

    /// SIGTERM; anything but an exit with status 0 is an error.
    pub(crate) fn stop(self) -> Result<()> {
        let log = &self.setup.log;
        let status = self.process.terminate(STOP_LIMIT)?;
        ensure!(
            status.success(),
            "tally serve ended with {status} after SIGTERM; its log is {}",
            log.display()
        );
        Ok(())
    }

    /// SIGKILL.
    pub(crate) fn kill(self) -> Result<()> {
        self.process.kill()
    }
}

/// The binary without the settings of whoever calls xtask.
pub(crate) fn client(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TALLY_") {
            command.env_remove(name);
        }
    }
    command
}

/// Passes its lines on for as long as anyone listens, and into the log always, so that it never waits for a reader.
fn lines(stdout: ChildStdout, log: PathBuf) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut log = File::options().create(true).append(true).open(log).ok();
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(file) = &mut log
                && writeln!(file, "{line}").is_err()
            {
                log = None;
            }
            // Nobody listens any more once the ready line was seen.
            sender.send(line).ok();
        }
    });
    receiver
}

fn addresses(line: &str) -> Option<(String, String)> {
    let words = line.strip_prefix("ready ")?.split_whitespace();
    let word = |name: &str| {
        words
            .clone()
            .find_map(|word| word.strip_prefix(name))
            .map(str::to_owned)
    };
    Some((word("http=")?, word("resp=")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line() {
        let expected = Some(("127.0.0.1:7380".to_owned(), "127.0.0.1:6380".to_owned()));
        assert_eq!(addresses("ready http=127.0.0.1:7380 resp=127.0.0.1:6380"), expected);
        assert_eq!(addresses("starting"), None);
    }
}
