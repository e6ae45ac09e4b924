//! What `cargo xtask torture` may be asked: how long, how often, from which seed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a mode goes on, and from which seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(super) seed: u64,
    /// The time of all modes together.
    pub(super) time: Option<Duration>,
    pub(super) cycles: Option<u64>,
    /// Syncs do nothing: what looks for losses must find some.
    pub(super) blind: bool,
}

impl Options {
    /// So many cycles from a fixed seed: for the tests.
    pub(crate) fn cycles(cycles: u64) -> Self {
        Self {
            seed: 1,
            time: None,
            cycles: Some(cycles),
            blind: false,
        }
    }

    /// Also answers the binary to use where one is named; otherwise it is built.
    pub(super) fn parse(arguments: &[String]) -> Result<(Self, Option<PathBuf>)> {
        let mut options = Self {
            seed: u64::from(std::process::id()),
            time: None,
            cycles: None,
            blind: false,
        };
        let mut binary = None;
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            if name == "--blind" {
                options.blind = true;
                continue;
            }
            let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
            let number = || {
                value
                    .parse::<u64>()
                    .with_context(|| format!("{name} needs a whole number"))
            };
            match name.as_str() {
                "--minutes" => options.time = Some(Duration::from_secs(60 * number()?)),
                "--cycles" => options.cycles = Some(number()?),
                "--seed" => options.seed = number()?,
                "--binary" => binary = Some(PathBuf::from(value)),
                other => bail!("torture knows --minutes N, --cycles N, --seed N, --binary FILE, --blind, not {other}"),
            }
        }
        Ok((options, binary))
    }

    /// A part of the time, in hundredths.
    pub(super) fn share(self, percent: u32) -> Self {
        Self {
            time: self.time.map(|time| time * percent / 100),
            ..self
        }
    }

    /// Begins to count: at most the cycles, at most the time, and `default` cycles where neither was asked for.
    pub(super) fn begin(self, default: u64) -> Budget {
        let cycles = self.cycles.or(self.time.is_none().then_some(default));
        Budget {
            until: self.time.map(|time| Instant::now() + time),
            cycles: cycles.unwrap_or(u64::MAX),
        }
    }
}

/// What is left of a mode's time and cycles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    until: Option<Instant>,
    cycles: u64,
}

impl Budget {
    /// Whether another cycle may begin, so many being done.
    pub(super) fn allows(&self, done: u64) -> bool {
        done < self.cycles && self.until.is_none_or(|until| Instant::now() < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_nothing_else() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let (options, binary) = Options::parse(&words("--minutes 10 --seed 7")).unwrap();
        assert!(binary.is_none());
        assert_eq!((options.seed, options.time), (7, Some(Duration::from_mins(10))));
        assert!(Options::parse(&words("--minutes")).is_err());
        assert!(Options::parse(&words("--hours 1")).is_err());
        assert!(Options::cycles(2).begin(9).allows(1) && !Options::cycles(2).begin(9).allows(2));
    }
}
