//! RESP over the real executable: golden transcripts, compared with Redis byte for byte, and what transcripts cannot say.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "resp/server.rs"]
mod server;
#[path = "resp/transcript.rs"]
mod transcript;
#[path = "resp/wire.rs"]
mod wire;

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use server::{Redis, Tally};
use wire::{Wire, command, shown};

const ALL_MEMORY: &[(&str, &str)] = &[("TALLY_ACK", "memory")];

/// One command after the other in RESP 2, all at once in RESP 3, so that runs of one and of many are both there.
fn transcript(name: &str) {
    let connections = transcript::connections(name);
    for protocol in [2, 3] {
        let (tally, redis) = (Tally::start(&[]), Redis::start());
        let pipelined = protocol == 3;
        let answers = transcript::run(&connections, || tally.connect(), protocol, pipelined);
        transcript::check_golden(name, protocol, &connections, &answers);
        let theirs = transcript::run(&connections, || redis.connect(), protocol, pipelined);
        transcript::check_redis(&connections, &answers, &theirs);
    }
}

/// Every add is answered after a sync, and by the clock one is made only every 10 s: a connection that is forgotten waits too long.
#[test]
fn connections_of_all_loops_wait_for_the_sync_and_none_is_forgotten() {
    for threads in ["1", "3"] {
        let settings = [
            ("TALLY_RESP_THREADS", threads),
            ("TALLY_JOURNAL_INTERVAL", "10s"),
            ("TALLY_ACK", "disk"),
        ];
        let tally = Tally::start(&settings);
        let (connections, adds) = (24, 200);
        std::thread::scope(|scope| {
            for number in 0..connections {
                let stream = tally.connect();
                stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
                let mut wire = Wire::new(stream);
                scope.spawn(move || {
                    let key = format!("waits:{}", number % 5);
                    for round in 0..adds {
                        // Some send much at once, so that commits on the spot and by the journal's thread are mixed.
                        if number == 0 && round % 10 == 0 {
                            let words: Vec<Vec<u8>> = [&b"INCR"[..], b"waits:many"].map(<[u8]>::to_vec).into();
                            wire.send(&command(&words).repeat(500));
                            (0..500).for_each(|_| assert_eq!(wire.reply().first(), Some(&b':')));
                        }
                        let answer = wire.call(&["INCR", &key]);
                        assert!(answer.starts_with(':'), "{answer}");
                    }
                });
            }
        });
        let mut wire = Wire::new(tally.connect());
        let sum: u64 = (0..5)
            .map(|number| wire.call(&["GET", &format!("waits:{number}")]))
            .map(|answer| answer.lines().nth(1).unwrap().parse::<u64>().unwrap())
            .sum();
        assert_eq!(sum, connections * adds);
    }
}

#[test]
fn counting() {
    transcript("count");
}

#[test]
fn keys() {
    transcript("keys");
}

#[test]
fn sessions() {
    transcript("session");
}

#[test]
fn own_commands() {
    transcript("tally");
}

#[test]
fn broken_streams_are_answered_and_closed() {
    let (tally, redis) = (Tally::start(ALL_MEMORY), Redis::start());
    let long_line = vec![b'a'; 70_000];
    let streams: &[&[u8]] = &[
        b"*2147483648\r\n",
        b"*x\r\n",
        b"*1\r\nGET\r\n",
        b"*1\r\n$2147483648\r\n",
        b"*1\r\n$-5\r\n",
        b"PING\r\n*1\r\n$x\r\n",
        b"SET \"a\r\n",
        &long_line,
    ];
    for stream in streams {
        let mut ours = Wire::new(tally.connect());
        ours.send(stream);
        let mut theirs = Wire::new(redis.connect());
        theirs.send(stream);
        let (ours, theirs) = (ours.rest(), theirs.rest());
        assert_eq!(shown(&ours), shown(&theirs));
        assert!(
            ours.windows(21).any(|bytes| bytes == b"-ERR Protocol error: "),
            "{}",
            shown(&ours)
        );
    }
    // Within Redis's limit, beyond ours.
    let mut wire = Wire::new(tally.connect());
    wire.send(b"*2\r\n$3\r\nGET\r\n$100000000\r\n");
    assert_eq!(shown(&wire.rest()), "-ERR Protocol error: invalid bulk length\n");
    assert_eq!(Wire::new(tally.connect()).call(&["PING"]), "+PONG\n");
}

#[test]
fn http_is_closed() {
    let tally = Tally::start(ALL_MEMORY);
    for request in [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nINCR http\r\n",
        "POST /v1/add HTTP/1.1\r\nHost: localhost\r\n\r\nINCR http\r\n",
        "post x\r\nINCR http\r\n",
        "Host: localhost\r\nINCR http\r\n",
    ] {
        let mut wire = Wire::new(tally.connect());
        wire.send(request.as_bytes());
        assert_eq!(shown(&wire.rest()), "\n", "{request}");
    }
    assert_eq!(Wire::new(tally.connect()).call(&["GET", "http"]), "$-1\n");
}

#[test]
fn a_stream_in_pieces_is_the_same() {
    let tally = Tally::start(ALL_MEMORY);
    let mut stream = Vec::new();
    for _ in 0..3 {
        stream.extend_from_slice(
            b"*2\r\n$4\r\nINCR\r\n$6\r\npieces\r\nINCR \"pieces\"\r\nMULTI\r\nINCR pieces\r\n*1\r\n$4\r\nEXEC\r\n",
        );
    }
    let mut wire = Wire::new(tally.connect());
    for byte in &stream {
        wire.send(&[*byte]);
    }
    let answers: Vec<String> = (0..15).map(|_| shown(&wire.reply())).collect();
    let expected = |first: usize| {
        [
            format!(":{first}\n"),
            format!(":{}\n", first + 1),
            "+OK\n".into(),
            "+QUEUED\n".into(),
            format!("*1\n:{}\n", first + 2),
        ]
    };
    assert_eq!(answers, [expected(1), expected(4), expected(7)].concat());
}

#[test]
fn many_connections_count_exactly() {
    const CLIENTS: usize = 16;
    const ROUNDS: usize = 20;
    const PIPELINE: usize = 100;
    let tally = Tally::start(&[]);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut wire = Wire::new(tally.connect());
                let one = command(&[b"INCR".to_vec(), b"shared".to_vec()]);
                let mut last = String::new();
                for _ in 0..ROUNDS {
                    wire.send(&one.repeat(PIPELINE));
                    let answers: Vec<String> = (0..PIPELINE).map(|_| shown(&wire.reply())).collect();
                    let values: Vec<i64> = answers
                        .iter()
                        .map(|answer| answer[1..].trim().parse().unwrap())
                        .collect();
                    assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "{values:?}");
                    assert!(answers[0] != last);
                    last.clone_from(&answers[PIPELINE - 1]);
                }
            });
        }
    });
    let counted = Wire::new(tally.connect()).call(&["GET", "shared"]);
    assert_eq!(counted, format!("$5\n{}\n", CLIENTS * ROUNDS * PIPELINE));
}

/// A client that sends and never reads is not read from any more; when it reads at last, all its answers are there.
#[test]
fn a_client_that_does_not_read_takes_no_memory() {
    const MOST_RESIDENT_GROWTH: u64 = 64 * 1_024 * 1_024;
    let tally = Tally::start(ALL_MEMORY);
    let before = tally.resident_bytes();
    let mut stream = tally.connect();
    stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let echo = command(&[b"ECHO".to_vec(), vec![b'x'; 60_000]]);
    let mut sent = 0;
    loop {
        // 4 GiB would be taken by a server that does not mind.
        assert!(sent < 4 << 30, "the server goes on reading");
        match stream.write(&echo[sent % echo.len()..]) {
            Ok(written) => sent += written,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(tally.resident_bytes().saturating_sub(before) < MOST_RESIDENT_GROWTH);
    assert_eq!(Wire::new(tally.connect()).call(&["PING"]), "+PONG\n");
    // The answer to what was sent whole: `$60000`, the text, and line ends.
    let mut expected = sent / echo.len() * (8 + 60_002);
    let mut chunk = vec![0; 1 << 20];
    while expected > 0 {
        let read = stream.read(&mut chunk).unwrap();
        assert!(read > 0);
        expected -= read;
    }
}

/// Short commands with long answers: each client holds about one slice of them, however much it asks for.
#[test]
fn many_clients_that_do_not_read_hold_a_slice_each() {
    const CLIENTS: u64 = 100;
    const MOST_HELD_EACH: u64 = 512 * 1_024;
    let tally = Tally::start(ALL_MEMORY);
    let docs = command(&[b"COMMAND".to_vec(), b"DOCS".to_vec()]).repeat(8_000);
    let before = tally.resident_bytes();
    let deaf: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut stream = tally.connect();
            stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
            // It takes less than all of it.
            stream.write_all(&docs).ok();
            stream
        })
        .collect();
    // Answered when the loop has come by all of them.
    assert_eq!(Wire::new(tally.connect()).call(&["PING"]), "+PONG\n");
    let held = tally.resident_bytes().saturating_sub(before) / CLIENTS;
    assert!(held < MOST_HELD_EACH, "{held} bytes each");
    drop(deaf);
}

/// What is known between MULTI and EXEC waits in the memory: it is bounded like what was sent.
#[test]
fn answers_that_wait_for_exec_are_bounded() {
    let tally = Tally::start(ALL_MEMORY);
    let mut wire = Wire::new(tally.connect());
    assert_eq!(wire.call(&["MULTI"]), "+OK\n");
    let refused = (0..5_000)
        .map(|_| wire.call(&["COMMAND", "DOCS"]))
        .find(|answer| answer != "+QUEUED\n");
    let refused = refused.unwrap();
    assert!(
        refused.starts_with("-ERR more than 10000 commands or 4194304 bytes"),
        "{refused}"
    );
    assert!(wire.call(&["EXEC"]).starts_with("-EXECABORT"));
}

#[test]
fn too_many_connections_are_told() {
    let tally = Tally::start(&[("TALLY_MAX_CONNECTIONS", "2")]);
    let mut first = Wire::new(tally.connect());
    assert_eq!(first.call(&["PING"]), "+PONG\n");
    let mut second = Wire::new(tally.connect());
    assert_eq!(second.call(&["PING"]), "+PONG\n");
    assert_eq!(
        shown(&Wire::new(tally.connect()).rest()),
        "-ERR max number of clients reached\n"
    );
    assert_eq!(first.call(&["QUIT"]), "+OK\n");
    assert!(first.rest().is_empty());
    // The place is free once the server has noticed.
    let replaced = (0..1_000).any(|_| {
        let mut wire = Wire::new(tally.connect());
        wire.stream.write_all(b"PING\r\n").is_ok() && wire.rest_is_pong()
    });
    assert!(replaced);
}

impl Wire<std::net::TcpStream> {
    fn rest_is_pong(mut self) -> bool {
        let mut answer = [0; 7];
        self.stream.read_exact(&mut answer).is_ok() && &answer == b"+PONG\r\n"
    }
}

#[test]
fn the_credential_is_asked_for() {
    let tally = Tally::start(&[("TALLY_AUTH_TOKEN", "secret")]);
    let mut wire = Wire::new(tally.connect());
    assert_eq!(wire.call(&["GET", "a"]), "-NOAUTH Authentication required.\n");
    assert_eq!(wire.call(&["INCR", "a"]), "-NOAUTH Authentication required.\n");
    assert!(
        wire.call(&["HELLO", "3"])
            .starts_with("-NOAUTH HELLO must be called with the client already authenticated")
    );
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\n";
    assert_eq!(wire.call(&["AUTH", "wrong"]), wrong);
    assert_eq!(wire.call(&["AUTH", "other", "secret"]), wrong);
    assert_eq!(wire.call(&["AUTH", "secret"]), "+OK\n");
    assert_eq!(wire.call(&["INCR", "a"]), ":1\n");
    assert_eq!(wire.call(&["RESET"]), "+RESET\n");
    assert_eq!(wire.call(&["INCR", "a"]), "-NOAUTH Authentication required.\n");
    assert!(
        wire.call(&["HELLO", "3", "AUTH", "default", "secret"])
            .starts_with("%7\n")
    );
    assert_eq!(wire.call(&["INCR", "a"]), ":2\n");

    let mut wire = Wire::new(tally.connect());
    wire.send(b"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n");
    wire.send(&command(&vec![b"EXISTS".to_vec(); 12]));
    assert_eq!(shown(&wire.reply()), "+OK\n");
    assert_eq!(shown(&wire.reply()), ":0\n", "what comes with AUTH may be long");
    let mut wire = Wire::new(tally.connect());
    wire.send(&command(&vec![b"EXISTS".to_vec(); 12]));
    assert_eq!(
        shown(&wire.rest()),
        "-ERR Protocol error: unauthenticated multibulk length\n"
    );
}

#[test]
fn flushing_where_it_is_allowed() {
    let tally = Tally::start(&[("TALLY_ALLOW_FLUSH", "true"), ("TALLY_ACK", "memory")]);
    let mut wire = Wire::new(tally.connect());
    for number in 0..2_500 {
        wire.send(&command(&[b"INCR".to_vec(), format!("key:{number}").into_bytes()]));
    }
    for _ in 0..2_500 {
        assert_eq!(shown(&wire.reply()), ":1\n");
    }
    assert_eq!(wire.call(&["DBSIZE"]), ":2500\n");
    assert_eq!(wire.call(&["CONFIG", "SET", "maxmemory", "1"]), "+OK\n");
    assert_eq!(wire.call(&["FUNCTION", "FLUSH"]), "+OK\n");
    assert_eq!(wire.call(&["FLUSHALL", "NOW"]), "-ERR syntax error\n");
    assert_eq!(wire.call(&["FLUSHALL"]), "+OK\n");
    assert_eq!(wire.call(&["DBSIZE"]), ":0\n");
    assert_eq!(wire.call(&["GET", "key:1"]), "$-1\n");
}

#[test]
fn a_scan_finds_every_name() {
    let tally = Tally::start(ALL_MEMORY);
    let mut wire = Wire::new(tally.connect());
    let mut expected: Vec<String> = (0..3_000).map(|number| format!("scan:{number}")).collect();
    let mset: Vec<Vec<u8>> = expected
        .iter()
        .flat_map(|key| [key.clone().into_bytes(), b"1".to_vec()])
        .collect();
    wire.send(&command(&[vec![b"MSET".to_vec()], mset].concat()));
    assert_eq!(shown(&wire.reply()), "+OK\n");
    let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
    loop {
        let answer = wire.call(&["SCAN", &cursor, "COUNT", "100"]);
        let mut lines = answer.lines().filter(|line| !line.starts_with(['*', '$']));
        cursor = lines.next().unwrap().to_owned();
        found.extend(lines.map(str::to_owned));
        if cursor == "0" {
            break;
        }
    }
    expected.sort();
    found.sort();
    found.dedup();
    assert_eq!(found, expected);
}
