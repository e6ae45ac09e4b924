//! The contract suite: every sentence of [`Store`]'s prose as a check that every back end passes.
//!
//! A back end's test file makes a [`Bench`] and calls [`contract_tests!`](crate::contract_tests), which writes one `#[test]` a
//! check. Checks know nothing of the back end; they use keys as the engine does, in every table what belongs there.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests: a failed unwrap is a failed check, and a failure prints its seed"
)]

mod kit;
pub mod names;
pub mod put;
pub mod random;
pub mod read;
pub mod remove;
pub mod swap;
pub mod sync;
pub mod threads;

use crate::Store;

/// A store under test. Each check gets a bench of its own, with an empty store.
pub trait Bench {
    /// The store as it is open now.
    fn store(&self) -> &dyn Store;

    /// Closes the store and opens it again, the hardest way the back end can do: what [`Store::durable`] has answered for
    /// must be there, of the rest any part.
    fn reopen(&mut self);
}

/// Writes one `#[test]` for each check of the contract; the expression makes a new bench.
///
/// ```text
/// mod embedded {
///     tally_store::contract_tests!(super::EmbeddedBench::new());
/// }
/// ```
#[macro_export]
macro_rules! contract_tests {
    ($bench:expr) => {
        $crate::contract_tests! { $bench;
            put: reads_see_what_was_put, values_and_positions_of_any_size, nothing_is_allowed, a_smaller_position_never_replaces,
                a_larger_position_replaces, at_equal_positions_the_larger_value_stands, a_row_twice_in_one_batch,
                again_and_in_any_order, large_batches, tables_and_slots_are_apart;
            remove: what_stands_at_the_position_goes, a_newer_write_stays, what_is_not_there_may_be_removed,
                a_late_older_write_is_hidden_or_comes_back, a_newer_write_brings_the_row_back;
            read: get_names_the_address_it_answers, an_error_of_the_visitor_ends_the_read, scans_go_by_prefix_in_key_order,
                scans_begin_at_from, scans_are_limited, scans_name_the_range_they_answer, scans_stay_in_their_slot,
                walks_meet_every_row_once, walks_go_on_after_a_reopening, walks_under_writes_meet_what_stays;
            names: come_in_name_order, begin_with_the_prefix, come_after, are_limited, come_in_slot_order,
                walk_on_from_any_cursor, of_one_place_come_together, of_counters_with_many_rows_come_once,
                that_stay_are_met_whatever_else_changes, that_were_removed_are_gone;
            swap: applies_when_the_conditions_hold, is_refused_with_what_is_there, puts_all_rows_or_none,
                ignores_positions, conditions_may_be_on_other_rows, a_repeat_is_settled, removes_rows_along,
                is_serial_between_threads;
            sync: durable_rows_are_there_after_a_reopening, durable_swaps_and_removals_too, what_is_not_durable_is_whole_or_older,
                durable_is_asked_for_again_and_again;
            threads: puts_in_any_order_from_threads_end_at_the_largest, growing_puts_are_read_by_others,
                readers_never_see_a_position_go_back;
            random: operations_agree_with_a_map, names_agree_with_a_map;
        }
    };
    ($bench:expr; $($area:ident: $($check:ident),+;)+) => {
        $(mod $area {
            $(#[test]
            fn $check() {
                $crate::contract::$area::$check(&mut $bench);
            })+
        })+
    };
}
