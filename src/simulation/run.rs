//! The events of a simulation, in the order of their times.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::domain::Size;
use crate::jobs::policy::{Admission, Capacity, Demand, Owners, Speed, yields};

use super::costs::Planned;
use super::demand::{Arrival, arrivals};
use super::fleet::Fleet;
use super::options::{Batching, Options};
use super::outcome::{Outcome, Tally};
use super::queues::Waiting;
use super::scaling::Autoscaler;
use super::worker::{Done, Phase, Worker};

/// The owner of a flood.
const FLOOD: &str = "flood";

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// A worker's step ends.
    Stepped(usize),
    /// A device has loaded its model.
    Ready(usize),
    /// The autoscaler looks.
    Scale,
    /// The next job comes.
    Arrival(usize),
}

/// When; equal times in a fixed order.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Event {
    at: f64,
    what: What,
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.total_cmp(&other.at).then(self.what.cmp(&other.what))
    }
}

/// Simulate until the last job is done.
#[must_use]
pub fn simulate(options: &Options) -> Outcome {
    let mut jobs = match &options.trace {
        Some(jobs) => jobs.clone(),
        None => arrivals(options.demand, rate(options), options.seconds, &options.mix, options.seed),
    };
    if let Some(flood) = options.flood {
        let at = options.seconds / 4.0;
        let before = jobs.partition_point(|job| job.at < at);
        jobs.splice(before..before, options.mix.flood(flood.jobs, at, options.seed));
    }
    Simulation::new(options).run(&jobs)
}

/// [`crate::modes::Generation::cost`] of a job on paper.
fn cost(size: Size, steps: u32) -> u64 {
    u64::from(steps) * u64::from(size.width) * u64::from(size.height)
}

/// By which it is told who has a lot waiting: what the devices do one image at a time.
#[expect(clippy::cast_precision_loss, reason = "costs are far below 2^53")]
fn speed(options: &Options) -> Speed {
    let mean = options.mix.mean(|size, steps| cost(size, steps) as f64);
    Speed::of_process(mean * rate(&Options { load: 1.0, ..options.clone() }) / 1e3)
}

/// Jobs a second: the load times what the devices do one image at a time.
#[expect(clippy::cast_precision_loss, reason = "a count of devices")]
fn rate(options: &Options) -> f64 {
    let alone = options
        .mix
        .mean(|size, steps| f64::from(steps) * options.costs.seconds(size, 2) + options.costs.image_seconds());
    options.load * options.devices as f64 / alone
}

struct Simulation<'a> {
    options: &'a Options,
    fleet: Fleet<'a>,
    admission: Admission,
    owners: Owners,
    speed: Speed,
    scaler: Autoscaler,
    events: BinaryHeap<Reverse<Event>>,
    tally: Tally,
    now: f64,
}

impl<'a> Simulation<'a> {
    fn new(options: &'a Options) -> Self {
        let images = options.batching.images();
        let on = options.scaling.map_or(options.devices, |scaling| scaling.least.min(options.devices));
        let worker = |i| Worker::new(if i < on { Phase::On } else { Phase::Off }, images, options.affinity);
        let most_rows = match options.batching {
            Batching::OneAtATime => 2,
            Batching::Steps { images } => 2 * images,
        };
        let planned = Planned::new(&options.costs, most_rows);
        let capacity =
            Capacity { jobs: options.most_jobs, cost: u64::MAX, input_bytes: u64::MAX, working_bytes: u64::MAX };
        Self {
            options,
            fleet: Fleet::new((0..options.devices).map(worker).collect(), planned),
            admission: Admission::new(capacity),
            owners: Owners::default(),
            speed: speed(options),
            scaler: Autoscaler::default(),
            events: BinaryHeap::new(),
            tally: Tally::default(),
            now: 0.0,
        }
    }

    fn at(&mut self, at: f64, what: What) {
        self.events.push(Reverse(Event { at, what }));
    }

    fn run(mut self, jobs: &[Arrival]) -> Outcome {
        if let Some(first) = jobs.first() {
            self.at(first.at, What::Arrival(0));
            if self.options.scaling.is_some() {
                self.at(0.0, What::Scale);
            }
        }
        while let Some(Reverse(Event { at, what })) = self.events.pop() {
            #[expect(clippy::cast_precision_loss, reason = "a count of devices")]
            let paid = self.fleet.paid() as f64;
            self.tally.device_seconds += (at - self.now) * paid;
            self.now = at;
            match what {
                What::Arrival(i) => {
                    self.arrive(jobs[i]);
                    if let Some(next) = jobs.get(i + 1) {
                        self.at(next.at, What::Arrival(i + 1));
                    }
                }
                What::Stepped(worker) => {
                    for Done { arrived, floods } in self.fleet.end(worker, at) {
                        if floods {
                            self.tally.flood = Some((arrived, at));
                        } else {
                            let latency = at - arrived + self.options.costs.job_seconds();
                            self.tally.latencies.push((arrived, Duration::from_secs_f64(latency)));
                        }
                    }
                    self.begin(worker);
                }
                What::Ready(worker) => {
                    self.fleet.is_ready(worker, at);
                    self.begin(worker);
                }
                What::Scale => self.scale(jobs),
            }
        }
        self.tally.outcome(self.now)
    }

    fn arrive(&mut self, job: Arrival) {
        let demand = Demand { cost: cost(job.size, job.steps), input_bytes: 0 };
        let yields = job.floods
            && self.options.flood.is_some_and(|flood| flood.yields)
            && yields(self.owners.held(FLOOD).cost, self.speed);
        match self.admission.admit(demand) {
            Ok(permit) => {
                let owner = job.floods.then(|| self.owners.readmit(FLOOD, demand));
                if let Some(worker) = self.fleet.arrive(Waiting { job, yields, permit, owner }, self.now) {
                    self.begin(worker);
                }
            }
            Err(_) => self.tally.refused += 1,
        }
    }

    fn begin(&mut self, worker: usize) {
        if let Some(step) = self.fleet.begin(worker, self.now, &mut self.tally) {
            self.at(self.now + step.seconds, What::Stepped(worker));
        }
    }

    fn scale(&mut self, jobs: &[Arrival]) {
        let Some(scaling) = self.options.scaling else { return };
        let (waiting, running) = (self.fleet.waiting(), self.fleet.running());
        let wanted = self.scaler.wanted(&scaling, self.options.devices, self.now, waiting, running);
        for worker in self.fleet.scale(wanted, self.now, &scaling) {
            self.at(self.now + scaling.cold_start, What::Ready(worker));
        }
        let over = jobs.last().is_none_or(|last| last.at < self.now) && waiting + running == 0;
        if !over {
            self.at(self.now + scaling.interval, What::Scale);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::costs::StepCosts;
    use super::super::demand::{Demand as Arrivals, Flood, Mix, read_trace};
    use super::super::scaling::{Scaling, Target};
    use super::*;

    const SIZE: Size = Size { width: 64, height: 64 };

    fn options() -> Options {
        let table = r#"{"area": 4096, "rows": [2, 4], "ms": [4, 10], "host_ms": 0}"#;
        Options {
            devices: 1,
            batching: Batching::OneAtATime,
            affinity: true,
            costs: StepCosts::from_json(table).unwrap(),
            load: 0.7,
            seconds: 4000.0,
            demand: Arrivals::Steady,
            mix: Mix { sizes: vec![(SIZE, 1)], steps: vec![(25, 1)], high: 0, low: 0 },
            trace: None,
            flood: None,
            most_jobs: 1_000_000,
            scaling: None,
            seed: 3,
        }
    }

    fn of_trace(lines: &str, options: Options) -> Outcome {
        simulate(&Options { trace: Some(read_trace(lines).unwrap()), ..options })
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    /// Random arrivals at one device with one time of service: the mean is Pollaczek and Khinchine's.
    #[test]
    fn one_device_is_the_queue_of_the_textbook() {
        for load in [0.3, 0.7] {
            let outcome = simulate(&Options { load, ..options() });
            let service = 100.0;
            let expected = service * (1.0 + load / (2.0 * (1.0 - load)));
            let mean = outcome.latency.mean_ms;
            assert!((mean / expected - 1.0).abs() < 0.05, "load {load}: {mean} ms, expected {expected}");
            assert!((outcome.utilization - load).abs() < 0.03, "{outcome:?}");
        }
    }

    #[test]
    fn jobs_that_are_there_share_their_steps() {
        let lines = "{\"at\": 0, \"width\": 64, \"height\": 64, \"steps\": 2}\n".repeat(2);
        // The first begins alone (4 ms), then both (10 ms), then the second ends alone (4 ms).
        let batching = Batching::Steps { images: 2 };
        let outcome = of_trace(&lines, Options { batching, ..options() });
        assert!(close(outcome.latency.p50_ms, 14.0) && close(outcome.latency.max_ms, 18.0), "{outcome:?}");
        let alone = of_trace(&lines, options());
        assert!(close(alone.latency.p50_ms, 8.0) && close(alone.latency.max_ms, 16.0), "{alone:?}");
        let two = of_trace(&lines, Options { devices: 2, ..options() });
        assert!(close(two.latency.max_ms, 8.0), "{two:?}");
    }

    #[test]
    fn what_an_image_takes_beside_its_steps_is_its_own_and_a_job_s_own_time_holds_up_none() {
        let table = r#"{"area": 4096, "rows": [2, 4], "ms": [4, 10], "host_ms": 0, "image_ms": 3, "job_ms": 50}"#;
        let costs = StepCosts::from_json(table).unwrap();
        let batching = Batching::Steps { images: 2 };
        let line = "{\"at\": 0, \"width\": 64, \"height\": 64, \"steps\": 1}\n";
        let alone = of_trace(line, Options { costs: costs.clone(), batching, ..options() });
        assert!(close(alone.latency.max_ms, 57.0), "{alone:?}");
        // The first is stepped alone (4 ms); then either order of its decoding (3 ms) and the other's step (4 ms), and of the
        // other's decoding.
        let two = of_trace(&line.repeat(2), Options { batching, costs, ..options() });
        assert!(close(two.latency.max_ms, 64.0) && close(two.rows_per_step, 2.0), "{two:?}");
    }

    #[test]
    fn the_urgent_go_first_and_more_than_there_is_room_for_is_refused() {
        let job = |priority, steps| {
            format!("{{\"at\": 0, \"width\": 64, \"height\": 64, \"steps\": {steps}, \"priority\": \"{priority}\"}}\n")
        };
        let lines = job("normal", 1) + &job("low", 1).repeat(3) + &job("high", 2);
        // The first one has begun; the last one is next: done after 4, 12, 16, 20 and 24 ms.
        let outcome = of_trace(&lines, options());
        assert_eq!((outcome.jobs, outcome.refused), (5, 0));
        assert!(close(outcome.latency.p50_ms, 16.0), "{outcome:?}");
        let bounded = of_trace(&lines, Options { most_jobs: 2, ..options() });
        assert_eq!((bounded.jobs, bounded.refused), (2, 3));
    }

    /// One device, jobs of 100 ms at a third of what it does, and a flood of 100 s: others wait for the 5 s of it that do not
    /// yield, for each eighth of its jobs, and for what is at work.
    #[test]
    fn a_flood_delays_others_by_no_more_than_what_does_not_yield() {
        let others = |yields| {
            let flood = Some(Flood { jobs: 1000, yields });
            simulate(&Options { load: 0.33, seconds: 400.0, flood, ..options() })
        };
        let (fair, in_order) = (others(true), others(false));
        assert!(in_order.latency.p50_ms > 10_000.0, "{in_order:?}");
        assert!(fair.latency.p50_ms < 400.0 && fair.latency.max_ms < 10_000.0, "{fair:?}");
        assert!(fair.jobs > 200, "{fair:?}");
    }

    #[test]
    fn the_same_options_give_the_same_result() {
        let options = Options { devices: 3, seconds: 50.0, batching: Batching::Steps { images: 4 }, ..options() };
        assert_eq!(simulate(&options), simulate(&options));
    }

    #[test]
    fn an_autoscaler_pays_for_fewer_devices_and_lets_jobs_wait_for_cold_starts() {
        let target = Target::WaitingOrRunning(1.0);
        let scaling = Scaling { target, least: 1, interval: 15.0, cold_start: 90.0, patience: 300.0 };
        let demand = Arrivals::Day { seconds: 1800.0 };
        let fixed = Options { devices: 8, load: 0.2, seconds: 1800.0, demand, ..options() };
        let scaled = simulate(&Options { scaling: Some(scaling), ..fixed.clone() });
        let fixed = simulate(&fixed);
        assert!(scaled.devices < 0.9 * fixed.devices && close(fixed.devices, 8.0), "{scaled:?} {fixed:?}");
        assert!(scaled.latency.p99_ms > fixed.latency.p99_ms && scaled.jobs == fixed.jobs);
    }
}
