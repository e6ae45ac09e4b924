//! What follows from a seed: the world's faults, the steps, and a shorter list of steps where one fails.

use tally_store::Faults;

use crate::random::Rng;
use crate::run::Run;
use crate::steps::Kind;
use crate::trace::Trace;
use crate::violation::Violation;
use crate::world::settings;

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The same for every run of the same seed and steps.
    pub hash: u64,
    /// How often the process ended.
    pub crashes: u64,
    /// Faults: ends of the process, what befell disk and clock, what the store did on purpose.
    pub faults: u64,
    /// Writes and syncs of disk and store.
    pub operations: u64,
    /// It ended early, well: what had become of an open round could not be known any more.
    pub abandoned: bool,
    /// What was broken, and at which step.
    pub failure: Option<(usize, Violation)>,
    /// What happened, line by line, where that was asked for.
    pub lines: Vec<String>,
}

/// One step: its number, from which its randomness follows, and what it does.
type Numbered = (u64, Kind);

/// How many steps a seed has unless it is said otherwise.
pub const STEPS: usize = 1_000;

/// Runs a seed.
pub fn run(seed: u64, steps: usize, keep_lines: bool) -> Outcome {
    run_steps(seed, &steps_of(seed, steps), keep_lines)
}

/// The fewest steps of a failing seed that were found to fail too, and how: what a person reads.
pub fn reduce(seed: u64, steps: usize) -> Outcome {
    let mut steps = steps_of(seed, steps);
    let Some((failed, first)) = run_steps(seed, &steps, false).failure else {
        return run_steps(seed, &steps, true);
    };
    steps.truncate(failed + 1);
    let mut size = steps.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < steps.len() {
            let until = at.saturating_add(size).min(steps.len());
            let fewer: Vec<Numbered> = steps.iter().take(at).chain(steps.iter().skip(until)).copied().collect();
            if run_steps(seed, &fewer, false)
                .failure
                .is_some_and(|(_, found)| found.is_like(&first))
            {
                steps = fewer;
            } else {
                at = until;
            }
        }
        size /= 2;
    }
    run_steps(seed, &steps, true)
}

fn steps_of(seed: u64, steps: usize) -> Vec<Numbered> {
    let mut rng = Rng::of_part(seed, u64::MAX);
    (0..u64::try_from(steps).unwrap_or(0))
        .map(|number| (number, Kind::any(&mut rng)))
        .collect()
}

fn run_steps(seed: u64, steps: &[Numbered], keep_lines: bool) -> Outcome {
    let mut run = world_of(seed, keep_lines);
    let mut failure = None;
    for (index, (number, kind)) in steps.iter().enumerate() {
        if let Err(violation) = run.step(*number, *kind) {
            failure = Some((index, violation));
            break;
        }
        if run.abandoned {
            break;
        }
    }
    if failure.is_none() && !run.abandoned {
        failure = run.heal().err().map(|violation| (steps.len(), violation));
    }
    Outcome {
        hash: run.trace.hash(),
        crashes: run.crashes,
        faults: run.crashes + run.faulted + run.world.model.faulted(),
        operations: run.world.power.operations(),
        abandoned: run.abandoned,
        failure,
        lines: run.trace.into_lines(),
    }
}

/// The world of a seed: half of them have a perfect store.
fn world_of(seed: u64, keep_lines: bool) -> Run {
    let mut rng = Rng::of_part(seed, 0x5EED_5EED);
    let some = Faults {
        writes_fail: 30,
        writes_repeat: 30,
        reads_fail: 10,
        swaps_unknown: 50,
        syncs_fail: 10,
        removals_forgotten: 200,
        growing_is_blind: false,
    };
    let faults = match rng.below(10) {
        0..=4 => Faults::none(),
        5 => Faults {
            growing_is_blind: true,
            ..Faults::none()
        },
        6 => Faults {
            growing_is_blind: true,
            writes_repeat: 0,
            swaps_unknown: 0,
            removals_forgotten: 0,
            ..some
        },
        7 | 8 => some,
        _ => Faults::all(),
    };
    let segment_bytes = rng.one(&[4_096, 8_192, 65_536]).copied().unwrap_or(8_192);
    let hot_bytes = rng.one(&[1_000, 12_000, 1 << 26]).copied().unwrap_or(1 << 26);
    let token_limit = rng.one(&[5, 1_000_000]).copied().unwrap_or(1_000_000);
    let settings = settings(segment_bytes, hot_bytes, token_limit);
    Run::new(seed, faults, settings, Trace::new(keep_lines))
}

impl Run {
    /// All faults end, everything late arrives, every open round is repeated: then all is as the map says, and again after a start.
    pub(crate) fn heal(&mut self) -> Result<(), Violation> {
        self.world.disk.set_full(false);
        self.world.disk.set_stuck(false);
        self.world.disk.slow_down(0);
        self.stuck = false;
        // Nobody is at work any more: what is left then is left for good.
        self.interruptions = 0;
        self.world.model.set_faults(Faults::none());
        self.world.model.settle();
        self.step(u64::MAX, Kind::Commit)?;
        self.world.power.restore();
        for turn in 0..12 {
            self.step(u64::MAX - 1 - turn, Kind::SourcePut)?;
            self.step(u64::MAX - 1 - turn, Kind::FilePut)?;
        }
        self.step(u64::MAX, Kind::Check)?;
        self.step(u64::MAX, Kind::Round)?;
        self.step(u64::MAX, Kind::Check)?;
        self.step(u64::MAX - 20, Kind::Crash)?;
        self.step(u64::MAX, Kind::SweepAll)?;
        self.step(u64::MAX, Kind::Verify)?;
        self.step(u64::MAX, Kind::Check)
    }
}
