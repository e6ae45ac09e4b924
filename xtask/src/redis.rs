//! A Redis that we started: Debian's, on a fresh port, in a folder of its own.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::child::Process;
use crate::resp::Client;
use crate::wait;

const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// A server that answers; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Redis {
    process: Process,
    /// Where it serves, `host:port`.
    pub(crate) address: String,
    /// From the start of the process until it answered PING.
    pub(crate) ready_after: Duration,
}

impl Redis {
    /// Starts it in an existing folder, without snapshots and with these settings besides (`--name value`).
    pub(crate) fn start(folder: &Path, settings: &[&str]) -> Result<Self> {
        let port = free_port()?;
        let log = folder.join("redis.log");
        let mut command = Command::new("redis-server");
        command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--save",
            "",
            "--daemonize",
            "no",
        ]);
        command.arg("--dir").arg(folder).args(settings);
        command
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(Stdio::null());
        let began = Instant::now();
        let mut process = Process::start("redis-server", &log, &mut command)?;
        let address = format!("127.0.0.1:{port}");
        wait::until("Redis", START_LIMIT, || {
            process.still_runs()?;
            Ok(Client::connect(&address)
                .and_then(|mut client| client.call(&["PING"]))
                .ok())
        })?;
        Ok(Self {
            process,
            address,
            ready_after: began.elapsed(),
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL.
    pub(crate) fn kill(self) -> Result<()> {
        self.process.kill()
    }

    /// SIGTERM, and waits for its end.
    pub(crate) fn stop(self) -> Result<()> {
        self.process.terminate(STOP_LIMIT).map(drop)
    }
}

/// A port that nobody listened on a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port is free")?;
    Ok(listener.local_addr()?.port())
}
