//! The tasks of an operation on all threads, or on the calling thread alone while every thread has rows of its own.
//!
//! Invariant: tasks write what no other one reads or writes, so how they are dealt out never shows in the result.

use std::cell::Cell;

use rayon::prelude::*;

thread_local! {
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Threads that share the tasks of an operation.
pub(crate) fn threads() -> usize {
    if ALONE.get() { 1 } else { rayon::current_num_threads() }
}

/// Call `f`, whose operations stay on this thread.
pub(crate) fn alone<R>(f: impl FnOnce() -> R) -> R {
    /// Puts back what was, also behind a panic.
    struct Before(bool);

    impl Drop for Before {
        fn drop(&mut self) {
            ALONE.set(self.0);
        }
    }

    let _before = Before(ALONE.replace(true));
    f()
}

/// Call `task` for each number below `tasks`.
pub(crate) fn for_each_task(tasks: usize, task: impl Fn(usize) + Sync) {
    if tasks <= 1 || threads() == 1 {
        (0..tasks).for_each(task);
    } else {
        (0..tasks).into_par_iter().with_max_len(1).for_each(&task);
    }
}

/// Call `f` with the number and the values of each piece of `len` values, of which the last one may be shorter.
pub(crate) fn for_each_piece<T: Send>(values: &mut [T], len: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    let pieces = values.chunks_mut(len.max(1)).enumerate();
    if pieces.len() <= 1 || threads() == 1 {
        pieces.for_each(|(number, piece)| f(number, piece));
    } else {
        values.par_chunks_mut(len.max(1)).enumerate().for_each(|(number, piece)| f(number, piece));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;
    use std::thread::{self, ThreadId};

    use super::*;

    /// The threads that did a hundred tasks, and the tasks in order.
    fn hundred() -> (HashSet<ThreadId>, Vec<usize>) {
        let done = Mutex::new(Vec::new());
        for_each_task(100, |task| done.lock().unwrap().push((thread::current().id(), task)));
        let done = done.into_inner().unwrap();
        let mut tasks: Vec<usize> = done.iter().map(|(_, task)| *task).collect();
        tasks.sort_unstable();
        (done.iter().map(|(thread, _)| *thread).collect(), tasks)
    }

    #[test]
    fn every_task_is_done_once_and_stays_on_a_thread_that_is_alone() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
        pool.install(|| {
            let all: Vec<usize> = (0..100).collect();
            assert_eq!((threads(), hundred().1), (4, all.clone()));
            let here = HashSet::from([thread::current().id()]);
            alone(|| assert_eq!((threads(), hundred()), (1, (here.clone(), all.clone()))));
            let panic = catch_unwind(AssertUnwindSafe(|| alone(|| panic!("on purpose"))));
            assert!(panic.is_err() && threads() == 4, "the thread has others again behind a panic");
        });
    }

    #[test]
    fn every_piece_is_given_once_with_its_number() {
        for len in [1, 7, 100, 1000] {
            let mut values = vec![0; 100];
            for_each_piece(&mut values, len, |number, piece| {
                assert!(piece.len() == len.min(100 - number * len));
                for value in piece {
                    *value += 1 + number;
                }
            });
            let want: Vec<usize> = (0..100).map(|at| 1 + at / len).collect();
            assert_eq!(values, want, "pieces of {len}");
        }
    }
}
