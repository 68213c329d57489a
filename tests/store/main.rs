//! What the store promises, on both databases and both kinds of blobs.
//!
//! PostgreSQL and S3 are tested where they are built in (`--features full`), and PostgreSQL where there is a server:
//! `.ci/postgres cargo test --release --features full --test store`.

mod blobs;
mod contract;
mod faults;
mod harness;
mod keys;
mod model;
#[cfg(feature = "postgres")]
mod postgres;
mod recovery;
#[cfg(feature = "s3")]
mod s3;
mod upkeep;

/// A test per function and database.
macro_rules! on_both {
    ($($room:ident::$name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[test] fn $name() { crate::harness::on_sqlite(crate::$room::$name); })*
        }
        #[cfg(feature = "postgres")]
        mod on_postgres {
            $(#[test] fn $name() { crate::postgres::run(crate::$room::$name); })*
        }
    };
}

on_both! {
    contract::a_job_comes_back_as_it_was_kept,
    contract::a_known_key_gives_the_known_job,
    contract::a_key_is_one_jobs_however_many_come_at_once,
    contract::a_canceled_jobs_key_is_free,
    contract::the_queue_lists_durable_jobs_oldest_first,
    contract::a_job_is_claimed_once,
    contract::only_the_newest_claim_ends_a_job,
    contract::an_outcome_is_kept,
    contract::announcements_come_with_the_end_or_not_at_all,
    contract::cancelling_depends_on_the_state,
    contract::listings_page_and_keep_owners_apart,
    contract::pictures_expire_and_jobs_are_forgotten,
    contract::deleting_takes_the_announcements_along,
    contract::deliveries_are_leased_and_retried,
    contract::deliveries_go_to_one_caller,
    contract::callers_that_go_away_leave_the_store_usable,
    recovery::lost_durable_jobs_run_again_until_they_are_poisonous,
    recovery::jobs_given_back_in_good_order_are_not_poisonous,
    recovery::lost_connections_fail_their_jobs,
    recovery::heartbeats_keep_jobs_and_bring_cancellations,
    recovery::a_wish_to_cancel_outlives_a_lost_worker,
    recovery::two_recoverers_take_a_job_up_once,
    recovery::more_lost_jobs_than_a_batch,
    keys::a_key_comes_back_as_it_was_kept,
    keys::a_key_is_revoked_once_and_its_last_use_stays,
    keys::a_rate_is_kept_however_many_ask_at_once,
    keys::a_quota_is_charged_with_the_job_or_not_at_all,
    keys::a_quota_is_never_exceeded_however_many_come_at_once,
    keys::an_owner_has_no_more_jobs_than_it_may_however_many_come_at_once,
    keys::what_makes_no_pictures_is_given_back,
    model::the_store_agrees_with_a_model_of_it,
    upkeep::deaths_are_counted_against_those_who_were_executed,
    upkeep::claims_are_listed_by_process,
    upkeep::deliveries_pass_busy_receivers_and_new_ones_go_before_retries,
    upkeep::jobs_of_revoked_keys_are_unwanted_unless_the_key_keeps_them,
    upkeep::what_is_kept_is_counted_and_what_can_go_is_listed,
    upkeep::what_was_canceled_before_it_ran_is_forgotten_once_it_is_announced,
    upkeep::a_key_that_was_taken_off_its_job_is_free,
    upkeep::a_prompt_is_kept_once_and_comes_back_whole,
}
