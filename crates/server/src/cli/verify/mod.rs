//! `tally verify`: a pass over all sums (promise 3), by the server or on the data directory of a stopped one; with `--repair` it mends what
//! is derived. `--reads` asks for every counter's parts as clients read them, too.

mod offline;
mod reads;

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Client, elements, integer, text};
use super::output::{plain, print};
use super::{Failure, Server};

/// How often the server is asked whether its pass has ended.
const ASK_INTERVAL: Duration = Duration::from_millis(200);
/// Drift was found and is still there.
const FOUND: u8 = 3;
/// Drift was found, and all of it mended.
const MENDED: u8 = 4;

const EXIT_CODES: &str = "Exit codes: 0 all sums agree, 1 it could not be told, 2 wrong usage, 3 drift was found and is still \
                          there, 4 drift was found and all of it mended";

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Arguments {
    /// Mends what is derived: windows, what left, names, memory. Values go by their cells
    #[arg(long)]
    repair: bool,
    /// The data directory of a server that is stopped, instead of a running one
    #[arg(long, value_name = "DIR", conflicts_with_all = ["server", "auth_token"])]
    data: Option<PathBuf>,
    /// Also reads each counter as clients do whose name begins so; empty: all. Slow
    #[arg(long, value_name = "PREFIX", num_args = 0..=1, default_missing_value = "", conflicts_with = "data")]
    reads: Option<String>,
    /// Prints the last pass as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// Who makes passes.
trait Passes {
    /// A whole pass, as `GET /v1/verify` shows it.
    fn pass(&self, repair: bool) -> Result<Value, Failure>;
}

impl Passes for Client {
    fn pass(&self, repair: bool) -> Result<Value, Failure> {
        let begun = self.post("/v1/verify", &json!({ "repair": repair }), None)?;
        let number = integer(&begun, "number");
        loop {
            let verified = self.get("/v1/verify", &[])?;
            let last = verified.get("last").filter(|last| !last.is_null());
            if let Some(last) = last.filter(|last| integer(last, "number") >= number) {
                return Ok(last.clone());
            }
            wait();
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a command that polls a server has no engine's clock to wait on"
)]
fn wait() {
    std::thread::sleep(ASK_INTERVAL);
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(data) = &arguments.data {
        let offline = offline::Offline::open(data)?;
        let done = verify(&offline, arguments);
        offline.close(!matches!(done, Err(Failure::Told(FOUND, _) | Failure::Failed(_))))?;
        return done;
    }
    let client = arguments.server.client();
    verify(&client, arguments)?;
    match &arguments.reads {
        Some(prefix) => reads::check(&client, prefix),
        None => Ok(()),
    }
}

fn verify(passes: &dyn Passes, arguments: &Arguments) -> Result<(), Failure> {
    let mut pass = passes.pass(arguments.repair)?;
    let (found, mended) = (integer(&pass, "found"), integer(&pass, "mended"));
    if !arguments.json {
        print(&shown(&pass))?;
    }
    let mut left = found.saturating_sub(mended);
    if arguments.repair && mended > 0 {
        // What was mended is looked at once more.
        pass = passes.pass(false)?;
        left = integer(&pass, "found");
        if !arguments.json {
            print(&format!("after the repair:\n{}", shown(&pass)))?;
        }
    }
    if arguments.json {
        print(&format!("{pass}\n"))?;
    }
    if let Some(error) = pass.get("error").and_then(Value::as_str) {
        return Err(Failure::Failed(format!("the pass ended before its end: {error}")));
    }
    match (found, left) {
        (0, _) => Ok(()),
        (found, 0) => Err(Failure::Told(
            MENDED,
            format!("{found} sums did not agree, and were mended"),
        )),
        (_, left) => Err(Failure::Told(FOUND, format!("{left} sums do not agree"))),
    }
}

fn shown(pass: &Value) -> String {
    let mut all = String::new();
    for drift in elements(pass, "drifts") {
        let (check, subject, detail) = (text(drift, "check"), text(drift, "subject"), text(drift, "detail"));
        writeln!(all, "drift ({check}): {}: {}", plain(&subject), plain(&detail)).ok();
        if let Some(mended) = drift.get("mended").and_then(Value::as_str) {
            writeln!(all, "  mended: {}", plain(mended)).ok();
        }
    }
    let more = integer(pass, "found").saturating_sub(i128::try_from(elements(pass, "drifts").len()).unwrap_or(0));
    if more > 0 {
        writeln!(all, "and {more} more").ok();
    }
    let of = |field| text(pass, field);
    writeln!(
        all,
        "checked {} counters, {} in memory, {} names, {} rows in {} ms",
        of("counters"),
        of("hot"),
        of("names"),
        of("rows"),
        of("took_ms")
    )
    .ok();
    if integer(pass, "found") == 0 && pass.get("error").is_none_or(Value::is_null) {
        all.push_str("all sums agree\n");
    }
    all
}
