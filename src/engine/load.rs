//! What a worker has to do and what it has done, to be read from anywhere.
//!
//! Invariant: whatever becomes of a request, its guard takes its share of the load back.

use std::iter::Sum;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// What workers have done since they started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkerCounters {
    /// Batches run, of any stage.
    pub steps: u64,
    /// Rows in them.
    pub rows: u64,
    /// Times that a worker was lost and came back.
    pub restarts: u64,
}

impl Sum for WorkerCounters {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self {
            steps: a.steps + b.steps,
            rows: a.rows + b.rows,
            restarts: a.restarts + b.restarts,
        })
    }
}

/// What workers have taken and not ended: waiting and under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EngineLoad {
    pub requests: usize,
    pub images: usize,
    /// See `Generation::cost`.
    pub cost: u64,
    /// Workers that take requests.
    pub workers: usize,
    /// Those of them that have nothing to do.
    pub idle_workers: usize,
}

impl Sum for EngineLoad {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self {
            requests: a.requests + b.requests,
            images: a.images + b.images,
            cost: a.cost + b.cost,
            workers: a.workers + b.workers,
            idle_workers: a.idle_workers + b.idle_workers,
        })
    }
}

/// A worker's figures.
#[derive(Debug, Default)]
pub(super) struct WorkerState {
    requests: AtomicUsize,
    images: AtomicUsize,
    cost: AtomicU64,
    steps: AtomicU64,
    rows: AtomicU64,
    restarts: AtomicU64,
    /// Its model is not resident: it takes requests, but others are quicker.
    away: AtomicBool,
}

impl WorkerState {
    pub(super) fn counters(&self) -> WorkerCounters {
        WorkerCounters {
            steps: self.steps.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
            restarts: self.restarts.load(Ordering::Relaxed),
        }
    }

    pub(super) fn load(&self, alive: bool) -> EngineLoad {
        let requests = self.requests.load(Ordering::Relaxed);
        let idle = alive && requests == 0 && !self.away.load(Ordering::Relaxed);
        EngineLoad {
            requests,
            images: self.images.load(Ordering::Relaxed),
            cost: self.cost.load(Ordering::Relaxed),
            workers: usize::from(alive),
            idle_workers: usize::from(idle),
        }
    }

    /// Orders workers: the least goes first.
    pub(super) fn backlog(&self) -> (bool, u64) {
        (self.away.load(Ordering::Relaxed), self.cost.load(Ordering::Relaxed))
    }

    pub(super) fn count_step(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_restart(&self) {
        self.away.store(true, Ordering::Relaxed);
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_available(&self) {
        self.away.store(false, Ordering::Relaxed);
    }
}

/// A request's share of a worker's load.
#[derive(Debug)]
pub(super) struct LoadGuard {
    state: Arc<WorkerState>,
    images: usize,
    cost: u64,
}

impl LoadGuard {
    pub(super) fn new(state: &Arc<WorkerState>, images: usize, cost: u64) -> Self {
        state.requests.fetch_add(1, Ordering::Relaxed);
        state.images.fetch_add(images, Ordering::Relaxed);
        state.cost.fetch_add(cost, Ordering::Relaxed);
        Self { state: state.clone(), images, cost }
    }
}

impl Drop for LoadGuard {
    fn drop(&mut self) {
        self.state.requests.fetch_sub(1, Ordering::Relaxed);
        self.state.images.fetch_sub(self.images, Ordering::Relaxed);
        self.state.cost.fetch_sub(self.cost, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_takes_its_share_back() {
        let state = Arc::new(WorkerState::default());
        let first = LoadGuard::new(&state, 3, 100);
        let second = LoadGuard::new(&state, 1, 10);
        assert_eq!(state.load(true), EngineLoad { requests: 2, images: 4, cost: 110, workers: 1, idle_workers: 0 });
        drop(first);
        assert_eq!(state.backlog(), (false, 10));
        drop(second);
        assert_eq!(state.load(true), EngineLoad { workers: 1, idle_workers: 1, ..EngineLoad::default() });
        assert_eq!(state.load(false), EngineLoad::default());
    }

    #[test]
    fn a_worker_that_is_away_comes_last() {
        let (away, busy) = (WorkerState::default(), Arc::new(WorkerState::default()));
        let _guard = LoadGuard::new(&busy, 1, 1_000_000);
        away.count_restart();
        assert!(busy.backlog() < away.backlog());
        away.set_available();
        assert!(away.backlog() < busy.backlog());
    }
}
