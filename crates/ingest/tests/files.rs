//! Files through the engine: the sample's totals, whatever is repeated, broken off, run at once, changed or grown.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tally_counter::{Figures, Outcome};
use tally_engine::{Clock, Engine, Random, Settings, SystemDisk, World};
use tally_ingest::{Digest, FileError, Files, FilesSettings, Progress};
use tally_store::{Model, Store};

const RULES: &str = include_str!("../../../examples/web-requests.rules.toml");
const SAMPLE: &[u8] = include_bytes!("../../../examples/web-requests.ndjson");

struct Fixed(AtomicU64);

impl Clock for Fixed {
    fn now_ms(&self) -> u64 {
        1_800_000_000_000
    }
    fn monotonic_us(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

impl Random for Fixed {
    fn next(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed)) << 7
    }
}

struct Node {
    dir: tempfile::TempDir,
    model: Arc<Model>,
    store: Arc<dyn Store>,
    random: Arc<Fixed>,
}

impl Node {
    fn new() -> Self {
        let random = Arc::new(Fixed(AtomicU64::new(1)));
        let model = Arc::new(Model::perfect());
        Self {
            dir: tempfile::tempdir().unwrap(),
            store: model.clone(),
            model,
            random,
        }
    }

    fn start(&self) -> (Arc<Engine>, Files) {
        let settings = Settings {
            dir: self.dir.path().to_owned(),
            node: "local".to_owned(),
            token_walk_pause_ms: 0,
            heartbeat_interval_ms: 0,
            read_age_ms: 0,
            journal_segment_bytes: 1 << 20,
            cut_damage: false,
            journal_interval_ms: 100,
            journal_limit_bytes: 64 << 20,
            round_interval_ms: 5_000,
            hot_budget_bytes: 64 << 20,
            token_window_ms: 86_400_000,
            token_limit: 1_000,
        };
        let disk = Arc::new(SystemDisk::open(self.dir.path()).unwrap());
        let (clock, random, store) = (self.random.clone(), self.random.clone(), self.store.clone());
        let engine = Arc::new(
            Engine::open(
                settings,
                World {
                    clock,
                    random,
                    disk,
                    store,
                },
            )
            .unwrap(),
        );
        let files = Files::new(
            engine.clone(),
            FilesSettings {
                max_sources: 10,
                max_line_bytes: 1 << 20,
            },
        );
        (engine, files)
    }
}

/// Any hash will do: the server only compares. XXH3 of all bytes before.
fn digest(bytes: &[u8]) -> Digest {
    Digest(format!("{:016x}", tally_engine::payload_hash(bytes)))
}

/// Sends chunks of about `size` bytes from `progress` on, at most `most` of them. Whether it came to the end.
fn send(files: &Files, file: &[u8], mut progress: Progress, size: usize, most: usize) -> Result<bool, FileError> {
    for _ in 0..most {
        let from = usize::try_from(progress.position).unwrap();
        if from >= file.len() {
            break;
        }
        let rest = &file[from..];
        let end = rest[size.min(rest.len()) - 1..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(rest.len(), |at| at + size.min(rest.len()));
        let bytes = &rest[..end];
        let last = from + end == file.len();
        progress = files.chunk(
            "log",
            progress.position,
            &digest(&file[..from]),
            digest(&file[..from + end]),
            last,
            bytes,
        )?;
    }
    Ok(usize::try_from(progress.position).unwrap() == file.len())
}

fn ingest(files: &Files, file: &[u8], size: usize) -> Figures {
    let progress = files.open("log", RULES, false, 0).unwrap();
    assert!(send(files, file, progress, size, usize::MAX).unwrap());
    files.finish("log").unwrap().1
}

fn totals(engine: &Engine) -> BTreeMap<String, i128> {
    engine
        .list("", "", 10_000)
        .unwrap()
        .into_iter()
        .map(|listed| (listed.key, listed.value))
        .collect()
}

#[test]
fn the_sample_counts_the_same_however_often_it_is_sent() {
    let node = Node::new();
    let (engine, files) = node.start();
    let figures = ingest(&files, SAMPLE, 100_000);
    assert_eq!((figures.of(Outcome::Counted), figures.received()), (9_999, 9_999));
    let first = totals(&engine);
    assert_eq!(first.len(), 1_444);
    assert_eq!((first["requests:all"], first["bytes:all"]), (9_999, 2_747_282_505));
    assert_eq!((first["page:/favicon.ico"], first["status:404"]), (807, 213));
    assert_eq!(ingest(&files, SAMPLE, 7_000), figures);
    drop((engine, files));
    let (engine, files) = node.start();
    assert_eq!(ingest(&files, SAMPLE, 50_000), figures);
    assert_eq!(totals(&engine), first);
}

#[test]
fn a_run_that_broke_off_goes_on_where_the_store_is() {
    let node = Node::new();
    for most in [3, 1, 7, 2] {
        let (_engine, files) = node.start();
        let progress = files.open("log", RULES, false, 0).unwrap();
        assert!(!send(&files, SAMPLE, progress, 10_000, most).unwrap());
        if most == 7 {
            files.settle().unwrap();
        }
        // What is folded and not put is forgotten with the process.
    }
    let (engine, files) = node.start();
    assert!(
        files.open("log", RULES, false, 0).unwrap().position > 0,
        "the settled part is there"
    );
    ingest(&files, SAMPLE, 30_000);
    assert_eq!(totals(&engine)["bytes:all"], 2_747_282_505);
}

#[test]
fn two_runs_at_once_count_once() {
    let node = Node::new();
    let (engine, files) = node.start();
    std::thread::scope(|scope| {
        for size in [9_000, 13_000, 31_000] {
            let files = &files;
            scope.spawn(move || ingest(files, SAMPLE, size));
        }
    });
    let (totals, ledger) = (totals(&engine), engine.ledger().unwrap());
    assert_eq!((totals["requests:all"], totals["bytes:all"]), (9_999, 2_747_282_505));
    assert_eq!(ledger.sources[0].figures.received(), 9_999);
}

#[test]
fn a_changed_file_is_refused_and_a_grown_one_goes_on() {
    let node = Node::new();
    let (engine, files) = node.start();
    let half = SAMPLE.iter().take(1_000_000).rposition(|byte| *byte == b'\n').unwrap() + 1;
    ingest(&files, &SAMPLE[..half], 64_000);
    let before = totals(&engine);
    let mut changed = SAMPLE.to_vec();
    changed[10] ^= 1;
    let progress = files.open("log", RULES, false, 0).unwrap();
    assert_eq!(progress.digest, digest(&SAMPLE[..half]));
    assert!(matches!(
        send(&files, &changed, progress, 64_000, 1),
        Err(FileError::Changed { .. })
    ));
    assert_eq!(totals(&engine), before);
    ingest(&files, SAMPLE, 64_000);
    assert_eq!(totals(&engine)["requests:all"], 9_999);
}

#[test]
fn broken_lines_are_rejected_with_their_reason_and_others_counted() {
    let node = Node::new();
    let (engine, files) = node.start();
    let file = b"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\"}\n\nnot json\n{\"id\":1}\n\
        {\"specversion\":\"1.0\",\"id\":\"2\",\"source\":\"s\",\"type\":\"u\"}\n";
    let rules = "[[rule]]\nmatch = { type = \"t\" }\ncount = [\"n\"]\n";
    let progress = files.open("log", rules, false, 0).unwrap();
    send(&files, file, progress, 20, usize::MAX).unwrap();
    let (_, figures) = files.finish("log").unwrap();
    let of = |outcome| figures.of(outcome);
    assert_eq!(
        (of(Outcome::Counted), of(Outcome::Rejected), of(Outcome::Ignored)),
        (1, 2, 1)
    );
    assert_eq!(figures.reasons.values().map(|reason| reason.count).sum::<u64>(), 2);
    assert_eq!(totals(&engine)["n"], 1);
}

#[test]
fn lateness_goes_by_the_log_and_backfill_lifts_it() {
    let event = |minute: u32, id: u32| {
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"s\",\"type\":\"t\",\"time\":\"2020-01-01T10:{minute:02}:00Z\"}}\n"
        )
    };
    let file = [event(10, 1), event(30, 2), event(29, 3), event(9, 4), event(31, 5)].concat();
    let rules = "[[rule]]\nmatch = { type = \"t\" }\ncount = [\"late:n\"]\n";
    for (backfill, counted, late) in [(false, 4, 1), (true, 5, 0)] {
        let node = Node::new();
        let (engine, files) = node.start();
        let policy = tally_counter::Policy {
            lateness_ms: Some(600_000),
            ..Default::default()
        };
        engine.declare("late", policy).unwrap();
        let progress = files.open("log", rules, backfill, 0).unwrap();
        send(&files, file.as_bytes(), progress, 100, usize::MAX).unwrap();
        let (_, figures) = files.finish("log").unwrap();
        assert_eq!(
            (figures.of(Outcome::Counted), figures.of(Outcome::Late)),
            (counted, late)
        );
        assert_eq!(totals(&engine)["late:n"], i128::from(counted));
        let namespaces = engine.ledger().unwrap().namespaces;
        assert_eq!(
            (namespaces[0].name.as_str(), namespaces[0].figures.of(Outcome::Late)),
            ("late", late)
        );
    }
}

#[test]
fn a_repeated_round_goes_by_the_lateness_of_its_cut() {
    let event = |minute: u32, id: u32| {
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"s\",\"type\":\"t\",\"time\":\"2020-01-01T10:{minute:02}:00Z\"}}\n"
        )
    };
    let file = [event(40, 1), event(39, 2), event(10, 3)].concat();
    let rules = "[[rule]]\nmatch = { type = \"t\" }\ncount = [\"late:n\", \"late:m\"]\n";
    let policy = |lateness_ms| tally_counter::Policy {
        lateness_ms,
        ..Default::default()
    };
    for operation in 2..11 {
        let node = Node::new();
        let (engine, files) = node.start();
        engine.declare("late", policy(Some(600_000))).unwrap();
        let progress = files.open("log", rules, false, 0).unwrap();
        send(&files, file.as_bytes(), progress, 1_000, usize::MAX).unwrap();
        node.model.fail_from(Some(node.model.operations() + operation));
        let _unless_it_came_through = files.finish("log").is_ok();
        drop((engine, files));
        node.model.fail_from(None);
        let (engine, files) = node.start();
        engine.declare("late", policy(None)).unwrap();
        let progress = files.open("log", rules, false, 0).unwrap();
        send(&files, file.as_bytes(), progress, 1_000, usize::MAX).unwrap();
        let (_, figures) = files.finish("log").unwrap();
        let of = [figures.of(Outcome::Counted), figures.of(Outcome::Late)];
        assert_eq!(of, [2, 1], "operation {operation}");
        let totals = totals(&engine);
        assert_eq!((totals["late:n"], totals["late:m"]), (2, 2), "operation {operation}");
    }
}

#[test]
fn a_round_that_was_cut_behind_a_blank_line_takes_nothing_of_what_follows() {
    let event = |id: u32| {
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"s\",\"type\":\"t\",\"time\":\"2020-01-01T10:00:00Z\"}}\n"
        )
    };
    let rules = "[[rule]]\nmatch = { type = \"t\" }\ncount = [\"n\", \"m\"]\n";
    let first = [event(1), "\n".to_owned()].concat();
    let whole = [first.clone(), event(2), event(3)].concat();
    for operation in 2..11 {
        let node = Node::new();
        let (engine, files) = node.start();
        let progress = files.open("log", rules, false, 0).unwrap();
        send(&files, first.as_bytes(), progress, 1_000, usize::MAX).unwrap();
        node.model.fail_from(Some(node.model.operations() + operation));
        let _unless_it_came_through = files.finish("log").is_ok();
        drop((engine, files));
        node.model.fail_from(None);
        let (engine, files) = node.start();
        let progress = files.open("log", rules, false, 0).unwrap();
        send(&files, whole.as_bytes(), progress, 1_000, usize::MAX).unwrap();
        assert_eq!(files.finish("log").unwrap().1.received(), 3, "operation {operation}");
        let totals = totals(&engine);
        assert_eq!((totals["n"], totals["m"]), (3, 3), "operation {operation}");
    }
}
