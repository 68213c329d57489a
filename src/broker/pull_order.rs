//! Which queue a worker asks next, and how urgently.
//!
//! Pure. Invariants: higher priorities go first, and within a priority owners who have little waiting; but one job in eight is
//! looked for elsewhere, each class in its turn, so that nothing waits for ever. Where several workers wait for the same job, an
//! idle one gets it, then one that works on jobs of its size.

use std::time::Duration;

use super::traits::Room;
use crate::domain::{Priority, Size};

/// Groups of sizes: jobs of one size are in one group, so that a worker finds more of the size that it is working on.
pub(crate) const GROUPS: usize = 4;
/// Priority, and whether it yields; the most urgent first.
const CLASSES: [(Priority, bool); 6] = [
    (Priority::High, false),
    (Priority::High, true),
    (Priority::Normal, false),
    (Priority::Normal, true),
    (Priority::Low, false),
    (Priority::Low, true),
];

/// One queue: jobs of one class and of one group of sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueName {
    pub priority: Priority,
    /// Whether its jobs yield to those of other owners (see [`crate::records::Job::yields`]).
    pub yields: bool,
    /// Below [`GROUPS`].
    pub group: usize,
}

impl QueueName {
    /// All of them, the most urgent first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        CLASSES
            .into_iter()
            .flat_map(|(priority, yields)| (0..GROUPS).map(move |group| Self { priority, yields, group }))
    }

    /// Where a job waits.
    pub(crate) fn of(priority: Priority, yields: bool, size: Option<Size>) -> Self {
        // Common sizes, small and large, are in different groups: their sides are often multiples of 32 or of 256.
        let part = |side: u32| side / 32 + side / 256;
        let number = size.map_or(0, |size| part(size.width) + 2 * part(size.height));
        Self { priority, yields, group: number as usize % GROUPS }
    }
}

/// One in so many jobs is looked for elsewhere first.
const TURN: u64 = 8;
/// JetStream's numbers for workers that wait: 0 is served first.
const LAST: usize = 9;

/// The queues in the order in which a worker asks them for its `n`th job; `group` is that of the sizes it works on.
pub(crate) fn queues(n: u64, group: Option<usize>) -> Vec<QueueName> {
    let turn = usize::try_from(n / TURN % (CLASSES.len() * GROUPS) as u64).unwrap_or(0);
    let mut classes = CLASSES;
    let first = if n % TURN == TURN - 1 {
        // The least urgent one in the first turn, and each with every group in the following ones.
        classes.rotate_right(1 + turn % CLASSES.len());
        turn / CLASSES.len()
    } else {
        // So that other sizes have their turns, too.
        group.unwrap_or(turn % GROUPS)
    };
    let groups = (0..GROUPS).map(|i| (first + i) % GROUPS);
    let queues = classes
        .into_iter()
        .flat_map(|(priority, yields)| groups.clone().map(move |group| QueueName { priority, yields, group }));
    queues.collect()
}

/// How early a worker with this room is served among those that wait for jobs of a queue: smaller is earlier.
pub(crate) fn rank(room: Room, group: Option<usize>, queue: QueueName) -> usize {
    let total = room.total.max(1) as usize;
    let busy = total.saturating_sub(room.free as usize);
    if busy == 0 {
        return 0;
    }
    let half = LAST.div_ceil(2);
    // 0 to 3, by how much it has to do.
    let load = (busy * (half - 1) / total).min(half - 2);
    if group == Some(queue.group) { 1 + load } else { half + load }
}

/// A queue that a job came from so long ago is one that jobs come from.
const LATELY: Duration = Duration::from_secs(10);

/// How long a worker's request for a job waits at a queue before it is repeated: so long, its rank may be out of date, and a job
/// that comes may go to a worker that has become busy. Where jobs come that is short; most queues are empty most of the time, and
/// there a request costs more than it is worth.
pub(crate) fn patience(since_last: Option<Duration>) -> Duration {
    let comes = since_last.is_some_and(|since| since < LATELY);
    if comes { Duration::from_millis(250) } else { Duration::from_secs(2) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_high_priority_and_the_size_at_work_go_first() {
        let order = queues(0, Some(2));
        assert_eq!(order.len(), GROUPS * CLASSES.len());
        assert_eq!(order[0], QueueName { priority: Priority::High, yields: false, group: 2 });
        assert_eq!(order[GROUPS], QueueName { priority: Priority::High, yields: true, group: 2 });
        assert_eq!(order[2 * GROUPS], QueueName { priority: Priority::Normal, yields: false, group: 2 });
    }

    #[test]
    fn common_sizes_are_told_apart() {
        let group = |width, height| QueueName::of(Priority::Normal, false, Some(Size { width, height })).group;
        let large = [group(512, 512), group(768, 768), group(1024, 1024), group(768, 512)];
        assert_eq!(BTreeSet::from(large).len(), GROUPS, "{large:?}");
        assert!(group(512, 768) != group(768, 512) && group(64, 64) != group(96, 96) && group(64, 96) != group(96, 64));
    }

    #[test]
    fn whatever_waits_is_asked_for_first_some_time() {
        let turns = (GROUPS * CLASSES.len()) as u64;
        let firsts: Vec<QueueName> = (0..TURN * turns).map(|n| queues(n, Some(1))[0]).collect();
        for queue in QueueName::all() {
            assert!(firsts.contains(&queue), "{queue:?}");
        }
        let urgent = QueueName { priority: Priority::High, yields: false, group: 1 };
        let first = firsts.iter().filter(|queue| **queue == urgent).count();
        assert_eq!(first, firsts.len() * 7 / 8 + 1);
    }

    #[test]
    fn idle_workers_are_served_first_then_those_of_the_same_size() {
        let queue = QueueName { priority: Priority::Normal, yields: false, group: 1 };
        let room = |free| Room { free, total: 64 };
        assert_eq!(rank(room(64), None, queue), 0);
        let (same, other) = (rank(room(1), Some(1), queue), rank(room(63), Some(0), queue));
        assert!(0 < same && same < other && rank(room(0), Some(0), queue) <= LAST, "{same} {other}");
        assert!(rank(room(60), Some(1), queue) < rank(room(2), Some(1), queue));
    }
}
