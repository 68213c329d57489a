//! The line in which jobs wait, and those that were claimed from it.
//!
//! Pure. Invariants: of one priority the owners take turns, by what their jobs cost, and each owner's jobs go in their own turns;
//! the first in line is claimed first or nothing is, so that a large job cannot be passed for ever. An owner whose claimed jobs
//! have its share of the workers' room stands aside until one of them ends.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::traits::{Place, QueuedWork, Room};
use crate::fair::{FairTurns, is_within_share};

/// So many images of an owner are executed at once whatever is left for others.
const LEAST_IMAGES: u64 = 8;

/// A job's turn and its id: the smaller goes first.
type Turn = (i64, Uuid);
/// The level of a priority, and an owner.
type QueueKey = (u8, Arc<str>);

#[derive(Debug)]
struct Known {
    work: QueuedWork,
    cancel: CancellationToken,
    is_claimed: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Those that wait.
    waiting: BTreeMap<QueueKey, BTreeSet<Turn>>,
    /// What owners had claimed, by the level of the priority.
    shares: BTreeMap<u8, FairTurns<Arc<str>>>,
    /// Images that are claimed, by owner.
    claimed: HashMap<Arc<str>, u32>,
    /// Those that wait and those that were claimed.
    known: HashMap<Uuid, Known>,
    is_closed: bool,
}

/// The first job of an owner and a priority.
#[derive(Debug, Clone, Copy)]
struct Head {
    level: u8,
    turn: Turn,
    /// Where its owner starts, see [`FairTurns::start`].
    start: f64,
}

/// Whose turn it is: of the priority of the job whose turn comes first, the owner who had the least.
fn first(heads: &[Head]) -> Option<usize> {
    let level = heads.iter().min_by_key(|head| head.turn)?.level;
    let of_level = heads.iter().enumerate().filter(|(_, head)| head.level == level);
    let first = of_level.min_by(|(_, a), (_, b)| a.start.total_cmp(&b.start).then(a.turn.cmp(&b.turn)));
    first.map(|(i, _)| i)
}

#[expect(clippy::cast_precision_loss, reason = "costs are far below 2^53")]
fn as_cost(cost: u64) -> f64 {
    cost as f64
}

impl Line {
    fn start(&self, level: u8, owner: &Arc<str>) -> f64 {
        self.shares.get(&level).map_or(0.0, |shares| shares.start(owner))
    }

    /// All that wait, and `more` with them, in the order in which they are claimed if nothing else comes.
    fn order<'a>(&'a self, more: Option<&'a QueuedWork>) -> Vec<&'a QueuedWork> {
        let mut queues: BTreeMap<(u8, &Arc<str>), Vec<&QueuedWork>> = BTreeMap::new();
        let waiting = self.waiting.values().flatten().filter_map(|(_, job)| self.known.get(job));
        for work in waiting.map(|known| &known.work).chain(more) {
            queues.entry((work.priority.level(), &work.owner)).or_default().push(work);
        }
        let (mut heads, mut behind) = (Vec::new(), Vec::new());
        for ((level, owner), mut works) in queues {
            // The first one is at the end.
            works.sort_unstable_by_key(|work| std::cmp::Reverse((work.turn, work.job)));
            let Some(head) = works.last() else { continue };
            heads.push(Head { level, turn: (head.turn, head.job), start: self.start(level, owner) });
            behind.push(works);
        }
        let mut order = Vec::new();
        while let Some(i) = first(&heads) {
            order.extend(behind[i].pop());
            let cost = order.last().map_or(0, |work| work.cost);
            if let Some(next) = behind[i].last() {
                heads[i].turn = (next.turn, next.job);
                heads[i].start += as_cost(cost);
            } else {
                heads.swap_remove(i);
                behind.swap_remove(i);
            }
        }
        order
    }

    /// Where a job would wait.
    pub(super) fn place_for(&self, work: &QueuedWork) -> Place {
        let more = (!self.known.contains_key(&work.job)).then_some(work);
        let start = Place { job: work.job, position: 0, cost_before: 0, cost: work.cost };
        let before = self.order(more).into_iter().take_while(|other| other.job != work.job);
        before.fold(start, |place, other| Place {
            position: place.position + 1,
            cost_before: place.cost_before.saturating_add(other.cost),
            ..place
        })
    }

    /// Add a job, unless it is known. False if it is durable and the line is closed.
    pub(super) fn push(&mut self, work: QueuedWork) -> bool {
        if self.is_closed && work.durable {
            return false;
        }
        if let Entry::Vacant(vacant) = self.known.entry(work.job) {
            let queue = self.waiting.entry((work.priority.level(), work.owner.clone())).or_default();
            queue.insert((work.turn, work.job));
            vacant.insert(Known { work, cancel: CancellationToken::new(), is_claimed: false });
        }
        true
    }

    /// All that wait, in order.
    pub(super) fn places(&self) -> Vec<Place> {
        let places = self.order(None).into_iter().scan((0, 0_u64), |(position, cost_before), work| {
            let place = Place { job: work.job, position: *position, cost_before: *cost_before, cost: work.cost };
            *position += 1;
            *cost_before = cost_before.saturating_add(work.cost);
            Some(place)
        });
        places.collect()
    }

    /// Whether the owner of a waiting job may have more of the workers' room.
    fn has_share(&self, job: Uuid, room: Room) -> bool {
        self.known.get(&job).is_some_and(|Known { work, .. }| {
            let claimed = self.claimed.get(&work.owner).copied().unwrap_or(0);
            is_within_share(claimed.into(), work.images.min(room.total).into(), room.free.into(), LEAST_IMAGES)
        })
    }

    /// Take the first one out of the line, if it fits.
    pub(super) fn take_first(&mut self, room: Room) -> Option<(Uuid, CancellationToken)> {
        let heads: Vec<Head> = self
            .waiting
            .iter()
            .filter_map(|((level, owner), queue)| {
                let turn = *queue.first()?;
                self.has_share(turn.1, room).then(|| Head { level: *level, turn, start: self.start(*level, owner) })
            })
            .collect();
        let (_, job) = heads[first(&heads)?].turn;
        let Known { work, cancel, is_claimed } = self.known.get_mut(&job)?;
        if !room.fits(work.images) {
            return None;
        }
        *is_claimed = true;
        // A claim may be stopped by itself: the next one is another run.
        let (work, cancel) = (work.clone(), cancel.child_token());
        self.shares.entry(work.priority.level()).or_default().charge(&work.owner, as_cost(work.cost));
        self.unqueue(&work);
        *self.claimed.entry(work.owner).or_default() += work.images;
        Some((job, cancel))
    }

    /// A job waits no more.
    fn unqueue(&mut self, work: &QueuedWork) {
        let key = (work.priority.level(), work.owner.clone());
        if let Some(queue) = self.waiting.get_mut(&key) {
            queue.remove(&(work.turn, work.job));
            if queue.is_empty() {
                self.waiting.remove(&key);
            }
        }
        if self.waiting.is_empty() {
            // Nothing was ever shared while nothing waits.
            self.shares.clear();
        }
    }

    /// A claim is over.
    fn unclaim(&mut self, work: &QueuedWork) {
        if let Some(claimed) = self.claimed.get_mut(&work.owner) {
            *claimed = claimed.saturating_sub(work.images);
            if *claimed == 0 {
                self.claimed.remove(&work.owner);
            }
        }
    }

    /// Let a known job wait, at its turn. False if it is unknown, or durable and the line is closed.
    pub(super) fn put_back(&mut self, job: Uuid) -> bool {
        let Some(known) = self.known.get_mut(&job) else { return false };
        if self.is_closed && known.work.durable {
            return false;
        }
        let (work, was_claimed) = (known.work.clone(), std::mem::take(&mut known.is_claimed));
        if was_claimed {
            self.unclaim(&work);
        }
        self.waiting.entry((work.priority.level(), work.owner)).or_default().insert((work.turn, job));
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
        match self.known.remove(&job) {
            Some(Known { work, is_claimed: true, .. }) => self.unclaim(&work),
            Some(Known { work, is_claimed: false, .. }) => self.unqueue(&work),
            None => {}
        }
    }

    /// Let no durable job wait any more; gives and forgets those that did.
    pub(super) fn close(&mut self) -> Vec<Uuid> {
        self.is_closed = true;
        let waiting = self.order(None).into_iter();
        let closed: Vec<Uuid> = waiting.filter(|work| work.durable).map(|work| work.job).collect();
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
        QueuedWork {
            yields: false,
            job: Uuid::from_u128(id),
            owner: "me".into(),
            turn,
            cost: 10,
            images,
            priority,
            size: None,
            durable,
        }
    }

    fn line(works: impl IntoIterator<Item = QueuedWork>) -> Line {
        let mut line = Line::default();
        for work in works {
            line.push(work);
        }
        line
    }

    fn order(line: &Line) -> Vec<u128> {
        line.places().iter().map(|place| place.job.as_u128()).collect()
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
        assert_eq!(line.places()[2], place);
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
        assert!(line.take_first(room(1)).is_none(), "its owner has its share");
        line.remove(Uuid::from_u128(1));
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

    fn of(owner: &str, mut work: QueuedWork) -> QueuedWork {
        work.owner = owner.into();
        work
    }

    /// Claim what can be, of 64 images that fit in all; gives ids.
    fn claim_all(line: &mut Line) -> Vec<u128> {
        let mut claimed = Vec::new();
        loop {
            let free = 64 - line.claimed.values().sum::<u32>();
            let Some((job, _)) = line.take_first(Room { free, total: 64 }) else { return claimed };
            claimed.push(job.as_u128());
        }
    }

    #[test]
    fn a_job_of_another_is_claimed_at_once_beside_a_flood() {
        let mut line = line((0..600).map(|id| work(id, 0, 1)));
        let flood = claim_all(&mut line);
        assert!(flood.len() >= 48 && flood.len() < 64, "{}", flood.len());
        line.push(of("you", work(1000, 1_000_000, 8)));
        assert_eq!(line.places()[0].job.as_u128(), 1000);
        assert_eq!(claim_all(&mut line), [1000]);
        // The third waits for one job of the first to end, however many came before its own.
        line.push(of("them", work(1001, 2_000_000, 1)));
        assert_eq!(claim_all(&mut line), []);
        line.remove(Uuid::from_u128(flood[0]));
        assert_eq!(claim_all(&mut line), [1001]);
        for id in flood {
            line.remove(Uuid::from_u128(id));
        }
        assert!(claim_all(&mut line).len() >= 48, "what was given back can be taken again");
    }

    #[test]
    fn owners_take_turns_by_cost_within_a_priority() {
        let of_mine = (0..8).map(|id| work(id, 0, 1));
        let of_yours = (10..14).map(|id| QueuedWork { cost: 20, ..of("you", work(id, 1, 1)) });
        let mut line = line(of_mine.chain(of_yours));
        assert_eq!(order(&line), [0, 10, 1, 2, 11, 3, 4, 12, 5, 6, 13, 7]);
        let urgent = QueuedWork { priority: Priority::High, ..of("you", work(20, -1, 1)) };
        assert_eq!(line.place_for(&urgent).position, 0);
        line.push(QueuedWork { turn: 2, ..urgent });
        assert_eq!(order(&line).last(), Some(&20), "a head start is all that a priority is worth");
        assert_eq!(claim_all(&mut line).len(), 13);
        assert!(line.shares.is_empty() && line.waiting.is_empty());
        for id in 0..21 {
            line.remove(Uuid::from_u128(id));
        }
        assert!(line.claimed.is_empty() && line.known.is_empty(), "{line:?}");
    }
}
