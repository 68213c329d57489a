//! The way from jobs to workers: what waits, who has claimed it, and what happens to it meanwhile.
//!
//! Invariants: a job is claimed under a new epoch each time, and only its newest claim can end or release it (the store
//! decides that, whatever the broker believes); the last event of a job is its end; what a broker forgets is still in the
//! store, where `jobs` finds it and publishes it again.
//!
//! [`LocalBroker`] serves workers in this process. One that reaches other machines is another file beside it that
//! implements [`Broker`] and [`EventBus`], and passes the same contract (`tests/jobs/contract.rs`).

mod events;
mod feed;
mod line;
mod local;
mod log;
mod traits;

pub use events::{Files, JobEvent, NumberedEvent};
pub use feed::Feed;
pub use local::{LocalBroker, LocalConfig};
pub use log::Subscription;
pub use traits::{Broker, BrokerError, Claim, Claimed, EventBus, Place, QueuedWork, Release, Room};
