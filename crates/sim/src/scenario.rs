//! Small scenarios, crashed at every single write and sync in turn: nothing of their few lines escapes.

use tally_store::Faults;

use crate::random::Rng;
use crate::run::Run;
use crate::steps::Kind;
use crate::trace::Trace;
use crate::violation::Violation;
use crate::world::settings;

/// What each does, in order.
pub const SCENARIOS: usize = 7;

/// What a scenario does between two crashes.
fn kinds(scenario: usize, rng: &mut Rng) -> Vec<Kind> {
    use Kind::{
        Blind, Clock, Commit, Declare, Delete, Expire, Round, Set, Several, SourcePut, Sweep, Tidy, Token, Valued,
    };
    let every = match scenario {
        0 => vec![Blind, Commit, Valued, Commit, Round, Blind, Round],
        1 => vec![
            Blind, Set, Valued, Commit, Round, Delete, Blind, Commit, Round, Tidy, Set, Round,
        ],
        2 => vec![
            SourcePut, Blind, SourcePut, Set, SourcePut, Delete, SourcePut, Round, Set, SourcePut, Round,
        ],
        3 => vec![
            Token, Token, Commit, Token, Round, Token, Tidy, Token, Several, Round, Token,
        ],
        4 => vec![
            Blind, Declare, SourcePut, Several, Round, Declare, Blind, SourcePut, Round, Expire, Blind, Round,
        ],
        5 => vec![
            Blind, SourcePut, Declare, Blind, Round, Clock, Clock, Blind, SourcePut, Round, Sweep, Delete, Round,
            Sweep, SourcePut, Sweep, Blind, Round, Sweep,
        ],
        _ => Vec::new(),
    };
    if every.is_empty() {
        return (0..14).map(|_| Kind::any(rng)).collect();
    }
    every
}

/// A scenario that broke a promise.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The write or sync that was the last one; `None`: it broke without a crash.
    pub last: Option<u64>,
    /// Which promise.
    pub violation: Violation,
    /// What happened, line by line.
    pub lines: Vec<String>,
}

/// Runs a scenario of a seed, once for each of its writes and syncs, which is then the last; answers how many there were.
pub fn exhaust(scenario: usize, seed: u64) -> Result<u64, Box<Broken>> {
    let whole = crash_at(scenario, seed, None)?;
    for last in 0..whole {
        crash_at(scenario, seed, Some(last))?;
    }
    Ok(whole)
}

fn crash_at(scenario: usize, seed: u64, last: Option<u64>) -> Result<u64, Box<Broken>> {
    let settings = settings(4_096, 1 << 26, 1_000_000);
    let mut run = Run::new(seed, Faults::none(), settings, Trace::new(true));
    if let Some(last) = last {
        run.world.power.lasts(last);
    }
    let mut rng = Rng::of_part(seed, u64::try_from(scenario).unwrap_or(0));
    match take(&mut run, &kinds(scenario, &mut rng)) {
        Ok(operations) => Ok(operations),
        Err(violation) => Err(Box::new(Broken {
            last,
            violation,
            lines: run.trace.into_lines(),
        })),
    }
}

fn take(run: &mut Run, kinds: &[Kind]) -> Result<u64, Violation> {
    for (number, kind) in (0..).zip(kinds) {
        run.step(number, *kind)?;
        if run.crashes > 0 {
            run.step(number, Kind::Check)?;
        }
    }
    let operations = run.world.power.operations();
    run.heal()?;
    Ok(operations)
}
