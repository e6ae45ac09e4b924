//! The steps of a long run: each is timed, a failed one does not hide the next, and the table at the end says all.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Steps in the order they ran.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    only: Vec<String>,
    done: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    took: Duration,
    failure: Option<String>,
}

impl Steps {
    /// Runs only steps whose name holds one of these words; all when there are none.
    pub(crate) fn only(words: &[String]) -> Self {
        Self {
            only: words.to_vec(),
            done: Vec::new(),
        }
    }

    /// Runs a step and says whether it passed. Its output goes where ours goes.
    pub(crate) fn step(&mut self, name: &str, action: impl FnOnce() -> Result<()>) -> bool {
        if !self.only.is_empty() && !self.only.iter().any(|word| name.contains(word.as_str())) {
            return true;
        }
        println!("\n=== {name}");
        let began = Instant::now();
        let failure = action().err().map(|error| format!("{error:#}"));
        if let Some(failure) = &failure {
            println!("--- {name} FAILED: {failure}");
        }
        let passed = failure.is_none();
        self.done.push(Step {
            name: name.to_owned(),
            took: began.elapsed(),
            failure,
        });
        passed
    }

    /// Prints the table; an error if a step failed.
    pub(crate) fn close(self) -> Result<()> {
        println!("\n{:>7}  step", "seconds");
        for step in &self.done {
            let mark = if step.failure.is_some() { "  FAILED" } else { "" };
            println!("{:>7.1}  {}{mark}", step.took.as_secs_f64(), step.name);
        }
        let whole: Duration = self.done.iter().map(|step| step.took).sum();
        println!("{:>7.1}  all", whole.as_secs_f64());
        let failed: Vec<&Step> = self.done.iter().filter(|step| step.failure.is_some()).collect();
        for step in &failed {
            println!(
                "\n{} failed: {}",
                step.name,
                step.failure.as_deref().unwrap_or_default()
            );
        }
        println!(
            "\nsteps: {} passed, {} failed",
            self.done.len() - failed.len(),
            failed.len()
        );
        if failed.is_empty() {
            return Ok(());
        }
        bail!(
            "failed: {}",
            failed
                .iter()
                .map(|step| step.name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        )
    }
}
