//! Working memory of one operation, kept by each thread for the next one, so that it is allocated once.
//!
//! Invariant: what a borrower finds in it is arbitrary; it starts at a cache line.

use std::cell::Cell;

use half::bf16;

/// A cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
#[expect(dead_code, reason = "read as plain numbers")]
struct Line([f32; 16]);

/// What the memory is for: each thread keeps one of each.
#[derive(Clone, Copy)]
pub(super) enum Scratch {
    /// Of an operation, read and written by all of its tasks.
    Shared,
    /// Of a task.
    Task,
}

thread_local! {
    static KEPT: [Cell<Vec<Line>>; 2] = const { [Cell::new(Vec::new()), Cell::new(Vec::new())] };
}

impl Scratch {
    /// Call `f` with `len` numbers of bf16.
    pub(super) fn with_bf16<R>(self, len: usize, f: impl FnOnce(&mut [bf16]) -> R) -> R {
        // SAFETY: two of them take the room of an f32, and any bits are a number of theirs.
        self.with(len.div_ceil(2), |values| {
            f(unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), len) })
        })
    }

    /// Call `f` with `len` numbers.
    pub(super) fn with<R>(self, len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
        // Taken, since a thread that waits for its tasks may begin another operation meanwhile.
        let mut lines = KEPT.with(|kept| kept[self as usize].take());
        let count = len.div_ceil(16);
        if lines.len() < count {
            lines = vec![Line([0.0; 16]); count];
        }
        // SAFETY: the lines have at least `len` numbers, without padding between them.
        let result = f(unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast::<f32>(), len) });
        KEPT.with(|kept| {
            let other = kept[self as usize].take();
            kept[self as usize].set(if other.len() > lines.len() { other } else { lines });
        });
        result
    }
}
