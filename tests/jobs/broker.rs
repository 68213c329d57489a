//! The contract on each implementation. That on NATS runs where KANDINSKY_TEST_NATS_URL names a server (`.ci/fleet`).

use std::sync::Arc;

use kandinsky::broker::{Broker, LocalBroker, LocalConfig};

use crate::contract::{Fixture, LEASE};

/// A test per promise and implementation.
macro_rules! contract {
    ($implementation:ident, $fixture:path: $($promise:ident),* $(,)?) => {
        mod $implementation {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $promise() {
                if let Some(fixture) = $fixture().await {
                    crate::contract::$promise(&fixture).await;
                }
            })*
        }
    };
}

async fn local() -> Option<Fixture> {
    let make = async |store, clock| {
        let config = LocalConfig { process: "process".to_owned(), lease: LEASE };
        let broker: Arc<dyn Broker> = Arc::new(LocalBroker::new(config, store, clock));
        broker
    };
    Some(Fixture::new(make).await)
}

#[cfg(feature = "fleet")]
async fn nats() -> Option<Fixture> {
    nats_with(LEASE).await
}

/// One that soon looks for what it did not hear.
#[cfg(feature = "fleet")]
async fn impatient_nats() -> Option<Fixture> {
    nats_with(std::time::Duration::from_millis(500)).await
}

/// With streams of its own, which stay behind on a server that is thrown away.
#[cfg(feature = "fleet")]
async fn nats_with(lease: std::time::Duration) -> Option<Fixture> {
    use kandinsky::broker::{NatsConfig, connect_nats};

    let url = std::env::var("KANDINSKY_TEST_NATS_URL").ok()?;
    let make = async |store, clock| {
        let config = NatsConfig {
            url: url.into(),
            credentials: None,
            prefix: uuid::Uuid::new_v4().simple().to_string(),
            replicas: 1,
            model: "double".to_owned(),
            process: "process".to_owned(),
            host: "host".to_owned(),
            lease,
            accepts: true,
        };
        connect_nats(config, store, clock).await.unwrap()
    };
    Some(Fixture::new(make).await)
}

/// What all brokers promise, and what this one does.
macro_rules! on_all {
    ($implementation:ident, $fixture:path: $($own:ident),* $(,)?) => {
        contract! { $implementation, $fixture:
            a_job_is_claimed_once_and_under_a_new_epoch,
            a_job_that_is_not_queued_any_more_is_gone,
            only_the_newest_claim_ends_a_job,
            a_released_job_is_claimed_again_and_losses_are_counted,
            a_claim_that_fails_leaves_the_job_where_it_was,
            cancellation_reaches_the_claim_whenever_it_comes,
            a_claim_that_is_stopped_leaves_the_next_one_of_its_job_alone,
            leases_are_extended_and_bring_cancellations_from_elsewhere,
            work_wakes_whoever_waits_for_it,
            watchers_hear_events_in_order_until_the_end,
            watchers_of_owners_hear_of_their_jobs_alone,
            $($own),*
        }
    };
}

on_all! { on_local, super::local:
    jobs_are_claimed_in_their_turns_and_only_if_they_fit,
    a_closed_broker_keeps_only_what_is_attached,
    an_end_stays_for_a_slow_listener_whatever_comes_behind_it,
}

#[cfg(feature = "fleet")]
on_all! { on_nats, super::nats:
    higher_priorities_go_first_and_what_does_not_fit_is_not_passed,
    jobs_that_yield_go_after_others_of_their_priority_but_not_never,
    jobs_of_the_size_at_work_go_first,
    a_job_that_goes_elsewhere_is_forgotten_but_not_while_it_is_claimed,
    a_closed_broker_leaves_its_jobs_to_others,
    jobs_that_the_queue_lacks_are_published_again_and_others_are_not,
}

#[cfg(feature = "fleet")]
contract! { on_nats_soon, super::impatient_nats:
    a_lost_end_is_heard_though_the_store_did_not_answer_once,
}
