//! Real clients with their defaults, against Tally and Redis side by side: the same calls must get the same answers.
//!
//! The scripts in `xtask/clients` make the calls and compare; what a counter cannot mean is listed in each as an
//! expected difference: there Tally must answer with an error.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::command::{output, program, run, which};
use crate::machine;
use crate::place::Place;
use crate::redis::Redis;
use crate::resp::{Client, Reply};
use crate::steps::Steps;
use crate::tally::{Setup, Tally};

/// The package of redis-py, of the current major version.
const REDIS_PY: &str = "redis>=8,<9";

/// One step a client.
pub(crate) fn steps(steps: &mut Steps, place: &Place, binary: &Path) {
    let mut client = |name: &str, action: fn(&Place, &Pair) -> Result<()>| {
        steps.step(&format!("client {name}"), || {
            let pair = Pair::start(place, binary)?;
            action(place, &pair)?;
            pair.stop()
        });
    };
    client("redis-py", redis_py);
    client("ioredis", ioredis);
    client("go-redis", go_redis);
    client("redis-cli", redis_cli);
    client("redis-benchmark", redis_benchmark);
}

/// A Tally and a Redis, both empty.
#[derive(Debug)]
struct Pair {
    tally: Tally,
    redis: Redis,
    /// Outlives both; removed when dropped.
    _folder: TempDir,
}

impl Pair {
    fn start(place: &Place, binary: &Path) -> Result<Self> {
        let folder = place.fresh("clients")?;
        let redis = Redis::start(folder.path(), &[])?;
        let tally = Tally::start(&Setup::new(binary, &folder.path().join("tally")))?;
        Ok(Self {
            tally,
            redis,
            _folder: folder,
        })
    }

    /// The two ports, as the scripts take them.
    fn ports(&self) -> [&str; 2] {
        [Tally::port_of(&self.tally.resp), Tally::port_of(&self.redis.address)]
    }

    fn stop(self) -> Result<()> {
        self.redis.stop()?;
        self.tally.stop()
    }
}

fn scripts(place: &Place) -> PathBuf {
    place.path("xtask/clients")
}

fn redis_py(place: &Place, pair: &Pair) -> Result<()> {
    let python = python(place)?;
    run(Command::new(python)
        .arg(scripts(place).join("redis_py.py"))
        .args(pair.ports())
        .stdin(Stdio::null()))
}

/// A Python with redis-py in it, in an environment of our own.
fn python(place: &Place) -> Result<PathBuf> {
    let folder = place.kept("python")?;
    let python = folder.join("bin/python");
    let has_redis = || output(program(&python, &folder, &["-c", "import redis"]).stderr(Stdio::null())).is_ok();
    if has_redis() {
        return Ok(python);
    }
    let environment = |python: &str| run(&mut program(python, &folder, &["-m", "venv", "--clear", "."]));
    if environment("python3").is_err() {
        machine::install(&["python3", "python3-venv"])?;
        environment("/usr/bin/python3")?;
    }
    run(&mut program(
        &python,
        &folder,
        &[
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            REDIS_PY,
        ],
    ))?;
    ensure!(has_redis(), "redis-py was installed and cannot be imported");
    Ok(python)
}

fn ioredis(place: &Place, pair: &Pair) -> Result<()> {
    let folder = place.kept("node")?;
    let package = ioredis_for(&output(&mut program("node", &folder, &["--version"]))?);
    let installed = folder.join("node_modules/ioredis/package.json");
    if !installed.is_file() {
        std::fs::write(folder.join("package.json"), "{\"private\": true}\n")?;
        run(&mut program(
            "npm",
            &folder,
            &["install", "--no-audit", "--no-fund", package],
        ))?;
    }
    let mut node = program("node", &folder, &[]);
    run(node
        .arg(scripts(place).join("ioredis.cjs"))
        .args(pair.ports())
        .env("NODE_PATH", folder.join("node_modules")))
}

/// The newest that runs on this Node.js: its version 6 wants 20.
fn ioredis_for(node: &str) -> &'static str {
    let major = node
        .trim()
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major >= 20) {
        "ioredis@6"
    } else {
        "ioredis@5"
    }
}

fn go_redis(place: &Place, pair: &Pair) -> Result<()> {
    ensure!(which("go").is_some(), "lacking: go");
    let mut go = program("go", &scripts(place).join("go"), &["run", "."]);
    run(go.args(pair.ports()).env("GOFLAGS", "-mod=readonly"))
}

/// The same commands through redis-cli's standard input, in both protocols: the same output to the byte.
fn redis_cli(place: &Place, pair: &Pair) -> Result<()> {
    let same = std::fs::read_to_string(scripts(place).join("redis-cli.txt"))?;
    let refused = std::fs::read_to_string(scripts(place).join("redis-cli-refused.txt"))?;
    for protocol in ["-2", "-3"] {
        let [tally, redis] = pair.ports().map(|port| cli(port, protocol, &same));
        let (tally, redis) = (tally?, redis?);
        differences(&tally, &redis)?;
        println!(
            "redis-cli {protocol}: {} lines of answers are the same",
            redis.lines().count()
        );
        all_refused(pair, protocol, &refused)?;
        for client in [&pair.tally.resp, &pair.redis.address] {
            Client::connect(client)?.call(&["DEL", "a", "b", "c", "d", "e"])?;
        }
    }
    Ok(())
}

fn cli(port: &str, protocol: &str, commands: &str) -> Result<String> {
    use std::io::Write;
    let mut command = Command::new("redis-cli");
    command
        .args(["-p", port, protocol])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start redis-cli")?;
    let mut stdin = child.stdin.take().context("its stdin is a pipe")?;
    stdin.write_all(commands.as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "redis-cli failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn differences(tally: &str, redis: &str) -> Result<()> {
    let (tally, redis): (Vec<&str>, Vec<&str>) = (tally.lines().collect(), redis.lines().collect());
    let differing = tally
        .iter()
        .zip(&redis)
        .enumerate()
        .filter(|(_, (tally, redis))| tally != redis);
    let shown: Vec<String> = differing
        .take(10)
        .map(|(index, (tally, redis))| format!("line {}: Tally answers {tally:?}, Redis {redis:?}", index + 1))
        .collect();
    ensure!(shown.is_empty(), "{}", shown.join("\n"));
    ensure!(
        tally.len() == redis.len(),
        "Tally answers {} lines, Redis {}",
        tally.len(),
        redis.len()
    );
    Ok(())
}

/// Each of these lines gets an error from Tally, and the connection goes on.
fn all_refused(pair: &Pair, protocol: &str, commands: &str) -> Result<()> {
    let [port, _] = pair.ports();
    for line in commands.lines().filter(|line| !line.is_empty()) {
        let answers = cli(port, protocol, &format!("{line}\nPING\n"))?;
        let answers: Vec<&str> = answers.lines().filter(|line| !line.is_empty()).collect();
        match answers.as_slice() {
            [error, "PONG"] if error.starts_with("ERR ") || error.starts_with("WRONGTYPE ") => {}
            other => bail!("`{line}` must be refused; Tally answers {other:?}"),
        }
    }
    Ok(())
}

/// Its defaults, and every answer counted: what it made is what it says it made.
fn redis_benchmark(_: &Place, pair: &Pair) -> Result<()> {
    const REQUESTS: &str = "20000";
    let [tally, _] = pair.ports();
    for pipeline in ["1", "16"] {
        let arguments = ["-p", tally, "-t", "incr,get", "-q", "-n", REQUESTS, "-P", pipeline];
        let printed = output(&mut program("redis-benchmark", Path::new("."), &arguments))?;
        let lines: Vec<&str> = printed.lines().filter_map(|line| line.rsplit('\r').next()).collect();
        println!("{}", lines.join("\n"));
        ensure!(
            !printed.to_lowercase().contains("error"),
            "redis-benchmark met errors: {printed}"
        );
        for test in ["INCR:", "GET:"] {
            ensure!(
                lines.iter().any(|line| line.starts_with(test)),
                "redis-benchmark printed no {test}"
            );
        }
    }
    let made = Client::connect(&pair.tally.resp)?.call(&["GET", "counter:__rand_int__"])?;
    ensure!(made == Reply::Bulk(Some(b"40000".to_vec())), "40000 INCR made {made:?}");
    Ok(())
}
