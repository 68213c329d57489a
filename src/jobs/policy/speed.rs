//! How long work takes: by what this process does in a ms, or by what the workers of a fleet say that they do.
//!
//! Pure. Invariant: an estimate is finite, whatever workers say.

use std::time::Duration;

use crate::broker::{WorkerInfo, WorkerState};

/// Longest estimate.
const LONGEST: Duration = Duration::from_hours(1);

/// Cost ([`crate::modes::Generation::cost`]) that is done in a ms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Speed {
    /// By all workers together.
    all: f64,
    /// By the one that has a job.
    one: f64,
}

impl Speed {
    /// Of a process that does all the work itself.
    pub(crate) fn of_process(per_ms: f64) -> Self {
        Self { all: per_ms, one: per_ms }
    }

    /// Of the workers of this model that take jobs. One that has done nothing yet counts like the others; `guess` is what each
    /// does where nothing is known. Without any worker one is assumed: the next one that is started.
    pub(crate) fn of_fleet(workers: &[WorkerInfo], model: &str, guess: f64) -> Self {
        let is_good = |per_ms: &f64| per_ms.is_finite() && *per_ms > 0.0;
        let reports = workers.iter().map(|worker| &worker.report).filter(|report| report.model == model);
        let measured: Vec<f64> = reports.clone().filter_map(|report| report.cost_per_ms).filter(is_good).collect();
        #[expect(clippy::cast_precision_loss, reason = "a number of workers")]
        let one = if measured.is_empty() { guess } else { measured.iter().sum::<f64>() / measured.len() as f64 };
        let ready = reports.filter(|report| report.state == WorkerState::Ready);
        let all: f64 = ready.map(|report| report.cost_per_ms.filter(is_good).unwrap_or(one)).sum();
        Self { all: if all > 0.0 { all } else { one }, one }
    }

    /// Cost that the worker that has a job does in a ms.
    pub(crate) fn per_ms(self) -> f64 {
        self.one
    }

    /// How long it takes until this much is done of what waits.
    pub(crate) fn time_for(self, cost: u64) -> Duration {
        duration(cost, self.all)
    }

    /// How long a job takes itself.
    pub(crate) fn time_alone(self, cost: u64) -> Duration {
        duration(cost, self.one)
    }

    /// How long it takes until a job is done with so much before it.
    pub(crate) fn time_until(self, cost_before: u64, cost: u64) -> Duration {
        self.time_for(cost_before).saturating_add(self.time_alone(cost)).min(LONGEST)
    }
}

fn duration(cost: u64, per_ms: f64) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let seconds = cost as f64 / per_ms / 1e3;
    Duration::from_secs_f64(seconds.clamp(0.0, LONGEST.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::WorkerReport;

    fn worker(state: WorkerState, model: &str, cost_per_ms: Option<f64>) -> WorkerInfo {
        let (model, version, devices) = (model.to_owned(), String::new(), String::new());
        let (jobs, images, room, claimed, redelivered, fenced, uptime_s) = (0, 0, 1, 0, 0, 0, 0);
        let report = WorkerReport {
            state,
            version,
            model,
            devices,
            jobs,
            images,
            room,
            cost_per_ms,
            claimed,
            redelivered,
            fenced,
            uptime_s,
        };
        WorkerInfo { id: String::new(), host: String::new(), report, silent_ms: 0 }
    }

    #[test]
    fn what_waits_is_shared_by_the_workers_that_take_jobs_and_a_job_has_one() {
        let workers = [
            worker(WorkerState::Ready, "m", Some(30.0)),
            worker(WorkerState::Ready, "m", Some(10.0)),
            // It has just started.
            worker(WorkerState::Ready, "m", None),
            worker(WorkerState::Draining, "m", Some(20.0)),
            worker(WorkerState::Silent, "m", Some(20.0)),
            worker(WorkerState::Ready, "another", Some(1e9)),
            worker(WorkerState::Ready, "m", Some(f64::NAN)),
        ];
        let speed = Speed::of_fleet(&workers, "m", 1.0);
        assert_eq!(speed.time_for(80_000), Duration::from_secs(1));
        assert_eq!(speed.time_until(80_000, 20_000), Duration::from_secs(2));
    }

    #[test]
    fn without_workers_an_estimate_is_that_of_one() {
        let stopped = [worker(WorkerState::Silent, "m", Some(50.0))];
        assert_eq!(Speed::of_fleet(&stopped, "m", 1.0).time_for(50_000), Duration::from_secs(1));
        assert_eq!(Speed::of_fleet(&[], "m", 10.0).time_for(50_000), Duration::from_secs(5));
        assert_eq!(Speed::of_process(1.0).time_for(u64::MAX), LONGEST);
        assert_eq!(Speed::of_process(1.0).time_until(u64::MAX, u64::MAX), LONGEST);
    }
}
