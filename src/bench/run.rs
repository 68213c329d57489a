//! A whole benchmark: warm up, put load on the server, and report.

use std::sync::Arc;

use super::batches::Batches;
use super::client::BenchClient;
use super::error::BenchError;
use super::options::{Options, TrafficPattern};
use super::record::{Ending, Observer};
use super::report::Report;
use super::{drive, short_behind_long};

/// Put load on a server and measure.
pub async fn run(options: &Options, observer: Arc<Observer>) -> Result<Report, BenchError> {
    let client = Arc::new(BenchClient::new(options)?);
    for index in 0..options.warm_up {
        // Seeds of their own, so that nothing measured has been seen before.
        let request = options.workload.request(u64::MAX - index);
        match client.send_patiently(&request).await {
            Ending::Failed(why) => return Err(BenchError::WarmUp(why)),
            Ending::Done { .. } | Ending::Rejected { .. } => {}
        }
    }
    let before = client.metrics().await;
    let started = tokio::time::Instant::now();
    let (records, short) = match options.pattern {
        TrafficPattern::Closed { clients } => (drive::closed(&client, options, clients, &observer).await, None),
        TrafficPattern::Open { rate } => (drive::open(&client, options, rate, &observer).await, None),
        TrafficPattern::ShortBehindLong { long_jobs, long_steps } => {
            let (records, short) = short_behind_long::run(&client, options, long_jobs, long_steps, &observer).await?;
            (records, Some(short))
        }
    };
    let elapsed = started.elapsed();
    let batches = Batches::between(before, client.metrics().await);
    Ok(Report::new(options, client.model(), elapsed, &records, batches, short))
}
