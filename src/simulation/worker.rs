//! One device, and the images that it works on.

use crate::broker::Room;
use crate::broker::pull_order::{QueueName, rank};
use crate::domain::Size;
use crate::engine::planner::{Batch, Candidate, Costs as _, Planner};
use crate::jobs::policy::{CapacityPermit, OwnerPermit};

use super::costs::{Planned, ROWS, Work};
use super::queues::{Queues, Waiting, planned};

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

    /// How early it would be given a job of this queue; `None` if it takes none.
    pub(super) fn rank(&self, queue: QueueName) -> Option<usize> {
        let takes = self.phase == Phase::On && self.samples.len() < self.images;
        takes.then(|| rank(self.room(), self.group, queue))
    }

    /// Take what it has room for.
    pub(super) fn pull(&mut self, queues: &mut Queues, next_id: &mut u64) {
        while self.phase == Phase::On && self.samples.len() < self.images {
            let Some(waiting) = queues.take(self.taken, self.group) else { return };
            self.accept(waiting, next_id);
        }
    }

    pub(super) fn accept(&mut self, waiting: Waiting, next_id: &mut u64) {
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
    pub(super) fn end(&mut self, planned: &Planned<'_>) -> Vec<Done> {
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
        // With them go their permits.
        self.samples.retain(|sample| !sample.is_drawn);
        if self.samples.is_empty() {
            self.group = None;
        }
        done
    }
}
