//! Runs seeds of the simulation, and repeats one that failed.
#![allow(
    clippy::print_stdout,
    reason = "a program for the terminal: what it prints is what it is for"
)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use tally_counter::Bug;
use tally_sim::{Broken, SCENARIOS, STEPS, Verdict, exhaust, exhaust_loss, judge, reduce, run};

const HELP: &str = "\
tally-sim: the engine under seeded faults

  --seed N      runs this seed, reduces it if it fails, and prints what happened
  --seeds N     runs N seeds (default 1,000)
  --from N      the first of them (default 0)
  --steps N     steps a seed (default 1,000)
  --exhaust N   crashes N small scenarios of each kind at every write and sync instead
  --jobs N      so many seeds at once, each on one thread (default 1)
  --stop        ends at the first seed that fails
  --bugs        lists the bugs that may be planted (`cargo xtask mutants`)
  --lines       with --seed: every step of the whole run
  --history F   says whether the histories in a file are linearizable
";

struct Options {
    seed: Option<u64>,
    seeds: u64,
    from: u64,
    steps: usize,
    exhaust: Option<u64>,
    jobs: u64,
    stop: bool,
    lines: bool,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|argument| argument == "--bugs") {
        for bug in Bug::ALL {
            println!("{}\t{}\t{}", *bug as u8, bug.name(), bug.what());
        }
        return ExitCode::SUCCESS;
    }
    if let (Some("--history"), Some(file)) = (std::env::args().nth(1).as_deref(), std::env::args().nth(2)) {
        return histories(&file);
    }
    let Some(options) = options() else {
        print!("{HELP}");
        return ExitCode::FAILURE;
    };
    // A panic is caught and told as a violation.
    std::panic::set_hook(Box::new(|_| {}));
    let good = if let Some(seed) = options.seed {
        one(seed, &options)
    } else {
        many(&options)
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Judges what whoever drove real nodes wrote down.
fn histories(file: &str) -> ExitCode {
    let judged = std::fs::read_to_string(file)
        .map_err(|error| error.to_string())
        .and_then(|text| judge(&text));
    let judged = match judged {
        Ok(judged) => judged,
        Err(why) => {
            println!("{file}: {why}");
            return ExitCode::FAILURE;
        }
    };
    for (key, calls, verdict) in &judged {
        println!("{key}: {calls} calls, {verdict:?}");
    }
    let good = judged.iter().all(|(.., verdict)| *verdict == Verdict::Linearizable);
    if good && !judged.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn options() -> Option<Options> {
    let mut options = Options {
        seed: None,
        seeds: 1_000,
        from: 0,
        steps: STEPS,
        exhaust: None,
        jobs: 1,
        stop: false,
        lines: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--lines" => options.lines = true,
            "--stop" => options.stop = true,
            _ => {}
        }
        if argument == "--lines" || argument == "--stop" {
            continue;
        }
        let number: u64 = arguments.next()?.replace(['_', ','], "").parse().ok()?;
        match argument.as_str() {
            "--seed" => options.seed = Some(number),
            "--seeds" => options.seeds = number,
            "--from" => options.from = number,
            "--steps" => options.steps = usize::try_from(number).ok()?,
            "--exhaust" => options.exhaust = Some(number),
            "--jobs" => options.jobs = number.max(1),
            _ => return None,
        }
    }
    Some(options)
}

fn one(seed: u64, options: &Options) -> bool {
    if options.exhaust.is_some() {
        return exhaust_seed(seed, true);
    }
    let whole = run(seed, options.steps, options.lines);
    println!(
        "seed {seed}: hash {:016x}, {} crashes, {} writes and syncs",
        whole.hash, whole.crashes, whole.operations
    );
    if options.lines {
        whole.lines.iter().for_each(|line| println!("{line}"));
    }
    let Some((step, violation)) = whole.failure else {
        return true;
    };
    println!("step {step}: {violation}\n\nreduced:");
    let reduced = reduce(seed, options.steps);
    reduced.lines.iter().for_each(|line| println!("  {line}"));
    if let Some((_, violation)) = reduced.failure {
        println!("{violation}");
    }
    false
}

/// What a run of many seeds came to.
#[derive(Default)]
struct Sum {
    seeds: AtomicU64,
    failed: AtomicU64,
    crashes: AtomicU64,
    faults: AtomicU64,
    /// Of the seed with the fewest.
    fewest: AtomicU64,
    operations: AtomicU64,
}

/// Runs seeds until there are no more; tells those that fail.
fn many(options: &Options) -> bool {
    let next = AtomicU64::new(options.from);
    let end = options.from.saturating_add(options.exhaust.unwrap_or(options.seeds));
    let sum = Sum {
        fewest: AtomicU64::new(u64::MAX),
        ..Sum::default()
    };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while !(options.stop && sum.failed.load(Ordering::Relaxed) > 0) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    sum.seeds.fetch_add(1, Ordering::Relaxed);
                    let good = if options.exhaust.is_some() {
                        exhaust_seed(seed, false)
                    } else {
                        sum.seed(seed, options.steps)
                    };
                    sum.failed.fetch_add(u64::from(!good), Ordering::Relaxed);
                }
            });
        }
    });
    let get = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
    println!(
        "{} seeds, {} crashes, {} faults (at least {} a seed), {} writes and syncs: {} failed",
        get(&sum.seeds),
        get(&sum.crashes),
        get(&sum.faults),
        // None came to its end: of none there is a fewest.
        Some(get(&sum.fewest)).filter(|fewest| *fewest < u64::MAX).unwrap_or(0),
        get(&sum.operations),
        get(&sum.failed),
    );
    get(&sum.failed) == 0
}

impl Sum {
    fn seed(&self, seed: u64, steps: usize) -> bool {
        let outcome = run(seed, steps, false);
        self.crashes.fetch_add(outcome.crashes, Ordering::Relaxed);
        self.faults.fetch_add(outcome.faults, Ordering::Relaxed);
        self.operations.fetch_add(outcome.operations, Ordering::Relaxed);
        let Some((step, violation)) = outcome.failure else {
            if !outcome.abandoned {
                self.fewest.fetch_min(outcome.faults, Ordering::Relaxed);
            }
            return true;
        };
        println!("seed {seed}, step {step}: {violation}\n  repeat: cargo xtask sim --seed {seed}");
        false
    }
}

fn exhaust_seed(seed: u64, lines: bool) -> bool {
    let mut good = true;
    for scenario in 0..SCENARIOS {
        if let Err(broken) = exhaust(scenario, seed) {
            good = false;
            tell(&format!("scenario {scenario} of seed {seed}"), seed, &broken, lines);
        }
    }
    if let Err(broken) = exhaust_loss(seed) {
        good = false;
        tell(&format!("the lost journal of seed {seed}"), seed, &broken, lines);
    }
    good
}

fn tell(what: &str, seed: u64, broken: &Broken, lines: bool) {
    println!(
        "{what}, the last operation {:?}: {}\n  repeat: cargo xtask sim --exhaust 1 --seed {seed}",
        broken.last, broken.violation
    );
    if lines {
        broken.lines.iter().for_each(|line| println!("  {line}"));
    }
}
