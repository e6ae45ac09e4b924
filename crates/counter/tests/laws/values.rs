//! Random values of the domain: drawn from few positions and generations, so that they meet, and from the extremes.

use proptest::collection::vec;
use proptest::prelude::*;
use tally_counter::{
    Acknowledgement, Bounds, Cell, Chunk, Consistency, CounterRow, Figures, Generation, Head, History, Keep, Left,
    Minute, Outcome, Policy, Position, StartId, Step, Template, Window, WriterId, WriterNumber, WriterRow, WriterState,
};

/// So many cases; a failure prints its values and becomes a named test, no file.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

pub(crate) fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![6 => -3..200_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN), 1 => any::<i64>()]
}

pub(crate) fn wide() -> impl Strategy<Value = i128> {
    prop_oneof![6 => -3..200_i128, 1 => Just(i128::MAX), 1 => Just(i128::MIN), 2 => any::<i128>()]
}

pub(crate) fn count() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..4_u64, 1 => 246..258_u64, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

pub(crate) fn position() -> impl Strategy<Value = Position> {
    prop_oneof![6 => 0..4_u64, 1 => 0..1_u64 << 50, 1 => Just((1 << 50) - 1)]
        .prop_map(|number| Position::new(number).expect("below 2^50"))
}

pub(crate) fn writer() -> impl Strategy<Value = WriterNumber> {
    prop_oneof![4 => 0..4_u32, 1 => 246..258_u32, 1 => any::<u32>(), 1 => Just(u32::MAX)].prop_map(WriterNumber)
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop::sample::select(Step::ALL.to_vec())
}

pub(crate) fn minute() -> impl Strategy<Value = Minute> {
    prop_oneof![any::<u32>(), 0..100_u32, Just(u32::MAX)].prop_map(Minute)
}

pub(crate) fn cell() -> impl Strategy<Value = Cell> {
    (position(), 0..3_u64, wide(), wide()).prop_map(|(position, n, total, counted)| Cell {
        position,
        n,
        total,
        counted,
    })
}

fn generation() -> impl Strategy<Value = Generation> {
    (0..3_u64, 0..3_u64, 0..3_u64).prop_map(|(revision, life, n)| Generation { revision, life, n })
}

pub(crate) fn head() -> impl Strategy<Value = Head> {
    let seen = vec((writer(), position()), 0..4);
    (generation(), amount(), any::<bool>(), prop::option::of(count()), seen).prop_map(
        |(generation, base, created, expires_ms, seen)| {
            let mut head = Head {
                generation,
                base,
                created,
                expires_ms,
                seen: Vec::new(),
                born: Vec::new(),
            };
            for (writer, position) in seen {
                head.see(writer, position);
            }
            head
        },
    )
}

pub(crate) fn window(step: Step) -> impl Strategy<Value = Window> {
    let amounts = vec(
        (0..step.chunk_windows(), prop_oneof![3 => 0..300_i128, 1 => wide()]),
        0..70,
    );
    (position(), amounts).prop_map(|(position, amounts)| {
        let mut window = Window::new(position);
        for (at, amount) in amounts {
            // What would leave 128 bits changes nothing.
            let added = window.add(at, amount);
            assert!(added.is_some() || amount != 0);
        }
        window
    })
}

pub(crate) fn left() -> impl Strategy<Value = Left> {
    (position(), minute(), wide()).prop_map(|(position, boundary, amount)| Left {
        position,
        boundary,
        amount,
    })
}

pub(crate) fn figures() -> impl Strategy<Value = Figures> {
    let counts = vec((prop::sample::select(Outcome::ALL.to_vec()), 0..1_000_u64), 0..6);
    (counts, vec((0..60_u8, ".{0,5}"), 0..40)).prop_map(|(counts, rejected)| {
        let mut figures = Figures::default();
        for (outcome, count) in counts {
            // Every rejected one has a reason; `reject` is the way to note it.
            if outcome != Outcome::Rejected {
                figures.note(outcome, count);
            }
        }
        for (reason, which) in rejected {
            figures.reject(&format!("reason {reason}"), &which);
        }
        figures
    })
}

pub(crate) fn writer_row() -> impl Strategy<Value = WriterRow> {
    let states = [
        WriterState::Shadow,
        WriterState::Active,
        WriterState::Sealed,
        WriterState::Retired,
    ];
    let log = (
        writer(),
        ".{0,20}",
        any::<u32>(),
        prop::sample::select(states.to_vec()),
        any::<u128>(),
    );
    let place = (
        position(),
        prop::option::of(position()),
        count(),
        vec(any::<u8>(), 0..9),
        vec(any::<u8>(), 0..9),
    );
    (log, place).prop_map(
        |((number, id, epoch, state, start), (applied, pending, policies, resume, pending_resume))| {
            let writer = WriterId { id, epoch };
            WriterRow {
                number,
                writer,
                state,
                start: StartId(start),
                applied,
                pending,
                policies,
                resume,
                pending_resume,
            }
        },
    )
}

pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    let keep = || {
        prop_oneof![
            Just(Keep::Off),
            Just(Keep::Forever),
            any::<u32>().prop_map(Keep::Minutes),
            Just(Keep::Minutes(u32::MAX))
        ]
    };
    let consistency = [Consistency::Strong, Consistency::Eventual, Consistency::Approximate];
    let acknowledgement = [
        None,
        Some(Acknowledgement::Memory),
        Some(Acknowledgement::Disk),
        Some(Acknowledgement::Replicated),
    ];
    let template = prop::sample::select(vec!["", "req:{method}", "req:{method}:{status}"]);
    (
        prop::sample::select(consistency.to_vec()),
        prop::sample::select(acknowledgement.to_vec()),
        (keep(), keep(), keep()),
        prop::option::of(count()),
        template,
        (prop::option::of(any::<i64>()), prop::option::of(any::<i64>())),
    )
        .prop_map(
            |(consistency, acknowledgement, (minutes, hours, days), lateness_ms, template, (min, max))| Policy {
                consistency,
                acknowledgement,
                history: History { minutes, hours, days },
                lateness_ms,
                template: Template::parse("req", template).ok(),
                bounds: Bounds { min, max },
            },
        )
}

pub(crate) fn counter_row() -> impl Strategy<Value = CounterRow> {
    let chunk = || prop_oneof![0..300_u32, any::<u32>()].prop_map(Chunk);
    prop_oneof![
        Just(CounterRow::Head),
        (count(), writer()).prop_map(|(life, writer)| CounterRow::Cell { life, writer }),
        (count(), step(), writer()).prop_map(|(life, step, writer)| CounterRow::Left { life, step, writer }),
        (count(), step(), chunk(), writer()).prop_map(|(life, step, chunk, writer)| CounterRow::Window {
            life,
            step,
            chunk,
            writer
        }),
    ]
}
