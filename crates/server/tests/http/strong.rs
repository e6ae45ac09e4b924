//! Strong counters on the embedded store: bounds, tokens, what may be asked together, where they are seen, and that they are kept.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::server::Server;

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn declare(server: &Server, name: &str, policy: &str) -> crate::server::Answer {
    server.send("PUT", &format!("/v1/namespaces/{name}"), &JSON, policy.as_bytes())
}

fn strong() -> Server {
    let server = Server::start(&[]);
    let declared = declare(&server, "votes", r#"{"consistency":"strong","min":0,"max":100}"#).json();
    assert_eq!(
        (&declared["consistency"], &declared["min"], &declared["max"]),
        (&json!("strong"), &json!(0), &json!(100))
    );
    server
}

fn ledger(server: &Server, name: &str) -> (Value, Value) {
    let ledger = server.get("/v1/ledger").json();
    let namespaces = ledger["namespaces"].as_array().unwrap();
    let found = namespaces.iter().find(|one| one["name"] == name).cloned().unwrap();
    (found["received"].clone(), found["counted"].clone())
}

#[test]
fn bounds_hold_and_a_request_is_applied_whole_or_not_at_all() {
    let server = strong();
    let add = |body: &str| server.post("/v1/add", body);
    let added = add(r#"{"adds":[{"key":"votes:a","amount":60}],"return":"values"}"#).json();
    assert_eq!(
        added,
        json!({"results":[{"key":"votes:a","value":60,"duplicate":false}],"ack":"disk"})
    );
    add(r#"{"adds":[{"key":"votes:a","amount":41}]}"#).problem(422, "invalid", "max of 100");
    add(r#"{"adds":[{"key":"votes:a","amount":-61}],"return":"values"}"#).problem(422, "invalid", "min of 0");
    add(r#"{"adds":[{"key":"votes:a","amount":30},{"key":"votes:a","amount":11}]}"#).problem(422, "invalid", "votes:a");
    assert_eq!(server.value("votes:a"), json!(60));
    // Up to the bound itself, and through it within one request not even for a moment.
    add(r#"{"adds":[{"key":"votes:a","amount":41},{"key":"votes:a","amount":-1}]}"#).problem(422, "invalid", "101");
    add(r#"{"adds":[{"key":"votes:a","amount":40}]}"#);
    assert_eq!(server.value("votes:a"), json!(100));
    assert_eq!(
        ledger(&server, "votes"),
        (json!(2), json!(2)),
        "what was refused was not received"
    );
}

#[test]
fn what_is_not_of_one_partition_cannot_be_changed_together() {
    let server = strong();
    let add = |body: &str| server.post("/v1/add", body);
    add(r#"{"adds":[{"key":"votes:a"},{"key":"plain"}]}"#).problem(422, "invalid", "send them apart");
    add(r#"{"adds":[{"key":"votes:a"},{"key":"votes:b"}]}"#).problem(422, "invalid", "{hash tag}");
    let together = add(r#"{"adds":[{"key":"votes:{x}a"},{"key":"votes:{x}b","amount":2}],"return":"values"}"#).json();
    assert_eq!(together["results"][1]["value"], 2);
    let got = server
        .post("/v1/get", r#"{"keys":["votes:{x}b","plain","votes:a","votes:{x}a"]}"#)
        .json();
    let values: Vec<&Value> = got["counters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["value"])
        .collect();
    assert_eq!(values, [&json!(2), &Value::Null, &Value::Null, &json!(1)]);
    let rules = b"[[rule]]\nmatch = { type = \"vote\" }\ncount = [\"votes:{data.for}\"]\n";
    let put = server.send("PUT", "/v1/rules", &[("content-type", "text/plain")], rules);
    assert_eq!(put.status, 204, "{put:?}");
    let event = json!({"specversion":"1.0","id":"1","source":"/s","type":"vote","data":{"for":"a"}}).to_string();
    let header = [("content-type", "application/cloudevents+json")];
    server
        .send("POST", "/v1/events", &header, event.as_bytes())
        .problem(422, "invalid", "strong namespace");
}

#[test]
fn a_token_counts_once_also_after_a_restart() {
    let server = strong();
    let body = r#"{"adds":[{"key":"votes:t","amount":7,"token":"one"}],"return":"values"}"#;
    assert_eq!(server.post("/v1/add", body).json()["results"][0]["value"], 7);
    server.post("/v1/add", r#"{"adds":[{"key":"votes:t","amount":1}]}"#);
    let again = server.post("/v1/add", body).json();
    assert_eq!(again["results"][0], json!({"key":"votes:t","value":7,"duplicate":true}));
    server
        .post("/v1/add", r#"{"adds":[{"key":"votes:t","amount":8,"token":"one"}]}"#)
        .problem(422, "invalid", "another payload");
    let data = server.kill().unwrap();
    let server = Server::start_on(&data.path().join("data"), &[]);
    assert_eq!(server.value("votes:t"), json!(8));
    let again = server.post("/v1/add", body).json();
    assert_eq!(again["results"][0], json!({"key":"votes:t","value":7,"duplicate":true}));
    assert_eq!(server.value("votes:t"), json!(8));
    assert_eq!(ledger(&server, "votes"), (json!(4), json!(2)), "two were duplicates");
}

#[test]
fn they_are_seen_everywhere() {
    let server = strong();
    for _ in 0..3 {
        server.post("/v1/add", r#"{"adds":[{"key":"votes:seen","amount":5}]}"#);
    }
    server.post(
        "/v1/add",
        r#"{"adds":[{"key":"votes:old","amount":4,"time":"2026-05-17T10:05:03Z"}]}"#,
    );
    let listed = server.get("/v1/counters?prefix=votes").json();
    assert_eq!(
        listed["counters"],
        json!([{"key":"votes:old","value":4},{"key":"votes:seen","value":15}])
    );
    let history = server
        .get("/v1/history?key=votes:old&from=2026-05-17T10:00:00Z&to=2026-05-17T11:00:00Z&step=1h")
        .json();
    assert_eq!(history["series"][0]["points"][0]["value"], 4);
    let sum = server.get("/v1/query?match=votes:*&agg=sum").json();
    assert_eq!(sum["total"], 19);
    let explained = server.get("/v1/explain?key=votes:seen").json();
    assert_eq!(
        (&explained["namespace"], &explained["value"]),
        (&json!("votes"), &json!(15))
    );
    assert_eq!(explained["history"][2]["sum"], 15);
    assert_eq!(ledger(&server, "votes"), (json!(4), json!(4)));
    let verified = server.cli(&["verify"]).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
    // The consistency of a namespace is fixed by its first add.
    declare(&server, "votes", r#"{"consistency":"eventual"}"#).problem(409, "conflict", "has counters already");
    server.post("/v1/add", r#"{"adds":[{"key":"free:a"}]}"#);
    declare(&server, "free", r#"{"consistency":"strong"}"#).problem(409, "conflict", "has counters already");
    declare(&server, "default", r#"{"consistency":"strong"}"#).problem(409, "conflict", "default cannot be strong");
    declare(&server, "free", r#"{"lateness":"1h"}"#).json();
}

/// The replies to some commands, which are sent at once.
fn commands(server: &Server, lines: &[&str]) -> Vec<String> {
    let mut stream = TcpStream::connect(&server.resp).unwrap();
    let all = [lines, &["QUIT", ""]].concat().join("\r\n");
    stream.write_all(all.as_bytes()).unwrap();
    BufReader::new(stream).lines().map(Result::unwrap).collect()
}

#[test]
fn commands_work_on_them_as_on_others() {
    let server = strong();
    let replies = commands(
        &server,
        &[
            "INCR votes:a",
            "INCR plain",
            "INCRBY votes:a 5",
            "INCR votes:b",
            "DECRBY votes:b 2",
            "GET votes:a",
            "MGET votes:a plain",
            "MGET votes:a votes:b",
            "SET votes:a 101",
            "SET votes:a 50",
            "INCR votes:a",
            "EXPIRE votes:a 100",
            "TTL votes:a",
            "DEL votes:a",
            "GET votes:a",
            "INCR votes:a",
            "TALLY.MADD votes:{m}1 3 votes:{m}2 99 votes:{m}2 2",
            "EXISTS votes:{m}1",
            "MULTI",
            "INCR votes:{m}1",
            "INCR votes:{m}2",
            "EXEC",
            "MULTI",
            "INCR votes:a",
            "INCR plain",
            "EXEC",
            "GET plain",
            "DBSIZE",
        ],
    );
    let expected = [
        ":1",
        ":1",
        ":6",
        ":1",
        "-ERR the value would be -1, below the namespace's min of 0; nothing was applied",
        "$1",
        "6",
        "-ERR strong counters and others cannot be in one command",
        "-CROSSSLOT these strong counters are not of one partition, and one command cannot change them together; give them the same {hash tag}",
        "-ERR the value would be 101, above the namespace's max of 100; nothing was applied",
        "+OK",
        ":51",
        ":1",
        ":100",
        ":1",
        "$-1",
        ":1",
        "-ERR the value would be 101, above the namespace's max of 100; nothing was applied",
        ":0",
        "+OK",
        "+QUEUED",
        "+QUEUED",
        "*2",
        ":1",
        ":1",
        "+OK",
        "+QUEUED",
        "+QUEUED",
        "-ERR strong counters and others cannot be in one request or transaction; send them apart; nothing was applied",
        "$1",
        "1",
        ":5",
        "+OK",
    ];
    assert_eq!(replies, expected);
}

/// Many connections, pipelines over all partitions, a kill in the middle: what was answered is there, and nothing twice.
#[test]
fn what_was_answered_is_kept_through_a_kill() {
    let server = Server::start(&[]);
    declare(&server, "s", r#"{"consistency":"strong"}"#).json();
    let lines: Vec<String> = (0..400).map(|number| format!("INCRBY s:{} 1", number % 40)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let replies = commands(&server, &lines);
                assert!(
                    replies.iter().take(400).all(|reply| reply.starts_with(':')),
                    "{replies:?}"
                );
            });
        }
    });
    let data = server.kill().unwrap();
    let server = Server::start_on(&data.path().join("data"), &[]);
    let sum = server.get("/v1/query?match=s:*&agg=sum").json();
    assert_eq!((&sum["matched"], &sum["total"]), (&json!(40), &json!(3_200)));
    let explained = server.get("/v1/explain?key=s:7").json();
    assert_eq!(explained["history"][0]["sum"], 80);
    assert_eq!(ledger(&server, "s"), (json!(3_200), json!(3_200)));
}
