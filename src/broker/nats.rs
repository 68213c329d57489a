//! A fleet's broker: jobs go over NATS JetStream to workers on other machines, events and cancellations over NATS.
//!
//! Invariant: the store is the truth. A message only says that a job may be queued; a worker that has it claims the job in the
//! store, under a new epoch, or finds that there is nothing to do. So a message that comes twice, or late, does no harm, and
//! one that is lost is published again ([`Broker::lacks_jobs`](super::traits::Broker::lacks_jobs)).
//!
//! | module | holds |
//! |---|---|
//! | `names` | subjects, streams and consumers (pure) |
//! | `wire` | messages as bytes (pure) |
//! | `streams` | what has to be there on the NATS servers, and what is in it |
//! | `pull` | messages that a worker has asked for |
//! | `bus` | events |
//! | `relay` | what is sent, in order, and what is listened to |
//! | `workers` | reports of the processes that work |
//! | `node` | the broker |

mod bus;
mod connect;
mod names;
mod node;
mod pull;
mod relay;
mod streams;
mod wire;
mod workers;

pub use connect::{connect_nats, read_fleet};
