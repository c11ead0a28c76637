//! One suite for both stores: what every operation promises, and what happens when two of them meet.
//!
//! SQLite's tests have a file each, PostgreSQL's a schema each, in the database that `LOCKSTEP_TEST_POSTGRES_URL` names.

mod alerts;
mod answers;
mod approvals;
mod batches;
mod drift;
mod ends;
pub(in crate::store) mod fixture;
mod given;
mod housekeeping;
mod imports;
mod intake;
pub(in crate::store) mod kept;
mod links;
mod lists;
mod locks;
mod model;
mod nodes;
mod notes;
mod notices;
mod outgoing;
mod people;
mod polls;
mod postgres;
mod queue;
mod rests;
mod review;
mod runs;
mod sessions;
mod subscriptions;
mod upcoming;
mod written;

/// Makes a test of each case for each store.
macro_rules! suite {
    ($($module:ident: $($case:ident),+ $(,)?;)+) => {
        mod on_sqlite {
            use super::fixture::Fixture;
            $(mod $module {
                use super::*;
                $(#[tokio::test]
                async fn $case() {
                    super::super::$module::$case(Fixture::sqlite().await).await;
                })+
            })+
        }

        mod on_postgres {
            use super::fixture::Fixture;
            $(mod $module {
                use super::*;
                $(#[tokio::test]
                async fn $case() {
                    super::super::$module::$case(Fixture::postgres().await).await;
                })+
            })+
        }
    };
}

suite! {
    written:
        what_a_mapping_wrote_is_found_by_its_revision_page_by_page,
        what_is_removed_or_pruned_was_written_by_none,
        of_a_record_only_the_newest_stories_are_told;
    approvals:
        a_yes_counts_for_the_plan_that_waits_and_once,
        a_no_gives_up_what_waits_and_nothing_else;
    imports:
        one_import_of_an_object_at_a_time_and_its_end_counts_its_jobs,
        what_an_import_did_is_kept_until_its_end_counts_it,
        what_was_listed_becomes_few_jobs_at_a_time_once_each,
        jobs_that_rest_take_no_place_of_others_in_an_import,
        an_import_keeps_what_it_does_not_see_and_why_it_waits,
        jobs_of_imports_come_after_everything_else,
        what_an_import_made_stays_made;
    intake:
        a_repeated_delivery_changes_nothing,
        the_same_delivery_fifty_times_at_once_is_one_event,
        deliveries_of_one_record_join_one_job,
        recorded_deliveries_make_no_job,
        an_unreadable_delivery_is_a_problem_at_once,
        bodies_come_back_as_they_were,
        a_bad_unit_fails_alone,
        rejections_add_up;
    queue:
        an_enqueued_job_is_claimed_once,
        two_claimers_never_share_a_job,
        claims_go_by_priority_then_age,
        lanes_are_ready_when_a_job_is_due,
        an_event_during_a_run_makes_the_job_available_again,
        an_event_during_a_failing_run_does_not_get_lost,
        retries_count_only_when_they_should,
        a_release_leaves_no_trace,
        recovery_hastens_only_what_that_system_stopped,
        every_closed_state_lets_a_new_job_be_made,
        a_problem_stays_open_until_an_attempt_succeeds,
        a_held_job_is_planned_anew_by_an_event_and_stays_held,
        the_next_due_time_is_the_earliest_after_the_last_look,
        work_is_announced;
    ends:
        a_stale_end_saves_nothing,
        a_bad_end_fails_alone,
        a_heartbeat_keeps_the_lease_and_tells_what_is_lost,
        a_lost_lease_is_reclaimed_as_unclean,
        a_crash_gives_all_running_jobs_back;
    rests:
        events_leave_a_resting_job_its_time,
        a_job_that_kills_its_process_rests_and_ends_as_a_problem,
        an_end_that_knows_no_answer_is_remembered_until_a_success,
        no_job_wakes_itself,
        a_job_of_a_newer_version_that_is_given_up_waits_in_the_outbox,
        ready_work_stays_ready_when_the_clock_is_set_back;
    locks:
        locks_are_taken_all_or_none,
        another_running_jobs_own_record_is_busy,
        a_locked_record_is_not_claimed_until_released,
        locks_end_with_the_attempt_and_wake_who_waits,
        a_wait_for_a_free_record_is_short,
        a_job_waits_for_the_job_of_another_record,
        a_lost_attempt_takes_no_locks;
    people:
        retry_depends_on_the_state,
        discard_is_refused_while_the_job_runs,
        discarded_work_comes_back_with_the_next_event,
        jobs_are_filtered_and_paged,
        a_story_has_everything,
        counts_follow_the_jobs,
        waiting_jobs_of_a_lane_are_discarded,
        shop_problems_form_clusters;
    review:
        problems_are_counted_by_cause,
        a_double_click_is_one_action,
        what_a_person_holds_stays_held_whatever_comes,
        what_was_done_by_hand_closes_the_job_once,
        a_paused_shop_takes_in_and_does_nothing,
        a_job_moves_ahead_of_all_others,
        problems_are_claimed_and_snoozed;
    batches:
        a_batch_retries_each_job_once_whatever_dies,
        a_batch_can_be_stopped_and_takes_nothing_new;
    answers:
        carrying_over_makes_one_job_and_says_who_asked,
        an_answer_is_carried_out_on_what_still_waits,
        many_held_jobs_are_answered_in_one_go,
        a_choice_is_taken_while_it_is_asked,
        a_closed_job_is_done_again_once,
        a_pause_counts_when_jobs_are_claimed,
        a_batch_leaves_what_failed_later,
        whose_problems_are_asked_before_they_are_cut,
        the_audit_log_outlives_jobs_and_not_for_ever,
        notes_about_causes_are_redacted_too;
    kept:
        what_is_kept_is_what_there_is,
        the_example_of_a_cause_is_the_newest_that_is_open;
    lists:
        every_filter_lists_what_fits_newest_first,
        jobs_are_found_by_what_they_sell_and_whose_they_are;
    nodes:
        what_was_saved_last_is_the_newest,
        what_is_found_is_the_newest_only_when_nobody_runs_the_newest,
        who_begins_alone_means_what_its_file_says,
        of_nodes_that_begin_at_once_one_is_the_newest,
        a_node_that_is_gone_holds_nothing_up;
    runs:
        one_run_of_an_object_at_a_time,
        a_run_that_is_not_heard_of_is_cut,
        a_gap_closes_when_a_run_covers_all_of_it,
        a_gap_that_was_widened_during_a_run_stays_open,
        a_run_that_fails_puts_the_next_one_off,
        the_time_is_one_for_all_nodes,
        what_is_over_is_forgotten_in_time;
    drift:
        a_report_is_told_once_its_run_ended_well,
        rows_come_back_in_order_and_lose_their_values_on_request,
        reports_are_forgotten_with_their_runs,
        a_correction_counts_once,
        links_are_told_in_the_order_of_their_erp_records;
    links:
        links_are_unique_both_ways,
        links_are_saved_only_under_the_fence,
        records_are_adopted_only_where_nobody_has_them,
        a_conflict_at_the_end_is_a_problem_not_a_loss,
        retired_links_set_their_record_free,
        agreed_values_come_back,
        a_shop_is_disabled_with_the_end_that_says_so,
        shops_cursors_and_breakers;
    upcoming:
        what_comes_next_in_a_lane_is_told_in_the_order_of_claims;
    outgoing:
        a_write_is_noted_under_the_fence_and_outlives_its_job,
        an_order_in_work_is_found_by_what_it_sells,
        writes_to_the_shop_are_counted_by_record;

    polls:
        a_poll_is_saved_with_its_jobs_or_not_at_all,
        what_was_seen_is_kept_as_long_as_its_window,
        listed_ids_are_replaced_page_by_page,
        a_poll_without_its_right_saves_nothing,
        a_poll_that_is_forgotten_begins_anew,
        what_is_followed_anew_is_not_forgotten_by_who_comes_late;
    subscriptions:
        subscriptions_are_remembered_by_shop_and_topic,
        what_comes_and_goes_is_told_with_its_record_and_once,
        what_is_known_follows_a_shops_name,
        a_lease_has_one_holder_until_it_ends,
        a_crash_frees_the_leases_of_who_served,
        of_many_that_want_a_lease_one_gets_it,
        deliveries_add_up_by_topic_name_and_hour,
        a_shops_problem_is_closed_by_its_cluster;
    alerts:
        ends_are_counted_with_what_they_end,
        counts_add_up,
        late_orders_are_those_without_a_record,
        hours_with_deliveries_are_known,
        a_condition_is_one_alert_while_it_lasts,
        a_message_is_had_by_one_until_it_is_said_what_became_of_it,
        what_lasts_is_told_as_it_stands_by_now,
        a_privacy_request_blanks_what_alerts_quote;
    sessions:
        a_session_lives_until_it_is_closed_or_idle,
        an_id_stands_for_one_session;
    notices:
        what_is_told_is_committed_with_the_end_or_not_at_all,
        who_sends_hears_of_what_is_told,
        a_page_of_the_outbox_has_a_most_in_bytes,
        a_notification_is_fanned_out_once,
        a_newer_one_replaces_what_waits_and_not_what_is_sent,
        dispatches_are_claimed_by_priority_then_time,
        nothing_is_claimed_for_a_paused_endpoint,
        what_waits_is_due_when_an_endpoint_goes_on,
        a_clock_that_was_ahead_puts_no_delivery_off,
        what_was_sent_together_is_claimed_together,
        a_batch_of_one_endpoint_is_no_other_endpoints,
        a_newer_one_leaves_a_batch_as_it_was_sent,
        an_end_saves_try_endpoint_and_what_is_told,
        a_batch_has_one_answer,
        what_is_given_back_was_not_tried,
        what_nobody_wants_is_cancelled_and_was_not_tried,
        a_person_who_lets_an_endpoint_go_on_is_not_overruled,
        a_late_end_overwrites_nothing,
        of_two_about_the_same_the_newer_waits,
        what_waits_for_a_removed_endpoint_is_cancelled,
        an_endpoint_stands_as_before_when_what_waits_is_given_up,
        what_a_dead_process_was_sending_is_sent_again,
        however_many_claims_ended_without_a_word_all_are_taken_back,
        what_ends_without_a_word_again_and_again_is_given_up,
        deliveries_are_filtered_and_paged,
        what_ended_is_sent_once_more,
        a_range_or_all_that_failed_is_sent_once_more,
        what_failed_by_a_clock_that_was_ahead_is_sent_once_more,
        problems_are_sent_once_more_with_what_failed,
        what_ended_long_ago_is_deleted,
        what_is_told_of_a_customer_is_removed,
        of_a_batch_that_ends_in_two_ways_no_copy_of_the_answer_stays,
        what_is_claimed_and_removed_may_not_be_sent_any_more,
        what_was_told_of_a_customer_before_the_link_is_removed,
        what_is_told_of_a_shop_is_removed,
        what_was_emptied_holds_up_no_other;
    notes:
        old_notes_of_full_runs_go_and_other_positions_stay;
    housekeeping:
        pruning_goes_in_steps_and_leaves_what_is_open,
        redaction_removes_contents_and_keeps_ids,
        a_whole_shop_is_redacted_alone,
        pending_notices_outlive_redactions,
        odd_characters_survive,
        what_was_committed_survives_a_crash,
        a_second_daemon_is_refused,
        migrations_are_reported_and_newer_ones_refused;
}
