//! Jobs that wait, in the queues of the broker.
//!
//! Invariant: within a queue the first that came is the first that goes.

use std::collections::VecDeque;

use crate::broker::pull_order::{QueueName, queues};
use crate::domain::Priority;
use crate::jobs::policy::{CapacityPermit, OwnerPermit};

use super::demand::Arrival;

/// A job that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub job: Arrival,
    /// See [`crate::records::Job::yields`].
    pub yields: bool,
    pub permit: CapacityPermit,
    /// Where its owner has more than this one.
    pub owner: Option<OwnerPermit>,
}

impl Waiting {
    /// Where it waits.
    pub(super) fn queue(&self) -> QueueName {
        QueueName::of(self.job.priority, self.yields, Some(self.job.size))
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Queues {
    lines: Vec<(QueueName, VecDeque<Waiting>)>,
    length: usize,
}

impl Queues {
    pub(super) fn new() -> Self {
        Self { lines: QueueName::all().map(|name| (name, VecDeque::new())).collect(), length: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        let name = waiting.queue();
        if let Some((_, line)) = self.lines.iter_mut().find(|(known, _)| *known == name) {
            line.push_back(waiting);
            self.length += 1;
        }
    }

    /// The job that a worker gets as its `n`th, in the order in which it asks the queues.
    pub(super) fn take(&mut self, n: u64, group: Option<usize>) -> Option<Waiting> {
        if self.length == 0 {
            return None;
        }
        let name = queues(n, group).into_iter().find(|name| self.line(*name).is_some_and(|line| !line.is_empty()))?;
        self.length -= 1;
        self.line(name)?.pop_front()
    }

    fn line(&mut self, name: QueueName) -> Option<&mut VecDeque<Waiting>> {
        self.lines.iter_mut().find(|(known, _)| *known == name).map(|(_, line)| line)
    }
}

/// As the planner counts priorities: larger goes first.
pub(super) fn planned(priority: Priority) -> u8 {
    match priority {
        Priority::High => 2,
        Priority::Normal => 1,
        Priority::Low => 0,
    }
}
