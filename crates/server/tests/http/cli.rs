//! The command line against a running server: the sample, counted once however often it is sent.

use std::path::PathBuf;
use std::process::Output;

use serde_json::json;

use crate::server::{Server, tally};

fn example(name: &str) -> String {
    // As it is when the test runs: a test binary may be kept from another checkout.
    let path = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("tests run in cargo"))
        .join("../../examples")
        .join(name);
    path.to_str().unwrap().to_owned()
}

fn ok(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn ingest(server: &Server, file: &str, more: &[&str]) -> Output {
    let rules = example("web-requests.rules.toml");
    server
        .cli(&[&["ingest", file, "--rules", &rules], more].concat())
        .output()
        .unwrap()
}

#[test]
fn the_sample_is_counted_exactly_once() {
    let server = Server::start(&[]);
    let sample = example("web-requests.ndjson");
    for _ in 0..2 {
        let said = ok(&ingest(&server, &sample, &[]));
        assert!(
            said.starts_with("web-requests.ndjson: counted up to byte 3320541 of 3320541\n"),
            "{said}"
        );
        for (key, value) in [
            ("requests:all", 9_999),
            ("bytes:all", 2_747_282_505_i64),
            ("page:/favicon.ico", 807),
            ("status:404", 213),
        ] {
            assert_eq!(server.value(key), json!(value), "{key}");
        }
    }
    assert_eq!(ok(&server.cli(&["list"]).output().unwrap()).lines().count(), 1_444);
    assert_eq!(
        ok(&server.cli(&["list", "status:", "--limit", "2"]).output().unwrap()),
        "9125\tstatus:200\n45\tstatus:206\n"
    );
    let hours = ok(&server
        .cli(&["history", "requests:all", "--step", "1h", "--format", "csv"])
        .output()
        .unwrap());
    let counts: Vec<i64> = hours
        .lines()
        .skip(1)
        .map(|line| line.trim_end().split_once(',').unwrap().1.parse().unwrap())
        .collect();
    assert_eq!(
        (
            counts.iter().sum::<i64>(),
            counts.iter().filter(|count| **count > 0).count()
        ),
        (9_999, 84)
    );
    let graph = ok(&server.cli(&["history", "requests:all"]).output().unwrap());
    assert!(
        graph.contains("requests:all  value 9999, 9999 in this range") && graph.contains('█'),
        "{graph}"
    );
    let top = ok(&server
        .cli(&["query", "status:*", "--agg", "top", "--limit", "2"])
        .output()
        .unwrap());
    assert_eq!(
        top,
        "value  key\n 9125  status:200\n  445  status:304\n8 counters, sum 9999\n"
    );
    let explained = ok(&server.cli(&["explain", "status:404"]).output().unwrap());
    assert!(
        explained.contains("status:404 = 213") && explained.contains("source:web-requests.ndjson"),
        "{explained}"
    );
    let ledger = ok(&server.cli(&["ledger"]).output().unwrap());
    assert!(
        ledger.contains("web-requests.ndjson      9999     9999          0"),
        "{ledger}"
    );
    let verified = ok(&server.cli(&["verify"]).output().unwrap());
    assert!(
        verified.contains("checked 1444 counters") && verified.ends_with("all sums agree\n"),
        "{verified}"
    );
}

#[test]
fn a_file_is_continued_when_it_grew_and_refused_when_it_changed() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.ndjson");
    let sample = std::fs::read_to_string(example("web-requests.ndjson")).unwrap();
    let lines: Vec<&str> = sample.split_inclusive('\n').take(10).collect();
    let file = path.to_str().unwrap();
    let half = &lines[4][..lines[4].len() / 2];
    std::fs::write(&path, format!("{}{half}", lines[..4].concat())).unwrap();
    ok(&ingest(&server, file, &[]));
    assert_eq!(server.value("requests:all"), json!(4), "a line that is cut off waits");
    std::fs::write(&path, lines.concat().trim_end()).unwrap();
    ok(&ingest(&server, file, &[]));
    assert_eq!(
        server.value("requests:all"),
        json!(10),
        "a last line without newline counts"
    );
    std::fs::write(&path, lines[1..].concat()).unwrap();
    let changed = ingest(&server, file, &[]);
    assert_eq!(changed.status.code(), Some(1), "{changed:?}");
    assert!(
        String::from_utf8_lossy(&changed.stderr).contains("--source"),
        "{changed:?}"
    );
    assert_eq!(server.value("requests:all"), json!(10));
    ok(&ingest(&server, file, &["--source", "another"]));
    assert_eq!(server.value("requests:all"), json!(19));
}

#[test]
fn the_client_waits_for_a_server_that_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_on(&data, &[]);
    let address = server.http.clone();
    let rules = example("web-requests.rules.toml");
    let mut client = server.cli(&["ingest", &example("web-requests.ndjson"), "--rules", &rules]);
    server.kill();
    let mut client = client.spawn().unwrap();
    let server = Server::start_on(&data, &["--http", &address]);
    assert!(client.wait().unwrap().success());
    assert_eq!(server.value("requests:all"), json!(9_999));
}

#[test]
fn values_and_usage() {
    let server = Server::start(&[]);
    let add = |arguments: &[&str]| server.cli(&[&["add"], arguments].concat()).output().unwrap();
    assert_eq!(ok(&add(&["a"])), "1\n");
    assert_eq!(ok(&add(&["a", "-11"])), "-10\n");
    for _ in 0..2 {
        assert_eq!(
            ok(&add(&["a", "10", "--token", "t", "--time", "2026-03-28T23:30:00Z"])),
            "0\n"
        );
    }
    assert_eq!(ok(&server.cli(&["get", "a"]).output().unwrap()), "0\n");
    assert_eq!(
        ok(&server.cli(&["get", "a", "nope"]).output().unwrap()),
        "key   value\na         0\nnope      -\n"
    );
    let missing = server.cli(&["get", "nope"]).output().unwrap();
    assert_eq!(
        (missing.status.code(), missing.stderr.as_slice()),
        (Some(1), b"tally: there is no counter \"nope\"\n".as_slice())
    );
    assert_eq!(add(&["a", "1.5"]).status.code(), Some(2));
    assert_eq!(add(&["a", "9223372036854775808"]).status.code(), Some(2));
    assert_eq!(server.cli(&["frobnicate"]).output().unwrap().status.code(), Some(2));
    let unreachable = tally()
        .args(["get", "a", "--server", "http://127.0.0.1:1"])
        .output()
        .unwrap();
    assert_eq!(unreachable.status.code(), Some(1));
    let said = String::from_utf8_lossy(&unreachable.stderr).into_owned();
    assert!(
        said.contains("is the server running there?") && said.lines().count() == 1,
        "{said}"
    );
    let load = [
        "bench",
        "--face",
        "http",
        "--clients",
        "2",
        "--requests",
        "40",
        "--pipeline",
        "10",
        "--keys",
        "5",
    ];
    let measured = ok(&server.cli(&load).output().unwrap());
    assert!(measured.contains("INCR/s") && measured.contains("P99"), "{measured}");
}
