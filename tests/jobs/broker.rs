//! The contract on each implementation.

use std::sync::Arc;

use kandinsky::broker::{LocalBroker, LocalConfig};

use crate::contract::{Fixture, LEASE};

/// A test per promise and implementation.
macro_rules! contract {
    ($implementation:ident, $fixture:path: $($promise:ident),* $(,)?) => {
        mod $implementation {
            $(#[tokio::test] async fn $promise() { crate::contract::$promise(&$fixture().await).await; })*
        }
    };
}

async fn local() -> Fixture {
    Fixture::new(|store, clock| {
        let config = LocalConfig { process: "process".to_owned(), lease: LEASE };
        Arc::new(LocalBroker::new(config, store, clock))
    })
    .await
}

contract! { on_local, super::local:
    jobs_are_claimed_in_their_turns_and_only_if_they_fit,
    a_job_is_claimed_once_and_under_a_new_epoch,
    a_job_that_is_not_queued_any_more_is_gone,
    only_the_newest_claim_ends_a_job,
    a_released_job_is_claimed_again_and_losses_are_counted,
    a_claim_that_fails_leaves_the_job_where_it_was,
    cancellation_reaches_the_claim_whenever_it_comes,
    leases_are_extended_and_bring_cancellations_from_elsewhere,
    a_closed_broker_keeps_only_what_is_attached,
    work_wakes_whoever_waits_for_it,
    watchers_hear_events_in_order_until_the_end,
    watchers_of_owners_hear_of_their_jobs_alone,
}
