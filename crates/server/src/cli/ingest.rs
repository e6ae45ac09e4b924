//! `tally ingest FILE`: sends a file of events, a line each, in chunks. The server says from where to go on, so that running it again,
//! after a crash of either side or beside another one, counts every line once.

use std::fs::File;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::client::{CallError, Client, elements, text};
use super::output::{plain, print};
use super::{Failure, Server, ledger};
use crate::world;

#[path = "ingest_file.rs"]
mod file;

use file::{Chunk, Source};

/// How long a server that does not answer is waited for.
const PATIENCE_US: u64 = 30_000_000;
/// How long to wait before it is asked again.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The file: newline-delimited JSON, a CloudEvent a line
    file: PathBuf,
    /// The rules by which its events are counted, TOML
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// The name under which the file is counted; the file's own name
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Counts events of any age, whatever the policies say
    #[arg(long)]
    backfill: bool,
    #[command(flatten)]
    server: Server,
}

/// Where the server stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    position: u64,
    digest: String,
}

impl Place {
    fn of(answer: &Value) -> Result<Self, CallError> {
        let position = text(answer, "position").parse();
        let position = position.map_err(|_| CallError::Refused {
            status: 200,
            detail: "the server told no position".to_owned(),
        })?;
        Ok(Self {
            position,
            digest: text(answer, "digest").into_owned(),
        })
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let rules = read(&arguments.rules)?;
    let name = match &arguments.source {
        Some(name) => name.clone(),
        None => own_name(&arguments.file)?,
    };
    let open = File::open(&arguments.file);
    let open = open.map_err(|error| Failure::Failed(format!("cannot read {}: {error}", arguments.file.display())))?;
    let source = Source::new(open, &arguments.file)?;
    let bar = bar(source.bytes());
    let mut sender = Sender {
        client: arguments.server.client(),
        opening: json!({ "source": name, "rules": rules, "backfill": arguments.backfill }),
        name,
        source,
        bar,
    };
    let answer = sender.send_all()?;
    sender.bar.finish_and_clear();
    let entry = answer.get("ledger").cloned().unwrap_or_default();
    let figures = if elements(&entry, "sources").is_empty() {
        ledger::figures("source (events)", std::slice::from_ref(&entry))
    } else {
        ledger::figures("source (events)", elements(&entry, "sources"))
    };
    let name = plain(&sender.name);
    print(&format!(
        "{name}: counted up to byte {} of {}\n{figures}",
        text(&answer, "position"),
        sender.source.bytes()
    ))
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::Failed(format!("cannot read {}: {error}", path.display())))
}

fn own_name(path: &Path) -> Result<String, Failure> {
    let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    name.ok_or_else(|| {
        Failure::Usage(format!(
            "{} has no name that could be its source's; give --source",
            path.display()
        ))
    })
}

fn bar(bytes: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

struct Sender {
    client: Client,
    opening: Value,
    name: String,
    source: Source,
    bar: ProgressBar,
}

/// Why a pass over the file ended early.
enum Halt {
    /// The connection was lost or the server is busy: open again.
    Again(CallError),
    /// It makes no sense to go on.
    End(Failure),
}

impl Halt {
    /// Of a call on an opened source: one that is not open any more, since the server was started again, is opened again.
    fn of_opened(error: CallError) -> Self {
        match error {
            CallError::Refused { status: 404, .. } => Self::Again(error),
            error => error.into(),
        }
    }
}

impl From<CallError> for Halt {
    fn from(error: CallError) -> Self {
        if error.is_passing() {
            Self::Again(error)
        } else {
            Self::End(error.into())
        }
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::End(failure)
    }
}

impl Sender {
    /// Sends what the server lacks; opens again after a loss, for as long as something answers within the patience.
    fn send_all(&mut self) -> Result<Value, Failure> {
        let mut last_us = world::monotonic_us();
        let mut last = 0;
        loop {
            let why = match self.pass() {
                Ok(answer) => return Ok(answer),
                Err(Halt::End(failure)) => return Err(failure),
                Err(Halt::Again(why)) => why,
            };
            let (now_us, position) = (world::monotonic_us(), self.source.position());
            if position != last {
                (last_us, last) = (now_us, position);
            }
            if now_us.saturating_sub(last_us) > PATIENCE_US {
                let why = Failure::from(why);
                return Err(Failure::Failed(format!(
                    "{why}; run the same command again, it goes on where this one stopped"
                )));
            }
            pause();
        }
    }

    fn pass(&mut self) -> Result<Value, Halt> {
        let opened = self.client.post("/v1/ingest/open", &self.opening, None)?;
        self.go_to(&Place::of(&opened)?)?;
        while let Some(chunk) = self.source.chunk()? {
            let told = self.send(&chunk)?;
            if told.position == chunk.end() {
                self.source.accept(&chunk);
            } else if told.position == chunk.from && chunk.is_tail {
                // The file ends within a line: that one is left for the next run, when the file has grown.
                break;
            } else if told.position == chunk.from {
                let why = format!(
                    "the server took nothing of the {} bytes at byte {}",
                    chunk.bytes.len(),
                    chunk.from
                );
                return Err(Halt::End(Failure::Failed(why)));
            } else {
                // The server lost what it had not made durable, or another client sends at the same time.
                self.go_to(&told)?;
            }
            self.bar.set_position(self.source.position());
        }
        let finished = self.client.post_bytes(
            "/v1/ingest/finish",
            &[("source", &self.name)],
            "application/json",
            &[],
            b"",
        );
        finished.map_err(Halt::of_opened)
    }

    fn send(&self, chunk: &Chunk) -> Result<Place, Halt> {
        let from = chunk.from.to_string();
        let parameters = [
            ("source", self.name.as_str()),
            ("from", from.as_str()),
            ("before", chunk.before.as_str()),
            ("after", chunk.after.as_str()),
            ("last", if chunk.is_tail { "true" } else { "false" }),
        ];
        let answer = self.client.post_bytes(
            "/v1/ingest/chunk",
            &parameters,
            "application/x-ndjson",
            &[],
            &chunk.bytes,
        );
        Ok(Place::of(&answer.map_err(Halt::of_opened)?)?)
    }

    /// Goes to where the server is, and makes sure that it is the same file.
    fn go_to(&mut self, place: &Place) -> Result<(), Failure> {
        let digest = self.source.go_to(place.position)?;
        if place.position > 0 && digest != place.digest {
            return Err(Failure::Failed(format!(
                "{} is not the file that was counted as {:?}: its first {} bytes are others now. Count it under another name (--source)",
                self.source.path(),
                self.name,
                place.position
            )));
        }
        self.bar.set_position(place.position);
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a command that waits for a server to come back"
)]
fn pause() {
    std::thread::sleep(PAUSE);
}
