//! The rules of the house that a compiler does not know, checked by an ordinary test and by `cargo xtask tidy`.
//!
//! Each check gives one line for each breach, with the file it is in.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command;
use crate::place::Place;

/// A file above this needs a reason.
const LONG_LINES: usize = 500;

/// Which of our crates each crate may use: the direction of DESIGN.md, section 7.
const MAY_USE: [(&str, &[&str]); 8] = [
    ("tally-counter", &[]),
    ("tally-store", &["tally-counter"]),
    ("tally-engine", &["tally-counter", "tally-store"]),
    ("tally-ingest", &["tally-counter", "tally-store", "tally-engine"]),
    (
        "tally-server",
        &["tally-counter", "tally-store", "tally-engine", "tally-ingest"],
    ),
    (
        "tally-sim",
        &["tally-counter", "tally-store", "tally-engine", "tally-ingest"],
    ),
    (
        "tally-fuzz",
        &["tally-counter", "tally-engine", "tally-ingest", "tally-server"],
    ),
    ("xtask", &[]),
];

/// What belongs to one machine or to how it reaches its packages, and so not into the project. Written in parts, so
/// that this file does not hold it.
const NOT_OURS: [&str; 11] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npmjs", "."),
    concat!("golang", ".org"),
    concat!("maven", ".org"),
    concat!("maven.apache", ".org"),
    concat!("deb.debian", ".org"),
    concat!("/wo", "rk/main"),
    concat!("/wo", "rk/shared"),
    concat!("/ro", "ot/"),
];

/// Files that are made by tools or hold other people's data.
const NOT_READ: [&str; 4] = [
    "Cargo.lock",
    "go.sum",
    "package-lock.json",
    "examples/web-requests.ndjson",
];

/// Runs all checks; an error lists every breach.
pub(crate) fn tidy() -> Result<()> {
    let place = Place::find()?;
    let files = files(place.root())?;
    let mut breaches = directions(place.root())?;
    for file in &files {
        let Ok(text) = std::fs::read_to_string(place.root().join(file)) else {
            continue;
        };
        breaches.extend(of_file(place.root(), file, &text));
    }
    if breaches.is_empty() {
        println!("{} files are tidy", files.len());
        return Ok(());
    }
    bail!("{} breaches:\n{}", breaches.len(), breaches.join("\n"))
}

/// What git has or would take, relative to the top.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let list = command::output(&mut command::program("git", root, &list))?;
    Ok(list
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .filter(|file| root.join(file).is_file())
        .collect())
}

fn of_file(root: &Path, file: &Path, text: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    let is_source = ["crates", "fuzz", "xtask"].iter().any(|top| file.starts_with(top));
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("rs") if is_source => {
            breaches.extend(header(text));
            breaches.extend(length(file, text));
        }
        Some("md") => breaches.extend(links(&root.join(file), text)),
        _ => {}
    }
    if !NOT_READ.iter().any(|name| file.ends_with(name)) {
        breaches.extend(hosts(text));
        breaches.extend(markers(text));
    }
    breaches
        .into_iter()
        .map(|breach| format!("{}: {breach}", file.display()))
        .collect()
}

/// What a merge leaves where both sides changed the same lines.
fn markers(text: &str) -> Option<String> {
    let is_marker = |line: &str| ["<<<<<<< ", ">>>>>>> "].iter().any(|marker| line.starts_with(marker));
    let line = text.lines().position(is_marker)?.saturating_add(1);
    Some(format!("line {line} is a merge's conflict marker"))
}

fn header(text: &str) -> Option<String> {
    let opens = text.starts_with("//! ");
    (!opens).then(|| "does not open with `//!` (what it is, what it guards, what it does not do)".to_owned())
}

/// Tests do not count: neither files of tests, nor what follows a file's `#[cfg(test)] mod`.
fn length(file: &Path, text: &str) -> Option<String> {
    let is_test = file.ends_with("tests.rs") || file.components().any(|part| part.as_os_str() == "tests");
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines
        .windows(2)
        .position(|pair| matches!(pair, [a, b] if *a == "#[cfg(test)]" && b.starts_with("mod ")));
    let count = tests.unwrap_or(lines.len());
    let reasoned = lines.iter().any(|line| line.starts_with("//! Long because: "));
    (count > LONG_LINES && !is_test && !reasoned)
        .then(|| format!("{count} lines without its tests: split it, or say `//! Long because: …`"))
}

fn hosts(text: &str) -> Vec<String> {
    let holds = |(index, line): (usize, &str)| {
        let found = NOT_OURS.iter().find(|word| line.contains(**word))?;
        Some(format!(
            "line {}: holds `{found}`: no registry's host, no path of one machine",
            index + 1
        ))
    };
    text.lines().enumerate().filter_map(holds).collect()
}

/// Links to files that are not there. Links to the web, and to places within a page, are not followed.
fn links(file: &Path, text: &str) -> Vec<String> {
    let folder = file.parent().unwrap_or(file);
    let mut fenced = false;
    let mut broken = Vec::new();
    for (index, line) in text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        let targets = if fenced { Vec::new() } else { targets(line) };
        for target in targets.into_iter().filter(|target| !folder.join(target).exists()) {
            broken.push(format!("line {}: links to {target}, which is not there", index + 1));
        }
    }
    broken
}

/// The relative targets of a line's links, without their fragments.
fn targets(line: &str) -> Vec<&str> {
    let outside_code = line.split('`').step_by(2);
    let links = outside_code.flat_map(|part| part.split("](").skip(1));
    let target = |link: &'_ str| link.find([')', ' ', '#']).and_then(|end| link.get(..end).map(str::len));
    links
        .filter_map(|link| link.get(..target(link)?))
        .filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
        .collect()
}

/// Our crates that use another against the direction, in any of the three kinds of dependency.
fn directions(root: &Path) -> Result<Vec<String>> {
    let metadata = command::output(&mut command::cargo(
        root,
        &["metadata", "--no-deps", "--format-version", "1"],
    ))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let mut breaches = Vec::new();
    for package in metadata
        .get("packages")
        .and_then(Value::as_array)
        .context("cargo metadata lists no packages")?
    {
        let name = package.get("name").and_then(Value::as_str).unwrap_or_default();
        let Some((_, may)) = MAY_USE.iter().find(|(known, _)| *known == name) else {
            breaches.push(format!("{name}: tidy does not know what this crate may use"));
            continue;
        };
        let uses = package
            .get("dependencies")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let uses = uses.filter_map(|dependency| dependency.get("name")?.as_str());
        let against =
            uses.filter(|used| MAY_USE.iter().any(|(ours, _)| ours == used) && *used != name && !may.contains(used));
        breaches.extend(against.map(|used| format!("{name}: uses {used}, against the direction of dependencies")));
    }
    Ok(breaches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        if let Err(error) = tidy() {
            panic!("{error:#}");
        }
    }

    #[test]
    fn what_a_merge_left_is_found() {
        let text = concat!("a\n", "<<<", "<<<< main\nb\n");
        assert_eq!(markers(text).as_deref(), Some("line 2 is a merge's conflict marker"));
        assert!(markers("a\n=======\nb <<<<<<< c\n").is_none());
    }

    #[test]
    fn a_file_opens_with_what_it_is() {
        assert!(header("//! What it is.\n").is_none());
        assert!(header("use std::fs;\n").is_some());
    }

    #[test]
    fn long_files_need_a_reason_and_tests_do_not_count() {
        let file = Path::new("crates/x/src/y.rs");
        let code = "let x = 1;\n".repeat(LONG_LINES + 1);
        assert!(length(file, &code).is_some());
        assert!(length(file, &format!("//! Long because: so.\n{code}")).is_none());
        assert!(length(file, &format!("#[cfg(test)]\nmod tests {{\n{code}}}\n")).is_none());
        assert!(length(Path::new("crates/x/src/tests.rs"), &code).is_none());
    }

    #[test]
    fn links_are_found_outside_code() {
        let line = "[a](b.md#c) `[no](no.md)` [web](https://example.org/x) ![p](p.png \"t\") [in](#here)";
        assert_eq!(targets(line), ["b.md", "p.png"]);
    }
}
