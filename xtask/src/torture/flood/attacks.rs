//! What clients that mean ill do. Each attack is bounded in time, however busy the machine is.

use std::borrow::Cow;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::distinct::took;
use super::{EFFORT, Flood, KEYS_A_REQUEST};
use crate::resp::Client;

const IDLE: usize = 10_000;
const DEAF: usize = 1_000;
const SLOW: usize = 200;
/// So many threads open connections and send, so that the slow answer to one holds up few others.
const HANDS: usize = 32;
/// What the server does not take within this time, it does not take.
const NOT_TAKEN: Duration = Duration::from_millis(30);

impl<'a> Flood<'a> {
    fn connect(&self, http: bool) -> Result<TcpStream> {
        let address = if http { &self.tally.http } else { &self.tally.resp };
        let stream = TcpStream::connect(address).context("a connection of an attack")?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(Duration::from_millis(50)))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(stream)
    }

    /// So many connections, each sent what `what` says for its number, all held open and watched; those that there was no
    /// time for are an error.
    fn crowd(&self, connections: usize, what: impl Fn(usize) -> (bool, Cow<'a, [u8]>) + Sync) -> Result<()> {
        let until = Instant::now() + self.watch * EFFORT;
        let next = AtomicUsize::new(0);
        let hand = || -> Result<Vec<TcpStream>> {
            let mut held = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= connections || Instant::now() > until {
                    return Ok(held);
                }
                let (http, bytes) = what(number);
                let mut stream = self.connect(http)?;
                // What the server does not take is the point.
                send_some(&mut stream, &bytes)?;
                held.push(stream);
            }
        };
        let held = std::thread::scope(|scope| {
            let hands: Vec<_> = (0..HANDS).map(|_| scope.spawn(hand)).collect();
            let joined = hands.into_iter().map(|hand| {
                hand.join()
                    .unwrap_or_else(|_| Err(anyhow!("an attacker panicked: a bug of xtask")))
            });
            joined.collect::<Result<Vec<_>>>()
        })?;
        let opened: usize = held.iter().map(Vec::len).sum();
        println!("  {opened} of {connections} connections attack");
        ensure!(
            opened * 2 >= connections,
            "only {opened} of {connections} connections could be opened in {:.0} s",
            (self.watch * EFFORT).as_secs_f64()
        );
        std::thread::sleep(self.watch);
        Ok(())
    }

    pub(super) fn idle(&self) -> Result<()> {
        self.crowd(IDLE, |number| (number % 2 == 1, Cow::Borrowed(&[])))
    }

    /// Each asks for far more than it ever reads.
    pub(super) fn deaf(&self) -> Result<()> {
        let echo = format!("*2\r\n$4\r\nECHO\r\n$60000\r\n{}\r\n", "x".repeat(60_000)).repeat(8);
        let docs = "*2\r\n$7\r\nCOMMAND\r\n$4\r\nDOCS\r\n".repeat(8_000);
        self.crowd(DEAF, |number| {
            let what = if number % 2 == 0 { &echo } else { &docs };
            (false, Cow::Owned(what.clone().into_bytes()))
        })
    }

    /// A byte of a header now and then; the server gives up on each within its request_timeout.
    pub(super) fn slow_headers(&self) -> Result<()> {
        let mut slow: Vec<TcpStream> = (0..SLOW).map(|_| self.connect(true)).collect::<Result<_>>()?;
        let began = Instant::now();
        let mut byte = 0;
        while !slow.is_empty() {
            ensure!(
                began.elapsed() < Duration::from_secs(20),
                "{} connections with endless headers are still open",
                slow.len()
            );
            let line = b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ";
            let next = [line.get(byte).copied().unwrap_or(b'a')];
            byte += 1;
            slow.retain_mut(|stream| stream.write_all(&next).is_ok());
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Lines that never end are refused soon.
    pub(super) fn endless_lines(&self) -> Result<()> {
        for http in [false, true] {
            let mut stream = self.connect(http)?;
            let begin: &[u8] = if http { b"GET / HTTP/1.1\r\nx-long: " } else { b"SET a " };
            stream.write_all(begin)?;
            let mut sent: usize = 0;
            while stream.write_all(&[b'a'; 4096]).is_ok() {
                sent += 4096;
                ensure!(sent < 64 << 20, "{} MiB of one line were taken", sent >> 20);
            }
        }
        Ok(())
    }

    /// What declares more than is allowed is refused before it is sent.
    pub(super) fn huge_lengths(&self) -> Result<()> {
        let huge: [(bool, &str); 6] = [
            (false, "*1000000000\r\n"),
            (false, "*2\r\n$3\r\nGET\r\n$999999999\r\n"),
            (false, "*2\r\n$3\r\nGET\r\n$9999999999999999999999\r\n"),
            (false, "*-5\r\n$-9\r\n*99999999999999999999999\r\n"),
            (
                true,
                "POST /v1/add HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000000000000\r\n\r\n",
            ),
            (
                true,
                "POST /v1/add HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999999\r\n\r\n",
            ),
        ];
        for (http, declared) in huge {
            let mut stream = self.connect(http)?;
            stream.write_all(declared.as_bytes())?;
            let mut answer = [0; 256];
            let read = stream
                .read(&mut answer)
                .with_context(|| format!("{declared:?} was not refused"))?;
            let answer = String::from_utf8_lossy(answer.get(..read).unwrap_or_default()).into_owned();
            let refused = read == 0 || answer.starts_with("-ERR") || answer.starts_with("HTTP/1.1 4");
            ensure!(refused, "{declared:?} was answered {answer:?}");
        }
        Ok(())
    }

    /// Requests that are allowed, large, and never whole.
    pub(super) fn half_requests(&self) -> Result<()> {
        let bulk = "x".repeat(700_000);
        self.crowd(DEAF, |number| {
            let http = number % 2 == 1;
            let half = if http {
                format!(
                    "POST /v1/add HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9000000\r\n\r\n{bulk}"
                )
            } else {
                format!("*3\r\n$3\r\nSET\r\n$1000000\r\n{bulk}")
            };
            (http, Cow::Owned(half.into_bytes()))
        })
    }

    /// Many keys that share a hash tag, and so a slot.
    pub(super) fn one_slot(&self) -> Result<()> {
        let mut client = Client::connect(&self.tally.resp)?;
        let until = Instant::now() + self.watch * (1 + EFFORT);
        let mut requests = 0;
        while requests < 100 && Instant::now() < until {
            let mut command = vec!["TALLY.MADD".to_owned()];
            for key in 0..KEYS_A_REQUEST {
                command.extend([format!("flood:{{tag}}:{requests}:{key}"), "1".to_owned()]);
            }
            requests += u64::from(took(&mut client, &command)?);
        }
        ensure!(requests > 0, "no request for keys of one slot was taken");
        Ok(())
    }
}

/// Sends as much as the server takes in a short time.
fn send_some(stream: &mut TcpStream, mut bytes: &[u8]) -> Result<()> {
    let until = Instant::now() + NOT_TAKEN;
    stream.set_nonblocking(true)?;
    while !bytes.is_empty() && Instant::now() < until {
        match stream.write(bytes) {
            Ok(0) => break,
            Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(2)),
            // The server gave up on it.
            Err(_) => break,
        }
    }
    Ok(())
}
