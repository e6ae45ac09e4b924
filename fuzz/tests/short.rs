//! Each target over its corpus, and over inputs made from it at random: the same ones each time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
use std::path::PathBuf;

use tally_fuzz::{Mutator, TARGETS, Target};

/// Inputs of each target; the long run is `cargo xtask fuzz`.
const INPUTS: u64 = 300_000;

/// Of the package that is tested as it is when the test runs: a test binary may be kept from another checkout.
fn corpora() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("corpus")
}

fn corpus(target: Target) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = std::fs::read_dir(corpora().join(target.name))
        .unwrap_or_else(|error| panic!("the corpus of {}: {error}", target.name))
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|file: &PathBuf| std::fs::read(file).unwrap())
        .collect()
}

fn run(name: &str) {
    let target = Target::named(name).unwrap();
    let corpus = corpus(target);
    assert!(corpus.len() >= 3, "the corpus of {name} has {} inputs", corpus.len());
    for input in &corpus {
        target.run(input);
    }
    for seed in 0..INPUTS {
        let input = Mutator::new(seed).input(&corpus);
        let found = std::panic::catch_unwind(|| target.run(&input));
        assert!(
            found.is_ok(),
            "{name}, seed {seed}: {:?}",
            input.escape_ascii().to_string()
        );
    }
}

macro_rules! short {
    ($($name:ident),*) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_run() {
            let names = [$(stringify!($name)),*];
            assert_eq!(TARGETS.map(|target| target.name).to_vec(), names.to_vec());
            let kept = std::fs::read_dir(corpora()).unwrap();
            assert_eq!(kept.count(), names.len());
        }
    };
}

short!(
    resp,
    http,
    config,
    entry,
    journal,
    damage,
    engine_rows,
    rows,
    events,
    rules,
    lines
);
