//! What only the model does: its faults, its breakdowns, its crashes. What it shares with others is the contract's.

use std::collections::BTreeSet;

use super::*;
use crate::{Address, Addresses, Condition, Row};

const ROWS: u8 = 40;

fn at(key: &[u8]) -> Address<'_> {
    Address {
        table: Table::Tokens,
        slot: 1,
        key,
    }
}

fn rows(position: u64) -> Batch {
    let mut batch = Batch::new();
    for key in 0..ROWS {
        batch.push(Row {
            address: at(&[key]),
            position,
            value: &position.to_be_bytes(),
        });
    }
    batch
}

/// The position of each row that is there, by key.
fn positions(model: &Model, table: Table) -> Vec<(Vec<u8>, u64)> {
    let mut found = Vec::new();
    model
        .walk(table, b"", usize::MAX, &mut |_, row| {
            found.push((row.address.key.to_vec(), row.position));
            Ok(())
        })
        .unwrap();
    found
}

fn tokens(model: &Model) -> BTreeSet<u64> {
    positions(model, Table::Tokens)
        .into_iter()
        .map(|(_, position)| position)
        .collect()
}

fn change(model: &Model, key: &[u8], from: Option<&[u8]>, to: &[u8]) -> Result<Swapped, StoreError> {
    let address = Address {
        table: Table::Writers,
        slot: 0,
        key,
    };
    let mut rows = Batch::new();
    rows.push(Row {
        address,
        position: 1,
        value: to,
    });
    model.swap(Swap {
        conditions: &[Condition { address, value: from }],
        rows: &rows,
        gone: &Addresses::new(),
    })
}

#[test]
fn the_same_seed_repeats_everything() {
    let run = |seed| {
        let model = Model::new(Faults::all(), seed);
        let mut answers = Vec::new();
        for position in 0..50 {
            answers.push(model.put(&rows(position), Order::Growing).is_ok());
            answers.push(model.durable().is_ok());
            model.crash(position);
        }
        model.set_faults(Faults::none());
        (answers, model.late(), positions(&model, Table::Tokens))
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_failed_put_is_applied_in_part_and_the_rest_late_or_never() {
    let faults = Faults {
        writes_fail: 1_000,
        ..Faults::none()
    };
    let model = Model::new(faults, 3);
    assert!(matches!(
        model.put(&rows(5), Order::Growing),
        Err(StoreError::Unavailable(_))
    ));
    let late = model.late();
    model.set_faults(Faults::none());
    model.settle();
    let arrived = positions(&model, Table::Tokens).len();
    assert!(
        late > 0 && arrived > late && arrived < usize::from(ROWS),
        "{late} late of {arrived}"
    );
}

#[test]
fn late_writes_never_replace_newer_ones() {
    let model = Model::new(
        Faults {
            writes_fail: 500,
            writes_repeat: 500,
            ..Faults::none()
        },
        4,
    );
    let mut acknowledged = 0;
    for position in 1..100 {
        if model.put(&rows(position), Order::Growing).is_ok() {
            acknowledged = position;
        }
        let seen = tokens(&model);
        assert!(
            acknowledged == 0 || seen.iter().all(|seen| *seen >= acknowledged),
            "{seen:?} after {acknowledged}"
        );
    }
    model.settle();
    assert_eq!(model.late(), 0);
    assert!(tokens(&model).iter().all(|seen| *seen >= acknowledged));
    assert_eq!(model.broken_words(), 0, "arriving late is not the caller's fault");
}

#[test]
fn a_crash_keeps_what_was_durable_and_any_part_of_the_rest() {
    let mut survivors = BTreeSet::new();
    for seed in 0..50 {
        let model = Model::perfect();
        model.put(&rows(1), Order::Growing).unwrap();
        model.durable().unwrap();
        model.put(&rows(2), Order::Growing).unwrap();
        model.crash(seed);
        let after = positions(&model, Table::Tokens);
        assert_eq!(after.len(), usize::from(ROWS));
        assert!(after.iter().all(|(_, position)| [1, 2].contains(position)));
        survivors.insert(after.iter().filter(|(_, position)| *position == 2).count());
        model.crash(seed + 1);
        assert_eq!(positions(&model, Table::Tokens), after, "what survived is on disk");
    }
    assert!(
        survivors.contains(&0) && survivors.contains(&usize::from(ROWS)) && survivors.len() > 5,
        "{survivors:?}"
    );
}

#[test]
fn a_crash_may_undo_a_removal_that_was_not_durable() {
    let mut after = BTreeSet::new();
    for seed in 0..20 {
        let model = Model::perfect();
        model.put(&rows(1), Order::Growing).unwrap();
        model.durable().unwrap();
        model.remove(&rows(1)).unwrap();
        assert!(tokens(&model).is_empty());
        model.crash(seed);
        after.insert(positions(&model, Table::Tokens).len());
    }
    assert!(after.contains(&0) && after.contains(&usize::from(ROWS)), "{after:?}");
}

#[test]
fn a_crash_loses_swaps_of_a_partition_from_some_one_on() {
    let mut lengths = BTreeSet::new();
    for seed in 0..50 {
        let model = Model::perfect();
        for number in 0..10_u8 {
            // Each on what the one before left, each on another row besides.
            let conditions_row = Address {
                table: Table::Writers,
                slot: 0,
                key: b"count",
            };
            let before = number.checked_sub(1).map(|before| [before]);
            let mut rows = Batch::new();
            rows.push(Row {
                address: conditions_row,
                position: 1,
                value: &[number],
            });
            rows.push(Row {
                address: Address {
                    key: &[number],
                    ..conditions_row
                },
                position: 1,
                value: b"",
            });
            let value = before.as_ref().map(<[u8; 1]>::as_slice);
            let conditions = [Condition {
                address: conditions_row,
                value,
            }];
            assert_eq!(
                model
                    .swap(Swap {
                        conditions: &conditions,
                        rows: &rows,
                        gone: &Addresses::new(),
                    })
                    .unwrap(),
                Swapped::Applied
            );
        }
        model.crash(seed);
        let keys: Vec<Vec<u8>> = positions(&model, Table::Writers)
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        let numbers = keys.len().saturating_sub(1);
        let mut expected: Vec<Vec<u8>> = (0..10).take(numbers).map(|number| vec![number]).collect();
        expected.extend((numbers > 0).then(|| b"count".to_vec()));
        assert_eq!(keys, expected, "whole swaps, the first ones");
        lengths.insert(numbers);
    }
    assert!(lengths.len() > 5, "{lengths:?}");
}

#[test]
fn an_unknown_swap_is_applied_or_late_or_never() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..30 {
        let model = Model::new(
            Faults {
                swaps_unknown: 1_000,
                ..Faults::none()
            },
            seed,
        );
        assert_eq!(change(&model, b"w", None, b"one").unwrap(), Swapped::Unknown);
        model.set_faults(Faults::none());
        let late = model.late();
        let before = late == 0 && !positions(&model, Table::Writers).is_empty();
        model.settle();
        outcomes.insert((before, late, positions(&model, Table::Writers).len()));
    }
    assert_eq!(outcomes, BTreeSet::from([(true, 0, 1), (false, 1, 1), (false, 0, 0)]));
}

#[test]
fn a_late_swap_looks_at_its_conditions_when_it_arrives() {
    let model = Model::new(
        Faults {
            swaps_unknown: 1_000,
            ..Faults::none()
        },
        0,
    );
    while model.late() == 0 {
        assert_eq!(change(&model, b"w", None, b"late").unwrap(), Swapped::Unknown);
        model.set_faults(Faults {
            swaps_unknown: 1_000,
            ..Faults::none()
        });
        if !positions(&model, Table::Writers).is_empty() {
            return;
        }
    }
    model.set_faults(Faults::none());
    let outcome = change(&model, b"w", None, b"mine").unwrap();
    model.settle();
    let answer = change(&model, b"w", None, b"").unwrap();
    let expected: &[u8] = if outcome == Swapped::Applied { b"mine" } else { b"late" };
    assert_eq!(answer, Swapped::Refused(vec![Some(expected.to_vec())]));
}

#[test]
fn it_breaks_down_at_every_operation() {
    let script = |model: &Model| -> Result<(), StoreError> {
        model.put(&rows(1), Order::Growing)?;
        model.durable()?;
        model.put(&rows(2), Order::Any)?;
        change(model, b"w", None, b"one")?;
        model.remove(&rows(2))?;
        model.durable()
    };
    let whole = Model::perfect();
    script(&whole).unwrap();
    assert_eq!(whole.operations(), 6);
    for operation in 0..6 {
        let model = Model::perfect();
        model.fail_from(Some(operation));
        assert!(matches!(script(&model), Err(StoreError::Failed(_))));
        assert_eq!(model.operations(), operation + 1);
        let failed = model.get(&Addresses::new(), &mut |_, _| Ok(()));
        assert!(matches!(failed, Err(StoreError::Failed(_))), "reads fail too");
        assert!(model.durable().is_err());
        model.fail_from(None);
        model.crash(operation);
        if (2..4).contains(&operation) {
            assert_eq!(
                positions(&model, Table::Tokens).len(),
                usize::from(ROWS),
                "durable since operation 1"
            );
        }
    }
}

#[test]
fn a_read_that_fails_answers_some_rows() {
    let model = Model::perfect();
    model.put(&rows(1), Order::Growing).unwrap();
    model.set_faults(Faults {
        reads_fail: 1_000,
        ..Faults::none()
    });
    let mut lengths = BTreeSet::new();
    for _ in 0..50 {
        let mut visited = 0;
        let failed = model.walk(Table::Tokens, b"", 99, &mut |_, _| {
            visited += 1;
            Ok(())
        });
        assert!(matches!(failed, Err(StoreError::Unavailable(_))));
        lengths.insert(visited);
    }
    assert!(lengths.len() > 5);
}

#[test]
fn a_snapshot_goes_its_own_way() {
    let model = Model::perfect();
    model.put(&rows(1), Order::Growing).unwrap();
    let copy = model.snapshot();
    model.put(&rows(2), Order::Growing).unwrap();
    copy.remove(&rows(1)).unwrap();
    assert_eq!(tokens(&model), BTreeSet::from([2]));
    assert!(tokens(&copy).is_empty());
    assert_eq!((model.operations(), copy.operations()), (2, 2));
}

#[test]
fn a_broken_word_is_counted_and_blind_growth_believes_it() {
    for growing_is_blind in [false, true] {
        let model = Model::new(
            Faults {
                growing_is_blind,
                ..Faults::none()
            },
            0,
        );
        model.put(&rows(2), Order::Growing).unwrap();
        model.put(&rows(2), Order::Growing).unwrap();
        assert_eq!(model.broken_words(), 0);
        model.put(&rows(1), Order::Growing).unwrap();
        assert_eq!(model.broken_words(), u64::from(ROWS));
        assert_eq!(tokens(&model), BTreeSet::from([if growing_is_blind { 1 } else { 2 }]));
    }
}

#[test]
fn a_forgotten_removal_lets_older_writes_come_back() {
    for (removals_forgotten, expected) in [(0, BTreeSet::new()), (1_000, BTreeSet::from([1]))] {
        let model = Model::new(
            Faults {
                removals_forgotten,
                ..Faults::none()
            },
            0,
        );
        model.put(&rows(2), Order::Growing).unwrap();
        model.remove(&rows(2)).unwrap();
        model.put(&rows(1), Order::Any).unwrap();
        assert_eq!(tokens(&model), expected);
    }
}
