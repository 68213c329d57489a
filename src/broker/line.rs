//! The line in which jobs wait, and those that were claimed from it.
//!
//! Pure. Invariant: the first in line is claimed first or nothing is, so that a large job cannot be passed for ever.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::traits::{Place, QueuedWork, Room};

#[derive(Debug)]
struct Known {
    work: QueuedWork,
    cancel: CancellationToken,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Turns and ids of those that wait.
    waiting: BTreeSet<(i64, Uuid)>,
    /// Those that wait and those that were claimed.
    known: HashMap<Uuid, Known>,
    is_closed: bool,
}

impl Line {
    /// Where a job would wait.
    pub(super) fn place_for(&self, work: &QueuedWork) -> Place {
        let before = self.waiting.range(..(work.turn, work.job)).filter_map(|(_, job)| self.known.get(job));
        let start = Place { job: work.job, position: 0, cost_before: 0, cost: work.cost };
        before.fold(start, |place, known| Place {
            position: place.position + 1,
            cost_before: place.cost_before.saturating_add(known.work.cost),
            ..place
        })
    }

    /// Add a job, unless it is known. False if it is durable and the line is closed.
    pub(super) fn push(&mut self, work: QueuedWork) -> bool {
        if self.is_closed && work.durable {
            return false;
        }
        if let Entry::Vacant(vacant) = self.known.entry(work.job) {
            self.waiting.insert((work.turn, work.job));
            vacant.insert(Known { work, cancel: CancellationToken::new() });
        }
        true
    }

    /// All that wait, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        let works = self.waiting.iter().filter_map(|(_, job)| self.known.get(job)).map(|known| &known.work);
        works.scan((0, 0_u64), |(position, cost_before), work| {
            let place = Place { job: work.job, position: *position, cost_before: *cost_before, cost: work.cost };
            *position += 1;
            *cost_before = cost_before.saturating_add(work.cost);
            Some(place)
        })
    }

    /// Take the first one out of the line, if it fits.
    pub(super) fn take_first(&mut self, room: Room) -> Option<(Uuid, CancellationToken)> {
        let (turn, job) = *self.waiting.first()?;
        let known = self.known.get(&job)?;
        if !room.fits(known.work.images) {
            return None;
        }
        self.waiting.remove(&(turn, job));
        Some((job, known.cancel.clone()))
    }

    /// Let a known job wait, at its turn. False if it is unknown, or durable and the line is closed.
    pub(super) fn put_back(&mut self, job: Uuid) -> bool {
        let Some(known) = self.known.get(&job) else { return false };
        if self.is_closed && known.work.durable {
            return false;
        }
        self.waiting.insert((known.work.turn, job));
        true
    }

    /// Cancel a known job's claims, that it has and that it will have.
    pub(super) fn cancel(&self, job: Uuid) {
        if let Some(known) = self.known.get(&job) {
            known.cancel.cancel();
        }
    }

    /// Forget a job.
    pub(super) fn remove(&mut self, job: Uuid) {
        if let Some(known) = self.known.remove(&job) {
            self.waiting.remove(&(known.work.turn, job));
        }
    }

    /// Let no durable job wait any more; gives and forgets those that did.
    pub(super) fn close(&mut self) -> Vec<Uuid> {
        self.is_closed = true;
        let durable = |(_, job): &&(i64, Uuid)| self.known.get(job).is_some_and(|known| known.work.durable);
        let closed: Vec<Uuid> = self.waiting.iter().filter(durable).map(|(_, job)| *job).collect();
        for job in &closed {
            self.remove(*job);
        }
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Priority;

    fn work(id: u128, turn: i64, images: u32) -> QueuedWork {
        let (priority, durable) = (Priority::Normal, id.is_multiple_of(2));
        QueuedWork { job: Uuid::from_u128(id), turn, cost: 10, images, priority, size: None, durable }
    }

    fn line(works: impl IntoIterator<Item = QueuedWork>) -> Line {
        let mut line = Line::default();
        for work in works {
            line.push(work);
        }
        line
    }

    fn order(line: &Line) -> Vec<u128> {
        line.places().map(|place| place.job.as_u128()).collect()
    }

    fn room(free: u32) -> Room {
        Room { free, total: 8 }
    }

    #[test]
    fn places_follow_the_turns_and_count_the_cost_before() {
        let mut line = line([work(1, 30, 1), work(2, 10, 1), work(3, 20, 1)]);
        assert_eq!(order(&line), [2, 3, 1]);
        let place = line.place_for(&work(4, 25, 1));
        assert_eq!((place.position, place.cost_before), (2, 20));
        line.push(work(4, 25, 1));
        assert_eq!(line.places().nth(2), Some(place));
        line.remove(Uuid::from_u128(3));
        assert_eq!(order(&line), [2, 4, 1]);
        line.push(work(4, 99, 1));
        assert_eq!(order(&line), [2, 4, 1], "published twice");
    }

    #[test]
    fn a_job_waits_for_room_and_the_largest_takes_an_empty_worker() {
        let mut line = line([work(1, 0, 9), work(2, 1, 1)]);
        assert!(line.take_first(room(7)).is_none(), "the small one must not pass");
        assert_eq!(line.take_first(room(8)).unwrap().0.as_u128(), 1);
        assert_eq!(line.take_first(room(1)).unwrap().0.as_u128(), 2);
    }

    #[test]
    fn what_is_put_back_waits_at_its_turn_and_keeps_its_cancellation() {
        let mut line = line([work(1, 0, 1), work(2, 1, 1)]);
        let (first, _) = line.take_first(room(1)).unwrap();
        line.cancel(first);
        assert!(line.put_back(first));
        let (again, cancel) = line.take_first(room(1)).unwrap();
        assert!(again == first && cancel.is_cancelled());
        line.remove(first);
        assert!(!line.put_back(first));
    }

    #[test]
    fn a_closed_line_keeps_only_what_ends_with_the_process() {
        let mut line = line([work(1, 0, 1), work(2, 1, 1), work(3, 2, 1), work(4, 3, 1)]);
        let [first, second] = [(); 2].map(|()| line.take_first(room(1)).unwrap().0);
        assert_eq!(line.close(), [Uuid::from_u128(4)]);
        assert!(line.put_back(first) && !line.put_back(second));
        assert!(line.push(work(5, 4, 1)) && !line.push(work(6, 4, 1)));
        assert_eq!(order(&line), [1, 3, 5]);
    }
}
