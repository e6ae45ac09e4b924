//! The real executable on a data directory of its own, and Redis beside it on a socket of its own.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server that does not answer for this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// `tally serve`, killed when it is dropped.
pub(crate) struct Tally {
    child: Child,
    pub(crate) resp: String,
    _data: tempfile::TempDir,
}

impl Tally {
    /// With these settings, as environment variables.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tally"))
            .args(["serve", "--http", "127.0.0.1:0", "--resp", "127.0.0.1:0", "--data"])
            .arg(data.path().join("data"))
            .env("TALLY_LOG_LEVEL", "warn")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut ready)
            .unwrap();
        let address = ready.split_whitespace().find_map(|word| word.strip_prefix("resp="));
        let Some(resp) = address.map(str::to_owned) else {
            child.kill().unwrap();
            panic!("tally serve said {ready:?}");
        };
        Self {
            child,
            resp,
            _data: data,
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.resp).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// What it has of the machine's memory.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1_024
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Redis 7 without persistence. It is a required tool of these tests: `apt-get install redis-server`.
pub(crate) struct Redis {
    child: Child,
    dir: tempfile::TempDir,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(dir.path().join("socket"))
            .arg("--dir")
            .arg(dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server is installed (apt-get install redis-server)");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines
            .by_ref()
            .any(|line| line.unwrap().contains("eady to accept connections"));
        // Redis must not wait for somebody to read what it says.
        std::thread::spawn(move || lines.for_each(drop));
        assert!(ready, "redis-server ended before it was ready");
        Self { child, dir }
    }

    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.dir.path().join("socket")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
