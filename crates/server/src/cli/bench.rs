//! `tally bench`: load from this client over its own connections; prints operations a second and how long they took.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::ValueEnum;

use super::output::print;
use super::{Failure, Server};
use crate::world;

const TIMEOUT: Duration = Duration::from_mins(1);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// By which front end
    #[arg(long, default_value = "resp")]
    face: Face,
    /// Where RESP is served
    #[arg(long, env = "TALLY_RESP", default_value = "127.0.0.1:6380", value_name = "ADDR")]
    resp: String,
    /// Connections
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: u32,
    /// Random keys
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// INCRs sent at once, or adds of one request
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pipeline: u32,
    /// INCRs altogether
    #[arg(long, default_value_t = 100_000)]
    requests: u64,
    /// What the keys begin with
    #[arg(long, default_value = "bench:")]
    prefix: String,
    #[command(flatten)]
    server: Server,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Face {
    Resp,
    Http,
}

/// Each client takes batches until none is left, and notes how long each took.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let pipeline = u64::from(arguments.pipeline);
    let batches = AtomicU64::new(arguments.requests.div_ceil(pipeline));
    let barrier = Barrier::new(usize::try_from(arguments.clients).unwrap_or(1).saturating_add(1));
    let (took_us, latencies_us) = std::thread::scope(|scope| {
        let client = |number: u32| {
            let (batches, barrier) = (&batches, &barrier);
            scope.spawn(move || {
                let connection = Connection::open(arguments, number);
                barrier.wait();
                connection.and_then(|mut connection| connection.load(batches))
            })
        };
        let clients: Vec<_> = (0..arguments.clients).map(client).collect();
        barrier.wait();
        let begun_us = world::monotonic_us();
        let mut latencies = Vec::new();
        for client in clients {
            let done = client.join().map_err(|_| "a client ended by a bug".to_owned())?;
            latencies.extend(done.map_err(|error| format!("the server broke off: {error}"))?);
        }
        Ok::<_, String>((world::monotonic_us().saturating_sub(begun_us).max(1), latencies))
    })
    .map_err(Failure::Failed)?;
    let done = (latencies_us.len() as u64).saturating_mul(pipeline);
    let rate = u128::from(done).saturating_mul(1_000_000) / u128::from(took_us);
    let (p50, p99) = (percentile(&latencies_us, 50), percentile(&latencies_us, 99));
    print(&format!(
        "{rate} INCR/s  {done} over {} connections, {pipeline} at once, {} keys; a batch took P50 {p50} µs, P99 {p99} µs\n",
        arguments.clients, arguments.keys
    ))
}

fn percentile(latencies_us: &[u64], percent: usize) -> u64 {
    let mut sorted = latencies_us.to_vec();
    sorted.sort_unstable();
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0)
}

struct Connection<'a> {
    arguments: &'a Arguments,
    stream: BufReader<TcpStream>,
    host: String,
    random: u64,
    request: Vec<u8>,
    body: Vec<u8>,
}

impl<'a> Connection<'a> {
    fn open(arguments: &'a Arguments, number: u32) -> std::io::Result<Self> {
        let url = arguments.server.server.as_str();
        let host = url
            .split_once("://")
            .map_or(url, |(_, rest)| rest)
            .trim_end_matches('/')
            .to_owned();
        let address = match arguments.face {
            Face::Resp => &arguments.resp,
            Face::Http => &host,
        };
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let random = u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let stream = BufReader::with_capacity(64 << 10, stream);
        let mut connection = Self {
            arguments,
            stream,
            host,
            random,
            request: Vec::new(),
            body: Vec::new(),
        };
        if let (Face::Resp, Some(token)) = (arguments.face, &arguments.server.auth_token) {
            let auth = format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{token}\r\n", token.len());
            connection.stream.get_mut().write_all(auth.as_bytes())?;
            connection.replies(1)?;
        }
        Ok(connection)
    }

    fn load(&mut self, batches: &AtomicU64) -> std::io::Result<Vec<u64>> {
        let mut latencies = Vec::new();
        while batches
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_ok()
        {
            match self.arguments.face {
                Face::Resp => self.resp_request()?,
                Face::Http => self.http_request()?,
            }
            let begun_us = world::monotonic_us();
            self.stream.get_mut().write_all(&self.request)?;
            match self.arguments.face {
                Face::Resp => self.replies(self.arguments.pipeline)?,
                Face::Http => self.answer()?,
            }
            latencies.push(world::monotonic_us().saturating_sub(begun_us));
        }
        Ok(latencies)
    }

    /// Marsaglia's xorshift64: the same keys in every run.
    fn key(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % self.arguments.keys
    }

    fn resp_request(&mut self) -> std::io::Result<()> {
        self.request.clear();
        for _ in 0..self.arguments.pipeline {
            let key = format!("{}{:012}", self.arguments.prefix, self.key());
            write!(self.request, "*2\r\n$4\r\nINCR\r\n${}\r\n{key}\r\n", key.len())?;
        }
        Ok(())
    }

    fn http_request(&mut self) -> std::io::Result<()> {
        self.body.clear();
        self.body.extend_from_slice(b"{\"adds\":[");
        for place in 0..self.arguments.pipeline {
            let key = format!("{}{:012}", self.arguments.prefix, self.key());
            let comma = if place == 0 { "" } else { "," };
            write!(self.body, "{comma}{{\"key\":{}}}", serde_json::Value::from(key))?;
        }
        self.body.extend_from_slice(b"],\"return\":\"values\"}");
        self.request.clear();
        let auth = self.arguments.server.auth_token.as_ref();
        let auth = auth.map_or(String::new(), |token| format!("authorization: Bearer {token}\r\n"));
        write!(
            self.request,
            "POST /v1/add HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n{auth}content-length: {}\r\n\r\n",
            self.host,
            self.body.len()
        )?;
        self.request.extend_from_slice(&self.body);
        Ok(())
    }

    /// Replies of one line each.
    fn replies(&mut self, count: u32) -> std::io::Result<()> {
        for _ in 0..count {
            let line = self.line()?;
            if line.starts_with('-') {
                return Err(std::io::Error::other(line.trim_end().to_owned()));
            }
        }
        Ok(())
    }

    fn answer(&mut self) -> std::io::Result<()> {
        let status = self.line()?;
        let mut bytes = 0;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if let Some(length) = line.strip_prefix("content-length:") {
                bytes = length.trim().parse().map_err(std::io::Error::other)?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; bytes];
        self.stream.read_exact(&mut body)?;
        if status.contains(" 200 ") {
            return Ok(());
        }
        Err(std::io::Error::other(format!(
            "{} {}",
            status.trim_end(),
            String::from_utf8_lossy(&body)
        )))
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line),
        }
    }
}
