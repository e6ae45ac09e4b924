//! Bad input: each gets a clear error in the face's own form, changes nothing, and leaves the server serving.

use std::io::{Read, Write};

use serde_json::json;

use crate::server::Server;

#[test]
fn bad_adds_are_refused() {
    let server = Server::start(&["--max-body", "64KiB", "--max-batch", "3"]);
    let long = "x".repeat(1_025);
    for (body, status, detail) in [
        ("", 400, "EOF"),
        ("{", 400, "line 1 column 1"),
        ("[]", 400, "invalid length"),
        ("{}", 400, "missing field `adds`"),
        (r#"{"adds":[]}"#, 400, "max_batch"),
        (
            r#"{"adds":[{"key":"a"},{"key":"a"},{"key":"a"},{"key":"a"}]}"#,
            400,
            "max_batch",
        ),
        (r#"{"adds":[{"key":"a"}],"extra":1}"#, 400, "unknown field `extra`"),
        (r#"{"adds":[{"key":"a","amuont":1}]}"#, 400, "unknown field `amuont`"),
        (r#"{"adds":[{"key":"a","amount":1.5}]}"#, 400, "an integer of 64 bits"),
        (r#"{"adds":[{"key":"a","amount":"1"}]}"#, 400, "an integer of 64 bits"),
        (
            r#"{"adds":[{"key":"a","amount":9223372036854775808}]}"#,
            400,
            "beyond 64 bits",
        ),
        (
            r#"{"adds":[{"key":"a","amount":-9223372036854775809}]}"#,
            400,
            "an integer of 64 bits",
        ),
        (r#"{"adds":[{"key":"a"},{"key":""}]}"#, 400, "adds[1]: the key is empty"),
        (&format!(r#"{{"adds":[{{"key":"{long}"}}]}}"#), 400, "1025 bytes"),
        ("{\"adds\":[{\"key\":\"\u{fffd}\"}]}x", 400, "trailing characters"),
        (r#"{"adds":[{"key":"a","time":"yesterday"}]}"#, 400, "yesterday"),
        (
            r#"{"adds":[{"key":"a","time":253402300800000}]}"#,
            400,
            "outside 1970 to 9999",
        ),
        (r#"{"adds":[{"key":"a","token":""}]}"#, 400, "1 to 1,024 bytes"),
        (
            r#"{"adds":[{"key":"a"}],"return":"everything"}"#,
            400,
            "unknown variant",
        ),
        (
            &format!(r#"{{"adds":[{{"key":"{}"}}]}}"#, "x".repeat(70_000)),
            413,
            "max_body",
        ),
    ] {
        let kind = "invalid";
        server.post("/v1/add", body).problem(status, kind, detail);
    }
    let not_text = server.send(
        "POST",
        "/v1/add",
        &[("content-type", "application/json")],
        b"{\"adds\":[{\"key\":\"a\xff\"}]}",
    );
    not_text.problem(400, "invalid", "unicode");
    server
        .send("POST", "/v1/add", &[], br#"{"adds":[{"key":"a"}]}"#)
        .problem(415, "invalid", "application/json");
    assert_eq!(
        server.get("/v1/counters").json()["counters"],
        json!([]),
        "nothing was changed"
    );
}

#[test]
fn bad_reads_are_refused() {
    let server = Server::start(&[]);
    server.post("/v1/add", r#"{"adds":[{"key":"page:a"}]}"#);
    for (path, status, kind, detail) in [
        ("/v1/counter", 400, "invalid", "key is missing"),
        ("/v1/counter?key=", 400, "invalid", "empty"),
        ("/v1/counter?key=a&key=b", 400, "invalid", "more than once"),
        ("/v1/counter?key=%ff", 400, "invalid", "UTF-8"),
        ("/v1/counter?key=a&kee=b", 400, "invalid", "\"kee\""),
        ("/v1/counter?key=a&int64=float", 400, "invalid", "int64"),
        ("/v1/counter?key=nope", 404, "not_found", "nope"),
        ("/v1/counters?limit=0", 400, "invalid", "1 to 1000"),
        ("/v1/counters?limit=many", 400, "invalid", "many"),
        ("/v1/history", 400, "invalid", "keys"),
        ("/v1/history?key=a&step=7m", 400, "invalid", "step"),
        ("/v1/history?key=a&tz=Mars/Phobos", 400, "invalid", "Mars"),
        ("/v1/history?key=a&from=5&to=5", 400, "invalid", "before"),
        ("/v1/history?key=a&from=never", 400, "invalid", "RFC 3339"),
        (
            "/v1/history?key=a&from=0&to=2026-01-01T00:00:00Z&step=1m",
            422,
            "invalid",
            "history_limit",
        ),
        ("/v1/query?match=a*b*", 400, "invalid", "prefix"),
        ("/v1/query?match=page:*&by=path", 400, "invalid", "template"),
        ("/v1/query?match=page:*&agg=avg", 400, "invalid", "agg"),
        ("/v1/watch", 400, "invalid", "keys"),
        ("/v1/explain?key=", 400, "invalid", "empty"),
        ("/v1/namespaces/nope", 404, "not_found", "nope"),
        ("/v1/nothing", 404, "not_found", "/v1/nothing"),
        ("/favicon.gif", 404, "not_found", "favicon.gif"),
    ] {
        server.get(path).problem(status, kind, detail);
    }
    let refused = server.send("DELETE", "/v1/counter?key=a", &[], b"");
    refused.problem(405, "invalid", "GET");
    assert!(refused.head.contains("allow: get, head"), "{refused:?}");
}

#[test]
fn bad_policies_and_rules_are_refused() {
    let server = Server::start(&[]);
    let json = [("content-type", "application/json")];
    for (body, detail) in [
        (r#"{"consistency":"firm"}"#, "eventual, strong or approximate"),
        (r#"{"min":0}"#, "strong counters only"),
        (r#"{"consistency":"strong","min":1}"#, "must allow 0"),
        (r#"{"consistency":"strong","max":1.5}"#, "1.5"),
        (r#"{"consistency":"approximate"}"#, "not available yet"),
        (r#"{"ack":"replicated"}"#, "not available"),
        (r#"{"history":{"1m":"5m"}}"#, "at least 1h"),
        (r#"{"lateness":"soon"}"#, "soon"),
        (r#"{"template":"other:{a}"}"#, "template"),
        (r#"{"limits":{}}"#, "unknown field"),
    ] {
        server
            .send("PUT", "/v1/namespaces/req", &json, body.as_bytes())
            .problem(400, "invalid", detail);
    }
    server
        .send("PUT", "/v1/namespaces/a:b", &json, b"{}")
        .problem(400, "invalid", "letters");
    let text = [("content-type", "text/plain")];
    server
        .send("PUT", "/v1/rules", &text, b"[[rule]\n")
        .problem(400, "invalid", "line 1");
    let no_field = b"[[rule]]\nmatch = { type = \"x\" }\ncount = [\"a:{}\"]\n";
    server
        .send("PUT", "/v1/rules", &text, no_field)
        .problem(400, "invalid", "3");
    assert_eq!(server.get("/v1/rules").body, "");
}

#[test]
fn broken_http_leaves_the_server_serving() {
    let server = Server::start(&["--request-timeout", "300ms"]);
    for bytes in [
        &b"*1\r\n$4\r\nPING\r\n"[..],
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"POST /v1/add HTTP/1.1\r\ncontent-length: x\r\n\r\n",
    ] {
        let answer = server.raw(bytes);
        assert!(answer.status == 400 || answer.head.is_empty(), "{answer:?}");
    }
    // A head and a body that never come.
    for bytes in [
        &b"GET /healthz HTTP/1.1\r\nhost:"[..],
        b"POST /v1/add HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{",
    ] {
        let mut stream = server.connect();
        stream.write_all(bytes).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let announced = b"POST /v1/add HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 2147483648\r\nconnection: close\r\n\r\n{";
    server.raw(announced).problem(413, "invalid", "max_body");
    assert_eq!(server.get("/healthz").body, "ok\n");
}

#[test]
fn connections_have_a_limit() {
    let server = Server::start(&["--max-connections", "2"]);
    let held: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
            assert!(stream.read(&mut [0; 1_024]).unwrap() > 0);
            stream
        })
        .collect();
    server.get("/healthz").problem(503, "unavailable", "max_connections");
    drop(held);
}
