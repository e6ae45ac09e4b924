//! Transcripts: `NAME.commands` is sent to Tally and to Redis, `NAME.resp2` and `NAME.resp3` say what Tally must answer, byte for
//! byte. `TALLY_UPDATE=1` writes them.
//!
//! A line is a command. `!` before it: Tally answers another thing than Redis, on purpose. `~`: the answer differs from run to run,
//! and only its kind is compared. `===` begins a new connection, `#` a comment.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::PathBuf;

use crate::wire::{Wire, command, shown, words};

pub(crate) struct Step {
    line: String,
    /// Redis answers something else.
    differs: bool,
    /// Only the kind of the answer counts.
    varies: bool,
}

/// The connections of a file of commands.
pub(crate) fn connections(name: &str) -> Vec<Vec<Step>> {
    let text = std::fs::read_to_string(path(name, "commands")).unwrap();
    let mut connections = vec![Vec::new()];
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with("===") {
            connections.push(Vec::new());
            continue;
        }
        let (differs, varies) = (line.starts_with("! "), line.starts_with("~ "));
        let line = if differs || varies { &line[2..] } else { line };
        connections.last_mut().unwrap().push(Step {
            line: line.to_owned(),
            differs,
            varies,
        });
    }
    connections
}

/// What a server answers: to one command after the other, or to all of a connection at once.
pub(crate) fn run<S: Read + Write>(
    connections: &[Vec<Step>],
    connect: impl Fn() -> S,
    protocol: u8,
    pipelined: bool,
) -> Vec<Vec<u8>> {
    let mut answers = Vec::new();
    for steps in connections {
        let mut wire = Wire::new(connect());
        if protocol == 3 {
            assert!(wire.call(&["HELLO", "3"]).starts_with('%'));
        }
        let commands = steps.iter().map(|step| command(&words(&step.line)));
        if pipelined {
            wire.send(&commands.collect::<Vec<_>>().concat());
            answers.extend(steps.iter().map(|_| wire.reply()));
        } else {
            for command in commands {
                wire.send(&command);
                answers.push(wire.reply());
            }
        }
    }
    answers
}

/// Compares what Tally answered with the golden file.
pub(crate) fn check_golden(name: &str, protocol: u8, connections: &[Vec<Step>], answers: &[Vec<u8>]) {
    let mut transcript = String::new();
    for (step, answer) in connections.iter().flatten().zip(answers) {
        writeln!(transcript, "> {}", step.line).unwrap();
        if step.varies {
            writeln!(transcript, "{}…", char::from(answer[0])).unwrap();
        } else {
            transcript.push_str(&shown(answer));
        }
    }
    let path = path(name, &format!("resp{protocol}"));
    if std::env::var_os("TALLY_UPDATE").is_some() {
        std::fs::write(path, transcript).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    let lines = golden.lines().zip(transcript.lines()).enumerate();
    let different = lines
        .filter(|(_, (golden, answered))| golden != answered)
        .map(|(number, (golden, answered))| {
            format!(
                "{}:{}: expected {golden:?}, not {answered:?}",
                path.display(),
                number + 1
            )
        });
    let different: Vec<String> = different.take(10).collect();
    assert!(
        different.is_empty(),
        "{}\nTALLY_UPDATE=1 takes the answers over",
        different.join("\n")
    );
    assert_eq!(golden.lines().count(), transcript.lines().count());
}

/// Compares what Tally answered with what Redis did; a difference that is expected must be one.
pub(crate) fn check_redis(connections: &[Vec<Step>], tally: &[Vec<u8>], redis: &[Vec<u8>]) {
    let mut wrong = String::new();
    for ((step, tally), redis) in connections.iter().flatten().zip(tally).zip(redis) {
        let same = if step.varies {
            tally.first() == redis.first()
        } else {
            tally == redis
        };
        if same == step.differs {
            let expected = if step.differs {
                "expected to differ"
            } else {
                "expected to be the same"
            };
            write!(
                wrong,
                "> {} ({expected})\nTally:\n{}Redis:\n{}",
                step.line,
                shown(tally),
                shown(redis)
            )
            .unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn path(name: &str, extension: &str) -> PathBuf {
    // As it is when the test runs: a test binary may be kept from another checkout.
    let package = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    package
        .join("tests/resp/transcripts")
        .join(format!("{name}.{extension}"))
}
