//! What only the embedded store does: its directory, its lock, its reserve, and what `kill -9` leaves.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use tally_store::{Address, Addresses, Batch, Embedded, EmbeddedSettings, Order, Row, Store, StoreError, Table};

fn open(directory: &Path) -> Result<Embedded, StoreError> {
    Embedded::open(directory, &EmbeddedSettings::default())
}

fn refusal(directory: &Path) -> String {
    match open(directory) {
        Err(StoreError::Refused(message)) => message,
        other => unreachable!("not refused: {other:?}"),
    }
}

fn rows(position: u64) -> Batch {
    let mut rows = Batch::new();
    for key in 0..500_u16 {
        let address = Address {
            table: Table::Tokens,
            slot: 1,
            key: &key.to_be_bytes(),
        };
        rows.push(Row {
            address,
            position,
            value: b"value",
        });
    }
    rows
}

fn positions(store: &Embedded) -> Vec<u64> {
    let mut addresses = Addresses::new();
    for row in rows(0).rows() {
        addresses.push_with(row.address.table, row.address.slot, |out| {
            out.extend_from_slice(row.address.key);
        });
    }
    let mut positions = Vec::new();
    store
        .get(&addresses, &mut |_, row| {
            positions.push(row.position);
            Ok(())
        })
        .unwrap();
    positions
}

#[test]
fn a_directory_is_made_with_its_parents_and_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("some/where");
    let store = open(&path).unwrap();
    store.put(&rows(1), Order::Any).unwrap();
    assert!(store.size_bytes().unwrap() > 0);
    drop(store);
    assert_eq!(positions(&open(&path).unwrap()).len(), 500);
}

#[test]
fn a_clean_end_leaves_everything_in_tables_and_no_log() {
    let directory = tempfile::tempdir().unwrap();
    for position in 1..6 {
        let store = open(directory.path()).unwrap();
        assert_eq!(
            positions(&store),
            vec![position - 1; if position == 1 { 0 } else { 500 }]
        );
        store.put(&rows(position), Order::Growing).unwrap();
        let mut gone = Batch::new();
        rows(position).rows().take(100).for_each(|row| gone.push(row));
        store.remove(&gone).unwrap();
        store.put(&rows(position), Order::Any).unwrap();
        drop(store);
        let log = |entry: fs::DirEntry| (entry.path().extension()? == "jnl").then(|| entry.metadata().unwrap().len());
        let logs: Vec<u64> = fs::read_dir(directory.path().join("rows"))
            .unwrap()
            .filter_map(|entry| log(entry.unwrap()))
            .collect();
        assert_eq!(logs, [0]);
    }
}

#[test]
fn a_second_one_is_refused_while_the_first_is_open() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).unwrap();
    let message = refusal(directory.path());
    assert!(message.contains("in use by another process"), "{message}");
    first.put(&rows(1), Order::Any).unwrap();
    drop(first);
    assert_eq!(positions(&open(directory.path()).unwrap()).len(), 500);
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    let marker = directory.path().join("format");
    fs::write(&marker, "tally store 2\n").unwrap();
    let message = refusal(directory.path());
    assert!(
        message.contains("format 2") && message.contains("start a newer Tally"),
        "{message}"
    );
    fs::write(&marker, "something else\n").unwrap();
    let message = refusal(directory.path());
    assert!(message.contains("not the format marker"), "{message}");
    fs::remove_file(&marker).unwrap();
    let message = refusal(directory.path());
    assert!(message.contains("no format marker"), "{message}");
    fs::write(&marker, "tally store 1\n").unwrap();
    open(directory.path()).unwrap();
}

#[test]
fn what_is_no_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "text").unwrap();
    for path in [file.clone(), file.join("below")] {
        let message = refusal(&path);
        assert!(message.contains("is not a directory"), "{message}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "text");
}

#[test]
fn a_creation_that_was_cut_off_is_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    // The last thing that is written when a store is created.
    fs::remove_file(directory.path().join("rows/version")).unwrap();
    let store = open(directory.path()).unwrap();
    assert!(positions(&store).is_empty());
}

#[test]
fn without_room_rows_are_refused_and_reads_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    store.put(&rows(1), Order::Growing).unwrap();
    drop(store);
    let greedy = EmbeddedSettings {
        reserve_bytes: u64::MAX / 2,
        ..EmbeddedSettings::default()
    };
    let store = Embedded::open(directory.path(), &greedy).unwrap();
    for order in [Order::Growing, Order::Any] {
        match store.put(&rows(2), order) {
            Err(StoreError::Unavailable(message)) => assert!(message.contains("MiB free"), "{message}"),
            other => unreachable!("{other:?}"),
        }
    }
    assert_eq!(positions(&store), vec![1; 500]);
    store.durable().unwrap();
    drop(store);
    open(directory.path()).unwrap().put(&rows(2), Order::Growing).unwrap();
}

#[test]
fn compacting_keeps_everything() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    for position in 1..4 {
        store.put(&rows(position), Order::Growing).unwrap();
        store.compact().unwrap();
    }
    assert!(store.table_bytes(Table::Tokens) > 0);
    assert_eq!(store.table_bytes(Table::Windows), 0);
    assert_eq!(positions(&store), vec![3; 500]);
    assert!(store.reads() >= 500);
}

const CHILD: &str = "TALLY_STORE_TEST_CHILD";

/// Not a test by itself: what [`kill_nine_leaves_what_was_durable`] starts and kills.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(directory) = std::env::var_os(CHILD) else {
        return;
    };
    let store = open(Path::new(&directory)).unwrap();
    let first = positions(&store).into_iter().max().unwrap_or(0) + 1;
    for position in first.. {
        store
            .put(
                &rows(position),
                if position % 2 == 0 { Order::Any } else { Order::Growing },
            )
            .unwrap();
        if position % 3 == 0 {
            store.durable().unwrap();
            println!("durable {position}");
        }
    }
}

#[test]
fn kill_nine_leaves_what_was_durable() {
    let directory = tempfile::tempdir().unwrap();
    for durable_rounds in [1, 5, 20] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_writes_until_it_is_killed", "--nocapture"])
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let durable = lines.filter_map(|line| line.split_once("durable ")?.1.parse::<u64>().ok());
        let last = durable.take(durable_rounds).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let found = positions(&open(directory.path()).unwrap());
        assert_eq!(found.len(), 500);
        assert!(
            found.iter().all(|position| *position >= last),
            "{found:?} after {last} was durable"
        );
    }
}

/// A store with so many puts of 500 rows in its log, and where each begins there.
fn logged(directory: &Path, puts: u64) -> Vec<usize> {
    let store = open(directory).unwrap();
    let log = directory.join("rows/0.jnl");
    let used = || {
        let bytes = fs::read(&log).unwrap();
        bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
    };
    store.durable().unwrap();
    let mut begins = Vec::new();
    for position in 1..=puts {
        begins.push(used());
        store.put(&rows(position), Order::Growing).unwrap();
        store.durable().unwrap();
    }
    crash(store, directory);
    begins
}

/// Leaves the directory as a crash would, without the end of an orderly stop, which cuts the log.
fn crash(store: Embedded, directory: &Path) {
    let aside = tempfile::tempdir().unwrap();
    copy(directory, aside.path());
    drop(store);
    fs::remove_dir_all(directory).unwrap();
    copy(aside.path(), directory);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}

fn flip(directory: &Path, at: usize) {
    let log = directory.join("rows/0.jnl");
    let mut bytes = fs::read(&log).unwrap();
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1;
    }
    fs::write(&log, bytes).unwrap();
}

/// fjall believes a batch's number, which no checksum covers: with a larger one an older row would stand over newer ones.
#[test]
fn a_damaged_number_in_the_log_never_brings_an_older_row_back() {
    let directory = tempfile::tempdir().unwrap();
    let begins = logged(directory.path(), 4);
    // Tag, count, then eight bytes of number, of which the fifth makes it very large.
    flip(directory.path(), begins.get(1).unwrap() + 1 + 4 + 4);
    let store = open(directory.path()).unwrap();
    let found = positions(&store);
    assert!(
        found.iter().all(|position| *position == 1),
        "the state before the damage: {found:?}"
    );
    assert!(
        store.cut().is_some_and(|cut| cut.contains("0.jnl, byte ")),
        "{:?}",
        store.cut()
    );
}

/// fjall refuses a batch whose checksum is wrong, as a loss of power may leave one at the end: that would be no start at all.
#[test]
fn a_torn_batch_at_the_end_of_the_log_is_cut() {
    let directory = tempfile::tempdir().unwrap();
    let begins = logged(directory.path(), 4);
    flip(directory.path(), begins.get(3).unwrap() + 40);
    let store = open(directory.path()).unwrap();
    assert!(positions(&store).iter().all(|position| *position == 3));
    assert_eq!(store.cut(), None);
    drop(store);
    assert!(
        positions(&open(directory.path()).unwrap())
            .iter()
            .all(|position| *position == 3)
    );
}

#[test]
fn what_is_cut_out_of_the_middle_of_the_log_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let begins = logged(directory.path(), 4);
    flip(directory.path(), begins.get(2).unwrap() + 40);
    let store = open(directory.path()).unwrap();
    assert!(positions(&store).iter().all(|position| *position == 2));
    assert!(store.cut().is_some());
    let kept = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(
        kept.into_iter()
            .any(|name| name.to_string_lossy().ends_with(".damaged"))
    );
}

/// What is left of a log that was cut would be older than the tables.
#[test]
fn a_log_that_is_damaged_before_what_tables_hold_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let begins = logged(directory.path(), 3);
    let store = open(directory.path()).unwrap();
    store.compact().unwrap();
    crash(store, directory.path());
    flip(directory.path(), begins.get(1).unwrap() + 40);
    match open(directory.path()) {
        Err(StoreError::Corrupt(message)) => assert!(message.contains("0.jnl, byte "), "{message}"),
        other => unreachable!("not refused: {other:?}"),
    }
}

#[test]
fn a_list_of_tables_that_is_not_what_was_written_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    store.put(&rows(1), Order::Growing).unwrap();
    store.compact().unwrap();
    drop(store);
    let mut lists = 0;
    for keyspace in fs::read_dir(directory.path().join("rows/keyspaces")).unwrap() {
        let current = keyspace.unwrap().path().join("current");
        let whole = fs::read(&current).unwrap();
        let mut bytes = whole.clone();
        if let Some(byte) = bytes.get_mut(12) {
            *byte ^= 1;
        }
        fs::write(&current, bytes).unwrap();
        match open(directory.path()) {
            Err(StoreError::Corrupt(message)) => assert!(message.contains("byte 0"), "{message}"),
            other => unreachable!("not refused: {other:?}"),
        }
        fs::write(&current, whole).unwrap();
        lists += 1;
    }
    assert!(lists >= 7);
    assert_eq!(positions(&open(directory.path()).unwrap()).len(), 500);
}

/// fjall merges what it keeps of its keyspaces after it has made one, and where that fails (here the list that it would write last has no
/// place) it says so in the log, and answers that the keyspace is there.
#[test]
fn what_fjall_only_warns_of_refuses_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let rows = directory.path().join("rows");
    drop(open(directory.path()).unwrap());
    // The last of our keyspaces is followed by a merge.
    let begin = || {
        fs::remove_dir_all(&rows).unwrap();
        drop(fjall::Database::builder(&rows).open().unwrap());
    };
    begin();
    drop(open(directory.path()).unwrap());
    let current = fs::read(rows.join("keyspaces/0/current")).unwrap();
    let last = u64::from_le_bytes(current[..8].try_into().unwrap());
    begin();
    let list = rows.join(format!("keyspaces/0/v{last}"));
    fs::create_dir(&list).unwrap();
    match open(directory.path()) {
        Err(StoreError::Failed(message)) => assert!(message.contains("maintenance failed"), "{message}"),
        other => unreachable!("not noticed: {other:?}"),
    }
    fs::remove_dir(&list).unwrap();
    let store = open(directory.path()).unwrap();
    store.put(&self::rows(7), Order::Any).unwrap();
    assert!(positions(&store).iter().all(|position| *position == 7));
}

/// The place for tables is gone: fjall's thread ends, and says so at once, not when somebody writes again.
#[test]
fn a_failure_of_fjalls_own_threads_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    Embedded::on_failure_in_background(move |why| drop(tell.send(why.to_owned())));
    let settings = EmbeddedSettings {
        rows_bytes: 16 * 1_024,
        ..EmbeddedSettings::default()
    };
    let store = Embedded::open(directory.path(), &settings).unwrap();
    for keyspace in fs::read_dir(directory.path().join("rows/keyspaces")).unwrap() {
        fs::remove_dir_all(keyspace.unwrap().path().join("tables")).unwrap();
    }
    store.put(&rows(1), Order::Growing).unwrap();
    // It may have been noticed by now.
    let put = store.put(&rows(2), Order::Growing);
    assert!(matches!(put, Ok(()) | Err(StoreError::Failed(_))), "{put:?}");
    let mut heard = false;
    for _ in 0..600 {
        heard |= told.recv_timeout(std::time::Duration::from_millis(100)).is_ok();
        // Other tests of this process have threads that fail, too.
        if heard && matches!(store.durable(), Err(StoreError::Failed(_))) {
            return;
        }
    }
    unreachable!("a minute has passed: told of something: {heard}");
}

/// What rests is on disk, all of it is read as before, and one who rests is not busy.
#[test]
fn an_idle_store_has_its_rows_in_tables() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    for position in 1..=40 {
        store.put(&rows(position), Order::Any).unwrap();
    }
    assert_eq!(store.table_bytes(Table::Tokens), 0, "it collects rows in memory");
    assert!(store.rest().unwrap(), "it has something to do");
    soon("it rests", || !store.rest().unwrap());
    assert!(store.table_bytes(Table::Tokens) > 0, "they are in a table");
    assert!(positions(&store).iter().all(|position| *position == 40));
    soon("there is no more to do", || !store.rest().unwrap());
}

/// All tables together keep within their bound, though none has much.
#[test]
fn rows_of_many_tables_share_one_bound() {
    let directory = tempfile::tempdir().unwrap();
    let settings = EmbeddedSettings {
        rows_bytes: 256 << 10,
        ..EmbeddedSettings::default()
    };
    let store = Embedded::open(directory.path(), &settings).unwrap();
    let value = [7; 64];
    for number in 0..2_000_u64 {
        let mut rows = Batch::new();
        for table in [Table::Counters, Table::Windows, Table::Tokens] {
            let key = &number.to_be_bytes();
            let address = Address { table, slot: 3, key };
            rows.push(Row {
                address,
                position: 1,
                value: &value,
            });
        }
        store.put(&rows, Order::Growing).unwrap();
    }
    // 6,000 rows of more than 64 bytes: none of the three tables alone has twice the bound.
    let written = || [Table::Counters, Table::Windows, Table::Tokens].map(|table| store.table_bytes(table) > 0);
    soon("all three have written", || written() == [true; 3]);
}

#[expect(clippy::disallowed_methods, reason = "fjall's own threads tell nobody")]
fn soon(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    unreachable!("not within 20 s: {what}");
}
