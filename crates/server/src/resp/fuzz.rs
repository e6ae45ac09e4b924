//! The parser on any stream, in one piece and in two.

use super::parser::{Bounds, Parsed, Parser, ProtocolError};

const BOUNDS: Bounds = Bounds {
    max_bulk_bytes: 1_024,
    max_arguments: 64,
    max_request_bytes: 4_096,
    max_batch: 1_000,
    max_batch_bytes: 1 << 20,
};

type Commands = (Vec<Vec<Vec<u8>>>, Result<(), ProtocolError>);

/// Feeds the stream in pieces, as a connection does.
fn commands(pieces: &[&[u8]], authenticated: bool) -> Commands {
    let mut parser = Parser::new(BOUNDS);
    let (mut buffer, mut commands) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let parsed = parser.parse(&mut buffer, authenticated);
            for number in 0..parser.len() {
                commands.push(parser.command(&buffer, number).iter().map(<[u8]>::to_vec).collect());
            }
            match parsed {
                Ok(Parsed::Batch) => parser.forget(),
                Ok(Parsed::All) => {
                    parser.release(&mut buffer);
                    break;
                }
                Err(error) => return (commands, Err(error)),
            }
        }
    }
    (commands, Ok(()))
}

/// What is parsed of a stream does not depend on where it comes apart; and what was parsed, sent as arrays, is parsed the same.
pub(crate) fn fuzz(stream: &[u8], cut: usize) {
    let (one, other) = stream.split_at(cut.min(stream.len()));
    for authenticated in [false, true] {
        let whole = commands(&[stream], authenticated);
        assert_eq!(
            commands(&[one, other], authenticated),
            whole,
            "authenticated: {authenticated}"
        );
        let bytes: usize = whole.0.iter().flatten().map(Vec::len).sum();
        assert!(bytes <= stream.len());
    }
    let (parsed, _) = commands(&[stream], true);
    let mut again = Vec::new();
    for command in &parsed {
        again.extend(format!("*{}\r\n", command.len()).into_bytes());
        for argument in command {
            again.extend(format!("${}\r\n", argument.len()).into_bytes());
            again.extend_from_slice(argument);
            again.extend_from_slice(b"\r\n");
        }
    }
    let fits = parsed.iter().all(|command| {
        command.len() <= BOUNDS.max_arguments && command.iter().all(|argument| argument.len() <= BOUNDS.max_bulk_bytes)
    });
    if fits {
        assert_eq!(commands(&[&again], true), (parsed, Ok(())));
    }
}
