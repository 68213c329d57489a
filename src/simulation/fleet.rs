//! All workers, and who gets a job that comes.

use crate::broker::pull_order::QueueName;

use super::costs::Planned;
use super::outcome::Tally;
use super::queues::{Queues, Waiting};
use super::scaling::Scaling;
use super::worker::{Done, Phase, Step, Worker};

/// From this on a wait is called long, s.
const LONG: f64 = 10.0;

/// See the module.
pub(super) struct Fleet<'a> {
    workers: Vec<Worker>,
    queues: Queues,
    planned: Planned<'a>,
    next_id: u64,
    /// Workers that are not off, counted as they come and go: it is asked at each event.
    paid: usize,
}

impl<'a> Fleet<'a> {
    pub(super) fn new(mut workers: Vec<Worker>, planned: Planned<'a>) -> Self {
        for worker in &mut workers {
            worker.ask(0.0);
        }
        let paid = workers.iter().filter(|worker| worker.phase != Phase::Off).count();
        Self { workers, queues: Queues::new(), planned, next_id: 0, paid }
    }

    /// Give a job to the worker that waits for it the most urgently, or let it wait. Gives the worker that began a step with it.
    pub(super) fn arrive(&mut self, waiting: Waiting, now: f64) -> Option<usize> {
        let queue = waiting.queue();
        let at = QueueName::all().position(|name| name == queue)?;
        let requests = self.workers.iter_mut().enumerate();
        let requests = requests.filter_map(|(i, worker)| worker.rank(at, queue, now).map(|rank| (rank, i)));
        // Who waits has found nothing, so nothing is before the job. Of equal ones the request that came first.
        let first = requests.min_by(|((rank, since), i), ((other, then), j)| {
            rank.cmp(other).then(since.total_cmp(then)).then(i.cmp(j))
        });
        let Some((_, i)) = first else {
            self.queues.push(waiting);
            return None;
        };
        self.workers[i].accept(at, waiting, &mut self.next_id, now);
        (!self.workers[i].is_busy()).then_some(i)
    }

    /// Let a worker begin its next step.
    pub(super) fn begin(&mut self, i: usize, now: f64, tally: &mut Tally) -> Option<Step> {
        let worker = &mut self.workers[i];
        if worker.is_busy() {
            return None;
        }
        worker.pull(&mut self.queues, &mut self.next_id, now);
        let step = worker.begin(&self.planned)?;
        if let Some(rows) = step.rows {
            tally.steps += 1;
            tally.rows += rows as u64;
        }
        tally.busy_seconds += step.seconds;
        tally.waited_long.extend(step.begun.iter().filter(|arrived| now - **arrived > LONG));
        Some(step)
    }

    /// End a worker's step; gives the jobs that are done.
    pub(super) fn end(&mut self, i: usize, now: f64) -> Vec<Done> {
        let done = self.workers[i].end(&self.planned, now);
        if self.workers[i].phase == Phase::Draining && self.workers[i].is_idle() {
            self.workers[i].phase = Phase::Off;
            self.paid -= 1;
        }
        done
    }

    pub(super) fn waiting(&self) -> usize {
        self.queues.len()
    }

    pub(super) fn running(&self) -> usize {
        self.workers.iter().map(Worker::in_flight).sum()
    }

    /// Devices that are paid for.
    pub(super) fn paid(&self) -> usize {
        self.paid
    }

    /// Have so many devices; gives those that start now.
    pub(super) fn scale(&mut self, wanted: usize, now: f64, scaling: &Scaling) -> Vec<usize> {
        let counts = |phase: Phase| matches!(phase, Phase::On | Phase::Starting { .. });
        let mut have = self.workers.iter().filter(|worker| counts(worker.phase)).count();
        let mut started = Vec::new();
        for (i, worker) in self.workers.iter_mut().enumerate() {
            match worker.phase {
                _ if have >= wanted => break,
                // What is about to go can stay.
                Phase::Draining => {
                    worker.phase = Phase::On;
                    worker.ask(now);
                }
                Phase::Off => {
                    worker.phase = Phase::Starting { until: now + scaling.cold_start };
                    self.paid += 1;
                    started.push(i);
                }
                Phase::On | Phase::Starting { .. } => continue,
            }
            have += 1;
        }
        for worker in self.workers.iter_mut().rev() {
            if have <= wanted {
                break;
            }
            if counts(worker.phase) {
                worker.phase = if worker.is_idle() { Phase::Off } else { Phase::Draining };
                self.paid -= usize::from(worker.phase == Phase::Off);
                have -= 1;
            }
        }
        started
    }

    /// A device has loaded its model, unless it was given up meanwhile.
    pub(super) fn is_ready(&mut self, i: usize, now: f64) {
        if matches!(self.workers[i].phase, Phase::Starting { until } if until <= now) {
            self.workers[i].phase = Phase::On;
        }
    }
}
