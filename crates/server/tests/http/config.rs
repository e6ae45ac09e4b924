//! Settings in their three forms, and how wrong ones are refused.

use std::path::Path;
use std::process::Output;

use crate::server::tally;

fn config(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    tally()
        .arg("config")
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn written(folder: &Path, text: &str) -> String {
    let path = folder.join("tally.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The line of a setting: value and origin.
fn line(output: &Output, name: &str) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let line = text
        .lines()
        .find(|line| line.split_whitespace().next() == Some(name))
        .unwrap_or_default()
        .to_owned();
    line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_flag_wins_over_the_variable_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(
        folder.path(),
        "# settings\nack = \"memory\"\nmemory = \"1GiB\"\nmax_batch = 5\nallow_flush = true\n",
    );
    let plain = config(&[], &[]);
    assert_eq!(line(&plain, "ack"), "disk default");
    let from_file = config(&["--config", &file], &[]);
    assert_eq!(line(&from_file, "ack"), format!("memory file {file}:2:1"));
    assert_eq!(line(&from_file, "allow_flush"), format!("true file {file}:5:1"));
    let from_variable = config(
        &[],
        &[("TALLY_CONFIG", &file), ("TALLY_ACK", "disk"), ("TALLY_MAX_BATCH", "6")],
    );
    assert_eq!(line(&from_variable, "ack"), "disk environment TALLY_ACK");
    assert_eq!(line(&from_variable, "max_batch"), "6 environment TALLY_MAX_BATCH");
    assert_eq!(line(&from_variable, "memory"), format!("1GiB file {file}:3:1"));
    let from_flag = config(
        &["--config", &file, "--ack", "replicated", "--max-batch", "7"],
        &[("TALLY_ACK", "disk")],
    );
    assert_eq!(line(&from_flag, "ack"), "replicated flag");
    assert_eq!(line(&from_flag, "max_batch"), "7 flag");
}

#[test]
fn a_secret_is_never_shown() {
    for output in [
        config(&["--auth-token", "hunter2"], &[]),
        config(&[], &[("TALLY_AUTH_TOKEN", "hunter2")]),
    ] {
        assert!(line(&output, "auth_token").starts_with("*** "), "{output:?}");
        assert!(!String::from_utf8(output.stdout).unwrap().contains("hunter2"));
    }
}

#[test]
fn wrong_settings_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let in_file = |text: &str| {
        let own = tempfile::tempdir_in(folder.path()).unwrap().keep();
        vec!["--config".to_owned(), written(&own, text)]
    };
    let flags = |flags: &[&str]| flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>();
    let none: &[(&str, &str)] = &[];
    for (arguments, variables, why) in [
        (
            in_file("ack = \"disk\"\nacks = 1\n"),
            none,
            "tally.toml:2:1: there is no setting \"acks\"; did you mean ack?",
        ),
        (in_file("nonsense = 1\n"), none, "`tally config` lists all"),
        (in_file("ack = \n"), none, "tally.toml:1:"),
        (in_file("ack = [1]\n"), none, "must be memory, disk or replicated"),
        (
            in_file("[server]\nack = \"disk\"\n"),
            none,
            "there is no setting \"server\"",
        ),
        (
            flags(&["--memory", "64"]),
            none,
            "memory (from flag) must be a size such as 64MiB, from 8MiB to 1TiB, not \"64\"",
        ),
        (flags(&["--memory", "1KiB"]), none, "from 8MiB"),
        (flags(&["--ack", "never"]), none, "memory, disk or replicated"),
        (
            flags(&["--config", "/nowhere/tally.toml"]),
            none,
            "cannot read /nowhere/tally.toml",
        ),
        (
            flags(&[]),
            &[("TALLY_MAX_BODI", "1MiB")],
            "TALLY_MAX_BODI; did you mean TALLY_MAX_BODY?",
        ),
        (flags(&[]), &[("TALLY_HTTP", "7380")], "TALLY_HTTP"),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = config(&arguments, variables);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(
            said.contains(why) && said.lines().count() == 1,
            "{why:?} is not in {said:?}"
        );
    }
    let unknown_flag = config(&["--acks", "disk"], &[]);
    assert_eq!(unknown_flag.status.code(), Some(2));
    let kubernetes = config(
        &[],
        &[
            ("TALLY_SERVICE_HOST", "10.0.0.1"),
            ("TALLY_PORT", "tcp://10.0.0.1:7380"),
        ],
    );
    assert_eq!(kubernetes.status.code(), Some(0));
    assert!(
        String::from_utf8(kubernetes.stdout)
            .unwrap()
            .contains("TALLY_SERVICE_HOST is no setting and is ignored")
    );
}

#[test]
fn settings_of_tls_that_do_not_go_together_are_refused() {
    for (flags, why) in [
        (&["--store-tls"][..], "store_tls needs store_tls_ca"),
        (&["--store-tls-ca", "ca.pem"], "nothing would be encrypted"),
        (
            &[
                "--store-tls",
                "--store-tls-ca",
                "ca.pem",
                "--store-tls-key",
                "tally.key",
            ],
            "store_tls_certificate and store_tls_key go together",
        ),
    ] {
        let output = tally().arg("serve").args(flags).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains(why) && said.lines().count() == 1,
            "{why:?} is not in {said:?}"
        );
    }
}
