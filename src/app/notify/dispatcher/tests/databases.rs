//! What must hold on either database: the same tests with each.

use super::{On, endings, faults, pacing, paused, removed, troubles, wanted};

/// Makes a test of each case for each database.
macro_rules! on_both {
    ($($module:ident: $($case:ident),+ $(,)?;)+) => {
        mod on_sqlite {
            use super::*;
            $($(#[tokio::test]
            async fn $case() {
                $module::$case(On::Sqlite).await;
            })+)+
        }

        mod on_postgres {
            use super::*;
            $($(#[tokio::test]
            async fn $case() {
                $module::$case(On::Postgres).await;
            })+)+
        }
    };
}

on_both! {
    endings:
        down_for_a_day_it_is_given_up_told_and_sent_once_more,
        what_nobody_could_note_again_and_again_is_counted_and_told_as_failing,
        what_takes_nothing_for_hours_is_paused_until_somebody_lets_it_go_on;
    faults:
        what_the_store_never_takes_in_time_becomes_a_problem_and_holds_up_no_other,
        whoever_runs_the_dispatcher_sees_that_outcomes_cannot_be_saved_any_more;
    pacing:
        of_what_waits_about_one_record_the_newest_is_sent,
        a_batch_that_failed_is_sent_again_as_it_was,
        one_that_hangs_delays_no_other;
    paused:
        what_waits_for_a_receiver_that_works_again_is_sent_when_the_endpoint_goes_on;
    removed:
        what_is_removed_while_it_waits_for_its_turn_is_not_sent;
    troubles:
        an_endpoint_that_comes_back_while_it_is_cleared_away_holds_up_nobody,
        killed_between_sending_and_noting_it_is_sent_again_under_the_same_id,
        the_urgent_are_claimed_first,
        what_cannot_be_noted_at_once_is_noted_later_and_sent_once;
    wanted:
        after_the_mend_of_a_condition_what_it_excludes_is_not_sent;
}
