//! From accepted requests to finished jobs.
//!
//! Invariants: a durable job is in the store before its caller hears of it; every accepted job ends once, and in one way
//! (`complete`); work and memory are bounded whatever the load; whatever fails, a job ends or is requeued.
//!
//! A job is submitted (`submit`), waits with a [`crate::broker::Broker`], is claimed (`worker`), executed (`execute`) and
//! completed (`complete`). [`JobService`] never touches a worker: the broker is all that is between the two.

mod api;
mod blame;
mod cancel;
mod complete;
mod config;
mod drain;
mod execute;
mod gate;
mod inputs;
mod interrupted;
mod lease;
mod outputs;
pub(crate) mod policy;
mod progress;
mod recover;
mod report;
mod retain;
mod review;
mod service;
mod state;
mod storage;
mod submit;
mod tally;
mod unwanted;
mod webhooks;
mod worker;

pub use api::{Accepted, AcceptedJob, Allowance, AttachedGuard, Refusal, Submission};
pub use config::{JobBackends, JobsConfig, KeptBound, Role};
pub use policy::Capacity;
pub use service::JobService;
pub(crate) use webhooks::WebhookMessage;
pub use webhooks::{WebhookConfig, WebhookTransport};

pub use crate::broker::{Files, JobEvent, NumberedEvent, Subscription};
