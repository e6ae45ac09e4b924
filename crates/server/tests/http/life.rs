//! How the server starts, refuses to start, and ends; who may call it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::json;

use crate::server::Server;

/// A start that must fail: what it said on stderr, one line.
fn refused(data: &std::path::Path, arguments: &[&str], code: i32) -> String {
    let output = Server::command(data, arguments).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(output.stdout.is_empty());
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("tally: ")).collect();
    assert_eq!(errors.len(), 1, "{said}");
    said
}

#[test]
fn what_was_acknowledged_survives() {
    let server = Server::start(&[]);
    server.post("/v1/add", r#"{"adds":[{"key":"a","amount":5}]}"#);
    let folder = server.kill().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_on(&data, &[]);
    assert_eq!(server.value("a"), json!(5));
    server.post("/v1/add", r#"{"adds":[{"key":"a","amount":5}]}"#);
    let (status, _) = server.stop();
    assert_eq!(status.code(), Some(0));
    let server = Server::start_on(&data, &["--ack", "memory"]);
    server.post("/v1/add", r#"{"adds":[{"key":"a","amount":5}]}"#);
    let (status, _) = server.stop();
    assert_eq!(status.code(), Some(0));
    let server = Server::start_on(&data, &[]);
    assert_eq!(server.value("a"), json!(15), "a stop keeps what level memory had");
    assert_eq!(server.get("/readyz").body, "ready\n");
}

#[test]
fn a_start_that_cannot_be_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert!(refused(&data, &["--http", &address], 1).contains("setting http"));
    assert!(refused(&data, &["--resp", &address], 1).contains("setting resp"));
    assert!(!data.exists(), "nothing was touched");
    assert!(refused(&data, &["--http", "0.0.0.0:0"], 1).contains("auth_token"));
    assert!(refused(&data, &["--store", "cql://localhost/Tally"], 1).contains("a keyspace's name is"));
    assert!(refused(&data, &["--store", "cql://a:secret@localhost/tally"], 1).contains("settings of their own"));
    assert!(refused(&data, &["--ack", "replicated"], 1).contains("not available"));
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    assert!(refused(&file, &[], 1).contains("file"));
    let rules = folder.path().join("rules.toml");
    std::fs::write(&rules, "[[rule]]\nmatch = 5\n").unwrap();
    let said = refused(&data, &["--rules", rules.to_str().unwrap()], 1);
    assert!(said.contains("rules.toml") && said.contains('2'), "{said}");
    let server = Server::start_on(&data, &[]);
    assert!(refused(&data, &[], 1).contains("in use"));
    assert_eq!(server.get("/healthz").status, 200);
    server.stop();
    std::fs::write(data.join("store/format"), "tally store 999\n").unwrap();
    assert!(refused(&data, &[], 1).contains("newer Tally"));
}

/// A cluster that does not answer is waited for, by name, and nothing is served meanwhile.
#[test]
fn a_cluster_that_is_not_there_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("cql://{}/tally", nobody.local_addr().unwrap());
    drop(nobody);
    let mut waiting = Server::command(&data, &["--store", &url, "--store-connect-timeout", "500ms"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(waiting.stderr.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find(|line| line.contains("waiting for the store"));
    waiting.kill().unwrap();
    let output = waiting.wait_with_output().unwrap();
    let address = url.trim_start_matches("cql://").trim_end_matches("/tally");
    assert!(
        said.is_some_and(|said| said.contains(address)),
        "it names who does not answer"
    );
    assert!(output.stdout.is_empty(), "nothing is served");
}

#[test]
fn a_credential_is_asked_for_everywhere_but_for_health_and_pages() {
    let server = Server::start(&["--auth-token", "secret"]);
    for path in [
        "/v1/status",
        "/v1/counter?key=a",
        "/metrics",
        "/openapi.json",
        "/v1/nothing",
    ] {
        let refused = server.get(path);
        refused.problem(401, "unauthorized", "");
        assert!(refused.head.contains("www-authenticate: bearer"), "{refused:?}");
        server
            .send("GET", path, &[("authorization", "Bearer wrong")], b"")
            .problem(401, "unauthorized", "wrong");
        server
            .send("GET", path, &[("authorization", "Basic secret")], b"")
            .problem(401, "unauthorized", "Bearer");
    }
    for path in ["/healthz", "/readyz", "/", "/counter"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    let known = [("authorization", "Bearer secret")];
    assert_eq!(server.send("GET", "/v1/status", &known, b"").status, 200);
    assert!(server.cli(&["add", "a"]).output().unwrap().status.code() == Some(1));
    let added = server
        .cli(&["add", "a"])
        .env("TALLY_AUTH_TOKEN", "secret")
        .output()
        .unwrap();
    assert_eq!(added.stdout, b"1\n");
}

#[test]
fn pages_are_served_with_a_strict_policy() {
    let server = Server::start(&[]);
    let page = server.get("/counter?key=a");
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-type: text/html"), "{page:?}");
    assert!(
        page.head
            .contains("content-security-policy: default-src 'none'; script-src 'self'"),
        "{page:?}"
    );
    assert!(page.head.contains("x-content-type-options: nosniff"), "{page:?}");
    assert_eq!(server.send("HEAD", "/", &[], b"").status, 200);
    assert!(
        server
            .get("/metrics")
            .body
            .contains("tally_requests_total{face=\"http\",result=\"ok\"}")
    );
    assert!(server.get("/metrics").body.ends_with("# EOF\n"));
}
