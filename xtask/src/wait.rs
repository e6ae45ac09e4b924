//! Waiting for something to be so, with a limit.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often it is looked at.
const STEP: Duration = Duration::from_millis(10);

/// Asks until there is an answer. An error ends the wait; so does the limit, which is an error that names `what`.
pub(crate) fn until<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if began.elapsed() > within {
            bail!("waited {} s for {what}", within.as_secs());
        }
        std::thread::sleep(STEP);
    }
}
