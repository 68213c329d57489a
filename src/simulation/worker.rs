//! One device, and the images that it works on.

use std::time::Duration;

use crate::broker::Room;
use crate::broker::pull_order::{QueueName, patience, rank};
use crate::domain::Size;
use crate::engine::planner::{Batch, Candidate, Costs as _, Planner};
use crate::jobs::policy::{CapacityPermit, OwnerPermit};

use super::costs::{Planned, ROWS, Work};
use super::queues::{Queues, Waiting, planned};

/// A request that waits at a queue.
#[derive(Debug, Clone, Copy)]
struct Request {
    /// The worker's when it asked.
    rank: usize,
    since: f64,
    until: f64,
}

/// An image at work.
#[derive(Debug)]
struct Sample {
    id: u64,
    size: Size,
    priority: u8,
    arrived: f64,
    steps_left: u32,
    /// Whether nothing is left beside the steps either.
    is_drawn: bool,
    waited: u64,
    has_begun: bool,
    floods: bool,
    /// Given back with it.
    _permits: (CapacityPermit, Option<OwnerPermit>),
}

/// A job that is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    pub arrived: f64,
    pub floods: bool,
}

/// A step that a worker takes.
#[derive(Debug)]
pub(super) struct Step {
    pub seconds: f64,
    /// Rows of the decoder; `None`: it is what an image takes beside its steps.
    pub rows: Option<usize>,
    /// Arrivals of the images whose first step it is, without those of a flood.
    pub begun: Vec<f64>,
}

/// Whether a device can be used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Phase {
    Off,
    /// It loads the model until then.
    Starting {
        until: f64,
    },
    On,
    /// It finishes what it has, and takes nothing more.
    Draining,
}

/// See the module.
pub(super) struct Worker {
    pub phase: Phase,
    images: usize,
    affinity: bool,
    planner: Planner<Work>,
    samples: Vec<Sample>,
    batch: Option<Batch<Work>>,
    taken: u64,
    group: Option<usize>,
    /// At each queue.
    requests: Vec<Option<Request>>,
    /// When the last job came from each.
    last: Vec<f64>,
}

impl Worker {
    pub(super) fn new(phase: Phase, images: usize, affinity: bool) -> Self {
        Self {
            phase,
            images,
            affinity,
            planner: Planner::new(),
            samples: Vec::new(),
            batch: None,
            taken: 0,
            group: None,
            requests: vec![None; QueueName::all().count()],
            last: vec![f64::NEG_INFINITY; QueueName::all().count()],
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.samples.is_empty()
    }

    /// Whether it is within a step.
    pub(super) fn is_busy(&self) -> bool {
        self.batch.is_some()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.samples.len()
    }

    fn room(&self) -> Room {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Room { free: count(self.images - self.samples.len()), total: count(self.images) }
    }

    fn has_room(&self) -> bool {
        self.phase == Phase::On && self.samples.len() < self.images
    }

    /// How early it is given a job of this queue, the `i`th, and since when it waits for one; `None` if it takes none.
    pub(super) fn rank(&mut self, i: usize, queue: QueueName, now: f64) -> Option<(usize, f64)> {
        self.renew(i, queue, now);
        // One that has no room any more gives back what comes at once.
        self.requests[i].filter(|_| self.has_room()).map(|request| (request.rank, request.since))
    }

    /// Repeat a request as often as it was due, of a worker that has not changed since the last was.
    fn renew(&mut self, i: usize, queue: QueueName, now: f64) {
        while let Some(request) = self.requests[i].filter(|request| request.until <= now) {
            self.requests[i] = self.has_room().then(|| self.request(i, queue, request.until));
        }
    }

    /// What it asks a queue, the `i`th, if it does so now.
    fn request(&self, i: usize, queue: QueueName, now: f64) -> Request {
        let since_last = Some(now - self.last[i]).filter(|since| since.is_finite());
        let patience = patience(since_last.map(|since| Duration::from_secs_f64(since.max(0.0))));
        Request { rank: rank(self.room(), self.group, queue), since: now, until: now + patience.as_secs_f64() }
    }

    /// Before it changes: what it asked until now was as it is.
    fn renew_all(&mut self, now: f64) {
        for (i, queue) in QueueName::all().enumerate() {
            self.renew(i, queue, now);
        }
    }

    /// After it has changed: ask where no request waits.
    pub(super) fn ask(&mut self, now: f64) {
        if !self.has_room() {
            return;
        }
        for (i, queue) in QueueName::all().enumerate() {
            if self.requests[i].is_none() {
                self.requests[i] = Some(self.request(i, queue, now));
            }
        }
    }

    /// Take what it has room for, and wait for more.
    pub(super) fn pull(&mut self, queues: &mut Queues, next_id: &mut u64, now: f64) {
        if self.has_room() && queues.len() > 0 {
            self.renew_all(now);
            while self.has_room() {
                let Some(waiting) = queues.take(self.taken, self.group) else { break };
                let name = waiting.queue();
                if let Some(i) = QueueName::all().position(|queue| queue == name) {
                    self.last[i] = now;
                }
                self.add(waiting, next_id);
            }
        }
        self.ask(now);
    }

    /// Take a job that has come to the request at the `i`th queue.
    pub(super) fn accept(&mut self, i: usize, waiting: Waiting, next_id: &mut u64, now: f64) {
        self.renew_all(now);
        self.requests[i] = None;
        self.last[i] = now;
        self.add(waiting, next_id);
        self.ask(now);
    }

    fn add(&mut self, waiting: Waiting, next_id: &mut u64) {
        if self.affinity {
            self.group = Some(waiting.queue().group);
        }
        let Waiting { job, permit, owner, .. } = waiting;
        self.taken += 1;
        *next_id += 1;
        self.samples.push(Sample {
            id: *next_id,
            size: job.size,
            priority: planned(job.priority),
            arrived: job.at,
            steps_left: job.steps,
            is_drawn: false,
            waited: 0,
            has_begun: false,
            floods: job.floods,
            _permits: (permit, owner),
        });
    }

    /// Begin the next step.
    pub(super) fn begin(&mut self, planned: &Planned<'_>) -> Option<Step> {
        let candidate = |sample: &Sample| Candidate {
            id: sample.id,
            key: Work::new(sample.size, sample.steps_left > 0),
            rows: ROWS,
            // All others count as one.
            owner: u64::from(sample.floods),
            priority: sample.priority,
            waited: sample.waited,
        };
        let candidates: Vec<Candidate<Work>> = self.samples.iter().map(candidate).collect();
        let batch = self.planner.next(&candidates, planned)?;
        let mut begun = Vec::new();
        for sample in self.samples.iter_mut().filter(|sample| !sample.has_begun && batch.ids.contains(&sample.id)) {
            sample.has_begun = true;
            if !sample.floods {
                begun.push(sample.arrived);
            }
        }
        let seconds = planned.cost(batch.key, batch.rows);
        let rows = batch.key.is_step.then_some(batch.rows);
        self.batch = Some(batch);
        Some(Step { seconds, rows, begun })
    }

    /// End the step, and give the jobs that are done.
    pub(super) fn end(&mut self, planned: &Planned<'_>, now: f64) -> Vec<Done> {
        let Some(batch) = self.batch.take() else { return Vec::new() };
        for sample in &mut self.samples {
            if batch.ids.contains(&sample.id) {
                sample.steps_left = sample.steps_left.saturating_sub(u32::from(batch.key.is_step));
                sample.is_drawn = !batch.key.is_step || sample.steps_left == 0 && planned.costs.image_seconds() <= 0.0;
                sample.waited = 0;
            } else {
                sample.waited += 1;
            }
        }
        let done = self.samples.iter().filter(|sample| sample.is_drawn);
        let done: Vec<Done> = done.map(|&Sample { arrived, floods, .. }| Done { arrived, floods }).collect();
        if !done.is_empty() {
            self.renew_all(now);
        }
        // With them go their permits.
        self.samples.retain(|sample| !sample.is_drawn);
        if self.samples.is_empty() {
            self.group = None;
        }
        done
    }
}
