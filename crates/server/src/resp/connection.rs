//! One connection: bytes in, commands, replies out. One task, one read buffer, one write buffer, all reused.
//!
//! Guards: replies come in the order of the commands; a reply to a write leaves only after its acknowledgement; while a client does
//! not read its replies, nothing more is read from it.

use std::io;
use std::pin::pin;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::executor::{Executor, Next};
use super::parser::{Bounds, Parsed, Parser};
use super::session::Session;

/// What the read buffer has at first, and what it keeps after a long command.
const FIRST_INPUT_BYTES: usize = 4 * 1_024;
const MOST_INPUT_BYTES: usize = 64 * 1_024;
/// What the parser keeps after a long command, in arguments.
const MOST_SPANS: usize = 16 * 1_024;

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    input: Vec<u8>,
    parser: Parser,
    executor: Executor,
}

impl Connection {
    /// Over a socket that was just accepted.
    pub(super) fn new(stream: TcpStream, session: Session, bounds: Bounds) -> Self {
        let input = Vec::with_capacity(FIRST_INPUT_BYTES);
        Self {
            input,
            parser: Parser::new(bounds),
            executor: Executor::new(stream, session),
        }
    }

    /// Serves it until either side ends it. When the server drains, what has been read is answered first.
    pub(super) async fn serve(mut self) -> io::Result<()> {
        let mut draining = self.executor.draining();
        let mut stopped = pin!(async move { draining.wait_for(|draining| *draining).await.is_ok() });
        loop {
            let parsed = self.parser.parse(&mut self.input, self.executor.is_authenticated());
            let mut next = self.executor.run(&self.parser, &self.input).await?;
            if let (Err(error), Next::Read) = (&parsed, next) {
                self.executor.protocol_error(error);
                next = Next::Close;
            }
            self.executor.flush().await?;
            if next == Next::Close {
                return self.executor.stream.shutdown().await;
            }
            if parsed == Ok(Parsed::Batch) {
                self.parser.forget();
                continue;
            }
            self.parser.release(&mut self.input);
            self.make_room();
            let holds_much = self.input.capacity().max(self.executor.queued_bytes()) > MOST_INPUT_BYTES;
            if !self.executor.input_holds(self.input.capacity()) && holds_much {
                self.executor.too_much_held();
                self.executor.flush().await?;
                return self.executor.stream.shutdown().await;
            }
            tokio::select! {
                biased;
                read = self.executor.stream.read_buf(&mut self.input) => {
                    if read? == 0 {
                        return Ok(());
                    }
                }
                _ = &mut stopped => return Ok(()),
            }
        }
    }

    /// Room for the next read: twice as much where the last one filled the buffer, little again after a long command.
    fn make_room(&mut self) {
        let (length, capacity) = (self.input.len(), self.input.capacity());
        if length == 0 && capacity > MOST_INPUT_BYTES {
            self.input.shrink_to(MOST_INPUT_BYTES);
            self.parser.shrink(MOST_SPANS);
        } else if capacity.saturating_sub(length) < capacity / 2 {
            self.input.reserve(capacity);
        }
    }
}
