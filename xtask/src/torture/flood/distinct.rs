//! Distinct keys without end: far more than the memory holds. What leaves the memory is in the store, once.

use anyhow::{Context, Result, bail};

use super::super::load::value;
use super::super::options::Budget;
use super::super::score::Score;
use super::KEYS_A_REQUEST;
use crate::random::Random;
use crate::resp::{Client, Reply};
use crate::tally::Tally;
use std::time::Duration;

/// What is refused for now is sent again after this.
const BACK_OFF: Duration = Duration::from_millis(5);
/// Distinct keys that are read again at the end.
const LOOK_BACK: usize = 2_000;

/// Adds to keys that nobody has used.
pub(super) struct Distinct {
    random: Random,
    /// Requests that were taken; each has so many keys.
    pub(super) requests: u64,
    /// Requests that were refused for now.
    pub(super) refused: u64,
    /// Some of the keys, the latest in place of the oldest.
    kept: Vec<String>,
}

impl Distinct {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::seeded(seed),
            requests: 0,
            refused: 0,
            kept: Vec::new(),
        }
    }

    /// One more request; whether it was taken before the time was over. What is refused for now was not applied.
    pub(super) fn add(&mut self, client: &mut Client, budget: Budget) -> Result<bool> {
        let keys: Vec<String> = (0..KEYS_A_REQUEST)
            .map(|_| format!("flood:{:016x}", self.random.next()))
            .collect();
        let mut command = vec!["TALLY.MADD".to_owned()];
        for key in &keys {
            command.extend([key.clone(), "1".to_owned()]);
        }
        while !took(client, &command)? {
            self.refused += 1;
            if !budget.allows(self.requests) {
                return Ok(false);
            }
            std::thread::sleep(BACK_OFF);
        }
        self.requests += 1;
        let kept = keys.into_iter().next().context("a request has keys")?;
        if self.kept.len() < LOOK_BACK {
            self.kept.push(kept);
        } else {
            // An even sample of all requests so far (reservoir sampling).
            let place = usize::try_from(self.random.below(self.requests))?;
            if let Some(place) = self.kept.get_mut(place) {
                *place = kept;
            }
        }
        Ok(true)
    }

    /// What left the memory is there, once.
    pub(super) fn check(&self, tally: &Tally, score: &mut Score) -> Result<()> {
        let mut client = Client::connect(&tally.resp)?;
        for keys in self.kept.chunks(100) {
            for key in keys {
                client.send(&["GET", key])?;
            }
            client.flush()?;
            for key in keys {
                let answer = client.expect()?;
                match value(&answer) {
                    Some(1) => {}
                    Some(0) => score.lost(1, format!("{key} was acknowledged and is not there")),
                    _ => score.wrong(format!("{key} was added to once and is {answer:?}")),
                }
            }
        }
        Ok(())
    }
}

/// Whether a request was taken; if not, it was refused for now.
pub(super) fn took(client: &mut Client, command: &[String]) -> Result<bool> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    client.send(&words)?;
    client.flush()?;
    match client.reply()? {
        Reply::Integer(_) => Ok(true),
        Reply::Error(text) if text.starts_with("TRYAGAIN") => Ok(false),
        other => bail!("TALLY.MADD was answered {other:?}"),
    }
}
