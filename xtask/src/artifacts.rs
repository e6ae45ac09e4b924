//! What is built: the UI and the server's binary.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};

use crate::command;
use crate::machine;
use crate::place::Place;

/// Builds the UI into `ui/dist` unless that is newer than what it is made of.
pub(crate) fn ui(place: &Place) -> Result<()> {
    let ui = place.path("ui");
    ensure!(ui.join("package.json").is_file(), "there is no ui/package.json");
    if is_fresh(&ui) {
        println!("ui/dist is newer than its sources");
        return Ok(());
    }
    ui_packages(&ui)?;
    command::run(&mut command::program("npm", &ui, &["run", "build"]))
}

/// Installs the UI's packages as its lock file names them, unless they are there.
pub(crate) fn ui_packages(ui: &Path) -> Result<()> {
    let lacking: Vec<&str> = ["node", "npm"]
        .into_iter()
        .filter(|name| command::which(name).is_none())
        .collect();
    ensure!(lacking.is_empty(), "lacking: {}", lacking.join(" "));
    machine::node_fits(ui)?;
    let installed = changed(&ui.join("node_modules/.package-lock.json"));
    if installed.is_some() && installed >= changed(&ui.join("package-lock.json")) {
        return Ok(());
    }
    command::run(&mut command::program("npm", ui, &["ci", "--no-audit", "--no-fund"]))
}

/// Builds the server's binary, `release` or `debug`, and gives its path.
pub(crate) fn server(place: &Place, profile: &str) -> Result<PathBuf> {
    let lacking = machine::obtain(&machine::BUILD);
    ensure!(lacking.is_empty(), "lacking: {}", lacking.join(" "));
    let mut arguments = vec!["build", "--package", "tally-server", "--bin", "tally"];
    if profile == "release" {
        arguments.push("--release");
    }
    command::run(&mut command::cargo(place.root(), &arguments))?;
    let binary = place.binary(profile);
    ensure!(binary.is_file(), "cargo built no {}", binary.display());
    Ok(binary)
}

fn is_fresh(ui: &Path) -> bool {
    let built = changed(&ui.join("dist/index.html"));
    built.is_some() && newest_source(ui).is_ok_and(|newest| built > newest)
}

/// When the newest of the files was changed that the UI is built from.
fn newest_source(ui: &Path) -> Result<Option<SystemTime>> {
    const NOT_SOURCES: [&str; 5] = ["node_modules", "dist", "tests", "test-results", "playwright-report"];
    let mut newest = None;
    let mut folders = vec![ui.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            let skipped = path
                .file_name()
                .is_some_and(|name| NOT_SOURCES.iter().any(|not| name == *not));
            if path.is_dir() && !skipped {
                folders.push(path);
            } else if !skipped {
                newest = newest.max(changed(&path));
            }
        }
    }
    Ok(newest)
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}
