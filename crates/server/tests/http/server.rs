//! The real executable on a data directory and ports of its own, and plain HTTP to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// A server that does not answer for this long has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// The executable, without settings of whoever runs the tests.
pub(crate) fn tally() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tally"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TALLY_")) {
        command.env_remove(name);
    }
    command
}

/// `tally serve`, killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) http: String,
    pub(crate) resp: String,
    folder: Option<TempDir>,
}

impl Server {
    /// With fresh data.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self::start_on(&folder.path().join("data"), arguments);
        server.folder = Some(folder);
        server
    }

    /// On a data directory of the caller's.
    pub(crate) fn start_on(data: &Path, arguments: &[&str]) -> Self {
        Self::start_logged(data, arguments, Stdio::null())
    }

    /// With its log somewhere.
    pub(crate) fn start_logged(data: &Path, arguments: &[&str], log: Stdio) -> Self {
        let mut command = Self::command(data, arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut ready)
            .unwrap();
        let http = ready.split_whitespace().find_map(|word| word.strip_prefix("http="));
        let http = http.unwrap_or_else(|| panic!("tally serve said {ready:?}")).to_owned();
        let resp = ready.split_whitespace().find_map(|word| word.strip_prefix("resp="));
        let resp = resp.unwrap_or_default().to_owned();
        assert!(ready.starts_with("ready http=127.0.0.1:"), "{ready}");
        Self {
            child,
            http,
            resp,
            folder: None,
        }
    }

    /// Where it listens, unless the arguments say otherwise.
    pub(crate) fn command(data: &Path, arguments: &[&str]) -> Command {
        let mut command = tally();
        command.arg("serve").arg("--data").arg(data).args(arguments);
        for flag in ["--http", "--resp"] {
            if !arguments.contains(&flag) {
                command.args([flag, "127.0.0.1:0"]);
            }
        }
        command
    }

    /// A client command against this server.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Command {
        let mut command = tally();
        command
            .args(arguments)
            .env("TALLY_SERVER", format!("http://{}", self.http));
        command
    }

    /// SIGTERM; how it ended, and its data.
    pub(crate) fn stop(mut self) -> (ExitStatus, Option<TempDir>) {
        let told = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(told.success());
        let status = self.child.wait().unwrap();
        (status, self.folder.take())
    }

    /// SIGKILL; its data.
    pub(crate) fn kill(mut self) -> Option<TempDir> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.folder.take()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, json: &str) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], json.as_bytes())
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
            self.http
        )
        .into_bytes();
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n").unwrap();
        }
        if !body.is_empty() || method != "GET" {
            write!(request, "content-length: {}\r\n", body.len()).unwrap();
        }
        request.extend_from_slice(b"\r\n");
        self.raw(&[request.as_slice(), body].concat())
    }

    /// Any bytes, on a connection of their own.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        // A server that refuses early may close before it has read everything.
        stream.write_all(bytes).ok();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        Answer::parse(&answer)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A counter's value.
    pub(crate) fn value(&self, key: &str) -> Value {
        let answer = self.post("/v1/get", &serde_json::json!({ "keys": [key] }).to_string());
        answer.json()["counters"][0]["value"].clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0);
        Self {
            status,
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// An error as every error must be.
    pub(crate) fn problem(&self, status: u16, kind: &str, detail: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.head.contains("content-type: application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["kind"], kind, "{self:?}");
        assert_eq!(problem["status"], status, "{self:?}");
        assert_eq!(problem["maybe_applied"], false, "{self:?}");
        assert!(
            problem["detail"].as_str().unwrap().contains(detail),
            "{detail:?} is not in {self:?}"
        );
        assert_eq!(problem.as_object().unwrap().len(), 6, "{self:?}");
    }
}
