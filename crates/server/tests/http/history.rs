//! History and queries: sums agree in every step and zone.

use std::io::{BufRead, BufReader, Write};

use serde_json::{Value, json};

use crate::server::Server;

fn add(server: &Server, key: &str, amount: i64, time: &str) {
    let answer = server.post(
        "/v1/add",
        &json!({"adds":[{"key":key,"amount":amount,"time":time}]}).to_string(),
    );
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn sum(series: &Value) -> i64 {
    series["points"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point["value"].as_i64().unwrap())
        .sum()
}

#[test]
fn every_step_and_zone_adds_up() {
    let server = Server::start(&["--ack", "memory"]);
    for (amount, time) in [
        (1, "2026-03-28T23:30:00Z"),
        (10, "2026-03-29T00:30:00Z"),
        (100, "2026-03-29T21:59:59Z"),
        (1_000, "2026-03-29T22:00:00Z"),
    ] {
        add(&server, "a", amount, time);
    }
    for (step, zone) in [
        ("1m", "UTC"),
        ("1h", "UTC"),
        ("6h", "Europe/Berlin"),
        ("1d", "UTC"),
        ("1w", "Europe/Berlin"),
        ("1M", "UTC"),
    ] {
        let answer = server.get(&format!("/v1/history?key=a&step={step}&tz={zone}")).json();
        assert_eq!(sum(&answer["series"][0]), 1_111, "{step} {zone}: {answer}");
    }
    let days = server.get("/v1/history?key=a&key=nope&step=1d&tz=Europe/Berlin").json();
    assert_eq!(
        days["series"][0]["points"],
        json!([{"start":"2026-03-29T00:00:00+01:00","value":111,"complete":true},
            {"start":"2026-03-30T00:00:00+02:00","value":1_000,"complete":true}]),
        "a day of 23 hours"
    );
    assert_eq!(
        (&days["from"], &days["to"]),
        (&json!("2026-03-29T00:00:00+01:00"), &json!("2026-03-31T00:00:00+02:00"))
    );
    assert_eq!(
        (&days["series"][0]["total"], &days["series"][1]["total"]),
        (&json!(1_111), &json!(null))
    );
    let sparse = server.get("/v1/history?key=a&step=1h&fill=none").json();
    assert_eq!(sparse["series"][0]["points"].as_array().unwrap().len(), 4);
    assert_eq!(sparse["series"][0]["first"], "2026-03-28T23:00:00Z");
    let part = server
        .get("/v1/history?key=a&step=1h&from=2026-03-29T00:10:00Z&to=2026-03-29T01:10:00Z")
        .json();
    assert_eq!(
        (&part["from"], &part["to"], sum(&part["series"][0])),
        (&json!("2026-03-29T00:00:00Z"), &json!("2026-03-29T02:00:00Z"), 10)
    );
    let chosen = server.get("/v1/history?key=a").json();
    assert!(
        chosen["series"][0]["points"].as_array().unwrap().len() <= 400,
        "{chosen}"
    );
    assert_eq!(sum(&chosen["series"][0]), 1_111);
}

#[test]
fn queries_sum_rank_and_group() {
    let server = Server::start(&["--query-limit", "4"]);
    let policy = br#"{"template":"req:{method}:{status}"}"#;
    let put = server.send(
        "PUT",
        "/v1/namespaces/req",
        &[("content-type", "application/json")],
        policy,
    );
    assert_eq!(put.json()["template"], "req:{method}:{status}", "{put:?}");
    for (key, amount) in [
        ("req:GET:200", 5),
        ("req:GET:404", 2),
        ("req:POST:200", 4),
        ("req:POST:500", 1),
    ] {
        add(&server, key, amount, "2026-03-28T23:30:00Z");
    }
    let top = server.get("/v1/query?match=req:*&agg=top&limit=2").json();
    assert_eq!((&top["matched"], &top["total"]), (&json!(4), &json!(12)));
    assert_eq!(
        top["rows"],
        json!([{"key":"req:GET:200","value":5},{"key":"req:POST:200","value":4}])
    );
    let by = server.get("/v1/query?match=req:*&by=method").json();
    assert_eq!(
        by["rows"],
        json!([{"group":"GET","value":7},{"group":"POST","value":5}])
    );
    let ranged = server
        .get("/v1/query?match=req:*&by=status&agg=top&from=2026-03-28T23:00:00Z&to=2026-03-29T00:00:00Z&step=1h")
        .json();
    assert_eq!(ranged["rows"][0]["group"], "200");
    assert_eq!(
        ranged["rows"][0]["points"],
        json!([{"start":"2026-03-28T23:00:00Z","value":9,"complete":true}])
    );
    let before = server
        .get("/v1/query?match=req:GET:200&to=2026-03-28T23:00:00Z&from=2026-03-28T00:00:00Z")
        .json();
    assert_eq!((&before["matched"], &before["total"]), (&json!(1), &json!(0)));
    add(&server, "req:PUT:200", 1, "2026-03-28T23:30:00Z");
    server
        .get("/v1/query?match=req:*")
        .problem(422, "invalid", "query_limit");
}

#[test]
fn what_is_late_is_in_the_ledger() {
    let server = Server::start(&[]);
    let put = server.send(
        "PUT",
        "/v1/namespaces/page",
        &[("content-type", "application/json")],
        br#"{"lateness":"1h"}"#,
    );
    assert_eq!(put.status, 200, "{put:?}");
    let late = server.post(
        "/v1/add",
        r#"{"adds":[{"key":"page:a","time":"2015-05-17T10:05:03Z"},{"key":"page:a"}],"return":"values"}"#,
    );
    assert_eq!(
        late.json()["results"],
        json!([{"key":"page:a","value":0,"duplicate":false,"late":true},{"key":"page:a","value":1,"duplicate":false}])
    );
    let ledger = server.get("/v1/ledger").json();
    let page = ledger["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["name"] == "page")
        .unwrap();
    assert_eq!(
        (&page["received"], &page["counted"], &page["late"]),
        (&json!(2), &json!(1), &json!(1))
    );
}

#[test]
fn a_watcher_sees_values_change() {
    let server = Server::start(&[]);
    let mut stream = server.connect();
    stream
        .write_all(b"GET /v1/watch?key=a&key=b HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut next = || {
        let data = lines.find_map(|line| line.unwrap().strip_prefix("data: ").map(str::to_owned));
        serde_json::from_str::<Value>(&data.unwrap()).unwrap()
    };
    assert_eq!(
        next(),
        json!({"counters":[{"key":"a","value":null},{"key":"b","value":null}]})
    );
    server.post("/v1/add", r#"{"adds":[{"key":"b","amount":3}]}"#);
    assert_eq!(next(), json!({"counters":[{"key":"b","value":3}]}));
}
