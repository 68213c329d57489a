//! Puts load on a running server, over HTTP like any client, and measures how it copes.
//!
//! Invariant: the same options give the same requests in the same order, whatever the server does with them; and a time
//! is taken from the moment a request was due, so that a slow server cannot hide behind a waiting client.

mod arrivals;
mod batches;
mod client;
mod drive;
mod error;
mod options;
mod record;
mod report;
mod run;
mod short_behind_long;
mod stats;
mod workload;

pub use arrivals::Arrivals;
pub(crate) use arrivals::Random;
pub use batches::Batches;
pub use error::BenchError;
pub use options::{Options, TrafficPattern, Until};
pub use record::{Ending, Observer, Record};
pub use report::{ModeReport, Rejections, Report};
pub use run::run;
pub use short_behind_long::ShortBehindLong;
pub use stats::Latency;
pub use workload::{MixPart, Workload};
