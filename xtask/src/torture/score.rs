//! What a mode found, and the table of all modes at the end.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, bail};

/// The most findings of a mode that are told in full.
const SHOWN: usize = 20;

/// One mode's line.
#[derive(Debug, Default)]
pub(super) struct Score {
    pub(super) mode: &'static str,
    pub(super) cycles: u64,
    /// What was sent and had to be accounted for.
    pub(super) adds: u64,
    /// Acknowledged and not there.
    pub(super) lost: u64,
    /// There more often than it was sent.
    pub(super) doubled: u64,
    /// Values, sums and refusals that were wrong in any other way.
    pub(super) wrong: u64,
    pub(super) slowest_recovery: Duration,
    /// What else was measured.
    notes: Vec<String>,
    findings: Vec<String>,
}

impl Score {
    pub(super) fn new(mode: &'static str) -> Self {
        Self {
            mode,
            ..Self::default()
        }
    }

    /// Acknowledged adds are missing.
    pub(super) fn lost(&mut self, adds: u64, what: String) {
        self.lost += adds;
        self.found(what);
    }

    /// Adds are there that nobody sent so often.
    pub(super) fn doubled(&mut self, adds: u64, what: String) {
        self.doubled += adds;
        self.found(what);
    }

    /// Anything else that must not be.
    pub(super) fn wrong(&mut self, what: String) {
        self.wrong += 1;
        self.found(what);
    }

    /// Something that was measured, for the reader.
    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    pub(super) fn recovered(&mut self, after: Duration) {
        self.slowest_recovery = self.slowest_recovery.max(after);
    }

    /// Whether nothing was wrong.
    pub(super) fn is_clean(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.wrong == 0
    }

    fn found(&mut self, what: String) {
        println!("  FOUND ({}): {what}", self.mode);
        if self.findings.len() < SHOWN {
            self.findings.push(what);
        }
    }
}

/// Prints all lines; an error if one of them is not clean.
pub(super) fn close(scores: &[Score]) -> Result<()> {
    println!("\n{}", table(scores));
    for score in scores {
        for note in &score.notes {
            println!("{}: {note}", score.mode);
        }
    }
    let dirty: Vec<&Score> = scores.iter().filter(|score| !score.is_clean()).collect();
    for score in &dirty {
        println!("\n{} found:\n  {}", score.mode, score.findings.join("\n  "));
    }
    if dirty.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = dirty.iter().map(|score| score.mode).collect();
    bail!("not clean: {}", names.join(", "))
}

fn table(scores: &[Score]) -> String {
    let mut table = format!(
        "{:<10}{:>9}{:>14}{:>8}{:>9}{:>13}{:>18}\n",
        "mode", "cycles", "adds", "lost", "doubled", "wrong reads", "slowest recovery"
    );
    for score in scores {
        // Writing to a string does not fail.
        writeln!(
            table,
            "{:<10}{:>9}{:>14}{:>8}{:>9}{:>13}{:>16.2} s",
            score.mode,
            score.cycles,
            score.adds,
            score.lost,
            score.doubled,
            score.wrong,
            score.slowest_recovery.as_secs_f64()
        )
        .ok();
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_fails_the_run() {
        let clean = Score::new("kill");
        assert!(close(&[clean]).is_ok());
        let mut dirty = Score::new("kill");
        dirty.lost(3, "client single lost 3".to_owned());
        assert!(table(&[Score::new("power")]).contains("power"));
        assert!(close(&[Score::new("power"), dirty]).is_err());
    }
}
