//! A fleet on paper: a discrete-event simulation of workers, queues and load that no machine here could carry.
//!
//! What decides is the code of the server: the planner chooses the steps, the pull order who gets which job, admission who is
//! let in. Only time is made up: what a step takes comes from a table ([`StepCosts`]). No tensors, no clock, no network.
//! Invariant: the same options give the same result, on every machine.

mod costs;
mod demand;
mod fleet;
mod options;
mod outcome;
mod queues;
mod run;
mod scaling;
mod worker;

pub use costs::{CostsError, StepCosts};
pub use demand::{Arrival, Demand, Flood, Mix, TraceError, read_trace};
pub use options::{Batching, Options};
pub use outcome::Outcome;
pub use run::simulate;
pub use scaling::{Scaling, Target};
