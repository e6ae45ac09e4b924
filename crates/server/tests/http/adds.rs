//! Adding and reading: exact values, tokens, all or nothing.

use serde_json::json;

use crate::server::Server;

#[test]
fn adds_are_exact_and_in_order() {
    let server = Server::start(&[]);
    let answer = server.post(
        "/v1/add",
        r#"{"adds":[{"key":"a"},{"key":"a","amount":-5},{"key":"b","amount":9223372036854775807}],"return":"values"}"#,
    );
    assert_eq!(
        answer.json(),
        json!({"results":[{"key":"a","value":1,"duplicate":false},{"key":"a","value":-4,"duplicate":false},
            {"key":"b","value":9_223_372_036_854_775_807_i64,"duplicate":false}],"ack":"disk"})
    );
    let blind = server.post("/v1/add", r#"{"adds":[{"key":"a","amount":4}]}"#);
    assert_eq!(
        blind.json(),
        json!({"results":[{"key":"a","duplicate":false}],"ack":"disk"})
    );
    assert_eq!(server.get("/v1/counter?key=a").json(), json!({"key":"a","value":0}));
    assert_eq!(
        server.get("/v1/counter?key=b&int64=string").json(),
        json!({"key":"b","value":"9223372036854775807"})
    );
    let got = server.post("/v1/get", r#"{"keys":["b","nope","a"]}"#).json();
    assert_eq!(got["counters"][1], json!({"key":"nope","value":null}));
    assert_eq!(got["counters"][2], json!({"key":"a","value":0}));
}

#[test]
fn a_request_is_applied_whole_or_not_at_all() {
    let server = Server::start(&[]);
    server.post("/v1/add", r#"{"adds":[{"key":"high","amount":9223372036854775807}]}"#);
    let refused = server.post(
        "/v1/add",
        r#"{"adds":[{"key":"other"},{"key":"high"}],"return":"values"}"#,
    );
    refused.problem(422, "invalid", "\"high\"");
    assert_eq!(server.value("other"), json!(null));
    let bad = server.post("/v1/add", r#"{"adds":[{"key":"other"},{"key":""}]}"#);
    bad.problem(400, "invalid", "adds[1]: the key is empty");
    assert_eq!(server.value("other"), json!(null));
}

#[test]
fn a_token_counts_once() {
    let server = Server::start(&[]);
    let add = r#"{"adds":[{"key":"paid","amount":7,"token":"t1"},{"key":"free","token":"t1x"}],"return":"values"}"#;
    let first = server.post("/v1/add", add).json();
    assert_eq!(first["results"][0], json!({"key":"paid","value":7,"duplicate":false}));
    server.post("/v1/add", r#"{"adds":[{"key":"paid","amount":1}]}"#);
    let again = server.post("/v1/add", add).json();
    assert_eq!(
        again["results"][0],
        json!({"key":"paid","value":7,"duplicate":true}),
        "the first answer again"
    );
    assert_eq!(server.value("paid"), json!(8));
    let other = server.post(
        "/v1/add",
        r#"{"adds":[{"key":"paid","amount":8,"token":"t1"},{"key":"new"}]}"#,
    );
    other.problem(422, "invalid", "another payload");
    assert_eq!(server.value("new"), json!(null));
    let twice = server
        .post(
            "/v1/add",
            r#"{"adds":[{"key":"z","token":"t2"},{"key":"z","token":"t2"}],"return":"values"}"#,
        )
        .json();
    assert_eq!(twice["results"][1], json!({"key":"z","value":1,"duplicate":true}));
    let ledger = server.get("/v1/ledger").json();
    let entry = &ledger["namespaces"][0];
    assert_eq!(
        (&entry["counted"], &entry["duplicate"], &entry["received"]),
        (&json!(4), &json!(3), &json!(7))
    );
}

#[test]
fn an_idempotency_key_covers_the_whole_request() {
    let server = Server::start(&[]);
    let headers = [("content-type", "application/json"), ("idempotency-key", "k1")];
    let body = br#"{"adds":[{"key":"a"},{"key":"b","amount":2}],"return":"values"}"#;
    for duplicate in [false, true, true] {
        let answer = server.send("POST", "/v1/add", &headers, body).json();
        assert_eq!(answer["results"][1], json!({"key":"b","value":2,"duplicate":duplicate}));
    }
    let folder = server.kill().unwrap();
    let server = Server::start_on(&folder.path().join("data"), &[]);
    let answer = server.send("POST", "/v1/add", &headers, body).json();
    assert_eq!(
        answer["results"][0],
        json!({"key":"a","value":1,"duplicate":true}),
        "tokens survive a crash"
    );
    let other = server.send("POST", "/v1/add", &headers, br#"{"adds":[{"key":"a"}]}"#);
    other.problem(422, "invalid", "another payload");
    assert_eq!(server.value("a"), json!(1));
}

#[test]
fn counters_are_listed_by_page() {
    let server = Server::start(&["--ack", "memory"]);
    let adds: Vec<_> = (0..25)
        .map(|number| json!({"key": format!("p:{number:02}"), "amount": number}))
        .collect();
    assert_eq!(
        server.post("/v1/add", &json!({ "adds": adds }).to_string()).json()["ack"],
        "memory"
    );
    server.post("/v1/add", r#"{"adds":[{"key":"q:1"}]}"#);
    let (mut after, mut listed) = (String::new(), Vec::new());
    loop {
        let page = server
            .get(&format!("/v1/counters?prefix=p%3A&limit=10&after={after}"))
            .json();
        listed.extend(page["counters"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        after = next.replace(':', "%3A");
    }
    assert_eq!(listed.len(), 25);
    assert_eq!(listed[24], json!({"key":"p:24","value":24}));
    assert_eq!(server.get("/v1/counters?limit=26").json()["next"], json!(null));
    assert_eq!(server.get("/v1/status").json()["counters"], 26);
}
