//! Bits that flip and files that are cut off, anywhere in a data directory: the engine with the embedded store opens it and has
//! every value as it was, or refuses. Never a wrong value.
//!
//! `cargo xtask torture corrupt` runs it longer, by `TALLY_CORRUPT_FLIPS`, `TALLY_CORRUPT_CUTS` with `TALLY_CORRUPT_FIRST_CUT`, and `TALLY_CORRUPT_SEED`.
//! A trial is a copy of one directory, which holds rows in the store's tables, rows in its log, and a journal beyond both.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tally_counter::Key;
use tally_engine::{Clock, Engine, Error, Expiry, Need, Plan, Random, Settings, SystemDisk, World};
use tally_store::{Embedded, EmbeddedSettings};

struct FakeClock;

impl Clock for FakeClock {
    fn now_ms(&self) -> u64 {
        1_700_000_000_000
    }
    fn monotonic_us(&self) -> u64 {
        0
    }
}

struct FakeRandom(AtomicU64);

impl Random for FakeRandom {
    fn next(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed)) * 0x9E37_79B9_7F4A_7C15
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Rng(u64);

impl Rng {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((bits ^ (bits >> 31)) % u64::try_from(limit).unwrap()).unwrap()
    }
}

fn open(data: &Path) -> Result<(Engine, Arc<Embedded>), String> {
    let disk = SystemDisk::open(data)?;
    let settings = EmbeddedSettings {
        reserve_bytes: 0,
        ..EmbeddedSettings::default()
    };
    let store = Embedded::open(&data.join("store"), &settings).map_err(|error| error.to_string())?;
    let store = Arc::new(store);
    let world = World {
        clock: Arc::new(FakeClock),
        random: Arc::new(FakeRandom(AtomicU64::new(7))),
        disk: Arc::new(disk),
        store: store.clone(),
    };
    let settings = Settings {
        dir: data.to_owned(),
        node: "local".to_owned(),
        token_walk_pause_ms: 0,
        heartbeat_interval_ms: 0,
        read_age_ms: 0,
        journal_segment_bytes: 1 << 17,
        cut_damage: false,
        journal_interval_ms: 100,
        journal_limit_bytes: 1 << 24,
        round_interval_ms: 5_000,
        hot_budget_bytes: 1 << 24,
        token_window_ms: 86_400_000,
        token_limit: 1_000,
    };
    match Engine::open(settings, world) {
        Ok(engine) => Ok((engine, store)),
        Err(error) => {
            let cut = store.cut().unwrap_or_default().to_owned();
            Err(format!("{error} {cut}"))
        }
    }
}

fn add(engine: &Engine, key: &str, amount: i64) {
    let mut plan = Plan::new();
    let index = plan.key(Key::new(key.as_bytes()).unwrap(), Need::Blind);
    engine
        .blocking_turn(&mut plan, &mut |turn| turn.add_blind(index, amount, None))
        .unwrap()
        .unwrap();
}

fn set(engine: &Engine, key: &str, value: i64) {
    let mut plan = Plan::new();
    let index = plan.key(Key::new(key.as_bytes()).unwrap(), Need::Reset);
    engine
        .blocking_turn(&mut plan, &mut |turn| {
            turn.set(index, value, Expiry::Never);
        })
        .unwrap();
}

fn get(engine: &Engine, key: &str) -> Result<Option<i128>, Error> {
    let mut plan = Plan::new();
    let index = plan.key(Key::new(key.as_bytes()).unwrap(), Need::Value);
    engine.blocking_turn(&mut plan, &mut |turn| turn.value(index))
}

const KEYS: usize = 120;

fn key(number: usize) -> String {
    format!("corrupt:counter:{number:03}")
}

/// A directory as a kill leaves it, and what it holds.
fn origin(data: &Path) -> BTreeMap<String, i128> {
    let (engine, store) = open(data).unwrap();
    let mut expected = BTreeMap::new();
    let step = |count: usize, seed: usize, expected: &mut BTreeMap<String, i128>| {
        for turn in 0..count {
            let key = key((turn * 7 + seed) % KEYS);
            if turn % 97 == 96 {
                set(&engine, &key, 5);
                expected.insert(key, 5);
            } else {
                let amount = i64::try_from(turn % 13 + 1).unwrap();
                add(&engine, &key, amount);
                *expected.entry(key).or_default() += i128::from(amount);
            }
            if turn % 10 == 9 {
                engine.commit().unwrap();
            }
        }
        engine.commit().unwrap();
    };
    step(600, 1, &mut expected);
    engine.round().unwrap();
    store.compact().unwrap();
    for seed in 2..6 {
        step(300, seed, &mut expected);
        engine.round().unwrap();
    }
    // More than 64 KiB of journal that no round has brought to the store.
    step(3_200, 7, &mut expected);
    expected
}

/// In place of a size.
const DIRECTORY: u64 = u64::MAX;

/// A file of the directory, as far as it is not zeros.
struct Part {
    path: PathBuf,
    bytes: Vec<u8>,
    size: u64,
}

fn parts(data: &Path, below: &Path, into: &mut Vec<Part>) {
    for entry in fs::read_dir(data.join(below)).unwrap() {
        let entry = entry.unwrap();
        let path = below.join(entry.file_name());
        if entry.path().is_dir() {
            into.push(Part {
                path: path.clone(),
                bytes: Vec::new(),
                size: DIRECTORY,
            });
            parts(data, &path, into);
        } else {
            let mut bytes = fs::read(entry.path()).unwrap();
            let size = u64::try_from(bytes.len()).unwrap();
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            bytes.truncate(used);
            into.push(Part { path, bytes, size });
        }
    }
}

fn put(data: &Path, parts: &[Part]) {
    if data.exists() {
        fs::remove_dir_all(data).unwrap();
    }
    for part in parts {
        let path = data.join(&part.path);
        if part.size == DIRECTORY {
            fs::create_dir_all(&path).unwrap();
            continue;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &part.bytes).unwrap();
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(part.size)
            .unwrap();
    }
}

#[derive(Debug, Default)]
struct Tally {
    same: u64,
    refused: u64,
    /// Refused with a file and a byte.
    placed: u64,
    /// Refused by a panic within the store.
    panicked: u64,
    wrong: Vec<String>,
    unplaced: BTreeMap<String, u64>,
}

enum Held {
    Same,
    Refused(String),
    Wrong(String),
}

/// Opens it, reads everything, brings everything to the store, and looks once more.
fn held(data: &Path, expected: &BTreeMap<String, i128>) -> Held {
    for time in ["at once", "after a round and another start"] {
        let (engine, _store) = match open(data) {
            Ok(opened) => opened,
            Err(refused) => return Held::Refused(refused),
        };
        for (key, value) in expected {
            match get(&engine, key) {
                Ok(found) if found == Some(*value) => {}
                Ok(found) => return Held::Wrong(format!("{time} {key} is {found:?}, not {value}")),
                Err(refused) => return Held::Refused(refused.to_string()),
            }
        }
        if let Err(refused) = engine.round() {
            return Held::Refused(refused.to_string());
        }
    }
    Held::Same
}

impl Tally {
    fn trial(&mut self, data: &Path, expected: &BTreeMap<String, i128>, what: &str) {
        match catch_unwind(AssertUnwindSafe(|| held(data, expected))) {
            Ok(Held::Same) => self.same += 1,
            Ok(Held::Refused(text)) => {
                self.refused += 1;
                if text.contains("byte ") {
                    self.placed += 1;
                } else {
                    let text: String = text
                        .chars()
                        .filter(|letter| !letter.is_ascii_digit())
                        .take(110)
                        .collect();
                    *self.unplaced.entry(text).or_default() += 1;
                }
            }
            Ok(Held::Wrong(text)) => self.wrong.push(format!("{what}: {text}")),
            Err(_) => {
                self.refused += 1;
                self.panicked += 1;
            }
        }
    }
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

#[test]
fn damage_anywhere_is_refused_or_changes_nothing() {
    let (flips, cuts) = (number("TALLY_CORRUPT_FLIPS", 150), number("TALLY_CORRUPT_CUTS", 40));
    let mut rng = Rng(u64::try_from(number("TALLY_CORRUPT_SEED", 1)).unwrap());
    let folder = folder();
    let data = folder.path().join("data");
    let expected = origin(&data);
    let mut all = Vec::new();
    parts(&data, Path::new(""), &mut all);
    all.sort_by(|one, other| one.path.cmp(&other.path));
    put(&data, &all);
    match held(&data, &expected) {
        Held::Same => {}
        Held::Refused(text) | Held::Wrong(text) => unreachable!("the undamaged directory: {text}"),
    }
    std::panic::set_hook(Box::new(|_| {}));
    let mut tally = Tally::default();
    let used: usize = all.iter().map(|part| part.bytes.len()).sum();
    for trial in 0..flips {
        // Half of them by file, so that the small ones are met, half by byte.
        let (file, at) = if trial % 2 == 0 {
            let full: Vec<usize> = (0..all.len()).filter(|file| !all[*file].bytes.is_empty()).collect();
            let file = full[rng.below(full.len())];
            (file, rng.below(all[file].bytes.len()))
        } else {
            let mut at = rng.below(used);
            let mut file = 0;
            while at >= all[file].bytes.len() {
                at -= all[file].bytes.len();
                file += 1;
            }
            (file, at)
        };
        let bit = 1 << rng.below(8);
        all[file].bytes[at] ^= bit;
        put(&data, &all);
        let what = format!("bit {bit:#04x} of byte {at} of {}", all[file].path.display());
        tally.trial(&data, &expected, &what);
        all[file].bytes[at] ^= bit;
    }
    let journal = all.iter().rposition(|part| {
        let name = part.path.to_string_lossy().into_owned();
        name.starts_with("journal-") && !part.bytes.is_empty()
    });
    let journal = journal.unwrap();
    let (whole, size) = (all[journal].bytes.clone(), all[journal].size);
    println!("corrupt: {} bytes of the journal's last file are cut", whole.len());
    let first_cut = number("TALLY_CORRUPT_FIRST_CUT", 0);
    for cut in 0..cuts {
        // The first ones at the very end and at the very beginning, the others anywhere in the last 64 KiB: the product with an odd
        // number meets each of these bytes once in 65,536 cuts.
        let length = match cut {
            0..10 => whole.len() - cut,
            10..20 => cut - 10,
            _ => whole.len().saturating_sub((first_cut + cut) * 40_503 % (1 << 16)),
        };
        all[journal].bytes.truncate(length);
        all[journal].size = u64::try_from(length).unwrap();
        put(&data, &all);
        tally.trial(&data, &expected, &format!("the journal cut off at byte {length}"));
        all[journal].bytes.clone_from(&whole);
        all[journal].size = size;
    }
    drop(std::panic::take_hook());
    let Tally {
        same,
        refused,
        placed,
        panicked,
        wrong,
        unplaced,
    } = &tally;
    println!(
        "corrupt: flips={flips} cuts={cuts} same={same} refused={refused} placed={placed} panicked={panicked} wrong={}",
        wrong.len()
    );
    for (text, times) in unplaced {
        println!("corrupt: {times} times without a place: {text}");
    }
    assert!(wrong.is_empty(), "wrong values:\n{}", wrong.join("\n"));
    assert!(*same > 0 && *refused > 0, "{tally:?}");
}
