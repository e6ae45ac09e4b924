//! `cargo xtask run`: from a fresh checkout to a running Tally that has counted the sample.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::place::Place;
use crate::tally::{Setup, Tally};
use crate::{artifacts, machine};

const HTTP_PORT: u16 = 7380;
const RESP_PORT: u16 = 6380;

#[derive(Debug, Default)]
struct Options {
    debug: bool,
    port: Option<u16>,
    data: Option<PathBuf>,
}

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let options = parse(arguments)?;
    let place = Place::find()?;
    let (interrupt, interrupted) = channel();
    ctrlc::set_handler(move || {
        // Nobody listens any more when we are stopping already.
        interrupt.send(()).ok();
    })?;

    build_ui(&place);
    let binary = artifacts::server(&place, if options.debug { "debug" } else { "release" })?;
    if interrupted.try_recv().is_ok() {
        bail!("interrupted");
    }
    let fresh = place.fresh("run")?;
    let data = options.data.clone().unwrap_or_else(|| fresh.path().join("data"));
    let rules = place.path("examples/web-requests.rules.toml");
    let setup = Setup {
        // So that an event sent by hand counts by the sample's rules, too.
        settings: vec![format!("--rules={}", rules.display())],
        http: address("HTTP", options.port, HTTP_PORT)?,
        resp: address("RESP", None, RESP_PORT)?,
        ..Setup::new(&binary, &data)
    };
    let mut tally = Tally::start(&setup)?;
    tally.ingest(&place.path("examples/web-requests.ndjson"), &rules)?;
    println!("{}", welcome(&tally, &setup, options.data.is_some()));
    stay(&mut tally, &interrupted)?;
    println!("\nstopping");
    tally.stop()
}

/// Says why and goes on where there is no UI to be had: the server works without, and serves a page that says how.
fn build_ui(place: &Place) {
    let lacking = machine::obtain(&machine::NODE);
    if !lacking.is_empty() {
        println!("going on without the web UI, for want of {}", lacking.join(" and "));
    } else if let Err(error) = artifacts::ui(place) {
        println!("going on without a fresh web UI: {error:#}");
    }
}

/// Until we are interrupted, or the server ends, which is an error.
fn stay(tally: &mut Tally, interrupted: &std::sync::mpsc::Receiver<()>) -> Result<()> {
    while interrupted.recv_timeout(Duration::from_millis(500)).is_err() {
        tally.still_runs()?;
    }
    Ok(())
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options::default();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--debug" => options.debug = true,
            "--port" => options.port = Some(words.next().context("--port wants a port")?.parse()?),
            "--data" => options.data = Some(std::path::absolute(words.next().context("--data wants a folder")?)?),
            other => bail!("run knows no {other}; `cargo xtask help` says what it knows"),
        }
    }
    Ok(options)
}

/// The address to serve on: the port asked for, or the usual one, or, where that is taken, any.
fn address(face: &str, asked: Option<u16>, usual: u16) -> Result<String> {
    let port = asked.unwrap_or(usual);
    let free = TcpListener::bind(("127.0.0.1", port)).map(drop);
    match (free, asked) {
        (Ok(()), _) => Ok(format!("127.0.0.1:{port}")),
        (Err(error), Some(_)) => Err(error).with_context(|| format!("cannot serve {face} on port {port}")),
        (Err(_), None) => {
            println!("port {usual} is taken: {face} gets another");
            Ok("127.0.0.1:0".to_owned())
        }
    }
}

fn welcome(tally: &Tally, setup: &Setup, kept: bool) -> String {
    let (url, resp) = (tally.url(), Tally::port_of(&tally.resp));
    let data = setup.data.display();
    let until = if kept { "kept" } else { "removed at the end" };
    format!(
        "
Tally is up, and has counted 9,999 web requests.

  web UI     {url}/
  metrics    {url}/metrics
  RESP       {}
  data       {data} ({until})
  log        {}

  redis-cli -p {resp} incr page:/hello
  curl '{url}/v1/counter?key=requests:all'
  {} list status: --server {url}

Ctrl-C stops it.",
        tally.resp,
        setup.log.display(),
        setup.binary.display(),
    )
}
