//! The decisions of the jobs room, without its I/O: who is let in, who goes first, how long it will take.
//!
//! Pure: no store, no worker, no clock of its own.

mod admission;
mod order;
mod outage;
mod owners;
mod rate;
mod speed;

pub use admission::Capacity;
pub(crate) use admission::{Admission, CapacityExceeded, CapacityPermit, Demand, Held};
pub(crate) use order::{turn, yields};
pub(crate) use outage::OutageWatch;
pub(crate) use owners::{OwnerPermit, Owners};
pub(crate) use rate::Rate;
pub(crate) use speed::Speed;
