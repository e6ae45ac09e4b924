//! A small RESP2 client: commands as arrays of bulk strings, answers in order, pipelines as long as the caller likes.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A server that does not answer for this long has failed.
const PATIENCE: Duration = Duration::from_mins(2);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Text(String),
    Error(String),
    Integer(i64),
    Bulk(Option<Vec<u8>>),
    Array(Vec<Reply>),
}

/// One connection. `send` only buffers, so that the caller decides where a pipeline ends.
#[derive(Debug)]
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
    writer: BufWriter<TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: &str) -> Result<Self> {
        Self::connect_for(address, PATIENCE)
    }

    /// Of a server that has failed when it does not answer for so long.
    pub(crate) fn connect_for(address: &str, patience: Duration) -> Result<Self> {
        const BUFFER: usize = 256 * 1024;
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        let writer = BufWriter::with_capacity(BUFFER, stream.try_clone()?);
        Ok(Self {
            reader: BufReader::with_capacity(BUFFER, stream),
            writer,
        })
    }

    /// One command and its answer; an error answer is an error.
    pub(crate) fn call(&mut self, command: &[&str]) -> Result<Reply> {
        self.send(command)?;
        self.flush()?;
        self.expect()
    }

    /// Puts a command into the buffer.
    pub(crate) fn send(&mut self, command: &[&str]) -> Result<()> {
        write!(self.writer, "*{}\r\n", command.len())?;
        for word in command {
            write!(self.writer, "${}\r\n{word}\r\n", word.len())?;
        }
        Ok(())
    }

    /// Sends what is in the buffer.
    pub(crate) fn flush(&mut self) -> Result<()> {
        Ok(self.writer.flush()?)
    }

    /// Sends bytes that were made before and waits for so many answers of one line each; an error answer is an error.
    pub(crate) fn exchange(&mut self, bytes: &[u8], answers: usize) -> Result<()> {
        self.writer.write_all(bytes)?;
        self.writer.flush()?;
        let mut line = Vec::new();
        for _ in 0..answers {
            line.clear();
            if self.reader.read_until(b'\n', &mut line)? == 0 {
                bail!("the server closed the connection");
            }
            if line.first() == Some(&b'-') {
                bail!("the server answered: {}", String::from_utf8_lossy(&line).trim_end());
            }
        }
        Ok(())
    }

    /// The next answer; an error answer is an error.
    pub(crate) fn expect(&mut self) -> Result<Reply> {
        match self.reply()? {
            Reply::Error(message) => bail!("the server answered: {message}"),
            reply => Ok(reply),
        }
    }

    /// The next answer.
    pub(crate) fn reply(&mut self) -> Result<Reply> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            bail!("the server closed the connection");
        }
        let line = line.trim_end();
        let (kind, rest) = line.split_at_checked(1).context("an empty answer")?;
        Ok(match kind {
            "+" => Reply::Text(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Integer(rest.parse()?),
            "$" => Reply::Bulk(self.bulk(rest.parse()?)?),
            "*" => Reply::Array((0..rest.parse::<i64>()?).map(|_| self.reply()).collect::<Result<_>>()?),
            _ => bail!("no RESP2: {line}"),
        })
    }

    fn bulk(&mut self, length: i64) -> Result<Option<Vec<u8>>> {
        let Ok(length) = usize::try_from(length) else {
            return Ok(None);
        };
        let mut bytes = vec![0; length + 2];
        self.reader.read_exact(&mut bytes)?;
        bytes.truncate(length);
        Ok(Some(bytes))
    }
}
