//! The parser on whole, split and broken streams.

use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds {
    max_bulk_bytes: 1_024,
    max_arguments: 64,
    max_request_bytes: 4_096,
    max_batch: 1_000,
    max_batch_bytes: 1 << 20,
};

type Commands = Vec<Vec<Vec<u8>>>;

/// Feeds the stream in these pieces, as a connection does.
fn run<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, bounds: Bounds) -> (Commands, Result<(), ProtocolError>) {
    let mut parser = Parser::new(bounds);
    let mut buffer = Vec::new();
    let mut commands = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let parsed = parser.parse(&mut buffer, true);
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

fn whole(stream: &[u8]) -> (Commands, Result<(), ProtocolError>) {
    run([stream], BOUNDS)
}

fn words(commands: &Commands) -> Vec<Vec<String>> {
    commands
        .iter()
        .map(|command| {
            command
                .iter()
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect()
        })
        .collect()
}

const MIXED: &[u8] = b"*2\r\n$4\r\nINCR\r\n$12\r\nkey:00000001\r\nPING\r\n\r\n*0\r\n*-1\r\n*1\r\n$0\r\n\r\nSET \"a b\\x41\\n\" '1'\n*3\r\n$3\r\nSET\r\n$1\r\n\r\r\n$2\r\n\r\n\r\n  get   k\t\r\n";

#[test]
fn commands_of_all_forms() {
    let stream = b"*2\r\n$4\r\nINCR\r\n$1\r\nk\r\nPING\r\n\r\n*0\r\n*-1\r\nSET \"a b\\x41\\n\\q\" 'it\\'s' \"\"\n  get   k\t\r\n";
    let (commands, result) = whole(stream);
    assert_eq!(result, Ok(()));
    let expected = [
        &["INCR", "k"][..],
        &["PING"],
        &["SET", "a bA\nq", "it's", ""],
        &["get", "k"],
    ];
    assert_eq!(words(&commands), expected);
}

#[test]
fn split_at_every_byte_is_the_same() {
    let expected = whole(MIXED);
    for cut in 0..=MIXED.len() {
        let (left, right) = MIXED.split_at(cut);
        assert_eq!(run([left, right], BOUNDS), expected, "cut at {cut}");
    }
    assert_eq!(run(MIXED.chunks(1), BOUNDS), expected);
    assert_eq!(run(MIXED.chunks(1), Bounds { max_batch: 1, ..BOUNDS }), expected);
    assert_eq!(run([MIXED], Bounds { max_batch: 2, ..BOUNDS }), expected);
    assert_eq!(
        run(
            [MIXED],
            Bounds {
                max_batch_bytes: 1,
                ..BOUNDS
            }
        ),
        expected
    );
}

#[test]
fn errors_are_those_of_redis() {
    let long_line = vec![b'x'; MAX_LINE_BYTES + 1];
    let long = |prefix: &[u8]| [prefix, &b"1".repeat(MAX_LINE_BYTES + 2)].concat();
    let bounds = Bounds {
        max_request_bytes: 1 << 20,
        ..BOUNDS
    };
    for (stream, error) in [
        (b"*2147483648\r\n".to_vec(), ProtocolError::ArrayLength),
        (b"*x\r\n".to_vec(), ProtocolError::ArrayLength),
        (b"*65\r\n".to_vec(), ProtocolError::ArrayLength),
        (b"*01\r\n".to_vec(), ProtocolError::ArrayLength),
        (b"*1\r\nGET\r\n".to_vec(), ProtocolError::NotBulk(b'G')),
        (b"*1\r\n$2147483648\r\n".to_vec(), ProtocolError::BulkLength),
        (b"*1\r\n$-1\r\n".to_vec(), ProtocolError::BulkLength),
        (b"*1\r\n$\r\n".to_vec(), ProtocolError::BulkLength),
        (b"*1\r\n$1\r\nabc".to_vec(), ProtocolError::BulkEnd),
        (b"SET \"k\r\n".to_vec(), ProtocolError::Quotes),
        (b"SET \"k\"x 1\r\n".to_vec(), ProtocolError::Quotes),
        (long_line, ProtocolError::InlineLine),
        (long(b"*"), ProtocolError::ArrayLine),
        (long(b"*1\r\n$"), ProtocolError::BulkLine),
    ] {
        assert_eq!(
            run([&stream[..]], bounds).1,
            Err(error),
            "{}",
            String::from_utf8_lossy(&stream)
        );
    }
    assert_eq!(
        ProtocolError::NotBulk(b'G').to_string(),
        "Protocol error: expected '$', got 'G'"
    );
}

#[test]
fn a_command_in_part_has_a_limit() {
    let mut stream = b"*64\r\n".to_vec();
    for _ in 0..5 {
        stream.extend_from_slice(b"$1000\r\n");
        stream.extend_from_slice(&[b'x'; 1_000]);
        stream.extend_from_slice(b"\r\n");
    }
    assert_eq!(run(stream.chunks(100), BOUNDS).1, Err(ProtocolError::TooLarge));
}

#[test]
fn little_is_taken_before_auth() {
    let mut parser = Parser::new(BOUNDS);
    assert_eq!(
        parser.parse(&mut b"*11\r\n".to_vec(), false),
        Err(ProtocolError::ArrayLengthBeforeAuth)
    );
    let mut parser = Parser::new(Bounds {
        max_bulk_bytes: 1 << 20,
        ..BOUNDS
    });
    assert_eq!(
        parser.parse(&mut b"*1\r\n$16385\r\n".to_vec(), false),
        Err(ProtocolError::BulkLengthBeforeAuth)
    );
    let mut parser = Parser::new(BOUNDS);
    assert_eq!(
        parser.parse(&mut b"PING\r\nPING\r\n".to_vec(), false),
        Ok(Parsed::Batch)
    );
    assert_eq!(parser.len(), 1);
}

#[test]
fn what_is_only_announced_takes_no_memory() {
    let mut parser = Parser::new(Bounds {
        max_arguments: 1 << 20,
        ..BOUNDS
    });
    assert_eq!(
        parser.parse(&mut b"*1048576\r\n$1000\r\n".to_vec(), true),
        Ok(Parsed::All)
    );
    assert_eq!(parser.spans.capacity(), 0);
}

proptest! {
    #[test]
    fn what_was_sent_is_what_is_read(
        commands in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..8), 1..20),
        cuts in proptest::collection::vec(1usize..50, 1..20),
    ) {
        let mut stream = Vec::new();
        for command in &commands {
            stream.extend_from_slice(format!("*{}\r\n", command.len()).as_bytes());
            for word in command {
                stream.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
                stream.extend_from_slice(word);
                stream.extend_from_slice(b"\r\n");
            }
        }
        let mut pieces = Vec::new();
        let mut rest = &stream[..];
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = after;
            if rest.is_empty() { break; }
        }
        prop_assert_eq!(run(pieces, Bounds { max_batch: 3, ..BOUNDS }), (commands, Ok(())));
    }

    #[test]
    fn garbage_never_panics_and_cuts_do_not_matter(
        stream in proptest::collection::vec(
            prop_oneof![Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'"'), Just(b'\\'), b'0'..=b'9', any::<u8>()], 0..200),
        cut in 0usize..200,
    ) {
        let (left, right) = stream.split_at(cut.min(stream.len()));
        prop_assert_eq!(run([left, right], BOUNDS), whole(&stream));
    }
}
