//! Jobs without a model: how each of them ends, and what brokers promise. Stores that fail and workers that panic are
//! doubles, so nothing here waits for a step.

mod broker;
mod contract;
mod doubles;
mod ends;
mod faults;
mod fleet;
#[cfg(feature = "fleet")]
mod peers;
mod retention;
mod service;
mod storage;
