//! Texts that are kept: the API's description, the documentation of settings, the help. `TALLY_UPDATE=1 cargo test` writes them anew.

use std::path::{Path, PathBuf};

use crate::server::tally;

fn check(path: &Path, arguments: &[&str]) {
    let output = tally().args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    if std::env::var_os("TALLY_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == text,
        "{} is not what `tally {}` prints: TALLY_UPDATE=1 cargo test -p tally-server",
        path.display(),
        arguments.join(" ")
    );
}

fn root() -> PathBuf {
    // As it is when the test runs: a test binary may be kept from another checkout.
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap())
}

#[test]
fn the_api_is_described() {
    check(&root().join("tests/http/openapi.json"), &["config", "--openapi"]);
}

#[test]
fn the_settings_are_documented() {
    check(&root().join("../../docs/config.md"), &["config", "--markdown"]);
}

#[test]
fn the_help_is_kept() {
    check(&root().join("tests/http/help.txt"), &["--help"]);
}
