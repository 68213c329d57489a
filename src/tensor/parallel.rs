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
