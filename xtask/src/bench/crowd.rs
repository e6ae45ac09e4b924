//! Several clients at once, each on a connection of its own, who send what was made before and wait for each answer.

use std::time::Instant;

use anyhow::{Result, anyhow};

use super::Bench;
use super::load::Figures;
use crate::process::rest_all;

/// Clients of a crowd.
pub(super) const CLIENTS: usize = 8;

/// A connection that asks, waits, and takes a refusal for an error.
pub(super) trait Line: Send {
    fn ask(&mut self, request: &[u8]) -> Result<()>;
}

/// A server under comparison.
pub(super) struct Side<'a, L> {
    pub(super) lines: Vec<L>,
    /// What it is asked in one round.
    pub(super) requests: &'a dyn Fn(u64) -> Vec<Vec<u8>>,
    /// Its process, and the processor time that it has used.
    pub(super) id: u32,
    pub(super) cpu_seconds: &'a dyn Fn() -> Result<f64>,
}

/// One of two sides, whatever the kind of its lines.
pub(super) trait Turns {
    fn id(&self) -> u32;
    fn cpu_seconds(&self) -> Result<f64>;
    /// One round with the requests of this seed: how many, and in how many seconds.
    fn round(&mut self, seed: u64) -> Result<(usize, f64)>;
}

impl<L: Line> Turns for Side<'_, L> {
    fn id(&self) -> u32 {
        self.id
    }

    fn cpu_seconds(&self) -> Result<f64> {
        (self.cpu_seconds)()
    }

    fn round(&mut self, seed: u64) -> Result<(usize, f64)> {
        let requests = (self.requests)(seed);
        let began = Instant::now();
        at_once(&mut self.lines, &requests)?;
        Ok((requests.len(), began.elapsed().as_secs_f64()))
    }
}

/// One round that does not count, then the rounds, each side first in every other. Both get the same seeds.
pub(super) fn alternate<'a>(
    bench: &Bench,
    first: &mut (dyn Turns + 'a),
    second: &mut (dyn Turns + 'a),
) -> Result<[Figures; 2]> {
    let ids = [first.id(), second.id()];
    first.round(0)?;
    second.round(0)?;
    rest_all(&ids)?;
    let before = [first.cpu_seconds()?, second.cpu_seconds()?];
    let (mut of_first, mut of_second) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        let mut turns = [(&mut *first, &mut of_first), (&mut *second, &mut of_second)];
        if round % 2 == 1 {
            turns.reverse();
        }
        for (side, rounds) in turns {
            rest_all(&ids)?;
            rounds.push(side.round(u64::from(round) + 1)?);
        }
    }
    rest_all(&ids)?;
    Ok([
        figures(&of_first, first.cpu_seconds()? - before[0]),
        figures(&of_second, second.cpu_seconds()? - before[1]),
    ])
}

fn figures(rounds: &[(usize, f64)], used: f64) -> Figures {
    let rates = rounds.iter().map(|(requests, seconds)| *requests as f64 / seconds);
    let all: usize = rounds.iter().map(|(requests, _)| requests).sum();
    Figures::of(rates.collect(), used, all as f64)
}

/// Each line takes every so-many-th of the requests.
fn at_once<L: Line>(lines: &mut [L], requests: &[Vec<u8>]) -> Result<()> {
    let many = lines.len();
    std::thread::scope(|scope| {
        let threads: Vec<_> = lines
            .iter_mut()
            .enumerate()
            .map(|(first, line)| {
                scope.spawn(move || {
                    let mut own = requests.iter().skip(first).step_by(many);
                    own.try_for_each(|request| line.ask(request))
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            let ended = thread.join();
            ended.unwrap_or_else(|_| Err(anyhow!("a client ended by a bug")))
        })
    })
}
