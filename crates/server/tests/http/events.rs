//! CloudEvents by HTTP, in all three modes; the ledger always adds up.

use serde_json::{Value, json};

use crate::server::Server;

const RULES: &str = "[[rule]]\nmatch = { type = \"view\" }\ncount = [\"views:all\", \"views:{data.path}\"]\n\n\
    [[rule]]\nmatch = { type = \"view\", \"data.bytes\" = 7 }\ncount = [\"seven:all\"]\namount = \"data.bytes\"\n";

fn with_rules() -> Server {
    let server = Server::start(&[]);
    let put = server.send("PUT", "/v1/rules", &[("content-type", "text/plain")], RULES.as_bytes());
    assert_eq!(put.status, 204, "{put:?}");
    assert_eq!(server.get("/v1/rules").body, RULES);
    server
}

fn event(id: &str, kind: &str, data: &Value) -> Value {
    json!({"specversion":"1.0","id":id,"source":"/shop","type":kind,"time":"2026-05-17T10:05:03Z","data":data})
}

fn outcomes(server: &Server) -> [u64; 6] {
    let ledger = server.get("/v1/ledger").json();
    let shop = ledger["sources"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["name"] == "/shop")
        .cloned()
        .unwrap_or_default();
    ["received", "counted", "duplicate", "late", "rejected", "ignored"].map(|name| shop[name].as_u64().unwrap_or(0))
}

#[test]
fn all_three_modes_count_and_repeat_nothing() {
    let server = with_rules();
    let one = event("1", "view", &json!({"path":"/a","bytes":7}));
    let structured = [("content-type", "application/cloudevents+json; charset=utf-8")];
    let answer = server
        .send("POST", "/v1/events", &structured, one.to_string().as_bytes())
        .json();
    assert_eq!(
        answer,
        json!({"received":1,"counted":1,"duplicate":0,"late":0,"ignored":0,"rejected":[]})
    );
    let binary = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/shop"),
        ("ce-type", "view"),
        ("ce-time", "2026-05-17T10:05:03Z"),
    ];
    let answer = server
        .send("POST", "/v1/events", &binary, br#"{"path":"/a","bytes":7}"#)
        .json();
    assert_eq!(answer["duplicate"], 1, "the same event in another mode");
    let batch = json!([one, event("2", "view", &json!({"path":"/b"})), event("2", "view", &json!({"path":"/b"})),
        event("3", "other", &json!({})), event("4", "view", &json!({})), {"id":"5"}]);
    let batched = [("content-type", "application/cloudevents-batch+json")];
    let answer = server
        .send("POST", "/v1/events", &batched, batch.to_string().as_bytes())
        .json();
    assert_eq!(
        (
            &answer["received"],
            &answer["counted"],
            &answer["duplicate"],
            &answer["ignored"]
        ),
        (&json!(6), &json!(1), &json!(2), &json!(1))
    );
    let rejected = answer["rejected"].as_array().unwrap();
    assert_eq!(rejected.len(), 2);
    assert_eq!((&rejected[0]["index"], &rejected[0]["id"]), (&json!(4), &json!("4")));
    assert!(
        rejected[0]["reason"].as_str().unwrap().contains("data.path"),
        "{answer}"
    );
    assert_eq!(
        (
            server.value("views:all"),
            server.value("views:/a"),
            server.value("seven:all")
        ),
        (json!(2), json!(1), json!(7))
    );
    assert_eq!(outcomes(&server), [7, 2, 3, 0, 1, 1]);
    let ledger = server.get("/v1/ledger").json();
    let unknown = ledger["sources"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["name"] == "unknown")
        .unwrap();
    assert_eq!(unknown["rejected"], 1);
    assert_eq!(unknown["reasons"][0]["last"], "5", "{unknown}");
}

#[test]
fn the_ledger_survives_a_crash() {
    let server = with_rules();
    let structured = [("content-type", "application/cloudevents+json")];
    let send = |server: &Server, id: &str| {
        let event = event(id, "view", &json!({"path":"/a"})).to_string();
        server.send("POST", "/v1/events", &structured, event.as_bytes()).json()
    };
    for id in ["1", "2", "3"] {
        assert_eq!(send(&server, id)["counted"], 1);
    }
    let folder = server.kill().unwrap();
    let server = Server::start_on(&folder.path().join("data"), &[]);
    assert_eq!(outcomes(&server), [3, 3, 0, 0, 0, 0]);
    assert_eq!(send(&server, "2")["duplicate"], 1);
    assert_eq!(send(&server, "4")["counted"], 1, "the rules survive too");
    assert_eq!(outcomes(&server), [5, 4, 1, 0, 0, 0]);
    assert_eq!(server.value("views:all"), json!(4));
}

#[test]
fn what_is_no_event_is_said() {
    let server = with_rules();
    server
        .send("POST", "/v1/events", &[("content-type", "application/json")], b"{}")
        .problem(415, "invalid", "cloudevents");
    let batched = [("content-type", "application/cloudevents-batch+json")];
    server
        .send("POST", "/v1/events", &batched, b"{}")
        .problem(400, "invalid", "batch");
    let structured = [("content-type", "application/cloudevents+json")];
    let broken = server.send("POST", "/v1/events", &structured, b"{broken").json();
    assert_eq!(
        (&broken["received"], broken["rejected"].as_array().unwrap().len()),
        (&json!(1), 1)
    );
    assert_eq!(server.get("/v1/counters").json()["counters"], json!([]));
}

#[test]
fn without_rules_events_are_ignored() {
    let server = Server::start(&[]);
    let structured = [("content-type", "application/cloudevents+json")];
    let answer = server
        .send(
            "POST",
            "/v1/events",
            &structured,
            event("1", "view", &json!({})).to_string().as_bytes(),
        )
        .json();
    assert_eq!(answer["ignored"], 1);
    assert_eq!(outcomes(&server), [1, 0, 0, 0, 0, 1]);
}
