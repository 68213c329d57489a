//! What the device can do at best, to compare layers with.
//!
//! Invariant: measured where it is asked for, on all threads at once; other work on the machine lowers it.

use rayon::prelude::*;
use serde::Serialize;

use crate::compute::Compute;

/// Rates of all threads together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Roofline {
    /// Operations of f32 a second, two a multiply-add, on numbers in the cache; 0 where it is not known.
    pub operations: f64,
    /// Bytes a second read from memory; 0 where it is not known.
    pub bytes: f64,
}

/// Bytes that each thread reads, more than a cache has.
const READ: usize = 64 << 20;

impl Compute {
    /// Measure it, in a fraction of a second.
    #[must_use]
    pub fn roofline(&self) -> Roofline {
        let threads = rayon::current_num_threads();
        let sum = |rate: &(dyn Fn() -> f64 + Sync)| (0..threads).into_par_iter().with_max_len(1).map(|_| rate()).sum();
        let operations = sum(&|| self.backend().operations_a_second());
        let bytes = if self.device().is_cpu() { sum(&bytes_a_second) } else { 0.0 };
        Roofline { operations, bytes }
    }
}

/// Bytes a second that this thread reads, the best of some tries.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn bytes_a_second() -> f64 {
    let numbers = vec![1_u64; READ / size_of::<u64>()];
    let rate = || {
        let start = std::time::Instant::now();
        let sum = numbers.iter().fold(0_u64, |sum, number| sum.wrapping_add(*number));
        std::hint::black_box(sum);
        READ as f64 / start.elapsed().as_secs_f64()
    };
    (0..3).map(|_| rate()).fold(0.0, f64::max)
}
