//! The clients of a cycle: each adds in another way, all to the same counters, and knows what was acknowledged.
//!
//! A client goes on until its connection breaks. Before the fault a break, or an answer that is an error, is a finding;
//! afterwards it is the end.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::digits::{self, CLIENTS};
use super::meter::Meter;
use crate::child::Process;
use crate::http;
use crate::resp::{self, Reply};
use crate::{tally, wait};

/// Their names, in the order of the digits.
pub(super) const NAMES: [&str; CLIENTS] = ["single", "pipelined", "multi", "http", "events", "ingest"];
/// So many commands of the pipelined client go out at once.
const PIPELINE: u64 = 40;
/// The lines of the file that a cycle counts.
pub(super) const FILE_LINES: u64 = 8_000;

const SINGLE: usize = 0;
const PIPELINED: usize = 1;
/// Adds by transactions, to a counter of its own as well.
pub(super) const MULTI: usize = 2;
/// Adds by requests with tokens, to a counter of its own as well.
pub(super) const HTTP: usize = 3;
/// Sends events, whose ids are their tokens.
pub(super) const EVENTS: usize = 4;
/// Counts a file.
pub(super) const INGEST: usize = 5;

/// How far a cycle is.
#[derive(Debug, Default)]
pub(super) struct Phase(AtomicU8);

impl Phase {
    const FAULT: u8 = 1;
    const STOP: u8 = 2;

    /// From now on connections may break.
    pub(super) fn fault(&self) {
        self.0.fetch_max(Self::FAULT, Ordering::SeqCst);
    }

    /// The clients are to end.
    pub(super) fn stop(&self) {
        self.0.fetch_max(Self::STOP, Ordering::SeqCst);
    }

    pub(super) fn is_fault(&self) -> bool {
        self.0.load(Ordering::SeqCst) >= Self::FAULT
    }

    pub(super) fn is_stop(&self) -> bool {
        self.0.load(Ordering::SeqCst) >= Self::STOP
    }
}

/// Where a cycle's clients find the server and what they count into.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) resp: String,
    pub(super) http: String,
    pub(super) binary: PathBuf,
    pub(super) rules: PathBuf,
    /// The file that the ingest client counts.
    pub(super) file: PathBuf,
    pub(super) cycle: u64,
}

/// Runs the client of this index to its end.
pub(super) fn run(client: usize, target: &Target, meter: &Meter, phase: &Phase) -> Result<()> {
    let ended = match client {
        SINGLE => single(target, meter, phase),
        PIPELINED => pipelined(target, meter, phase),
        MULTI => multi(target, meter, phase),
        HTTP => requests(target, meter, phase),
        EVENTS => events(target, meter, phase),
        _ => ingest(target, meter, phase),
    };
    match ended {
        Err(_) if phase.is_fault() => Ok(()),
        ended => ended.with_context(|| format!("the {} client", name(client))),
    }
}

pub(super) fn name(client: usize) -> &'static str {
    NAMES.get(client).copied().unwrap_or("?")
}

/// The answer to an add of this number shows all adds of this client before it.
fn own_digit(client: usize, add: u64, answer: &Reply) -> Result<()> {
    let Reply::Integer(value) = answer else {
        bail!("an add was answered {answer:?}");
    };
    let digit = digits::read(*value).and_then(|digits| digits.get(client).copied());
    let expected = add % digits::ADDS_A_COUNTER + 1;
    ensure!(
        digit == Some(expected),
        "its add {add} was answered {value}: of the client's adds {digit:?} are in it, and {expected} were made"
    );
    Ok(())
}

fn single(target: &Target, meter: &Meter, phase: &Phase) -> Result<()> {
    let mut client = resp::Client::connect(&target.resp)?;
    let amount = digits::amount(SINGLE).to_string();
    while !phase.is_stop() {
        let add = meter.sending(1);
        let answer = client.call(&["INCRBY", &digits::counter(target.cycle, add), &amount])?;
        own_digit(SINGLE, add, &answer)?;
        meter.answered(1);
    }
    Ok(())
}

fn pipelined(target: &Target, meter: &Meter, phase: &Phase) -> Result<()> {
    let mut client = resp::Client::connect(&target.resp)?;
    let amount = digits::amount(PIPELINED).to_string();
    while !phase.is_stop() {
        let first = meter.sending(PIPELINE);
        for add in first..first + PIPELINE {
            client.send(&["INCRBY", &digits::counter(target.cycle, add), &amount])?;
        }
        client.flush()?;
        for add in first..first + PIPELINE {
            own_digit(PIPELINED, add, &client.expect()?)?;
            meter.answered(1);
        }
    }
    Ok(())
}

/// The counter that a client adds 1 to whenever it adds to the common one.
pub(super) fn pair(client: usize, cycle: u64) -> String {
    format!("torture:{cycle}:pair:{}", name(client))
}

fn multi(target: &Target, meter: &Meter, phase: &Phase) -> Result<()> {
    let mut client = resp::Client::connect(&target.resp)?;
    let amount = digits::amount(MULTI).to_string();
    let pair = pair(MULTI, target.cycle);
    while !phase.is_stop() {
        let add = meter.sending(1);
        client.send(&["MULTI"])?;
        client.send(&["INCRBY", &digits::counter(target.cycle, add), &amount])?;
        client.send(&["INCRBY", &pair, "1"])?;
        client.send(&["EXEC"])?;
        client.flush()?;
        for _ in 0..3 {
            client.expect()?;
        }
        match client.expect()? {
            Reply::Array(answers) => own_digit(MULTI, add, answers.first().context("EXEC answered nothing")?)?,
            other => bail!("EXEC answered {other:?}"),
        }
        meter.answered(1);
    }
    Ok(())
}

fn requests(target: &Target, meter: &Meter, phase: &Phase) -> Result<()> {
    let mut connection = http::Connection::open(&target.http)?;
    while !phase.is_stop() {
        let add = meter.sending(1);
        let answer = connection.post("/v1/add", "application/json", &request(target.cycle, add))?;
        answer.json()?;
        meter.answered(1);
    }
    Ok(())
}

/// The HTTP client's request of this number: the same again is a repeat.
pub(super) fn request(cycle: u64, add: u64) -> String {
    let amount = digits::amount(HTTP);
    let (common, pair) = (digits::counter(cycle, add), pair(HTTP, cycle));
    format!(
        r#"{{"adds":[{{"key":"{common}","amount":{amount},"token":"{cycle}/{add}/a"}},{{"key":"{pair}","token":"{cycle}/{add}/b"}}]}}"#
    )
}

fn events(target: &Target, meter: &Meter, phase: &Phase) -> Result<()> {
    let mut connection = http::Connection::open(&target.http)?;
    while !phase.is_stop() {
        let add = meter.sending(1);
        let event = event(target.cycle, add, EVENTS);
        let answer = connection.post("/v1/events", "application/cloudevents+json", &event)?;
        let answer = answer.json()?;
        let counted = answer.get("counted").and_then(serde_json::Value::as_u64);
        ensure!(counted == Some(1), "a new event was answered {answer}");
        meter.answered(1);
    }
    Ok(())
}

/// The event of this number: its id is its token.
pub(super) fn event(cycle: u64, add: u64, client: usize) -> String {
    let (counter, amount) = (digits::counter(cycle, add), digits::amount(client));
    format!(
        r#"{{"specversion":"1.0","id":"{cycle}-{add}","source":"/torture/{}","type":"torture.add","data":{{"key":"{counter}","amount":{amount}}}}}"#,
        name(client)
    )
}

/// Writes the file of a cycle, a line an add.
pub(super) fn write_file(file: &Path, cycle: u64) -> Result<()> {
    let mut lines = String::new();
    for add in 0..FILE_LINES {
        lines.push_str(&event(cycle, add, INGEST));
        lines.push('\n');
    }
    std::fs::write(file, lines).with_context(|| format!("cannot write {}", file.display()))
}

/// The rules by which events and lines are counted.
pub(super) fn write_rules(file: &Path) -> Result<()> {
    let rules = "[[rule]]\nmatch = { type = \"torture.add\" }\ncount = [\"{data.key}\"]\namount = \"data.amount\"\n";
    std::fs::write(file, rules).with_context(|| format!("cannot write {}", file.display()))
}

/// Counts the file with `tally ingest`. A client that is cut off by the fault ends by its own or is killed.
fn ingest(target: &Target, meter: &Meter, phase: &Phase) -> Result<()> {
    const LIMIT: Duration = Duration::from_mins(2);
    let mut process = ingest_process(target)?;
    let ended = wait::until("tally ingest", LIMIT, || {
        let ended = process.child().try_wait()?;
        Ok(ended.map(Some).or((phase.is_fault()).then_some(None)))
    })?;
    match ended {
        Some(status) if status.success() => {
            meter.answered(FILE_LINES);
            Ok(())
        }
        Some(status) => Err(anyhow!("tally ingest ended: {status}\n{}", process.last_lines())),
        None => process.kill(),
    }
}

fn ingest_process(target: &Target) -> Result<Process> {
    let log = target.file.with_extension("log");
    let stderr = std::fs::File::create(&log)?;
    let mut command = tally::client(&target.binary);
    command
        .arg("ingest")
        .arg(&target.file)
        .arg("--rules")
        .arg(&target.rules)
        .args(["--server", &format!("http://{}", target.http)])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr);
    Process::start("tally ingest", &log, &mut command)
}

/// Counts the file to its end, however far it is.
pub(super) fn ingest_to_the_end(target: &Target) -> Result<()> {
    const LIMIT: Duration = Duration::from_mins(2);
    let mut process = ingest_process(target)?;
    let status = wait::until("tally ingest", LIMIT, || Ok(process.child().try_wait()?))?;
    ensure!(
        status.success(),
        "tally ingest ended: {status}\n{}",
        process.last_lines()
    );
    Ok(())
}
