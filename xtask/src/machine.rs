//! What the machine has, and how to get what it lacks: Debian's packages, as root or after asking to use sudo.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{self, which};

/// A program, and the Debian package that brings it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
}

/// What building the server takes beside the Rust toolchain: the allocator and the encryption of connections to a cluster are C.
pub(crate) const BUILD: [Need; 2] = [
    Need {
        program: "cc",
        package: "gcc",
    },
    Need {
        program: "make",
        package: "make",
    },
];

/// What building the UI takes.
pub(crate) const NODE: [Need; 2] = [
    Need {
        program: "node",
        package: "nodejs",
    },
    Need {
        program: "npm",
        package: "npm",
    },
];

/// What the tests use besides. `python3 -m venv` is a package of its own and asked for where it fails.
pub(crate) const TEST: [Need; 6] = [
    Need {
        program: "redis-server",
        package: "redis-server",
    },
    Need {
        program: "redis-cli",
        package: "redis-tools",
    },
    Need {
        program: "chromium",
        package: "chromium",
    },
    Need {
        program: "curl",
        package: "curl",
    },
    Need {
        program: "python3",
        package: "python3",
    },
    Need {
        program: "go",
        package: "golang-go",
    },
];

/// What a Cassandra of our own takes.
pub(crate) const CASSANDRA: [Need; 3] = [
    Need {
        program: "java",
        package: "openjdk-17-jre-headless",
    },
    Need {
        program: "mvn",
        package: "maven",
    },
    Need {
        program: "openssl",
        package: "openssl",
    },
];

/// What runs a program by another clock.
pub(crate) const CLOCK: [Need; 1] = [Need {
    program: "faketime",
    package: "faketime",
}];

/// The library that `faketime` loads into a program: loaded without it, the program stays our own child.
pub(crate) fn fake_clock() -> Result<PathBuf> {
    const NAME: &str = "libfaketime.so.1";
    let listed = command::output(Command::new("dpkg").args(["-L", "libfaketime"]))?;
    let found = listed.lines().find(|line| line.ends_with(NAME)).map(PathBuf::from);
    found.with_context(|| format!("the package libfaketime brings no {NAME}"))
}

/// What the benchmarks use.
pub(crate) const RIVAL: [Need; 2] = [
    Need {
        program: "redis-server",
        package: "redis-server",
    },
    Need {
        program: "redis-benchmark",
        package: "redis-tools",
    },
];

/// What counts events beside us.
pub(crate) const JQ: [Need; 1] = [Need {
    program: "jq",
    package: "jq",
}];

/// Installs what is lacking where that is possible; otherwise says what to install. Gives the programs still lacking.
pub(crate) fn obtain(needs: &[Need]) -> Vec<&'static str> {
    let lacking =
        |needs: &[Need]| -> Vec<Need> { needs.iter().copied().filter(|n| which(n.program).is_none()).collect() };
    let missing = lacking(needs);
    if missing.is_empty() {
        return Vec::new();
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    if let Err(error) = install(&packages) {
        println!("{error:#}");
    }
    lacking(&missing).iter().map(|need| need.program).collect()
}

/// Installs Debian packages; the error says what to type instead.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    let Some(prefix) = privilege(&names) else {
        anyhow::bail!("please install: {names} (on Debian: apt-get install {names})");
    };
    let apt = |arguments: &[&str]| -> Result<()> {
        let words: Vec<&str> = prefix.iter().chain(&["apt-get"]).chain(arguments).copied().collect();
        let Some((first, rest)) = words.split_first() else {
            return Ok(());
        };
        command::run(command::program(first, Path::new("/"), rest).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update", "-qq"])?;
    let install: Vec<&str> = ["install", "-y", "-qq", "--no-install-recommends"]
        .iter()
        .chain(packages)
        .copied()
        .collect();
    apt(&install)
}

/// What goes before `apt-get`: nothing as root, sudo where a person said yes; none where neither can be had.
fn privilege(names: &str) -> Option<Vec<&'static str>> {
    which("apt-get")?;
    if rustix::process::getuid().is_root() {
        return Some(Vec::new());
    }
    which("sudo")?;
    let asked = std::io::stdin().is_terminal() && yes(&format!("Install {names} with sudo apt-get? [y/N] "));
    asked.then(|| vec!["sudo"])
}

fn yes(question: &str) -> bool {
    print!("{question}");
    let mut answer = String::new();
    let read = std::io::stdout()
        .flush()
        .and_then(|()| std::io::stdin().read_line(&mut answer));
    read.is_ok() && answer.trim().eq_ignore_ascii_case("y")
}

/// A version as three numbers.
type Version = (u32, u32, u32);

/// An error that says so if the Node.js here is not in one of the ranges that the UI's packages name.
pub(crate) fn node_fits(ui: &Path) -> Result<()> {
    let here = command::output(Command::new("node").arg("--version"))?;
    for (name, range) in node_ranges(ui)? {
        let fits = version(&here).is_some_and(|here| in_range(here, &range));
        anyhow::ensure!(
            fits,
            "{name} needs Node.js {range}, and this is {}: install a newer one",
            here.trim()
        );
    }
    Ok(())
}

/// The ranges of Node.js that the UI itself and its bundler ask for.
fn node_ranges(ui: &Path) -> Result<Vec<(&'static str, String)>> {
    let lock: serde_json::Value = serde_json::from_slice(&std::fs::read(ui.join("package-lock.json"))?)?;
    let range = |package: &str| {
        Some(
            lock.get("packages")?
                .get(package)?
                .get("engines")?
                .get("node")?
                .as_str()?
                .to_owned(),
        )
    };
    let named = [("the UI", range("")), ("vite", range("node_modules/vite"))];
    Ok(named
        .into_iter()
        .filter_map(|(name, range)| Some((name, range?)))
        .collect())
}

/// Whether a version is in a range of the forms `^20.19.0 || >=22.12.0`.
fn in_range(here: Version, range: &str) -> bool {
    range.split("||").map(str::trim).any(|part| {
        let Some(least) = version(part.trim_start_matches(['^', '>', '=', '~'])) else {
            return true;
        };
        if part.starts_with('>') {
            here >= least
        } else {
            here >= least && here.0 == least.0
        }
    })
}

fn version(text: &str) -> Option<Version> {
    let mut numbers = text.trim().trim_start_matches('v').split('.').map(str::parse);
    let first = numbers.next()?.ok()?;
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    Some((first, next(), next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_node() {
        let range = "^20.19.0 || >=22.12.0";
        for (here, fits) in [
            ("v20.20.2", true),
            ("v18.19.0", false),
            ("v21.0.0", false),
            ("v24.1.0", true),
        ] {
            assert_eq!(in_range(version(here).unwrap(), range), fits, "{here}");
        }
    }
}
