//! A load of so many adds a second, as even as sleeping allows, and the latency of single adds beside it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use crate::random::Random;
use crate::resp::Client;

/// How long the load sleeps between looking what is due.
const TICK: Duration = Duration::from_micros(200);
const KEYS: u64 = 100_000;
/// Between two single adds.
const PAUSE: Duration = Duration::from_micros(500);

/// What goes on beside what is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) adds_a_second: f64,
    pub(super) connections: usize,
    /// Adds that are sent together.
    pub(super) pipeline: usize,
}

/// Microseconds of so many single INCRs on one connection, a short pause between two, and how many adds a second there were besides.
pub(super) fn beside(address: &str, pace: Pace, samples: u32, seed: u64) -> Result<(Vec<f64>, f64)> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| until_stopped(address, pace, &stop));
        // The load begins with connecting.
        std::thread::sleep(Duration::from_millis(200));
        let measured = singles(address, samples, seed);
        stop.store(true, Ordering::Relaxed);
        let reached = load.join().map_err(|_| anyhow!("the load ended by a bug"))??;
        Ok((measured?, reached))
    })
}

fn singles(address: &str, samples: u32, seed: u64) -> Result<Vec<f64>> {
    let mut client = Client::connect(address)?;
    let mut random = Random::seeded(seed);
    let mut micros = Vec::new();
    for _ in 0..samples {
        std::thread::sleep(PAUSE);
        let key = format!("key:{:012}", random.below(KEYS));
        let began = Instant::now();
        client.call(&["INCR", &key])?;
        micros.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(micros)
}

/// Adds a second, once it has been told to stop.
fn until_stopped(address: &str, pace: Pace, stop: &AtomicBool) -> Result<f64> {
    let mut lines = (0..pace.connections)
        .map(|_| Line::open(address))
        .collect::<Result<Vec<_>>>()?;
    let mut random = Random::seeded(1);
    let began = Instant::now();
    let (mut sent, mut place) = (0.0, 0);
    while !stop.load(Ordering::Relaxed) {
        for line in &mut lines {
            line.take_answers()?;
        }
        let due = began.elapsed().as_secs_f64() * pace.adds_a_second;
        // A connection that still waits is passed by; when all of them wait, what is due is late.
        for _ in 0..lines.len() {
            let many = lines.len();
            let Some(line) = lines.get_mut(place % many).filter(|_| sent < due) else {
                break;
            };
            if line.waits == 0 {
                line.send(pace.pipeline, &mut random)?;
                sent += pace.pipeline as f64;
            }
            place += 1;
        }
        std::thread::sleep(TICK);
    }
    Ok(sent / began.elapsed().as_secs_f64())
}

/// A connection that is never waited for.
struct Line {
    stream: TcpStream,
    /// How many answers are still to come.
    waits: usize,
    bytes: Vec<u8>,
}

impl Line {
    fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            waits: 0,
            bytes: Vec::new(),
        })
    }

    fn send(&mut self, many: usize, random: &mut Random) -> Result<()> {
        self.bytes.clear();
        for _ in 0..many {
            let key = random.below(KEYS);
            write!(self.bytes, "*2\r\n$4\r\nINCR\r\n$16\r\nkey:{key:012}\r\n")?;
        }
        // So little always fits where all that went before was answered.
        self.stream.write_all(&self.bytes)?;
        self.waits = many;
        Ok(())
    }

    fn take_answers(&mut self) -> Result<()> {
        let mut bytes = [0; 4_096];
        while self.waits > 0 {
            let read = match self.stream.read(&mut bytes) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let answers = bytes.iter().take(read);
            self.waits -= answers.filter(|byte| **byte == b'\n').count().min(self.waits);
            if bytes.first() == Some(&b'-') {
                bail!("the server refused: {}", String::from_utf8_lossy(&bytes).trim_end());
            }
        }
        Ok(())
    }
}
